//! Attempts with node: one process for each test file, without the runner's process around it.

use std::time::Duration;

use greenlit_sandbox::{FileWrite, Sandbox};

use crate::error::RunError;
use crate::node::{Isolation, NodeProject};
use crate::outcome::Stopwatch;
use crate::overlay::Overlay;
use crate::project::Trials;
use crate::types::{RunState, TestId, TestRun};

/// node starts afresh for each attempt; what is kept is the sandbox.
pub(crate) struct NodeTrials {
    project: NodeProject,
    sandbox: Sandbox,
    overlay: Overlay,
}

impl NodeProject {
    pub(crate) fn trials(&self, sandbox: Sandbox) -> NodeTrials {
        NodeTrials { project: self.clone(), sandbox, overlay: Overlay::default() }
    }
}

impl Trials for NodeTrials {
    fn attempt(
        &mut self,
        files: &[FileWrite],
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError> {
        let mut watch = Stopwatch::start();
        self.overlay.apply(&mut self.sandbox, files)?;
        let mut results = Vec::new();
        let mut state = RunState::NoTests;
        for file in self.project.files_of(tests) {
            let Some(left) = wall.checked_sub(watch.elapsed()) else {
                return Ok(watch.finish(RunState::Hung { running: Vec::new() }, results));
            };
            let (outcome, mut events) =
                self.project.execute(&mut self.sandbox, Isolation::None, &[file], left)?;
            watch.add(&outcome);
            let of_file = self.project.state(&outcome, &mut events);
            events.results.retain(|result| tests.contains(&result.id));
            results.append(&mut events.results);
            match of_file {
                RunState::NoTests => {}
                RunState::Completed => state = RunState::Completed,
                broken => return Ok(watch.finish(broken, results)),
            }
        }
        Ok(watch.finish(state, results))
    }
}
