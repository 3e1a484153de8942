//! Milliseconds per attempt of a warm pytest session: one module, a package of 20 modules, and a
//! module that needs a heavy third-party package.
//!
//! Build the sandbox's helper first (`cargo build -p greenlit-sandbox`), name a Python with pytest
//! (and numpy, or the third case is left out) in `GREENLIT_TEST_PYTHON`, and run
//! `cargo bench -p greenlit-runner --bench pytest_trials`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark reports and may abort")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use greenlit_runner::{Environment, TestId, detect};
use greenlit_sandbox::{CacheMode, FileWrite, Helper, Isolation, Limits, Sandbox, SandboxSpec};

const ROUNDS: usize = 60;
const LIMIT: Duration = Duration::from_secs(60);

struct Case {
    name: &'static str,
    files: Vec<(String, String)>,
    /// The file that is replaced, and its text for one round.
    changed: &'static str,
    text: fn(usize) -> String,
    test: &'static str,
}

fn main() {
    let python = PathBuf::from(std::env::var_os("GREENLIT_TEST_PYTHON").unwrap());
    let version = Command::new(&python).args(["-m", "pytest", "--version"]).output().unwrap();
    println!("{}", String::from_utf8_lossy(&version.stdout).trim());
    println!(
        "{:<22} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "project", "start", "first", "median", "p90", "cpu"
    );
    for case in cases(&python) {
        measure(&python, &case);
    }
}

fn cases(python: &Path) -> Vec<Case> {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let one = Case {
        name: "one module",
        files: vec![
            file("gcd.py", &gcd(0)),
            file(
                "test_gcd.py",
                "import pytest\nfrom gcd import gcd\n\n@pytest.mark.parametrize('a, b, c', [(4, 2, 2), (9, 6, 3)])\ndef test_gcd(a, b, c):\n    assert gcd(a, b) == c\n",
            ),
        ],
        changed: "gcd.py",
        text: gcd,
        test: "test_gcd.py::test_gcd[4-2-2]",
    };
    let mut files = vec![file("pkg/gcd.py", &gcd(0))];
    let mut init = String::from("from pkg.gcd import gcd\n");
    for index in 0..20 {
        let functions: String = (0..40)
            .map(|n| {
                format!(
                    "\n\ndef f{n}(values, limit={n}):\n    \"\"\"Sums up to a limit.\"\"\"\n    total = 0\n    for value in values:\n        if value > limit:\n            total += gcd(value, limit + 1)\n        else:\n            total -= value\n    return total\n"
                )
            })
            .collect();
        files.push((
            format!("pkg/m{index}.py"),
            format!("import json\nfrom collections import OrderedDict\nfrom pkg.gcd import gcd\n{functions}"),
        ));
        init.push_str(&format!("from pkg import m{index}\n"));
    }
    files.push(("pkg/__init__.py".into(), init));
    files.push(file(
        "tests/test_pkg.py",
        "import pkg\nfrom pkg import m3\n\ndef test_gcd():\n    assert pkg.gcd(4, 2) == 2\n\ndef test_sum():\n    assert m3.f2([1, 2, 3]) == 0\n",
    ));
    files.push(file("conftest.py", "import pytest\n\n@pytest.fixture\ndef two():\n    return 2\n"));
    let package = Case {
        name: "package of 20 modules",
        files,
        changed: "pkg/gcd.py",
        text: gcd,
        test: "tests/test_pkg.py::test_gcd",
    };
    let mut cases = vec![one, package];
    let numpy = Command::new(python).args(["-c", "import numpy"]).output().unwrap();
    if numpy.status.success() {
        cases.push(Case {
            name: "numpy",
            files: vec![
                file("mean.py", &mean(0)),
                file(
                    "test_mean.py",
                    "import numpy as np\nfrom mean import mean\n\ndef test_mean():\n    assert mean(np.array([1.0, 3.0])) == 2.0\n",
                ),
            ],
            changed: "mean.py",
            text: mean,
            test: "test_mean.py::test_mean",
        });
    } else {
        println!("numpy is not installed: that case is left out");
    }
    cases
}

fn gcd(round: usize) -> String {
    format!(
        "def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(b, a % b) + {}\n",
        round + 1
    )
}

fn mean(round: usize) -> String {
    format!(
        "import numpy as np\n\ndef mean(values):\n    return np.sum(values) / len(values) + {}\n",
        round + 1
    )
}

fn measure(python: &Path, case: &Case) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().canonicalize().unwrap();
    let root = directory.join("checkout");
    for (path, text) in &case.files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut environment = Environment::of_this_process();
    let venv = python.parent().and_then(Path::parent).unwrap();
    environment.vars.insert("VIRTUAL_ENV".into(), venv.into());
    let project = detect(&root, &environment).projects.into_iter().next().unwrap();
    let needs = project.needs(&directory.join("store"), CacheMode::Discard);
    let spec = SandboxSpec {
        root: root.clone(),
        files: Vec::new(),
        caches: needs.caches,
        readable: needs.readable,
        isolation: Isolation::Auto,
        limits: Limits::default(),
    };
    let sandbox = Sandbox::open(&spec, &Helper::locate().unwrap()).unwrap();
    let tests = [TestId(case.test.to_owned())];
    let started = Instant::now();
    let mut trials = project.trials(sandbox, &tests, LIMIT).unwrap();
    let start = started.elapsed();
    let mut walls = Vec::new();
    let mut cpu = Duration::ZERO;
    for round in 0..ROUNDS {
        let content = Some((case.text)(round).into_bytes());
        let files = [FileWrite { path: root.join(case.changed), content }];
        let started = Instant::now();
        let run = trials.attempt(&files, &tests, LIMIT).unwrap();
        walls.push(started.elapsed());
        cpu += run.cpu;
        assert_eq!(run.results.len(), 1, "{run:?}");
    }
    let first = walls.remove(0);
    walls.sort();
    println!(
        "{:<22} {:>9} {:>9} {:>9} {:>9} {:>9}",
        case.name,
        ms(start),
        ms(first),
        ms(walls[walls.len() / 2]),
        ms(walls[walls.len() * 9 / 10]),
        ms(cpu / u32::try_from(ROUNDS).unwrap()),
    );
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
