//! Warm pytest sessions: each attempt must end as a process of its own would.

use std::time::{Duration, Instant};

use greenlit_runner::{RunState, TestId, TestRun, Trials};

use crate::pytest::{GCD, GCD_FIXED, gcd};
use crate::support::{LONG, Workspace, ids, outcomes, set};

/// A session for `tests`, with the unchanged files.
fn open(workspace: &Workspace, tests: &[TestId]) -> Box<dyn Trials> {
    let project = workspace.project();
    project.trials(workspace.sandbox(&project), tests, LONG).unwrap()
}

/// The results of one attempt that ran to its end.
fn attempt(
    trials: &mut Box<dyn Trials>,
    workspace: &Workspace,
    files: &[(&str, &str)],
    tests: &[TestId],
) -> TestRun {
    trials.attempt(&workspace.writes(files), tests, LONG).unwrap()
}

#[test]
fn a_module_that_registers_itself_is_registered_once() {
    let workspace = Workspace::python(&[
        ("shop/__init__.py", "from shop import registry, tax\nfrom shop.late import total\n"),
        ("shop/registry.py", "RULES = []\n"),
        ("shop/tax.py", "from shop.registry import RULES\n\nRULES.append(1)\n"),
        ("shop/late.py", "from shop.registry import RULES\n\n\ndef total():\n    return RULES\n"),
        (
            "tests/test_shop.py",
            "import shop\n\n\ndef test_total():\n    assert shop.total() == [7]\n",
        ),
        ("conftest.py", ""),
    ]);
    let tests = ids(&["tests/test_shop.py::test_total"]);
    let mut trials = open(&workspace, &tests);
    for (rule, word) in [("7", "passed"), ("8", "failed"), ("7", "passed")] {
        let text = format!("from shop.registry import RULES\n\nRULES.append({rule})\n");
        let run = attempt(&mut trials, &workspace, &[("shop/tax.py", &text)], &tests);
        assert_eq!(outcomes(&run), [("tests/test_shop.py::test_total", word)], "{rule}: {run:?}");
    }
    // Another file, two files at once, and none.
    let late = ("shop/late.py", "def total():\n    return [7]\n");
    let tax = ("shop/tax.py", "raise ValueError\n");
    let run = attempt(&mut trials, &workspace, &[late], &tests);
    assert_eq!(outcomes(&run), [("tests/test_shop.py::test_total", "passed")], "{run:?}");
    let run = attempt(&mut trials, &workspace, &[late, tax], &tests);
    assert!(matches!(run.state, RunState::BuildFailed { .. }), "{run:?}");
    let run = attempt(&mut trials, &workspace, &[], &tests);
    assert_eq!(outcomes(&run), [("tests/test_shop.py::test_total", "failed")], "{run:?}");
}

#[test]
fn files_that_are_read_imported_late_or_created_count_as_they_are() {
    let workspace = Workspace::python(&[
        ("data.py", "VALUE = 1\n"),
        ("late.py", "VALUE = 1\n"),
        (
            "test_read.py",
            "import pathlib\n\nTEXT = pathlib.Path(__file__).with_name('data.py').read_text()\n\n\ndef test_read():\n    assert TEXT == 'VALUE = 2\\n'\n\n\ndef test_late():\n    import late\n    assert late.VALUE == 2\n\n\ndef test_made():\n    import made\n    assert made.VALUE == 2\n",
        ),
    ]);
    for (file, test) in [("data.py", "read"), ("late.py", "late"), ("made.py", "made")] {
        let tests = [TestId(format!("test_read.py::test_{test}"))];
        let mut trials = open(&workspace, &tests);
        for (value, word) in [(2, "passed"), (3, "failed"), (2, "passed")] {
            let text = format!("VALUE = {value}\n");
            let run = attempt(&mut trials, &workspace, &[(file, &text)], &tests);
            assert_eq!(outcomes(&run), [(tests[0].0.as_str(), word)], "{file} {value}: {run:?}");
        }
        let run = attempt(&mut trials, &workspace, &[], &tests);
        assert_eq!(outcomes(&run), [(tests[0].0.as_str(), "failed")], "{file}: {run:?}");
    }
}

#[test]
fn a_package_from_outside_that_holds_on_to_the_project_does_not_hide_candidates_from_pytest() {
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path().canonicalize().unwrap();
    std::fs::write(outside.join("outsider.py"), "from gcd import gcd\n").unwrap();
    let mut workspace = gcd();
    set(&mut workspace, "PYTHONPATH", &outside);
    workspace.save(
        "test_out.py",
        "import outsider\n\n\ndef test_out():\n    assert outsider.gcd(4, 2) == 2\n",
    );
    let tests = ids(&["test_out.py::test_out"]);
    let mut trials = open(&workspace, &tests);
    for (text, word) in [(GCD_FIXED, "passed"), (GCD, "failed"), (GCD_FIXED, "passed")] {
        let run = attempt(&mut trials, &workspace, &[("gcd.py", text)], &tests);
        assert_eq!(outcomes(&run), [("test_out.py::test_out", word)], "{run:?}");
    }
}

