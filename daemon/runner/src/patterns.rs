//! Which files hold tests, by each ecosystem's own naming rules. Paths are relative to a project.

use std::path::{Component, Path};

/// Build products and other people's code: neither sources nor tests.
pub(crate) const FOREIGN_DIRECTORIES: &[&str] = &[
    ".eggs",
    ".git",
    ".nox",
    ".tox",
    ".venv",
    "__pycache__",
    "dist-packages",
    "node_modules",
    "site-packages",
    "target",
    "venv",
];

const PYTHON_CONFIGURATION: &[&str] = &[
    ".coveragerc",
    ".pytest.ini",
    ".pytest.toml",
    "conftest.py",
    "noxfile.py",
    "pyproject.toml",
    "pytest.ini",
    "pytest.toml",
    "setup.cfg",
    "setup.py",
    "sitecustomize.py",
    "tox.ini",
    "usercustomize.py",
];

const CARGO_CONFIGURATION: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "build.rs",
    "clippy.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
];

const NODE_CONFIGURATION: &[&str] =
    &[".npmrc", "npm-shrinkwrap.json", "package-lock.json", "package.json", "tsconfig.json"];

const GO_CONFIGURATION: &[&str] = &["go.mod", "go.sum", "go.work", "go.work.sum"];

/// Endings of JavaScript and TypeScript modules.
const NODE_EXTENSIONS: &[&str] = &["js", "mjs", "cjs", "ts", "mts", "cts"];

pub(crate) fn is_foreign(path: &Path) -> bool {
    directories(path).any(|name| FOREIGN_DIRECTORIES.contains(&name))
}

pub(crate) fn is_python_test_file(path: &Path) -> bool {
    let Some(name) = name(path) else { return false };
    if PYTHON_CONFIGURATION.contains(&name) || name.ends_with(".pth") {
        return true;
    }
    is_python_test_module(name) || directories(path).any(|d| ["test", "tests"].contains(&d))
}

/// pytest's default `python_files`.
pub(crate) fn is_python_test_module(name: &str) -> bool {
    name.strip_suffix(".py")
        .is_some_and(|stem| stem.starts_with("test_") || stem.ends_with("_test"))
}

pub(crate) fn is_cargo_test_file(path: &Path) -> bool {
    let Some(name) = name(path) else { return false };
    CARGO_CONFIGURATION.contains(&name)
        || ["tests.rs", "test.rs"].contains(&name)
        || name.strip_suffix(".rs").is_some_and(|s| s.ends_with("_test") || s.ends_with("_tests"))
        || directories(path).any(|d| ["tests", "benches", ".cargo"].contains(&d))
}

/// Tests and their data, what decides on dependencies, and other people's code.
pub(crate) fn is_go_test_file(path: &Path) -> bool {
    let Some(name) = name(path) else { return false };
    GO_CONFIGURATION.contains(&name)
        || name.ends_with("_test.go")
        || directories(path).any(|d| ["testdata", "vendor"].contains(&d))
}

pub(crate) fn is_node_test_file(path: &Path) -> bool {
    let Some(name) = name(path) else { return false };
    NODE_CONFIGURATION.contains(&name)
        || is_node_test_module(path)
        || directories(path).any(|d| ["test", "tests", "__tests__"].contains(&d))
}

/// The patterns of `node --test`: `**/*.test.js`, `**/*-test.js`, `**/*_test.js`,
/// `**/test-*.js`, `**/test.js`, `**/test/**/*.js`.
pub(crate) fn is_node_test_module(path: &Path) -> bool {
    let Some((stem, extension)) = name(path).and_then(|name| name.rsplit_once('.')) else {
        return false;
    };
    NODE_EXTENSIONS.contains(&extension)
        && (stem == "test"
            || stem.starts_with("test-")
            || [".test", "-test", "_test"].iter().any(|ending| stem.ends_with(ending))
            || directories(path).any(|directory| directory == "test"))
}

pub(crate) fn is_typescript(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["ts", "mts", "cts"].iter().any(|known| e == *known))
}

fn name(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

fn directories(path: &Path) -> impl Iterator<Item = &str> {
    path.parent().into_iter().flat_map(Path::components).filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_their_configuration_are_told_from_sources() {
        let python = |path| is_python_test_file(Path::new(path));
        for path in ["conftest.py", "a/test_x.py", "x_test.py", "tests/helper.py", "pyproject.toml"]
        {
            assert!(python(path), "{path}");
        }
        for path in ["gcd.py", "src/contest.py", "latest.py", "testing/x.py"] {
            assert!(!python(path), "{path}");
        }
        let cargo = |path| is_cargo_test_file(Path::new(path));
        for path in
            ["tests/it.rs", "build.rs", "a/Cargo.toml", ".cargo/config.toml", "src/tests.rs"]
        {
            assert!(cargo(path), "{path}");
        }
        for path in ["src/lib.rs", "src/builder.rs", "src/contests/x.rs"] {
            assert!(!cargo(path), "{path}");
        }
        let go = |path| is_go_test_file(Path::new(path));
        for path in
            ["a/a_test.go", "testdata/x.go", "go.mod", "m/go.sum", "vendor/x/x.go", "go.work"]
        {
            assert!(go(path), "{path}");
        }
        for path in ["a/a.go", "latest.go", "testing/x.go", "test/main.go"] {
            assert!(!go(path), "{path}");
        }
        let node = |path| is_node_test_file(Path::new(path));
        for path in ["gcd.test.js", "test/gcd.mjs", "test.cjs", "a-test.ts", "package.json"] {
            assert!(node(path), "{path}");
        }
        for path in ["gcd.js", "contest.js", "src/testing.js"] {
            assert!(!node(path), "{path}");
        }
    }
}
