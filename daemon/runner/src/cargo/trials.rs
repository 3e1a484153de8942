//! Attempts with cargo: one sandbox with warm artifacts, and only the test targets that hold the
//! tests in question.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use greenlit_sandbox::{FileWrite, Sandbox};

use crate::cargo::CargoProject;
use crate::cargo::build::Binary;
use crate::cargo::run::{Care, names_in};
use crate::cargo::schemata::{Schemata, Site};
use crate::error::RunError;
use crate::outcome::Stopwatch;
use crate::overlay::Overlay;
use crate::project::{Prepared, Trials};
use crate::types::{TestId, TestRun};

/// Variants for one build: enough to spread its cost, few enough to have the first results soon.
const BATCH: usize = 60;

/// The session. Artifacts stay from one attempt to the next; changed files have the time of now,
/// so that cargo compiles what changed.
pub(crate) struct CargoTrials {
    project: CargoProject,
    sandbox: Sandbox,
    overlay: Overlay,
    targets: Vec<OsString>,
    /// Limit for one build: a test that hangs must not be given the time of a compiler.
    build_wall: Duration,
    schemata: Schemata,
}

impl CargoProject {
    pub(crate) fn trials(
        &self,
        mut sandbox: Sandbox,
        tests: &[TestId],
        setup_wall: Duration,
    ) -> Result<CargoTrials, RunError> {
        let mut watch = Stopwatch::start();
        // Only the targets that hold the tests, from the first build on: cargo resolves features by
        // what is built together and may build dependencies anew.
        let mut targets = self.all_targets();
        if let Ok(binaries) = self.executables(&mut sandbox, setup_wall, &mut watch)? {
            let holding: Vec<&Binary> =
                tests.iter().filter_map(|test| holder(&binaries, test)).collect();
            let chosen = choose(&holding);
            if !chosen.is_empty() {
                targets = chosen;
            }
        }
        let mut trials = CargoTrials {
            project: self.clone(),
            sandbox,
            overlay: Overlay::default(),
            targets,
            build_wall: setup_wall,
            schemata: Schemata::default(),
        };
        let (schemata, mut site) = trials.parts();
        schemata.open(&mut site, setup_wall.saturating_sub(watch.elapsed()))?;
        Ok(trials)
    }
}

/// The executable whose id is the longest prefix of a test's: a library's is one of all others' of
/// its package.
pub(super) fn holder<'b>(binaries: &'b [Binary], test: &TestId) -> Option<&'b Binary> {
    let test = std::slice::from_ref(test);
    let holding = binaries.iter().filter(|binary| !names_in(binary, test).is_empty());
    holding.max_by_key(|binary| binary.id.len())
}

/// The arguments that build just these test executables.
pub(super) fn choose(holding: &[&Binary]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    // A name alone may also be that of a dependency.
    let packages: BTreeSet<&str> = holding
        .iter()
        .map(|binary| match binary.package_id.contains('#') {
            true => binary.package_id.as_str(),
            false => binary.package.as_str(),
        })
        .collect();
    for package in packages {
        arguments.extend(["-p".into(), package.into()]);
    }
    let targets: BTreeSet<(&str, &str)> = holding
        .iter()
        .map(|binary| match binary.kind.as_str() {
            "lib" => ("lib", ""),
            kind => (kind, binary.name.as_str()),
        })
        .collect();
    for (kind, name) in targets {
        arguments.push(format!("--{kind}").into());
        if !name.is_empty() {
            arguments.push(name.into());
        }
    }
    arguments
}

impl CargoTrials {
    fn parts(&mut self) -> (&mut Schemata, Site<'_>) {
        let site = Site {
            project: &self.project,
            sandbox: &mut self.sandbox,
            overlay: &mut self.overlay,
            targets: &self.targets,
            build_wall: self.build_wall,
        };
        (&mut self.schemata, site)
    }
}

impl Trials for CargoTrials {
    fn attempt(
        &mut self,
        files: &[FileWrite],
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError> {
        if files.is_empty() && self.schemata.is_open() {
            let (schemata, mut site) = self.parts();
            return schemata.attempt_unchanged(&mut site, tests, wall);
        }
        let mut watch = Stopwatch::start();
        self.schemata.displaced();
        self.overlay.apply(&mut self.sandbox, files)?;
        let limit = self.build_wall;
        let built = match self.project.build(&mut self.sandbox, &self.targets, limit, &mut watch)? {
            Ok(built) => built,
            Err(state) => return Ok(watch.finish(state, Vec::new())),
        };
        let (state, results) = self.project.run_built(
            &mut self.sandbox,
            &built,
            Some(tests),
            Care::Quick,
            wall,
            &mut watch,
        )?;
        Ok(watch.finish(state, results))
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn prepare(&mut self, variants: &[Vec<FileWrite>]) -> Result<Vec<Prepared>, RunError> {
        let (schemata, mut site) = self.parts();
        schemata.prepare(&mut site, variants)
    }

    fn attempt_prepared(
        &mut self,
        variant: usize,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError> {
        let (schemata, mut site) = self.parts();
        schemata.attempt(&mut site, variant, tests, wall)
    }
}
