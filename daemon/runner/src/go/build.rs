//! `go list` and `go test -c`: which packages have tests, and their executables.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_sandbox::{Command, ExecOutcome, ExitState, Sandbox};
use serde::Deserialize;

use crate::error::RunError;
use crate::go::GoProject;
use crate::outcome::{Stopwatch, no_report, said};
use crate::scope::Scope;
use crate::text::{first_line, tail};
use crate::types::{Diagnostic, RunState};

/// A package of the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    /// As ids name it: `./price`.
    pub(super) id: String,
    /// Its import path.
    pub(super) import: String,
    /// Its directory, as the person sees it.
    pub(super) dir: PathBuf,
    /// Names of its test files.
    pub(super) tests: Vec<String>,
}

/// A package with tests and its executable.
#[derive(Debug, Clone)]
pub(super) struct Binary {
    pub(super) package: Package,
    /// As seen inside.
    pub(super) executable: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    dir: PathBuf,
    import_path: String,
    #[serde(default)]
    test_go_files: Vec<String>,
    #[serde(default)]
    x_test_go_files: Vec<String>,
}

impl GoProject {
    /// Every package of the module. `Err` in the result is a state without a verdict.
    pub(super) fn packages(
        &self,
        sandbox: &mut Sandbox,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Vec<Package>, RunState>, RunError> {
        let scope = Scope::new(sandbox, &self.root);
        let fields = "-json=Dir,ImportPath,TestGoFiles,XTestGoFiles";
        let command = self.tool(&scope, &["list", "-find", fields, "./..."], wall);
        let outcome = sandbox.exec(&command)?;
        watch.add(&outcome);
        if outcome.state != ExitState::Exited(0) {
            return Ok(Err(self.failed(&scope, &outcome)));
        }
        let listed = serde_json::Deserializer::from_slice(&outcome.stdout).into_iter::<Listed>();
        let mut packages = Vec::new();
        for package in listed.map_while(Result::ok) {
            // A package in another place than the checkout is not this module's.
            let dir = match scope.person(&package.dir) {
                Some(dir) => dir,
                None if package.dir == scope.inside(&self.root) => self.root.clone(),
                None => continue,
            };
            let mut tests = package.test_go_files;
            tests.extend(package.x_test_go_files);
            let id = self.id_package(&dir);
            packages.push(Package { id, import: package.import_path, dir, tests });
        }
        Ok(Ok(packages))
    }

    /// Builds the test executables of those packages that have tests.
    pub(super) fn build(
        &self,
        sandbox: &mut Sandbox,
        packages: &[Package],
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Vec<Binary>, RunState>, RunError> {
        // What is unchanged is not linked again while its executable lies where it was.
        let out = Scope::new(sandbox, &self.root).inside(&self.cache()).join("greenlit-bin");
        let module = blake3::hash(self.dir.as_os_str().as_encoded_bytes()).to_hex();
        self.compile(sandbox, packages, &[], &out.join(&module[..16]), wall, watch)
    }

    /// Builds with more arguments than a plain build has, into a directory as seen inside.
    pub(super) fn compile(
        &self,
        sandbox: &mut Sandbox,
        packages: &[Package],
        more: &[OsString],
        out: &Path,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Vec<Binary>, RunState>, RunError> {
        let scope = Scope::new(sandbox, &self.root);
        let end = watch.elapsed() + wall;
        let mut binaries = Vec::new();
        for (number, group) in groups(packages).into_iter().enumerate() {
            let out = out.join(number.to_string());
            let mut arguments: Vec<OsString> =
                ["test", "-c", "-vet=off", "-trimpath=false"].map(OsString::from).into();
            if !self.links_its_own_way() {
                // As `go test` itself: no debugger will look at it.
                arguments.push("-ldflags=-w".into());
            }
            arguments.extend(more.iter().cloned());
            // A directory, also when there is one package only.
            let mut directory = OsString::from("-o=");
            directory.push(&out);
            directory.push("/");
            arguments.push(directory);
            arguments.extend(group.iter().map(|package| OsString::from(&package.import)));
            let left = end.saturating_sub(watch.elapsed());
            let outcome = sandbox.exec(&self.tool(&scope, &arguments, left))?;
            watch.add(&outcome);
            if outcome.state != ExitState::Exited(0) {
                return Ok(Err(self.failed(&scope, &outcome)));
            }
            binaries.extend(group.into_iter().map(|package| Binary {
                executable: out.join(executable(&package.import)),
                package: package.clone(),
            }));
        }
        binaries.sort_by(|a, b| a.package.id.cmp(&b.package.id));
        Ok(Ok(binaries))
    }

    fn links_its_own_way(&self) -> bool {
        let flags = self.env.get(std::ffi::OsStr::new("GOFLAGS"));
        flags.is_some_and(|flags| flags.to_string_lossy().contains("-ldflags"))
    }

    fn tool(
        &self,
        scope: &Scope,
        arguments: &[impl Into<OsString> + Clone],
        wall: Duration,
    ) -> Command {
        let mut argv: Vec<OsString> = vec![self.go().into()];
        argv.extend(arguments.iter().cloned().map(Into::into));
        self.command(scope, argv, self.dir.clone(), &[], wall)
    }

    fn failed(&self, scope: &Scope, outcome: &ExecOutcome) -> RunState {
        match &outcome.state {
            ExitState::NotStarted(reason) => {
                let message = format!("{} could not be started: {reason}", self.go().display());
                return RunState::ToolMissing { message };
            }
            ExitState::TimedOut => return RunState::Hung { running: Vec::new() },
            ExitState::Exited(_) => {}
            _ => return no_report("go", outcome),
        }
        let mut details = said(outcome);
        if let Some(line) = details.lines().find(|line| line.contains("(running go ")) {
            let message = format!("{}; a newer one: https://go.dev/dl", first_line(line));
            return RunState::ToolMissing { message };
        }
        let dir = scope.inside(&self.dir);
        let diagnostics = details.lines().filter_map(|line| located(scope, &dir, line)).collect();
        let offline = [
            "module lookup disabled",
            "no required module provides package",
            "missing go.sum entry",
            "cannot find module providing package",
        ];
        if offline.iter().any(|text| details.contains(text)) {
            details.push_str(
                "\nTests are built offline. To get the missing modules, run once: go mod download \
                 (after `go mod tidy`, where go.mod lacks them)",
            );
        }
        RunState::BuildFailed { diagnostics, details: tail(&details) }
    }
}

/// `price/price.go:5:9: undefined: x`, relative to the module.
fn located(scope: &Scope, dir: &Path, line: &str) -> Option<Diagnostic> {
    let (path, rest) = line.split_once(".go:")?;
    let (number, rest) = rest.split_once(':')?;
    let message = match rest.split_once(": ") {
        Some((column, message)) if column.parse::<u32>().is_ok() => message,
        _ => rest,
    };
    // Some errors name the package first.
    let path = path.rsplit(' ').next().unwrap_or(path);
    let path = scope.person(&dir.join(format!("{path}.go")))?;
    Some(Diagnostic { path, line: number.parse().ok()?, message: first_line(message) })
}

/// Splits the packages that have tests so that no two of a group would be built into one file.
fn groups(packages: &[Package]) -> Vec<Vec<&Package>> {
    let mut groups: Vec<Vec<&Package>> = Vec::new();
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for package in packages.iter().filter(|package| !package.tests.is_empty()) {
        // Some file systems take names of different case for one.
        let count = used.entry(executable(&package.import).to_lowercase()).or_insert(0);
        if groups.len() <= *count {
            groups.push(Vec::new());
        }
        groups[*count].push(package);
        *count += 1;
    }
    groups
}

/// The name that `go test -c` gives to a package's executable: the last part of its import path
/// that is no major version.
fn executable(import: &str) -> String {
    let mut parts = import.rsplit('/');
    let last = parts.next().unwrap_or(import);
    let name = match parts.next() {
        Some(outer) if is_major_version(last) => outer,
        _ => last,
    };
    format!("{name}.test{}", std::env::consts::EXE_SUFFIX)
}

fn is_major_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|digits| {
        digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.is_empty()
            && !digits.starts_with('0')
            && digits != "1"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(import: &str, tests: &[&str]) -> Package {
        Package {
            id: String::new(),
            import: import.into(),
            dir: PathBuf::new(),
            tests: tests.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn no_two_packages_are_built_into_one_file() {
        let packages = [
            package("x/a/util", &["a_test.go"]),
            package("x/b/Util", &["b_test.go"]),
            package("x/c/util", &[]),
            package("x/other/v2", &["c_test.go"]),
        ];
        let found: Vec<Vec<&str>> = groups(&packages)
            .iter()
            .map(|group| group.iter().map(|p| p.import.as_str()).collect())
            .collect();
        assert_eq!(found, [vec!["x/a/util", "x/other/v2"], vec!["x/b/Util"]]);
        assert!(executable("x/other/v2").starts_with("other.test"));
        assert!(executable("x/other/v1").starts_with("v1.test"));
        assert!(executable("v2").starts_with("v2.test"));
    }

    #[test]
    fn errors_are_located() {
        let at = |line: &str| {
            let found = located(&Scope::identity("/w"), Path::new("/w/m"), line)?;
            Some((found.path.display().to_string(), found.line, found.message))
        };
        let text = |path: &str, line, message: &str| Some((path.to_owned(), line, message.into()));
        assert_eq!(at("./a.go:5:9: undefined: x"), text("/w/m/a.go", 5, "undefined: x"));
        assert_eq!(at("b/b.go:7: no column"), text("/w/m/b/b.go", 7, "no column"));
        assert_eq!(
            at("package m/b: b/b.go:3:8: expected ';'"),
            text("/w/m/b/b.go", 3, "expected ';'")
        );
        assert_eq!(at("/usr/lib/go/src/fmt/print.go:1:1: x"), None);
        assert_eq!(at("# m/b [m/b.test]"), None);
    }
}
