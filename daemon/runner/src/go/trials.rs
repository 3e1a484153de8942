//! Attempts with Go: one sandbox with a warm build cache, and only the packages that hold the tests
//! in question.

use std::time::Duration;

use greenlit_sandbox::{FileWrite, Sandbox};

use crate::error::RunError;
use crate::go::GoProject;
use crate::go::build::Package;
use crate::go::run::{Care, names_in};
use crate::outcome::Stopwatch;
use crate::overlay::Overlay;
use crate::project::Trials;
use crate::types::{TestId, TestRun};

/// The session. Compiled packages stay from one attempt to the next; Go tells by their content
/// which are still right.
pub(crate) struct GoTrials {
    project: GoProject,
    sandbox: Sandbox,
    overlay: Overlay,
    packages: Vec<Package>,
    /// Limit for one build: a test that hangs must not be given the time of a compiler.
    build_wall: Duration,
}

impl GoProject {
    pub(crate) fn trials(
        &self,
        mut sandbox: Sandbox,
        tests: &[TestId],
        setup_wall: Duration,
    ) -> Result<GoTrials, RunError> {
        let mut watch = Stopwatch::start();
        let mut packages = match self.packages(&mut sandbox, setup_wall, &mut watch)? {
            Ok(packages) => packages,
            Err(state) => {
                return Err(RunError::Session { details: format!("no packages: {state:?}") });
            }
        };
        packages.retain(|package| !names_in(package, tests).is_empty());
        let left = setup_wall.saturating_sub(watch.elapsed());
        // A failure here shows again in each attempt.
        let _ = self.build(&mut sandbox, &packages, left, &mut watch)?;
        let (project, overlay) = (self.clone(), Overlay::default());
        Ok(GoTrials { project, sandbox, overlay, packages, build_wall: setup_wall })
    }
}

impl Trials for GoTrials {
    fn attempt(
        &mut self,
        files: &[FileWrite],
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError> {
        let mut watch = Stopwatch::start();
        self.overlay.apply(&mut self.sandbox, files)?;
        let wanted: Vec<Package> = self
            .packages
            .iter()
            .filter(|package| !names_in(package, tests).is_empty())
            .cloned()
            .collect();
        let limit = self.build_wall;
        let built = self.project.build(&mut self.sandbox, &wanted, limit, &mut watch)?;
        let binaries = match built {
            Ok(binaries) => binaries,
            Err(state) => return Ok(watch.finish(state, Vec::new())),
        };
        let (state, results) = self.project.run_built(
            &mut self.sandbox,
            &binaries,
            Some(tests),
            Care::Quick,
            wall,
            &mut watch,
        )?;
        Ok(watch.finish(state, results))
    }
}
