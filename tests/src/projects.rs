//! Small projects with one fault each.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A project in a temporary directory.
pub struct Project {
    dir: TempDir,
    root: PathBuf,
}

impl Project {
    /// An empty one in a directory of this name.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn named(name: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("gp").tempdir().expect("a temporary directory");
        let root = dir.path().canonicalize().expect("a temporary directory exists").join(name);
        std::fs::create_dir(&root).expect("a fresh directory");
        Self { dir, root }
    }

    /// Its root, canonical.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory around it, for things beside the project.
    pub fn outside(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file below the root.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(path, content);
        self
    }

    /// Writes a file below the root.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("a file has a directory"))
            .expect("directories can be made");
        std::fs::write(path, content).expect("the file can be written");
    }

    /// Reads a file below the root.
    ///
    /// # Panics
    /// When it is not there.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).expect("the file is there")
    }
}

/// `is_adult` has its boundary wrong.
pub fn python_project(name: &str) -> Project {
    let project = Project::named(name)
        .file("pyproject.toml", "[project]\nname = \"people\"\nversion = \"1\"\n")
        .file("people.py", PEOPLE);
    project.file(
        "test_people.py",
        "from people import is_adult, initials\n\n\n\
         def test_adult_on_the_birthday():\n    assert is_adult(18)\n\n\n\
         def test_child():\n    assert not is_adult(17)\n\n\n\
         def test_grown():\n    assert is_adult(40)\n\n\n\
         def test_initials():\n    assert initials('Ada Lovelace') == 'AL'\n",
    )
}

/// The same, between wide characters, in lines that end with CR and LF.
pub fn wide_python_project(name: &str) -> Project {
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let project = python_project(name).file("people.py", crlf(WIDE_PEOPLE));
    let tests = crlf(&project.read("test_people.py"));
    project.file("test_people.py", tests)
}

/// The source of [`wide_python_project`], with other ends of lines.
pub const WIDE_PEOPLE: &str = "\
# 𝕏 é 👋🏽
def is_adult(age):
    return ('🎂', age > 18)[1]


def initials(name):
    return ''.join(part[0] for part in name.split())
";

const PEOPLE: &str = "\
def is_adult(age):
    return age > 18


def initials(name):
    return ''.join(part[0] for part in name.split())
";

/// `price` has its boundary wrong.
pub fn rust_project(name: &str) -> Project {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/demo");
    let read = |path: &str| std::fs::read(demo.join(path)).expect("the demo project is there");
    Project::named(name)
        .file("Cargo.toml", read("Cargo.toml"))
        .file("src/lib.rs", read("src/lib.rs"))
        .file("tests/prices.rs", read("tests/prices.rs"))
}

/// `clamp` mixes up its bounds.
pub fn node_project(name: &str) -> Project {
    Project::named(name)
        .file("package.json", "{ \"name\": \"shop\", \"type\": \"module\", \"scripts\": { \"test\": \"node --test\" } }\n")
        .file(
            "clamp.js",
            "export function clamp(value, low, high) {\n  if (value < low) return low;\n  if (value > high) return low;\n  return value;\n}\n",
        )
        .file(
            "clamp.test.js",
            "import test from 'node:test';\nimport assert from 'node:assert';\nimport { clamp } from './clamp.js';\n\n\
             test('inside', () => { assert.strictEqual(clamp(5, 0, 10), 5); });\n\
             test('below', () => { assert.strictEqual(clamp(-5, 0, 10), 0); });\n\
             test('above', () => { assert.strictEqual(clamp(15, 0, 10), 10); });\n",
        )
}
