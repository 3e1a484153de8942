//! pytest, with the Python of `GREENLIT_TEST_PYTHON`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use greenlit_runner::{FailureKind, Outcome, Project, RunRequest, RunState, Selection, Spectrum};
use greenlit_sandbox::{CacheMode, Sandbox};

use crate::support::{LONG, Workspace, failure, ids, only, outcomes, site, test_python, trace};

pub(crate) const GCD: &str =
    "def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(b, a % b) + 1\n";
pub(crate) const GCD_FIXED: &str =
    "def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(b, a % b)\n";
const TEST_GCD: &str = "from gcd import gcd\n\n\ndef test_zero():\n    assert gcd(4, 0) == 4\n\n\ndef test_gcd():\n    assert gcd(4, 2) == 2\n";

pub(crate) fn gcd() -> Workspace {
    Workspace::python(&[("gcd.py", GCD), ("test_gcd.py", TEST_GCD)])
}

#[test]
fn failures_are_located_in_the_test_with_the_way_there() {
    let workspace = Workspace::python(&[
        ("lib/__init__.py", ""),
        (
            "lib/deep.py",
            "def inner():\n    raise ValueError('boo')\n\n\ndef outer():\n    inner()\n",
        ),
        (
            "tests/test_deep.py",
            "from lib.deep import outer\n\n\ndef test_deep():\n    outer()\n\n\ndef test_equal():\n    assert [1] == [2]\n",
        ),
        ("pytest.ini", "[pytest]\n"),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed);
    let deep = failure(&run, "tests/test_deep.py::test_deep");
    assert_eq!(deep.kind, FailureKind::Error);
    assert_eq!(deep.message, "ValueError: boo");
    assert_eq!(site(&workspace, deep), "tests/test_deep.py:5");
    assert_eq!(trace(&workspace, deep), ["tests/test_deep.py:5", "lib/deep.py:6", "lib/deep.py:2"]);
    let equal = failure(&run, "tests/test_deep.py::test_equal");
    assert_eq!(equal.kind, FailureKind::Assertion);
    assert_eq!(equal.message, "assert [1] == [2]");
    assert_eq!(site(&workspace, equal), "tests/test_deep.py:9");
    assert!(run.wall > Duration::ZERO && run.cpu > Duration::ZERO);
}

#[test]
fn odd_ids_survive_the_round_trip() {
    let odd = "import unittest\nimport pytest\n\n\n@pytest.mark.parametrize('x', ['a::b[c]', 'é\\n', 'a/b', '', '\"<&>\\x01', '#xAB', 'x > y', '-k'])\ndef test_p(x):\n    pass\n\n\nclass TestC:\n    def test_m(self):\n        pass\n\n    class TestInner:\n        def test_m(self):\n            pass\n\n\nclass U(unittest.TestCase):\n    def test_u(self):\n        pass\n";
    let workspace = Workspace::python(&[
        ("a/__init__.py", ""),
        ("a/test_same.py", odd),
        ("b/__init__.py", ""),
        ("b/test_same.py", "def test_m():\n    pass\n"),
    ]);
    let ids = workspace.round_trip();
    assert_eq!(ids.len(), 12, "{ids:#?}");
    assert!(ids.contains(&"a/test_same.py::TestC::TestInner::test_m".to_owned()), "{ids:#?}");
    assert!(ids.contains(&"a/test_same.py::U::test_u".to_owned()), "{ids:#?}");
    assert!(ids.contains(&"b/test_same.py::test_m".to_owned()), "{ids:#?}");
}

#[test]
fn ids_are_relative_to_the_workspace_and_not_to_pytests_root() {
    let workspace = Workspace::python(&[
        ("services/api/pyproject.toml", "[tool.pytest.ini_options]\ntestpaths = ['tests']\n"),
        ("services/api/tests/test_a.py", "def test_a():\n    pass\n"),
    ]);
    assert_eq!(workspace.round_trip(), ["services/api/tests/test_a.py::test_a"]);
    assert_eq!(workspace.project().dir(), workspace.path("services/api"));
}

#[test]
fn every_way_to_skip_and_to_fail_is_told_apart() {
    let workspace = Workspace::python(&[(
        "test_ways.py",
        "import pytest\nimport unittest\n\n\n@pytest.fixture\ndef broken():\n    yield 1\n    raise ValueError('td')\n\n\ndef test_teardown(broken):\n    pass\n\n\n@pytest.fixture\ndef never():\n    raise KeyError('su')\n\n\ndef test_setup(never):\n    pass\n\n\n@pytest.mark.xfail\ndef test_xfail():\n    assert 0\n\n\n@pytest.mark.xfail\ndef test_xpass():\n    pass\n\n\n@pytest.mark.skip\ndef test_skip():\n    pass\n\n\nclass U(unittest.TestCase):\n    def test_sub(self):\n        for i in range(3):\n            with self.subTest(i=i):\n                self.assertEqual(i, 1)\n",
    )]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed);
    assert_eq!(
        outcomes(&run),
        [
            ("test_ways.py::test_teardown", "failed"),
            ("test_ways.py::test_setup", "failed"),
            ("test_ways.py::test_xfail", "skipped"),
            ("test_ways.py::test_xpass", "passed"),
            ("test_ways.py::test_skip", "skipped"),
            ("test_ways.py::U::test_sub", "failed"),
        ]
    );
    assert_eq!(
        failure(&run, "test_ways.py::test_teardown").message,
        "teardown failed: ValueError: td"
    );
}

#[test]
fn a_module_that_cannot_be_imported_is_a_broken_build_located_in_the_code_under_test() {
    let workspace = Workspace::python(&[
        ("gcd.py", "def gcd(a, b):\n    return a +\n"),
        ("other.py", "LIMIT = 1 / 0\n"),
        ("test_gcd.py", TEST_GCD),
        ("test_other.py", "import other\n\n\ndef test_o():\n    pass\n"),
    ]);
    let RunState::BuildFailed { diagnostics, details } = workspace.run().state else { panic!() };
    let places: Vec<(&Path, u32)> = diagnostics
        .iter()
        .map(|d| (d.path.strip_prefix(&workspace.root).unwrap(), d.line))
        .collect();
    assert_eq!(
        places,
        [
            (Path::new("gcd.py"), 2),
            (Path::new("test_gcd.py"), 1),
            (Path::new("other.py"), 1),
            (Path::new("test_other.py"), 1),
        ],
        "{diagnostics:#?}"
    );
    assert!(diagnostics[0].message.contains("SyntaxError"), "{diagnostics:#?}");
    assert!(details.contains("ZeroDivisionError"), "{details}");
}

#[test]
fn a_broken_conftest_is_a_broken_build() {
    let workspace = Workspace::python(&[
        ("conftest.py", "import gcd\n"),
        ("gcd.py", "\n\nraise RuntimeError('on import')\n"),
        ("test_gcd.py", TEST_GCD),
    ]);
    let RunState::BuildFailed { diagnostics, .. } = workspace.run().state else { panic!() };
    assert_eq!(diagnostics[0].path, workspace.path("gcd.py"), "{diagnostics:#?}");
    assert_eq!(diagnostics[0].line, 3);
}

#[test]
fn a_hanging_test_is_named() {
    let workspace = Workspace::python(&[(
        "test_h.py",
        "def test_a():\n    pass\n\n\ndef test_loop():\n    while True:\n        pass\n",
    )]);
    let run = workspace.run_within(Duration::from_secs(4));
    assert_eq!(run.state, RunState::Hung { running: ids(&["test_h.py::test_loop"]) });
    assert_eq!(outcomes(&run), [("test_h.py::test_a", "passed")]);
}

#[test]
fn an_early_exit_is_no_report() {
    for code in ["os._exit(0)", "sys.exit(0)", "os.kill(os.getpid(), 9)"] {
        let text = format!("import os, sys\n\n\ndef gcd(a, b):\n    {code}\n");
        let workspace = Workspace::python(&[("gcd.py", &text), ("test_gcd.py", TEST_GCD)]);
        let run = workspace.run();
        if code.starts_with("sys") {
            // An ordinary exception to pytest.
            assert_eq!(run.state, RunState::Completed, "{run:?}");
            failure(&run, "test_gcd.py::test_gcd");
        } else {
            assert!(matches!(run.state, RunState::NoReport { .. }), "{code}: {run:?}");
        }
        let text = format!("import os, sys\n{code}\ndef gcd(a, b): pass\n");
        let run = workspace.run_with(&[("gcd.py", &text)], Selection::All);
        assert!(
            matches!(run.state, RunState::NoReport { .. } | RunState::BuildFailed { .. }),
            "{code}: {run:?}"
        );
    }
}

#[test]
fn reports_that_disagree_are_no_report() {
    // A candidate that turns pytest's own outcome around after our plugin saw it.
    let forged = "import _pytest.junitxml as j\nj._NodeReporter.append_failure = lambda self, report: None\n\n\ndef gcd(a, b):\n    return 7\n";
    let workspace = gcd();
    let run = workspace.run_with(&[("gcd.py", forged)], Selection::All);
    let RunState::NoReport { message } = &run.state else { panic!("{run:?}") };
    assert!(message.contains("disagree"), "{message}");
}

#[test]
fn no_tests_is_a_state_of_its_own() {
    let workspace = Workspace::python(&[("pytest.ini", "[pytest]\n"), ("a.py", "")]);
    assert_eq!(workspace.run().state, RunState::NoTests);
    let workspace = gcd();
    assert_eq!(workspace.run_with(&[], only(&["test_gcd.py::test_gone"])).state, RunState::NoTests);
}

#[test]
fn options_of_the_project_are_honoured_where_they_do_no_harm() {
    let workspace = Workspace::python(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = -x --junitxml=mine.xml --tb=no -p no:cacheprovider -m \"not slow\"\nmarkers = slow\nfilterwarnings = error\n",
        ),
        (
            "test_o.py",
            "import pytest\n\n\ndef test_a():\n    assert 0\n\n\ndef test_b():\n    pass\n\n\n@pytest.mark.slow\ndef test_slow():\n    pass\n",
        ),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed);
    assert_eq!(outcomes(&run), [("test_o.py::test_a", "failed"), ("test_o.py::test_b", "passed")]);
    assert!(!workspace.path("mine.xml").exists());
    workspace.save("pytest.ini", "[pytest]\naddopts = --cov=src --no-such-option\n");
    let RunState::ToolMissing { message } = workspace.run().state else { panic!() };
    assert!(message.contains("--no-such-option"), "{message}");
}

