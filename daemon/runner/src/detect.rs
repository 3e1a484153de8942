//! Finds the projects of a workspace by their own files. Nothing of the checkout is executed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::WalkBuilder;

use crate::cargo::{self, CargoProject};
use crate::environment::Environment;
use crate::go::{self, GoProject};
use crate::node::{self, NodeProject};
use crate::patterns::{
    FOREIGN_DIRECTORIES, is_node_test_module, is_python_test_module, is_typescript,
};
use crate::project::{Adapter, Project};
use crate::pytest::{PytestProject, find_interpreter};
use crate::types::Ecosystem;

/// Directory levels that are searched for projects.
const DEPTH: usize = 12;

/// Files that are looked at; a larger checkout keeps what was found until then, and says so.
const FILES: usize = 200_000;

/// A configuration file longer than this is not read.
const CONFIGURATION_LIMIT: u64 = 1 << 20;

/// Directories that hold whole projects as data of another project's tests.
const FIXTURES: &[&str] = &["fixtures", "testdata", "test_data", "test-data", "snapshots"];

/// What was found in a workspace.
#[derive(Debug, Clone, Default)]
pub struct Detection {
    /// Projects whose tests can be run, in order of path within each ecosystem.
    pub projects: Vec<Project>,
    /// Projects that were recognized and cannot be run, with the reason and the remedy.
    pub problems: Vec<Problem>,
}

/// Why a project that was recognized cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The runner in question; `None` when it concerns the whole workspace.
    pub ecosystem: Option<Ecosystem>,
    /// The project's directory.
    pub dir: PathBuf,
    /// What kind of reason it is.
    pub kind: ProblemKind,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// Kinds of [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A tool is not installed in the person's environment.
    ToolMissing,
    /// The project uses a runner or a set-up that there is no adapter for.
    Unsupported,
    /// The workspace is too large to have been searched completely.
    Incomplete,
}

/// Files that matter for detection, each list in order of path.
#[derive(Debug, Default)]
struct Found {
    manifests: Vec<PathBuf>,
    python_configurations: Vec<PathBuf>,
    python_tests: Vec<PathBuf>,
    packages: Vec<PathBuf>,
    node_tests: Vec<PathBuf>,
    go_mods: Vec<PathBuf>,
    go_works: Vec<PathBuf>,
    complete: bool,
}

/// Detects every project below `root`, which is canonical. Ignored files (`.gitignore`), hidden
/// directories and fixtures of tests are not searched.
pub fn detect(root: &Path, env: &Environment) -> Detection {
    let environment = Arc::new(env.clone());
    let found = search(root);
    let mut detection = Detection::default();
    cargo(root, &environment, &found, &mut detection);
    python(root, &environment, &found, &mut detection);
    node(root, &environment, &found, &mut detection);
    go(root, &environment, &found, &mut detection);
    if !found.complete {
        detection.problems.push(Problem {
            ecosystem: None,
            dir: root.to_owned(),
            kind: ProblemKind::Incomplete,
            message: format!("only the first {FILES} files were searched for projects"),
        });
    }
    detection
}

fn search(root: &Path) -> Found {
    let mut found = Found { complete: true, ..Found::default() };
    let walk = WalkBuilder::new(root)
        .max_depth(Some(DEPTH))
        .require_git(false)
        .parents(false)
        .git_global(false)
        .sort_by_file_name(|a, b| a.cmp(b))
        .filter_entry(|entry| {
            let directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            let name = entry.file_name().to_str().unwrap_or_default();
            !(directory
                && entry.depth() > 0
                && (FOREIGN_DIRECTORIES.contains(&name) || FIXTURES.contains(&name)))
        })
        .build();
    for (count, entry) in walk.flatten().enumerate() {
        if count >= FILES {
            found.complete = false;
            break;
        }
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.into_path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name {
            "Cargo.toml" => found.manifests.push(path),
            "package.json" => found.packages.push(path),
            "go.mod" => found.go_mods.push(path),
            "go.work" => found.go_works.push(path),
            "pytest.ini" | "pyproject.toml" | "tox.ini" | "setup.cfg" | "setup.py" => {
                found.python_configurations.push(path);
            }
            _ if is_python_test_module(name) => found.python_tests.push(path),
            _ if path.strip_prefix(root).is_ok_and(is_node_test_module) => {
                found.node_tests.push(path);
            }
            _ => {}
        }
    }
    found
}

