//! Which lines each test executes, by counters that are put into the sources.
//!
//! The compiler's own `-C instrument-coverage` was tried and not taken: its flags build all
//! dependencies anew, it needs a runtime that not every toolchain has, a test that hangs or
//! crashes leaves no profile, and the executables, which the code under test could have written,
//! would have to be read on the trusted side.

mod counters;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_sandbox::{FileWrite, Sandbox, SandboxError};

use crate::cargo::CargoProject;
use crate::cargo::build::{Binary, Broken, Built};
use crate::cargo::metadata::Metadata;
use crate::cargo::run::{Care, names_in};
use crate::cargo::trials::{choose, holder};
use crate::error::RunError;
use crate::outcome::Stopwatch;
use crate::patterns::is_cargo_test_file;
use crate::scope::Scope;
use crate::types::{Outcome, RunState, Spectrum, TestId};

use counters::{Counted, counted};

/// Most files that are instrumented, and their size together.
const FILES: usize = 300;
const BYTES: usize = 3 << 20;

/// Largest single file.
const LARGEST: u64 = 512 << 10;

/// Builds until the rest of the files is given up.
const ROUNDS: usize = 4;

/// A test may take no less than this, and no more than a quarter of the limit.
const SHORTEST: Duration = Duration::from_secs(1);

/// Largest list of counters that one test may write.
const REPORT: u64 = 8 << 20;

/// A source file with counters.
struct File {
    path: PathBuf,
    original: String,
    counted: Counted,
}

/// Where spectra are measured.
struct Traced<'a> {
    built: &'a Built,
    files: &'a BTreeMap<usize, File>,
    metadata: Metadata,
    wall: Duration,
}