#[test]
fn bytecode_of_another_content_is_never_run() {
    let workspace = Workspace::python(&[
        ("value.py", "VALUE = 1\n"),
        ("test_v.py", "from value import VALUE\n\n\ndef test_v():\n    assert VALUE == 2\n"),
    ]);
    // The person's own run leaves bytecode whose time and size fit every such file.
    let status = std::process::Command::new(test_python())
        .args(["-c", "import value"])
        .current_dir(&workspace.root)
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .status()
        .unwrap();
    assert!(status.success());
    let cache = fs::read_dir(workspace.path("__pycache__")).unwrap().next().unwrap().unwrap();
    // Relative: a copy of the checkout lies elsewhere.
    let cache = Path::new("__pycache__").join(cache.file_name());
    let project = workspace.project();
    let mut sandbox =
        workspace.sandbox_with(&project, CacheMode::Discard, &[("value.py", "VALUE = 2\n")]);
    // Give the bytecode the very second of the new file, whatever that is.
    let script = format!(
        "import os, struct; s = int(os.stat('value.py').st_mtime); d = bytearray(open({cache:?}, 'rb').read()); d[8:12] = struct.pack('<I', s); open({cache:?}, 'wb').write(d)"
    );
    let command = greenlit_sandbox::Command {
        argv: vec![test_python().into(), "-c".into(), script.into()],
        cwd: workspace.root.clone(),
        env: workspace.environment.allowed(),
        stdin: Vec::new(),
        wall: LONG,
        cpu: None,
    };
    let outcome = sandbox.exec(&command).unwrap();
    assert_eq!(outcome.state, greenlit_sandbox::ExitState::Exited(0), "{outcome:?}");
    let request =
        RunRequest { selection: Selection::All, build_wall: LONG, test_wall: LONG, per_test: None };
    let run = project.run(&mut sandbox, &request).unwrap();
    assert_eq!(outcomes(&run), [("test_v.py::test_v", "passed")], "{run:?}");
}