/// The text of a configuration file; empty when it cannot be read or is too long.
pub(crate) fn configuration(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(data) if data.is_file() && data.len() <= CONFIGURATION_LIMIT => {
            fs::read_to_string(path).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn directory(file: &Path) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn cargo(root: &Path, environment: &Arc<Environment>, found: &Found, detection: &mut Detection) {
    for workspace in cargo::workspaces(&found.manifests) {
        match CargoProject::new(root, workspace, environment) {
            Ok(project) => {
                detection.projects.push(Project::new(Adapter::Cargo(project), environment));
            }
            Err((dir, message)) => detection.problems.push(Problem {
                ecosystem: Some(Ecosystem::Cargo),
                dir,
                kind: ProblemKind::ToolMissing,
                message,
            }),
        }
    }
}

fn python(root: &Path, environment: &Arc<Environment>, found: &Found, detection: &mut Detection) {
    let configured: BTreeSet<PathBuf> = found
        .python_configurations
        .iter()
        .filter(|path| configures_pytest(path))
        .map(|path| directory(path))
        .collect();
    let marked: BTreeSet<PathBuf> =
        found.python_configurations.iter().map(|path| directory(path)).collect();
    // A directory with pytest's own configuration is a project and owns what lies below, unless
    // that has its own. Of the others, those that hold tests are; what is left is the root's.
    let mut directories: BTreeSet<PathBuf> = configured.clone();
    for test in &found.python_tests {
        let owner = test.ancestors().skip(1).take_while(|dir| dir.starts_with(root)).find(|dir| {
            configured.contains(*dir)
                || (marked.contains(*dir) && !configured.iter().any(|outer| dir.starts_with(outer)))
        });
        directories.insert(owner.unwrap_or(root).to_owned());
    }
    for dir in &directories {
        match find_interpreter(root, dir, environment) {
            Ok(interpreter) => {
                let nested =
                    directories.iter().filter(|other| *other != dir && other.starts_with(dir));
                let project = PytestProject {
                    root: root.to_owned(),
                    dir: dir.clone(),
                    interpreter,
                    env: environment.allowed(),
                    nested: nested.cloned().collect(),
                };
                detection.projects.push(Project::new(Adapter::Pytest(project), environment));
            }
            Err(message) => detection.problems.push(Problem {
                ecosystem: Some(Ecosystem::Pytest),
                dir: dir.clone(),
                kind: ProblemKind::ToolMissing,
                message,
            }),
        }
    }
}

/// Whether a configuration file has a section of pytest's: that file decides pytest's root.
fn configures_pytest(path: &Path) -> bool {
    let text = configuration(path);
    let has = |header: &str| text.lines().any(|line| line.trim_start().starts_with(header));
    match path.file_name().and_then(|name| name.to_str()) {
        Some("pytest.ini") => true,
        Some("pyproject.toml") => has("[tool.pytest"),
        Some("tox.ini") => has("[pytest]"),
        Some("setup.cfg") => has("[tool:pytest]"),
        _ => false,
    }
}

fn node(root: &Path, environment: &Arc<Environment>, found: &Found, detection: &mut Detection) {
    let directories: Vec<PathBuf> = found.packages.iter().map(|path| directory(path)).collect();
    for (package, dir) in found.packages.iter().zip(&directories) {
        let nested: Vec<PathBuf> = directories
            .iter()
            .filter(|other| *other != dir && other.starts_with(dir))
            .cloned()
            .collect();
        let own: Vec<&PathBuf> = found
            .node_tests
            .iter()
            .filter(|test| test.starts_with(dir))
            .filter(|test| !nested.iter().any(|nested| test.starts_with(nested)))
            .collect();
        match node::plan(&configuration(package), &own) {
            node::Plan::None => {}
            node::Plan::Unsupported(message) => detection.problems.push(Problem {
                ecosystem: Some(Ecosystem::Node),
                dir: dir.clone(),
                kind: ProblemKind::Unsupported,
                message,
            }),
            node::Plan::Test { arguments } => {
                let typescript = !own.is_empty() && own.iter().all(|test| is_typescript(test));
                match NodeProject::new(root, dir, arguments, nested, typescript, environment) {
                    Ok(project) => {
                        detection.projects.push(Project::new(Adapter::Node(project), environment));
                    }
                    Err(message) => detection.problems.push(Problem {
                        ecosystem: Some(Ecosystem::Node),
                        dir: dir.clone(),
                        kind: ProblemKind::ToolMissing,
                        message,
                    }),
                }
            }
        }
    }
}

fn go(root: &Path, environment: &Arc<Environment>, found: &Found, detection: &mut Detection) {
    let directories: Vec<PathBuf> = found.go_mods.iter().map(|path| directory(path)).collect();
    for module in go::modules(&found.go_mods, &found.go_works) {
        let problem = match module {
            Err((dir, message)) => (dir, ProblemKind::Unsupported, message),
            Ok(dir) => {
                let nested =
                    directories.iter().filter(|other| **other != dir && other.starts_with(&dir));
                match GoProject::new(root, &dir, nested.cloned().collect(), environment) {
                    Ok(project) => {
                        detection.projects.push(Project::new(Adapter::Go(project), environment));
                        continue;
                    }
                    Err(message) => (dir, ProblemKind::ToolMissing, message),
                }
            }
        };
        let (dir, kind, message) = problem;
        detection.problems.push(Problem { ecosystem: Some(Ecosystem::Go), dir, kind, message });
    }
}