#[test]
fn threads_that_run_when_pytest_opens_a_candidate_are_there_in_each_attempt() {
    let workspace = gcd();
    workspace.save(
        "test_thread.py",
        "import queue\nimport threading\n\nASKED, SAID = queue.Queue(), queue.Queue()\n\n\ndef serve():\n    while True:\n        pair = ASKED.get()\n        SAID.put(gcd(*pair))\n\n\nthreading.Thread(target=serve, daemon=True).start()\n\nfrom gcd import gcd\n\n\ndef test_thread():\n    ASKED.put((4, 2))\n    assert SAID.get(timeout=5) == 2\n",
    );
    let tests = ids(&["test_thread.py::test_thread"]);
    let mut trials = open(&workspace, &tests);
    for (text, word) in [(GCD_FIXED, "passed"), (GCD, "failed"), (GCD_FIXED, "passed")] {
        let run = attempt(&mut trials, &workspace, &[("gcd.py", text)], &tests);
        assert_eq!(outcomes(&run), [("test_thread.py::test_thread", word)], "{run:?}");
    }
}

#[test]
fn random_numbers_are_as_random_in_trials_as_in_a_pytest_process_of_its_own() {
    let workspace = gcd();
    workspace.save(
        "test_seeded.py",
        "import random\n\nrandom.seed(4)\n\nfrom gcd import gcd\n\nDRAWN = random.random()\n\n\ndef test_seeded():\n    assert DRAWN == 0.23604808973743452\n",
    );
    let tests = ids(&["test_seeded.py::test_seeded"]);
    let mut trials = open(&workspace, &tests);
    for _ in 0..3 {
        let run = attempt(&mut trials, &workspace, &[("gcd.py", GCD_FIXED)], &tests);
        assert_eq!(outcomes(&run), [("test_seeded.py::test_seeded", "passed")], "{run:?}");
    }
    workspace.save(
        "test_drawn.py",
        "import random\n\nfrom gcd import gcd\n\n\ndef test_drawn():\n    assert random.random() == 'drawn'\n",
    );
    let tests = ids(&["test_drawn.py::test_drawn"]);
    let mut trials = open(&workspace, &tests);
    let mut said = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let run = attempt(&mut trials, &workspace, &[("gcd.py", GCD_FIXED)], &tests);
        said.insert(crate::support::failure(&run, "test_drawn.py::test_drawn").message.clone());
    }
    assert_eq!(said.len(), 4, "{said:?}");
}

#[test]
fn candidates_that_kill_their_way_up_do_not_keep_pytest_from_the_next() {
    let workspace = gcd();
    let tests = ids(&["test_gcd.py::test_gcd"]);
    let mut trials = open(&workspace, &tests);
    let murder = "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(60)\n";
    let massacre = "import os, time\nfor pid in os.listdir('/proc'):\n    if pid.isdigit() and int(pid) not in (1, os.getpid()):\n        try:\n            os.kill(int(pid), 9)\n        except OSError:\n            pass\ntime.sleep(60)\n";
    for text in [murder, massacre, murder] {
        let run = attempt(&mut trials, &workspace, &[("gcd.py", text)], &tests);
        assert!(matches!(run.state, RunState::NoReport { .. }), "{run:?}");
    }
    let run = attempt(&mut trials, &workspace, &[("gcd.py", GCD_FIXED)], &tests);
    assert_eq!(outcomes(&run), [("test_gcd.py::test_gcd", "passed")]);
}

#[test]
fn more_files_than_warm_pytest_processes_are_kept() {
    let mut files: Vec<(String, String)> =
        (0..18).map(|n| (format!("m{n}.py"), format!("VALUE = {n}\n"))).collect();
    let imports: String = (0..18).map(|n| format!("import m{n}\n")).collect();
    let sum = (0..18).map(|n| format!("m{n}.VALUE")).collect::<Vec<_>>().join(" + ");
    let test = format!("{imports}\n\ndef test_sum():\n    assert {sum} == 1000\n");
    files.push(("test_sum.py".to_owned(), test));
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let workspace = Workspace::python(&files);
    let tests = ids(&["test_sum.py::test_sum"]);
    let mut trials = open(&workspace, &tests);
    for n in (0..18).chain(0..2) {
        let (right, wrong) = (format!("VALUE = {}\n", 847 + n), "VALUE = 0\n");
        let path = format!("m{n}.py");
        for (text, word) in [(right.as_str(), "passed"), (wrong, "failed")] {
            let run = attempt(&mut trials, &workspace, &[(&path, text)], &tests);
            assert_eq!(outcomes(&run), [("test_sum.py::test_sum", word)], "{path}: {run:?}");
        }
    }
}

