//! `cargo test --no-run`, its messages, and the facts about packages that test processes are told.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_sandbox::{ExecOutcome, ExitState, Sandbox};

use crate::cargo::CargoProject;
use crate::cargo::locate::without_harness;
use crate::cargo::messages::{Messages, RustcMessage, Script};
use crate::cargo::metadata::Metadata;
use crate::error::RunError;
use crate::outcome::{Stopwatch, no_report};
use crate::scope::Scope;
use crate::text::{first_line, plain, tail};
use crate::types::{Diagnostic, RunState};

/// A test executable with all that its process is told.
#[derive(Debug, Clone)]
pub(super) struct Binary {
    /// nextest's binary id.
    pub(super) id: String,
    /// The package's name, for `-p`.
    pub(super) package: String,
    /// `lib`, `bin`, `test`, `example` or `bench`.
    pub(super) kind: String,
    /// The target's name.
    pub(super) name: String,
    /// The executable, as seen inside.
    pub(super) executable: PathBuf,
    /// The package's directory, as seen inside.
    pub(super) package_dir: PathBuf,
    /// Whether it is linked against the compiler's own libraries.
    pub(super) dynamic: bool,
    /// cargo's own name for the package, unambiguous since cargo 1.77.
    pub(super) package_id: String,
    pub(super) manifest: PathBuf,
}

/// What a successful build made.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) binaries: Vec<Binary>,
    scripts: BTreeMap<String, Script>,
    /// Executables of binary targets, which integration tests may start, by package id.
    pub(super) programs: BTreeMap<String, BTreeMap<String, PathBuf>>,
}

/// Why there are no test executables: a state without a verdict.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) state: RunState,
    /// The compiler's errors, unbounded.
    pub(super) errors: Vec<RustcMessage>,
}