fn spectrum(project: &Project, sandbox: &mut Sandbox, tests: &[&str]) -> Spectrum {
    project.spectrum(sandbox, &ids(tests), Duration::from_secs(20)).unwrap().unwrap()
}

#[test]
fn spectra_name_the_lines_of_each_test_even_beside_endless_ones() {
    let workspace = Workspace::python(&[
        (
            "lib.py",
            "def f(x):\n    if x:\n        return 1\n    return 2\n\n\ndef spin():\n    while True:\n        pass\n",
        ),
        (
            "test_s.py",
            "from lib import f, spin\n\n\ndef test_one():\n    assert f(1) == 1\n\n\ndef test_spin():\n    spin()\n\n\ndef test_two():\n    assert f(0) == 1\n",
        ),
    ]);
    let project = workspace.project();
    let mut sandbox = workspace.sandbox(&project);
    let tests = ["test_s.py::test_one", "test_s.py::test_spin", "test_s.py::test_two"];
    let spectrum = spectrum(&project, &mut sandbox, &tests);
    // 3.12 and newer have a way that costs next to nothing.
    let label = project.label();
    let version = label.rsplit("Python 3.").next().unwrap().trim_end_matches(')');
    let newer = version.parse::<u32>().unwrap() >= 12;
    assert_eq!(spectrum.measured_by, if newer { "sys.monitoring" } else { "sys.settrace" });
    let passed: Vec<bool> = spectrum.tests.iter().map(|(_, passed)| *passed).collect();
    assert_eq!(passed, [true, false, false], "{spectrum:?}");
    let lines = &spectrum.lines[&workspace.path("lib.py")];
    let of = |line: u32| lines.get(&line).cloned().unwrap_or_default();
    assert_eq!(of(2), [0, 2]);
    assert_eq!(of(3), [0]);
    assert_eq!(of(4), [2]);
    assert!(of(8).contains(&1) || of(9).contains(&1), "{lines:?}");
    assert!(spectrum.lines.keys().all(|path| path.starts_with(&workspace.root)));
}

