//! Which lines each test executes, from coverage profiles: one instrumented executable for each
//! package, one process for each test.
//!
//! Test files are not instrumented by Go, so their lines are not among the result. A panic would
//! end the process before its profile is written; so each test function is given a deferred
//! recovery, in copies of the test files that only this build sees.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_sandbox::{FileWrite, Sandbox, SandboxError};
use serde_json::json;

use crate::error::RunError;
use crate::go::GoProject;
use crate::go::build::{Binary, Package};
use crate::go::frames::Status;
use crate::go::profile::{Block, executed};
use crate::go::run::{escaped, names_in};
use crate::go::shot::Ask;
use crate::outcome::Stopwatch;
use crate::scope::Scope;
use crate::text::REPORT_LIMIT;
use crate::types::{Spectrum, TestId};

/// By what means lines are told.
const MEASURED_BY: &str = "go coverprofile";

/// A test may take no less than this, and no more than a quarter of the limit.
const SHORTEST: Duration = Duration::from_millis(500);

/// How long a process may take beyond its alarm, to write its profile.
const GRACE: Duration = Duration::from_secs(5);

/// Largest source file that is read.
const SOURCE: u64 = 4 << 20;

/// The function that test functions defer, and the file that holds it.
const RECOVER: &str = "greenlitRecover";
const RECOVER_FILE: &str = "greenlit_recover";