#[test]
fn trials_see_each_candidate_and_only_that() {
    let workspace = gcd();
    let project = workspace.project();
    let sandbox = workspace.sandbox(&project);
    let tests = ids(&["test_gcd.py::test_gcd"]);
    let mut trials = project.trials(sandbox, &tests, LONG).unwrap();
    let mut attempt = |text: Option<&str>| {
        let files: Vec<(&str, &str)> = text.into_iter().map(|text| ("gcd.py", text)).collect();
        trials.attempt(&workspace.writes(&files), &tests, Duration::from_secs(5)).unwrap()
    };
    let passes = |run: &TestRun| {
        run.state == RunState::Completed && outcomes(run) == [("test_gcd.py::test_gcd", "passed")]
    };
    let wrong = attempt(None);
    assert_eq!(outcomes(&wrong), [("test_gcd.py::test_gcd", "failed")], "{wrong:?}");
    assert!(passes(&attempt(Some(GCD_FIXED))));
    // Same size, same second: stale bytecode would show here.
    for round in 0..6 {
        let digit = if round % 2 == 0 { 2 } else { 3 };
        let run = attempt(Some(&format!("def gcd(a, b):\n    return {digit}\n")));
        assert_eq!(passes(&run), digit == 2, "{run:?}");
    }
    let broken = attempt(Some("def gcd(a, b:\n"));
    assert!(matches!(broken.state, RunState::BuildFailed { .. }), "{broken:?}");
    let exit = attempt(Some("import os\n\n\ndef gcd(a, b):\n    os._exit(0)\n"));
    assert!(matches!(exit.state, RunState::NoReport { .. }), "{exit:?}");
    // One that kills the server itself ends only its own attempt.
    let murder =
        attempt(Some("import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(60)\n"));
    assert!(!passes(&murder), "{murder:?}");
    assert!(passes(&attempt(Some(GCD_FIXED))));
    assert!(!passes(&attempt(None)), "the original is restored");
}

#[test]
fn trials_import_the_project_afresh_even_where_a_conftest_does() {
    for conftest in
        ["import gcd\n", "import pytest\n\n\n@pytest.fixture\ndef two():\n    return 2\n"]
    {
        let workspace = gcd();
        workspace.save("conftest.py", conftest);
        let project = workspace.project();
        let tests = ids(&["test_gcd.py::test_gcd"]);
        let mut trials = project.trials(workspace.sandbox(&project), &tests, LONG).unwrap();
        for (text, word) in [(GCD_FIXED, "passed"), (GCD, "failed"), (GCD_FIXED, "passed")] {
            let files = workspace.writes(&[("gcd.py", text)]);
            let run = trials.attempt(&files, &tests, LONG).unwrap();
            assert_eq!(outcomes(&run), [("test_gcd.py::test_gcd", word)], "{conftest}: {run:?}");
        }
    }
}

#[test]
fn trials_can_be_asked_for_other_tests_than_they_were_opened_with() {
    let workspace = gcd();
    workspace.save("sub/test_more.py", "def test_more():\n    pass\n");
    let project = workspace.project();
    let first = ids(&["test_gcd.py::test_gcd"]);
    let mut trials = project.trials(workspace.sandbox(&project), &first, LONG).unwrap();
    let both = ids(&["test_gcd.py::test_zero", "sub/test_more.py::test_more"]);
    let run = trials.attempt(&[], &both, LONG).unwrap();
    assert_eq!(
        outcomes(&run),
        [("test_gcd.py::test_zero", "passed"), ("sub/test_more.py::test_more", "passed")]
    );
}

#[test]
fn an_endless_candidate_costs_a_trial_no_more_than_its_limit() {
    let workspace = gcd();
    let project = workspace.project();
    let sandbox = workspace.sandbox(&project);
    let tests = ids(&["test_gcd.py::test_gcd"]);
    let mut trials = project.trials(sandbox, &tests, LONG).unwrap();
    let endless =
        workspace.writes(&[("gcd.py", "def gcd(a, b):\n    while True:\n        pass\n")]);
    let started = Instant::now();
    let run = trials.attempt(&endless, &tests, Duration::from_millis(500)).unwrap();
    assert_eq!(run.state, RunState::Hung { running: tests.clone() }, "{run:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
    let fixed = workspace.writes(&[("gcd.py", GCD_FIXED)]);
    let run = trials.attempt(&fixed, &tests, LONG).unwrap();
    assert_eq!(outcomes(&run), [("test_gcd.py::test_gcd", "passed")]);
}