#[test]
fn a_hanging_test_is_a_result_of_its_own_when_tests_have_a_limit() {
    let workspace = Workspace::python(&[(
        "test_h.py",
        "import pytest\n\n@pytest.mark.parametrize('n', [0, 1, 2])\ndef test_h(n):\n    while n:\n        pass\n\ndef test_ok():\n    assert True\n",
    )]);
    let project = workspace.project();
    let mut sandbox = workspace.sandbox_with(&project, CacheMode::Discard, &[]);
    let request = RunRequest {
        selection: Selection::All,
        build_wall: LONG,
        test_wall: LONG,
        per_test: Some(Duration::from_millis(500)),
    };
    let run = project.run(&mut sandbox, &request).unwrap();
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    let hung: Vec<_> = run
        .results
        .iter()
        .filter_map(|result| match &result.outcome {
            Outcome::Failed(failure) => Some((result.id.0.as_str(), failure.kind)),
            _ => None,
        })
        .collect();
    let timeout = FailureKind::Timeout;
    assert_eq!(hung, [("test_h.py::test_h[1]", timeout), ("test_h.py::test_h[2]", timeout)]);
    let Outcome::Failed(failure) = &run.results[1].outcome else { panic!("{run:?}") };
    assert_eq!(failure.message, "took longer than 0.5 s");
    assert_eq!(failure.site.as_ref().map(|site| site.line), Some(5));
}

#[test]
fn spectra_name_what_fixtures_execute_before_and_after() {
    let workspace = Workspace::python(&[
        (
            "lib.py",
            "def begin():\n    return 1\n\n\ndef end():\n    return 2\n\n\ndef once():\n    return 3\n",
        ),
        (
            "test_f.py",
            "import pytest\nfrom lib import begin, end, once\n\n\ndef setup_module():\n    once()\n\n\n@pytest.fixture\ndef thing():\n    yield begin()\n    end()\n\n\ndef test_thing(thing):\n    assert thing == 2\n",
        ),
    ]);
    let project = workspace.project();
    let mut sandbox = workspace.sandbox(&project);
    let spectrum = spectrum(&project, &mut sandbox, &["test_f.py::test_thing"]);
    let lines: Vec<u32> = spectrum.lines[&workspace.path("lib.py")].keys().copied().collect();
    assert_eq!(lines, [2, 6, 10]);
}

#[test]
fn of_very_many_failures_the_first_are_accounted_for() {
    let text = "import pytest\n\n\n@pytest.mark.parametrize('x', range(201))\ndef test_many(x):\n    assert x < 0\n";
    let workspace = Workspace::python(&[("test_m.py", text)]);
    let run = workspace.run();
    assert_eq!((run.state.clone(), run.results.len()), (RunState::Completed, 201));
    let accounted = |id: &str| failure(&run, id).details.contains("test_m.py\", line 6");
    assert!(accounted("test_m.py::test_many[0]") && accounted("test_m.py::test_many[199]"));
    assert!(!accounted("test_m.py::test_many[200]"));
    let first = failure(&run, "test_m.py::test_many[0]");
    assert!(!first.details.contains("pluggy"), "{}", first.details);
    assert!(first.details.contains("AssertionError: assert 0 < 0"), "{}", first.details);
    let last = failure(&run, "test_m.py::test_many[200]");
    assert_eq!(last.message, "assert 200 < 0");
    assert_eq!(site(&workspace, last), "test_m.py:6");
}