impl CargoProject {
    /// As [`Self::compile`], without the compiler's own errors.
    pub(super) fn build(
        &self,
        sandbox: &mut Sandbox,
        targets: &[OsString],
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Built, RunState>, RunError> {
        Ok(self.compile(sandbox, targets, wall, watch)?.map_err(|broken| broken.state))
    }

    /// Builds the test executables.
    pub(super) fn compile(
        &self,
        sandbox: &mut Sandbox,
        targets: &[OsString],
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Built, Broken>, RunError> {
        let scope = Scope::new(sandbox, &self.root);
        let mut argv: Vec<OsString> = vec![self.cargo.clone().into()];
        argv.extend(["test", "--no-run", "--offline", "--message-format=json"].map(OsString::from));
        argv.extend(targets.iter().cloned());
        let command = self.command(argv, self.dir.clone(), self.build_env(&scope), wall);
        let outcome = sandbox.exec(&command)?;
        watch.add(&outcome);
        let messages = Messages::parse(&outcome.stdout);
        let state = match outcome.state {
            ExitState::Exited(0) => return Ok(Ok(self.built(sandbox, messages)?)),
            ExitState::Exited(_) => self.failed(&scope, &messages, &outcome),
            ExitState::NotStarted(reason) => RunState::ToolMissing {
                message: format!("{} could not be started: {reason}", self.cargo.display()),
            },
            ExitState::TimedOut => RunState::Hung { running: Vec::new() },
            _ => no_report("cargo", &outcome),
        };
        Ok(Err(Broken { state, errors: messages.errors }))
    }

    pub(super) fn build_env(&self, scope: &Scope) -> BTreeMap<OsString, OsString> {
        let mut env = self.env.clone();
        env.insert("CARGO_TARGET_DIR".into(), scope.inside(&self.target).into());
        env
    }

    /// The targets of a whole run. Examples are built only where they are tests.
    pub(super) fn all_targets(&self) -> Vec<OsString> {
        let mut targets: Vec<OsString> = vec!["--tests".into()];
        if self.workspace.is_workspace {
            targets.push("--workspace".into());
        }
        targets
    }

    fn built(&self, sandbox: &mut Sandbox, messages: Messages) -> Result<Built, RunError> {
        let mut built = Built::default();
        let mut harnesses: BTreeMap<PathBuf, BTreeSet<(String, String)>> = BTreeMap::new();
        for script in messages.scripts {
            built.scripts.insert(script.package_id.clone(), script);
        }
        for artifact in messages.artifacts {
            let Some(executable) = artifact.executable else { continue };
            let kind = artifact.target.kind.first().map(String::as_str).unwrap_or_default();
            if !artifact.profile.test {
                if kind == "bin" {
                    let programs = built.programs.entry(artifact.package_id).or_default();
                    programs.insert(artifact.target.name, executable);
                }
                continue;
            }
            let kind = match kind {
                "bin" | "test" | "example" | "bench" => kind,
                _ => "lib",
            };
            let skipped = match harnesses.get(&artifact.manifest_path) {
                Some(skipped) => skipped,
                None => {
                    let text = sandbox.read(&artifact.manifest_path, 1 << 20).unwrap_or_default();
                    let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
                    let skipped = without_harness(&text);
                    harnesses.entry(artifact.manifest_path.clone()).or_insert(skipped)
                }
            };
            let name = artifact.target.name;
            // A library's section need not name it.
            if skipped.contains(&(kind.to_owned(), name.clone()))
                || (kind == "lib" && skipped.contains(&("lib".to_owned(), String::new())))
            {
                tracing::warn!(target = %name, "a test target without libtest's harness is skipped");
                continue;
            }
            let package = package_name(&artifact.package_id, &artifact.manifest_path);
            let id = match kind {
                "lib" => package.clone(),
                "test" => format!("{package}::{name}"),
                kind => format!("{package}::{kind}/{name}"),
            };
            let dynamic =
                artifact.target.kind.iter().any(|kind| kind == "proc-macro" || kind == "dylib");
            built.binaries.push(Binary {
                id,
                package,
                kind: kind.to_owned(),
                name,
                executable,
                package_dir: artifact
                    .manifest_path
                    .parent()
                    .map(Path::to_path_buf)
                    .unwrap_or_default(),
                dynamic,
                package_id: artifact.package_id,
                manifest: artifact.manifest_path,
            });
        }
        built.binaries.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(built)
    }

    fn failed(&self, scope: &Scope, messages: &Messages, outcome: &ExecOutcome) -> RunState {
        let stderr = tail(&plain(&String::from_utf8_lossy(&outcome.stderr)));
        let rustup = stderr.contains("is not installed") && stderr.contains("toolchain");
        if messages.errors.is_empty() && (rustup || stderr.contains("no such command")) {
            return RunState::ToolMissing { message: first_line(&stderr) };
        }
        let mut diagnostics = Vec::new();
        let mut details = String::new();
        for error in &messages.errors {
            details.push_str(error.rendered.as_deref().unwrap_or(&error.message));
            let Some(span) = error.spans.iter().find(|span| span.is_primary) else { continue };
            let place = scope.inside(&self.dir).join(&span.file_name);
            if let Some(path) = scope.person(&place) {
                let message = match &span.label {
                    Some(label) => format!("{}: {label}", error.message),
                    None => error.message.clone(),
                };
                let message = first_line(&plain(&message));
                diagnostics.push(Diagnostic { path, line: span.line_start, message });
            }
        }
        if details.is_empty() {
            details = said_without_json(outcome);
        }
        let offline = [
            "no matching package",
            "failed to download",
            "unable to update",
            "--offline",
            "failed to get",
            "offline mode",
        ];
        if messages.errors.is_empty() && offline.iter().any(|text| stderr.contains(text)) {
            details.push_str(
                "\nTests are built offline. To get the missing dependencies, run once: cargo fetch",
            );
        }
        RunState::BuildFailed { diagnostics, details: tail(&plain(&details)) }
    }

    /// The environment that `cargo test` gives to a test process.
    pub(super) fn test_env(
        &self,
        scope: &Scope,
        built: &Built,
        binary: &Binary,
        metadata: &Metadata,
        libraries: Option<&Path>,
    ) -> BTreeMap<OsString, OsString> {
        let mut env = self.env.clone();
        let mut set = |name: &str, value: OsString| env.insert(name.into(), value);
        set("CARGO", self.cargo.clone().into());
        set("CARGO_MANIFEST_DIR", binary.package_dir.clone().into());
        set("CARGO_MANIFEST_PATH", binary.manifest.clone().into());
        if let Some(package) = metadata.get(&binary.package_id) {
            for (name, value) in package.variables() {
                set(&name, value.into());
            }
        }
        if matches!(binary.kind.as_str(), "test" | "bench") {
            for (name, path) in built.programs.get(&binary.package_id).into_iter().flatten() {
                set(&format!("CARGO_BIN_EXE_{name}"), path.clone().into());
            }
        }
        let target = scope.inside(&self.target);
        let mut search: Vec<PathBuf> = Vec::new();
        if let Some(script) = built.scripts.get(&binary.package_id) {
            for (name, value) in &script.env {
                set(name, value.clone().into());
            }
            if let Some(out) = &script.out_dir {
                set("OUT_DIR", out.clone().into());
            }
        }
        for script in built.scripts.values() {
            let paths = script.linked_paths.iter().map(|path| {
                let path = path.split_once('=').map_or(path.as_str(), |(_, path)| path);
                PathBuf::from(path)
            });
            search.extend(paths.filter(|path| path.starts_with(&target)));
        }
        if let Some(deps) = binary.executable.parent() {
            search.push(deps.to_owned());
            search.extend(deps.parent().map(Path::to_path_buf));
        }
        search.extend(libraries.map(Path::to_path_buf));
        let variable = if cfg!(target_os = "macos") {
            "DYLD_FALLBACK_LIBRARY_PATH"
        } else {
            "LD_LIBRARY_PATH"
        };
        if let Some(theirs) = env.get(&OsString::from(variable)) {
            search.extend(std::env::split_paths(theirs));
        }
        if let Ok(joined) = std::env::join_paths(search) {
            env.insert(variable.into(), joined);
        }
        env
    }
}

/// The package's name from its id: `path+file:///w/dir#name@0.1.0`, or `…/name#0.1.0` when the
/// directory has the same name, or `name 0.1.0 (path+…)` before cargo 1.77.
fn package_name(id: &str, manifest: &Path) -> String {
    if let Some((_, fragment)) = id.rsplit_once('#') {
        if let Some((name, _)) = fragment.rsplit_once('@') {
            return name.to_owned();
        }
        let directory = manifest.parent().and_then(Path::file_name);
        return directory.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    }
    id.split(' ').next().unwrap_or_default().to_owned()
}

/// What cargo said, without its messages for programs.
fn said_without_json(outcome: &ExecOutcome) -> String {
    plain(&String::from_utf8_lossy(&outcome.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_names_are_read_from_every_form_of_id() {
        let name = |id| package_name(id, Path::new("/w/gcd/Cargo.toml"));
        assert_eq!(name("path+file:///w/gcd#0.1.0"), "gcd");
        assert_eq!(name("path+file:///w/gcd#other@0.1.0"), "other");
        assert_eq!(name("gcd 0.1.0 (path+file:///w/gcd)"), "gcd");
    }
}
