//! Suites that are hard on an adapter: asynchronous, stateful, huge, slow, shuffled, broken.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use greenlit_runner::{FailureKind, RunState, Selection, TestId};

use crate::support::{LONG, Workspace, failure, ids, only, outcomes, test_python};

#[test]
fn pytest_async_tests_fail_clearly_where_nothing_runs_them_and_unittests_own_run() {
    let workspace = Workspace::python(&[(
        "test_async.py",
        "import asyncio\nimport unittest\n\n\nasync def test_bare():\n    assert 0\n\n\ndef test_run():\n    asyncio.run(asyncio.sleep(0))\n\n\nclass T(unittest.IsolatedAsyncioTestCase):\n    async def asyncSetUp(self):\n        self.n = 1\n\n    async def test_right(self):\n        await asyncio.sleep(0)\n        assert self.n == 1\n\n    async def test_wrong(self):\n        assert self.n == 2\n",
    )]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed);
    let bare = "test_async.py::test_bare";
    let (first, rest) = outcomes(&run).split_first().map(|(a, b)| (*a, b.to_vec())).unwrap();
    // Newer pytest fails them, older ones skip them: never a pass.
    assert!([(bare, "failed"), (bare, "skipped")].contains(&first), "{run:?}");
    if first.1 == "failed" {
        assert!(failure(&run, bare).message.contains("async"), "{run:?}");
    }
    assert_eq!(
        rest,
        [
            ("test_async.py::test_run", "passed"),
            ("test_async.py::T::test_right", "passed"),
            ("test_async.py::T::test_wrong", "failed"),
        ]
    );
    assert_eq!(failure(&run, "test_async.py::T::test_wrong").kind, FailureKind::Assertion);
}

#[test]
fn pytest_doctests_are_tests_of_the_source_file_that_they_stand_in() {
    let workspace = Workspace::python(&[
        ("pytest.ini", "[pytest]\naddopts = --doctest-modules --doctest-glob=*.rst\n"),
        (
            "lib.py",
            "\"\"\"\n>>> 1 + 1\n2\n\"\"\"\n\n\ndef double(n):\n    \"\"\"\n    >>> double(2)\n    4\n    \"\"\"\n    return n + 3\n",
        ),
        ("guide.rst", "Use::\n\n    >>> from lib import double\n    >>> double(3)\n    6\n"),
    ]);
    let mut ids_seen = workspace.round_trip();
    ids_seen.sort();
    assert_eq!(ids_seen, ["guide.rst::guide.rst", "lib.py::lib", "lib.py::lib.double"]);
    let run = workspace.run();
    let broken = failure(&run, "lib.py::lib.double");
    assert!(broken.message.contains("lib.double") || broken.details.contains("4"), "{broken:?}");
    // Candidates may change the code beside an example; that no candidate changes the example
    // itself is for the check of candidates, which knows strings. The guide is no source.
    let project = workspace.project();
    assert!(project.is_source_file(&workspace.path("lib.py")));
    assert!(!project.is_source_file(&workspace.path("guide.rst")));
    let tests = ids(&["lib.py::lib.double", "guide.rst::guide.rst"]);
    let mut trials = project.trials(workspace.sandbox(&project), &tests, LONG).unwrap();
    for (sum, word) in [("n * 2", "passed"), ("n + 3", "failed"), ("n + n", "passed")] {
        let text = format!(
            "def double(n):\n    \"\"\"\n    >>> double(2)\n    4\n    \"\"\"\n    return {sum}\n"
        );
        let files = workspace.writes(&[("lib.py", &text)]);
        let run = trials.attempt(&files, &tests[..1], LONG).unwrap();
        assert_eq!(outcomes(&run), [("lib.py::lib.double", word)], "{run:?}");
    }
}

#[test]
fn pytest_suites_with_shared_state_run_in_their_own_order_however_they_are_asked_for() {
    let workspace = Workspace::python(&[
        (
            "test_a.py",
            "SEEN = []\n\n\ndef test_first():\n    SEEN.append(1)\n\n\ndef test_second():\n    assert SEEN == [1]\n    SEEN.append(2)\n\n\ndef test_third():\n    assert SEEN == [1, 2]\n",
        ),
        ("test_b.py", "import test_a\n\n\ndef test_after():\n    assert test_a.SEEN == [1, 2]\n"),
    ]);
    let right = [
        ("test_a.py::test_first", "passed"),
        ("test_a.py::test_second", "passed"),
        ("test_a.py::test_third", "passed"),
        ("test_b.py::test_after", "passed"),
    ];
    assert_eq!(outcomes(&workspace.run()), right);
    let order = ["test_a.py::test_third", "test_a.py::test_second", "test_a.py::test_first"];
    let run = workspace.run_with(&[], only(&order));
    assert_eq!(outcomes(&run), right[..3], "{run:?}");
    // Alone it depends on what is not there, and says so.
    let run = workspace.run_with(&[], only(&["test_a.py::test_third"]));
    assert_eq!(outcomes(&run), [("test_a.py::test_third", "failed")]);
}