impl CargoProject {
    /// Runs each of `tests` in a process of its own, on sources with counters. `wall` bounds each
    /// build, and all tests together. The lines of a test that hangs or crashes are those that it
    /// reached; it counts as failed.
    pub(crate) fn spectrum(
        &self,
        sandbox: &mut Sandbox,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<Option<Spectrum>, RunError> {
        let mut watch = Stopwatch::start();
        let Ok(plain) = self.executables(sandbox, wall, &mut watch)? else { return Ok(None) };
        let holding: Vec<&Binary> = tests.iter().filter_map(|test| holder(&plain, test)).collect();
        let targets = choose(&holding);
        if targets.is_empty() {
            return Ok(None);
        }
        let metadata = self.metadata(sandbox, &plain, wall, &mut watch)?;
        let (files, mut out) = self.instrumented(sandbox, &holding, &metadata)?;
        let all = files.len() + out;
        let mut files: BTreeMap<usize, File> = files.into_iter().enumerate().collect();
        write(sandbox, files.values().map(|file| (&file.path, &file.counted.text)))?;
        let mut built = None;
        for _ in 0..ROUNDS {
            if files.is_empty() {
                break;
            }
            match self.compile(sandbox, &targets, wall, &mut watch)? {
                Ok(done) => {
                    built = Some(done);
                    break;
                }
                Err(broken) => {
                    let named = self.named(sandbox, &broken, &files);
                    if named.is_empty() {
                        tracing::warn!(state = ?broken.state, "sources with counters do not build");
                        break;
                    }
                    out += named.len();
                    let named: Vec<File> =
                        named.iter().filter_map(|index| files.remove(index)).collect();
                    write(sandbox, named.iter().map(|file| (&file.path, &file.original)))?;
                }
            }
        }
        let Some(built) = built else { return Ok(None) };
        let building = watch.elapsed();
        let measured_by = match out {
            0 => "inserted counters".to_owned(),
            out => format!("inserted counters, {out} of {all} files left out"),
        };
        let traced = Traced { built: &built, files: &files, metadata, wall };
        let mut spectrum = self.trace(sandbox, &traced, tests, &mut watch)?;
        spectrum.measured_by = measured_by;
        tracing::debug!(
            building = building.as_millis(),
            tracing = (watch.elapsed() - building).as_millis(),
            tests = spectrum.tests.len(),
            "measured a spectrum (ms)"
        );
        Ok(Some(spectrum))
    }

    /// The sources of the workspace's members with counters, those of the packages under test
    /// first, and how many were left out because there are too many or they are too large.
    fn instrumented(
        &self,
        sandbox: &mut Sandbox,
        holding: &[&Binary],
        metadata: &Metadata,
    ) -> Result<(Vec<File>, usize), RunError> {
        let scope = Scope::new(sandbox, &self.root);
        let root = scope.inside(&self.root);
        let members: Vec<PathBuf> = metadata
            .values()
            .filter_map(|package| package.manifest_path.parent()?.strip_prefix(&root).ok())
            .map(|rest| self.root.join(rest))
            .collect();
        let under_test: BTreeSet<&Path> =
            holding.iter().map(|binary| binary.package_dir.as_path()).collect();
        let mut paths: Vec<PathBuf> = self
            .sources()
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .filter(|path| path.strip_prefix(&self.dir).is_ok_and(|p| !is_cargo_test_file(p)))
            .filter(|path| members.iter().any(|member| path.starts_with(member)))
            .filter(|path| !path.components().any(|part| part.as_os_str() == "examples"))
            .collect();
        let first =
            |path: &PathBuf| under_test.iter().any(|dir| scope.inside(path).starts_with(dir));
        paths.sort_by_key(|path| !first(path));
        let (mut files, mut out, mut bytes) = (Vec::new(), 0, 0);
        for path in paths {
            let content = match sandbox.read(&path, LARGEST) {
                Ok(Some(content)) => content,
                Ok(None) | Err(SandboxError::Symlink { .. } | SandboxError::File { .. }) => {
                    continue;
                }
                Err(SandboxError::TooLarge { .. }) => {
                    out += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Ok(original) = String::from_utf8(content) else { continue };
            if files.len() >= FILES || bytes + original.len() > BYTES {
                out += 1;
                continue;
            }
            bytes += original.len();
            if let Some(counted) = counted(&original, files.len()) {
                files.push(File { path, original, counted });
            }
        }
        Ok((files, out))
    }

    /// The files that errors lie in.
    fn named(
        &self,
        sandbox: &Sandbox,
        broken: &Broken,
        files: &BTreeMap<usize, File>,
    ) -> BTreeSet<usize> {
        let scope = Scope::new(sandbox, &self.root);
        let directory = scope.inside(&self.dir);
        let spans = broken.errors.iter().flat_map(|error| &error.spans).flat_map(|s| s.chain());
        let paths: BTreeSet<PathBuf> =
            spans.filter_map(|span| scope.person(&directory.join(&span.file_name))).collect();
        let named = files.iter().filter(|(_, file)| paths.contains(&file.path));
        named.map(|(index, _)| *index).collect()
    }

    /// Tests that wrote nothing, because they could not be run or reach no counter, are left out
    /// unless they ended by themselves.
    fn trace(
        &self,
        sandbox: &mut Sandbox,
        traced: &Traced<'_>,
        tests: &[TestId],
        watch: &mut Stopwatch,
    ) -> Result<Spectrum, RunError> {
        let end = Instant::now() + traced.wall;
        let share = traced.wall / u32::try_from(tests.len().max(1) * 2).unwrap_or(u32::MAX);
        let limit = share.clamp(SHORTEST, (traced.wall / 4).max(SHORTEST));
        let report = sandbox.scratch().join("greenlit-lines");
        let start = self.session(sandbox, traced.built, Care::Quick, end, watch)?;
        let libraries = start.libraries;
        let mut spectrum = Spectrum::default();
        for test in tests {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let Some(binary) = holder(&traced.built.binaries, test) else { continue };
            let names = names_in(binary, std::slice::from_ref(test));
            sandbox.write(&[FileWrite { path: report.clone(), content: Some(Vec::new()) }])?;
            let mut session = self.session_with(
                sandbox,
                traced.built,
                Care::Quick,
                Instant::now() + left.min(limit),
                (traced.metadata.clone(), libraries.clone()),
            );
            session.extra.insert(counters::VARIABLE.into(), report.clone().into());
            let state = session.run(sandbox, binary, Some(names), watch)?;
            let passed = session.results.iter().any(|r| r.outcome == Outcome::Passed);
            let hits = match sandbox.read(&report, REPORT) {
                Ok(bytes) => hits(&bytes.unwrap_or_default()),
                // Code under test can put anything there.
                Err(
                    SandboxError::TooLarge { .. }
                    | SandboxError::Symlink { .. }
                    | SandboxError::File { .. },
                ) => continue,
                Err(error) => return Err(error.into()),
            };
            if hits.is_empty() && (state != RunState::Completed || session.results.is_empty()) {
                continue;
            }
            add(&mut spectrum, test, passed, &hits, traced.files);
        }
        Ok(spectrum)
    }
}

fn write<'f>(
    sandbox: &mut Sandbox,
    files: impl Iterator<Item = (&'f PathBuf, &'f String)>,
) -> Result<(), SandboxError> {
    let writes: Vec<FileWrite> = files
        .map(|(path, text)| FileWrite { path: path.clone(), content: Some(text.as_bytes().into()) })
        .collect();
    sandbox.write(&writes)
}

/// File and counter of each line that reads so.
fn hits(bytes: &[u8]) -> BTreeSet<(usize, usize)> {
    let text = String::from_utf8_lossy(bytes);
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(file, counter)| Some((file.parse().ok()?, counter.parse().ok()?))).collect()
}

fn add(
    spectrum: &mut Spectrum,
    test: &TestId,
    passed: bool,
    hits: &BTreeSet<(usize, usize)>,
    files: &BTreeMap<usize, File>,
) {
    let Some(index) = spectrum.test(test.clone(), passed) else { return };
    for (file, counter) in hits {
        let Some(file) = files.get(file) else { continue };
        let lines = file.counted.lines.get(*counter).into_iter().flatten();
        spectrum.hit(index, file.path.clone(), lines.copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_of_numbers_are_hits() {
        let found = hits(b"0 1\n0 1\n2 33\n-1 2\n1\nx y\n\xff 1\n99999999999999999999 1\n4 5 6\n");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(0, 1), (2, 33)]);
    }

    #[test]
    fn counters_that_do_not_exist_are_ignored() {
        let text = "fn f() {\n    g();\n    h();\n}\n";
        let counted = counted(text, 0).unwrap();
        let file = File { path: "/w/a.rs".into(), original: text.into(), counted };
        let files: BTreeMap<usize, File> = [(0, file)].into();
        let mut spectrum = Spectrum::default();
        let hits = [(0, 1), (0, 7), (3, 0)].into();
        add(&mut spectrum, &TestId("a::t".into()), false, &hits, &files);
        let lines = &spectrum.lines[Path::new("/w/a.rs")];
        assert_eq!(lines.clone().into_iter().collect::<Vec<_>>(), [(3, vec![0])]);
    }
}
