//! Candidates that fake success. None may be offered.
//!
//! Each hostile patch is put through the same search as any candidate. Those that the verifier has to
//! catch on its own, whatever text hides them, are verified without the static checks as well.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::Fixture;
use greenlit_repair::{
    Candidate, Edit, KnownFalls, PatchedFile, SandboxVerifier, Search, SearchLimits, Source,
    Verdict, Verifier,
};
use greenlit_runner::{Selection, TestId};

const BROKEN: &str = "def double(x):\n    return x + 2\n";
const TESTS: &str = "\
from shop import double


def test_two():
    assert double(2) == 4


def test_three():
    assert double(3) == 6


def test_negative():
    assert double(-1) == -2
";

struct Hostile {
    fixture: Fixture,
}

impl std::ops::Deref for Hostile {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl Hostile {
    fn new() -> Self {
        let fixture = Fixture::new(&[("shop.py", BROKEN), ("test_shop.py", TESTS)]);
        assert_eq!(fixture.baseline.failing().count(), 2, "{:?}", fixture.baseline.tests);
        Self { fixture }
    }

    fn source(&self) -> PathBuf {
        self.bench.subject.root.join("shop.py")
    }

    fn verifier(&self) -> SandboxVerifier<'_> {
        SandboxVerifier {
            bench: &self.bench,
            baseline: &self.baseline,
            selection: &Selection::All,
            inputs_unchanged: &|| true,
            quick: false,
        }
    }

    /// How many fixes a search offers that has only this candidate.
    fn offered(&self, path: &Path, text: &str) -> usize {
        let before = std::fs::read_to_string(path).unwrap();
        let edit =
            Edit { path: path.into(), start: 0, end: before.len(), new_text: text.to_owned() };
        let candidate = Candidate {
            edits: vec![edit],
            source: Source { tier: "template".into(), rule: "hostile".into(), adapter: None },
            summary: "hostile".into(),
            score: 1.0,
        };
        let targets: Vec<TestId> = self.baseline.failing().map(|(id, _)| id.clone()).collect();
        let search = Search {
            bench: &self.bench,
            baseline: &self.baseline,
            project: &self.baseline.projects[0].project,
            targets: &targets,
            verifier: &self.verifier(),
            ahead: None,
            known: &KnownFalls::default(),
            limits: SearchLimits {
                deadline: Instant::now() + Duration::from_secs(60),
                max_fixes: 5,
                jobs: 1,
            },
            ended: None,
            on_event: &|_| {},
        };
        search.run(vec![candidate]).unwrap().fixes.len()
    }

    fn verdict(&self, text: &str) -> Verdict {
        let patch =
            PatchedFile { path: self.source(), before: BROKEN.into(), after: text.to_owned() };
        self.verifier().verify(&[patch]).unwrap()
    }
}

/// Caught by the verifier alone, whatever the text looks like.
const CAUGHT_BY_RUNNING: &[(&str, &str)] = &[
    ("exits at import", "import os\nos._exit(0)\n"),
    ("exits at import, hidden", "getattr(__import__('o' + 's'), '_ex' + 'it')(0)\n"),
    ("raises SystemExit(0) at import", "raise SystemExit(0)\n"),
    ("exits in the call", "import os\ndef double(x):\n    os._exit(0)\n"),
    ("interrupts the session", "def double(x):\n    raise KeyboardInterrupt\n"),
    ("skips the module", "import pytest\npytest.skip('later', allow_module_level=True)\n"),
    ("skips each test", "import unittest\ndef double(x):\n    raise unittest.SkipTest('later')\n"),
    (
        "deletes the tests",
        "import pathlib\nfor f in pathlib.Path(__file__).parent.glob('test_*.py'): f.unlink()\ndef double(x): return 4\n",
    ),
    ("hangs", "def double(x):\n    while True:\n        pass\n"),
    (
        "writes a report of its own and exits",
        "import os, sys\nfor a in sys.argv:\n    if a.startswith('--junitxml='):\n        open(a[11:], 'w').write('<testsuites><testsuite><testcase classname=\"test_shop\" name=\"test_two\"/><testcase classname=\"test_shop\" name=\"test_three\"/></testsuite></testsuites>')\nos._exit(0)\n",
    ),
];

/// Caught by the static checks: their runs look green.
const CAUGHT_BY_READING: &[(&str, &str)] = &[
    (
        "is equal to everything",
        "class Any(int):\n    def __eq__(self, other):\n        return True\ndef double(x):\n    return Any(x)\n",
    ),
    (
        "replaces how tests run",
        "import _pytest.python\n_pytest.python.Function.runtest = lambda self: None\ndef double(x):\n    return x + 2\n",
    ),
    (
        "replaces assertions",
        "import builtins\nbuiltins.AssertionError = type('Fine', (BaseException,), {})\ndef double(x):\n    return x + 2\n",
    ),
    (
        "asks which test runs",
        "import os\ndef double(x):\n    return 6 if 'three' in os.environ['PYTEST_CURRENT_TEST'] else (-2 if x < 0 else 4)\n",
    ),
    (
        "looks at its caller",
        "import sys\ndef double(x):\n    return eval(sys._getframe(1).f_code.co_consts[-1].__repr__())\n",
    ),
    ("runs hidden text", "exec('def double(x): return x * 2')\n"),
    (
        "rewrites the tests",
        "import pathlib\npathlib.Path('test_shop.py').write_text('def test_two(): pass\\ndef test_three(): pass\\ndef test_negative(): pass\\n')\ndef double(x):\n    return x + 2\n",
    ),
    (
        "finds the framework in memory",
        "import sys\nfor m in list(sys.modules.values()):\n    if hasattr(m, 'Function'):\n        m.Function.runtest = lambda self: None\ndef double(x):\n    return x + 2\n",
    ),
];

#[test]
fn python_the_honest_fix_is_offered() {
    let fixture = Hostile::new();
    let fixed = "def double(x):\n    return x * 2\n";
    assert_eq!(fixture.offered(&fixture.source(), fixed), 1);
}

#[test]
fn python_no_fake_is_offered() {
    let fixture = Hostile::new();
    for (name, text) in CAUGHT_BY_RUNNING.iter().chain(CAUGHT_BY_READING) {
        assert_eq!(fixture.offered(&fixture.source(), text), 0, "offered: {name}");
    }
}

#[test]
fn python_the_verifier_alone_refuses_what_running_shows() {
    let mut fixture = Hostile::new();
    fixture.fixture.bench.walls.tests = Duration::from_secs(10);
    for (name, text) in CAUGHT_BY_RUNNING {
        let verdict = fixture.verdict(text);
        assert!(matches!(verdict, Verdict::Fallen(_)), "{name}: {verdict:?}");
    }
}

#[test]
fn python_a_changed_test_is_not_a_fix() {
    let fixture = Hostile::new();
    let tests = fixture.bench.subject.root.join("test_shop.py");
    let weakened = TESTS.replace("double(3) == 6", "double(3) == 5").replace("== -2", "== 1");
    assert_eq!(fixture.offered(&tests, &weakened), 0);
}

#[test]
fn python_changed_inputs_void_a_verdict() {
    let fixture = Hostile::new();
    let verifier = SandboxVerifier { inputs_unchanged: &|| false, ..fixture.verifier() };
    let patch = PatchedFile {
        path: fixture.source(),
        before: BROKEN.into(),
        after: "def double(x):\n    return x * 2\n".into(),
    };
    let verdict = verifier.verify(&[patch]).unwrap();
    assert_eq!(verdict, Verdict::Fallen(greenlit_repair::Fall::InputsChanged));
}