#[test]
fn pytest_tests_may_write_files_and_bind_loopback_ports() {
    let workspace = Workspace::python(&[(
        "test_io.py",
        "import os\nimport pathlib\nimport socket\nimport threading\n\n\ndef test_write(tmp_path):\n    (tmp_path / 'a').write_text('a')\n    pathlib.Path(__file__).with_name('made.txt').write_text('made')\n    os.remove(pathlib.Path(__file__).with_name('kept.txt'))\n\n\ndef test_port():\n    with socket.create_server(('127.0.0.1', 0)) as server:\n        def answer():\n            with server.accept()[0] as client:\n                client.sendall(b'hi')\n        threading.Thread(target=answer).start()\n        with socket.create_connection(server.getsockname()) as client:\n            assert client.recv(2) == b'hi'\n",
    )]);
    workspace.save("kept.txt", "kept");
    let run = workspace.run();
    let right = [("test_io.py::test_write", "passed"), ("test_io.py::test_port", "passed")];
    assert_eq!(outcomes(&run), right, "{run:?}");
    assert!(!workspace.path("made.txt").exists());
    assert_eq!(fs::read_to_string(workspace.path("kept.txt")).unwrap(), "kept");
}

#[test]
fn pytest_suites_of_5000_tests_are_listed_run_and_selected() {
    let body = "import pytest\nfrom lib import f\n\n\n@pytest.mark.parametrize('n', range(1000))\ndef test_n(n):\n    assert f(n) == n\n";
    let files: Vec<(String, &str)> = (0..5).map(|n| (format!("tests/test_{n}.py"), body)).collect();
    let mut files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.push(("lib.py", "def f(n):\n    return n if n != 500 else 0\n"));
    files.push(("conftest.py", ""));
    let workspace = Workspace::python(&files);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed);
    assert_eq!(run.results.len(), 5000);
    let failed: Vec<_> = outcomes(&run)
        .into_iter()
        .filter(|(_, word)| *word == "failed")
        .map(|(id, _)| id)
        .collect();
    assert_eq!(failed.len(), 5);
    assert_eq!(failed[0], "tests/test_0.py::test_n[500]");
    // All by name: longer than arguments of a process may be, were they arguments.
    let all: Vec<TestId> = run.results.iter().map(|result| result.id.clone()).collect();
    assert!(all.iter().map(|id| id.0.len()).sum::<usize>() > 128 << 10);
    let again = workspace.run_with(&[], Selection::Only(all.clone()));
    assert_eq!(outcomes(&again), outcomes(&run));
    let project = workspace.project();
    let mut trials = project.trials(workspace.sandbox(&project), &all, LONG).unwrap();
    let fixed = workspace.writes(&[("lib.py", "def f(n):\n    return n\n")]);
    let run = trials.attempt(&fixed, &all, LONG).unwrap();
    assert_eq!(run.results.len(), 5000, "{:?}", run.state);
    assert!(outcomes(&run).iter().all(|(_, word)| *word == "passed"));
    let run = trials.attempt(&[], &all, LONG).unwrap();
    assert_eq!(outcomes(&run).iter().filter(|(_, word)| *word == "failed").count(), 5);
}

#[test]
fn a_pytest_suite_that_takes_longer_than_its_limit_is_no_verdict() {
    // Every test ends; all of them together do not in time.
    let workspace = Workspace::python(&[(
        "test_slow.py",
        "import time\nimport pytest\n\n\n@pytest.mark.parametrize('n', range(1000))\ndef test_slow(n):\n    time.sleep(0.1)\n",
    )]);
    let run = workspace.run_within(Duration::from_secs(5));
    let RunState::Hung { running } = &run.state else { panic!("{:?}", run.state) };
    assert!(running.len() <= 1, "{running:?}");
    assert!(run.results.len() < 1000);
}

#[test]
fn pytest_conftests_that_break_are_located_wherever_they_lie() {
    let workspace = Workspace::python(&[
        ("conftest.py", ""),
        ("sub/conftest.py", "import os\n\nVALUE = os.environ['NO_SUCH_VARIABLE']\n"),
        ("sub/test_a.py", "def test_a():\n    pass\n"),
        ("test_b.py", "def test_b():\n    pass\n"),
    ]);
    let RunState::BuildFailed { diagnostics, details } = workspace.run().state else { panic!() };
    let first = &diagnostics[0];
    assert_eq!((&first.path, first.line), (&workspace.path("sub/conftest.py"), 3), "{details}");
    assert!(first.message.contains("KeyError"), "{diagnostics:?}");
    workspace.save("sub/conftest.py", "def broken(:\n");
    let RunState::BuildFailed { diagnostics, details } = workspace.run().state else { panic!() };
    assert_eq!(diagnostics[0].path, workspace.path("sub/conftest.py"), "{details}");
    workspace.save(
        "sub/conftest.py",
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef f(nothing):\n    pass\n",
    );
    let run = workspace.run();
    assert_eq!(
        outcomes(&run),
        [("sub/test_a.py::test_a", "failed"), ("test_b.py::test_b", "passed")]
    );
}

