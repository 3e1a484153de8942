//! A Python project in a scratch directory, with its baseline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_repair::{
    Baseline, Cancel, Purpose, SandboxSettings, Subject, Walls, Workbench, baseline,
};
use greenlit_runner::{Environment, Selection, detect};
use greenlit_sandbox::{Helper, Isolation, Limits};
use tempfile::TempDir;

pub(crate) struct Project {
    _dir: TempDir,
    pub(crate) bench: Workbench,
    pub(crate) baseline: Baseline,
}

impl Project {
    /// Writes `files` and runs the tests.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("shop");
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut detection = detect(&root, &environment());
        let project = detection.projects.remove(0);
        let bench = Workbench {
            subject: Subject { root, overlays: Default::default(), protected: Default::default() },
            sandbox: SandboxSettings {
                helper: Helper::locate().expect("`cargo build -p greenlit-sandbox` comes first"),
                isolation: Isolation::Auto,
                limits: Limits::default(),
                readable: Vec::new(),
                store: dir.path().join("store"),
            },
            walls: Walls {
                build: Duration::from_secs(60),
                tests: Duration::from_secs(60),
                per_test: Duration::from_secs(10),
            },
            cancel: Cancel::default(),
        };
        let projects = std::slice::from_ref(&project);
        let baseline =
            baseline(&bench, projects, &Selection::All, Purpose::Repair { at_once: false })
                .unwrap();
        Self { _dir: dir, bench, baseline }
    }
}

fn environment() -> Environment {
    let fallback = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin/python");
    let python = std::env::var_os("GREENLIT_TEST_PYTHON").map_or(fallback, PathBuf::from);
    assert!(python.is_file(), "{} is missing: run `cargo xtask test` once", python.display());
    let venv = python.ancestors().nth(2).unwrap().as_os_str().to_owned();
    let mut vars: std::collections::BTreeMap<_, _> = std::env::vars_os().collect();
    vars.insert("VIRTUAL_ENV".into(), venv);
    Environment { vars }
}