impl GoProject {
    /// Runs each of `tests` alone. A test that takes longer than its share is ended with the lines
    /// so far. Tests that left no profile (the process was ended by the code under test, or a
    /// goroutine of its own panicked) are left out.
    pub(crate) fn spectrum(
        &self,
        sandbox: &mut Sandbox,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<Option<Spectrum>, RunError> {
        let mut watch = Stopwatch::start();
        let Ok(packages) = self.packages(sandbox, wall, &mut watch)? else { return Ok(None) };
        let holding: Vec<Package> =
            packages.iter().filter(|p| !names_in(p, tests).is_empty()).cloned().collect();
        let Some(binaries) = self.instrumented(sandbox, &holding, wall, &mut watch)? else {
            return Ok(None);
        };
        let mut spectrum = Spectrum { measured_by: MEASURED_BY.into(), ..Spectrum::default() };
        let mut sources = Sources::new(&packages);
        let left = wall.saturating_sub(watch.elapsed());
        let share = left / u32::try_from(tests.len().max(1)).unwrap_or(u32::MAX);
        let limit = share.clamp(SHORTEST, (left / 4).max(SHORTEST));
        for test in tests {
            let named = |binary: &&Binary| {
                !names_in(&binary.package, std::slice::from_ref(test)).is_empty()
            };
            let Some(binary) = binaries.iter().find(named) else { continue };
            let Some(time) = wall.checked_sub(watch.elapsed()) else { break };
            let time = time.min(limit);
            if let Some((passed, profile)) =
                self.measure(sandbox, binary, test, time, &mut watch)?
            {
                sources.add(sandbox, &mut spectrum, test, passed, &profile)?;
            }
        }
        Ok(Some(spectrum))
    }

    fn instrumented(
        &self,
        sandbox: &mut Sandbox,
        packages: &[Package],
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Option<Vec<Binary>>, RunError> {
        let out = sandbox.scratch().join("go-cover");
        let plain: Vec<OsString> =
            ["-cover", "-covermode=set", "-coverpkg=./..."].map(OsString::from).into();
        let mut recovering = plain.clone();
        let mut overlay = OsString::from("-overlay=");
        overlay.push(self.recovery(sandbox, packages, &out)?);
        recovering.push(overlay);
        for arguments in [&recovering, &plain] {
            let left = wall.saturating_sub(watch.elapsed());
            match self.compile(sandbox, packages, arguments, &out, left, watch)? {
                Ok(binaries) => return Ok(Some(binaries)),
                // A test file that cannot be rewritten like this: panics then leave no profile.
                Err(state) => tracing::debug!(?state, "the instrumented build failed"),
            }
        }
        Ok(None)
    }

    /// Writes copies of the test files with recoveries, and the list that tells Go to take them.
    fn recovery(
        &self,
        sandbox: &mut Sandbox,
        packages: &[Package],
        out: &Path,
    ) -> Result<PathBuf, RunError> {
        let scope = Scope::new(sandbox, &self.root);
        let mut replace = serde_json::Map::new();
        let mut writes = Vec::new();
        for (number, package) in packages.iter().enumerate() {
            let dir = scope.inside(&package.dir);
            let mut helpers: BTreeMap<String, String> = BTreeMap::new();
            for (index, name) in package.tests.iter().enumerate() {
                let Some(text) = read(sandbox, &dir.join(name))? else { continue };
                let Some(clause) = package_name(&text) else { continue };
                let helper = format!(
                    "package {clause}\n\nimport \"testing\"\n\nfunc {RECOVER}(t *testing.T) {{\n\tif r := recover(); r != nil {{\n\t\tt.Errorf(\"panic: %v\", r)\n\t}}\n}}\n"
                );
                helpers.insert(format!("{RECOVER_FILE}_{clause}_test.go"), helper);
                let copy = out.join(format!("copies/{number}-{index}.go"));
                replace.insert(text_of(&dir.join(name)), text_of(&copy).into());
                writes.push(file(copy, with_recoveries(&text)));
            }
            for (name, helper) in helpers {
                let copy = out.join(format!("copies/{number}-{name}"));
                replace.insert(text_of(&dir.join(name)), text_of(&copy).into());
                writes.push(file(copy, helper));
            }
        }
        let list = out.join("overlay.json");
        writes.push(file(list.clone(), json!({ "Replace": replace }).to_string()));
        sandbox.write(&writes)?;
        Ok(list)
    }

    /// Runs one test; whether it passed, and its profile.
    fn measure(
        &self,
        sandbox: &mut Sandbox,
        binary: &Binary,
        test: &TestId,
        limit: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Option<(bool, Vec<u8>)>, RunError> {
        let Some(name) = names_in(&binary.package, std::slice::from_ref(test)).pop() else {
            return Ok(None);
        };
        let profile = sandbox.scratch().join("go-cover/profile.out");
        sandbox.write(&[FileWrite { path: profile.clone(), content: None }])?;
        let levels: Vec<String> =
            name.split('/').map(|level| format!("^{}$", escaped(level))).collect();
        let ask = Ask {
            pattern: Some(levels.join("/")),
            alarm: Some(limit),
            profile: Some(&profile),
            ..Ask::default()
        };
        let Ok(shot) = self.shoot(sandbox, binary, &ask, limit + GRACE, watch)? else {
            return Ok(None);
        };
        let passed = shot.report.is_whole()
            && shot.report.result(&name).is_some_and(|ended| ended.status == Status::Pass);
        let content = read_bytes(sandbox, &profile, REPORT_LIMIT as u64)?;
        Ok(content.map(|content| (passed, content)))
    }
}

/// Source files by the name that profiles give them, read once.
struct Sources<'a> {
    directories: BTreeMap<&'a str, &'a Path>,
    texts: BTreeMap<PathBuf, String>,
}

impl<'a> Sources<'a> {
    fn new(packages: &'a [Package]) -> Self {
        let directories = packages.iter().map(|p| (p.import.as_str(), p.dir.as_path())).collect();
        Self { directories, texts: BTreeMap::new() }
    }

    fn add(
        &mut self,
        sandbox: &mut Sandbox,
        spectrum: &mut Spectrum,
        test: &TestId,
        passed: bool,
        profile: &[u8],
    ) -> Result<(), RunError> {
        let Some(index) = spectrum.test(test.clone(), passed) else { return Ok(()) };
        for (name, blocks) in executed(profile) {
            let Some((import, file)) = name.rsplit_once('/') else { continue };
            let Some(dir) = self.directories.get(import) else { continue };
            let path = dir.join(file);
            if !self.texts.contains_key(&path) {
                let text = read(sandbox, &path)?.unwrap_or_default();
                self.texts.insert(path.clone(), text);
            }
            let source: Vec<&str> = self.texts[&path].lines().collect();
            let lines = blocks.into_iter().flat_map(|block: Block| block.lines(&source));
            spectrum.hit(index, path, lines);
        }
        Ok(())
    }
}

/// The name in the package clause.
fn package_name(text: &str) -> Option<&str> {
    let name = text.lines().find_map(|line| line.strip_prefix("package "))?;
    let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (!name.is_empty()).then_some(name)
}

/// The text with a deferred recovery at the start of each function that takes `*testing.T` alone
/// and returns nothing. Lines stay where they are.
fn with_recoveries(text: &str) -> String {
    const TYPE: &str = " *testing.T) {";
    let mut result = String::with_capacity(text.len() + 256);
    let mut rest = text;
    while let Some(at) = rest.find(TYPE) {
        let (before, after) = rest.split_at(at + TYPE.len());
        result.push_str(before);
        let head = &before[..at];
        let parameter = head.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next();
        let alone = parameter.filter(|name| {
            !name.is_empty() && *name != "_" && head[..head.len() - name.len()].ends_with('(')
        });
        if let Some(name) = alone {
            result.push_str(&format!(" defer {RECOVER}({name});"));
        }
        rest = after;
    }
    result.push_str(rest);
    result
}

fn read(sandbox: &mut Sandbox, path: &Path) -> Result<Option<String>, RunError> {
    Ok(read_bytes(sandbox, path, SOURCE)?.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// A file that is none, or too large, counts as missing.
fn read_bytes(sandbox: &mut Sandbox, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, RunError> {
    match sandbox.read(path, limit) {
        Ok(bytes) => Ok(bytes),
        Err(
            error @ (SandboxError::Cancelled
            | SandboxError::Died { .. }
            | SandboxError::Unresponsive),
        ) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn file(path: PathBuf, content: String) -> FileWrite {
    FileWrite { path, content: Some(content.into_bytes()) }
}

/// Go's list is JSON. A path that is not UTF-8 is then no file of the build, and keeps its text.
fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recoveries_change_no_line() {
        let text = "// Copyright\npackage price_test // x\n\nfunc TestA(t *testing.T) {\n\tt.Run(\"x\", func(tt *testing.T) {\n\t})\n}\n\nfunc help(a int, t *testing.T) {\n}\n\nfunc _(_ *testing.T) {}\n";
        let rewritten = with_recoveries(text);
        assert_eq!(rewritten.lines().count(), text.lines().count());
        assert!(rewritten.contains("func TestA(t *testing.T) { defer greenlitRecover(t);\n"));
        assert!(rewritten.contains("func(tt *testing.T) { defer greenlitRecover(tt);\n"));
        assert_eq!(rewritten.matches("defer").count(), 2);
        assert_eq!(package_name(text), Some("price_test"));
    }
}