#[test]
fn pytest_plugins_that_reorder_are_followed_and_those_that_forge_are_not_believed() {
    let workspace = Workspace::python(&[
        ("conftest.py", "def pytest_collection_modifyitems(items):\n    items.reverse()\n"),
        (
            "test_order.py",
            "def test_a():\n    pass\n\n\ndef test_b():\n    pass\n\n\ndef test_c():\n    assert 0\n",
        ),
    ]);
    let c = ("test_order.py::test_c", "failed");
    let (b, a) = (("test_order.py::test_b", "passed"), ("test_order.py::test_a", "passed"));
    assert_eq!(outcomes(&workspace.run()), [c, b, a]);
    let run = workspace.run_with(&[], only(&["test_order.py::test_a", "test_order.py::test_b"]));
    assert_eq!(outcomes(&run), [b, a]);
    let project = workspace.project();
    let tests = ids(&["test_order.py::test_a", "test_order.py::test_b"]);
    let mut trials = project.trials(workspace.sandbox(&project), &tests, LONG).unwrap();
    assert_eq!(outcomes(&trials.attempt(&[], &tests, LONG).unwrap()), [b, a]);
    // One that drops a test without a word.
    workspace.save(
        "conftest.py",
        "def pytest_runtest_protocol(item, nextitem):\n    return True if item.name == 'test_c' else None\n",
    );
    let run = workspace.run();
    let RunState::NoReport { message } = &run.state else { panic!("{run:?}") };
    assert!(message.contains("test_c"), "{message}");
}

#[test]
fn pytest_plugins_that_run_in_parallel_or_shuffle_are_told_not_to() {
    // Stand-ins with the options of pytest-xdist and pytest-randomly, installed as those are.
    let stand_in = "import pytest\n\nOFF = None\n\ndef pytest_addoption(parser):\n    group = parser.getgroup('stand-in')\n    OPTIONS\n\n@pytest.hookimpl(tryfirst=True)\ndef pytest_collection_modifyitems(config, items):\n    if HARM:\n        items.reverse()\n";
    let workspace = Workspace::new(&[
        ("pytest.ini", "[pytest]\naddopts = -n 4\n"),
        ("test_order.py", "def test_a():\n    pass\n\n\ndef test_b():\n    pass\n"),
    ]);
    let library = venv_with_stand_ins(&workspace);
    for (package, plugin, options, harm) in [
        (
            "xdist",
            "xdist",
            "group._addoption('-n', dest='numprocesses', type=int, default=0)",
            "config.option.numprocesses",
        ),
        (
            "pytest_randomly",
            "randomly",
            "group.addoption('--randomly-seed'); group.addoption('--randomly-dont-reorganize', action='store_true')",
            "not config.option.randomly_dont_reorganize or config.option.randomly_seed != '0'",
        ),
    ] {
        let text = stand_in.replace("OPTIONS", options).replace("HARM", harm);
        let info = library.join(format!("{package}-1.0.dist-info"));
        fs::create_dir_all(library.join(package)).unwrap();
        fs::create_dir_all(&info).unwrap();
        fs::write(library.join(package).join("__init__.py"), text).unwrap();
        fs::write(info.join("entry_points.txt"), format!("[pytest11]\n{plugin} = {package}\n"))
            .unwrap();
        fs::write(info.join("METADATA"), format!("Name: {package}\nVersion: 1.0\n")).unwrap();
    }
    let right = [("test_order.py::test_a", "passed"), ("test_order.py::test_b", "passed")];
    for options in ["-n 4", "-n 4 -p no:randomly"] {
        workspace.save("pytest.ini", &format!("[pytest]\naddopts = {options}\n"));
        let run = workspace.run();
        assert_eq!(run.state, RunState::Completed, "{run:?}");
        assert_eq!(outcomes(&run), right);
    }
    let tests = ids(&right.map(|(id, _)| id));
    let project = workspace.project();
    let mut trials = project.trials(workspace.sandbox(&project), &tests, LONG).unwrap();
    assert_eq!(outcomes(&trials.attempt(&[], &tests, LONG).unwrap()), right);
}

/// A virtual environment in the checkout that also sees what the tests' own has; its library.
fn venv_with_stand_ins(workspace: &Workspace) -> PathBuf {
    let python = test_python();
    let ask = Command::new(&python)
        .args(["-c", "import pytest; print(pytest.__file__.rsplit('/', 2)[0])"])
        .output()
        .unwrap();
    let packages = String::from_utf8(ask.stdout).unwrap();
    let venv = workspace.path(".venv");
    let made =
        Command::new(&python).args(["-m", "venv", "--without-pip"]).arg(&venv).status().unwrap();
    assert!(made.success());
    let library = fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
    let library = library.join("site-packages");
    for entry in fs::read_dir(packages.trim()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let wanted = ["pytest", "_pytest", "pluggy", "iniconfig", "packaging", "py.py", "pygments"];
        if wanted.iter().any(|known| name == *known || name.starts_with(&format!("{known}-"))) {
            let copied =
                Command::new("cp").arg("-r").arg(entry.path()).arg(&library).status().unwrap();
            assert!(copied.success());
        }
    }
    library
}
