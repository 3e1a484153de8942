//! What a job sets up before it runs anything: which tests, how much at once, in what sandboxes.

use std::path::Path;
use std::time::Duration;

use greenlit_protocol::{ErrorKind, RemoteError};
use greenlit_repair::{PathPatterns, SandboxSettings, Subject, Walls, Workbench};
use greenlit_runner::{Selection, TestId};
use greenlit_sandbox::Helper;
use greenlit_workspace::chain;

use super::Work;
use super::run::Job;
use super::walls::{isolation, limits};

/// Paths that a configuration names. It was checked when it was loaded: what is no pattern after all names
/// everything.
pub(super) fn patterns(root: &Path, patterns: &[String]) -> PathPatterns {
    PathPatterns::new(root, patterns).unwrap_or_else(|error| {
        tracing::warn!(error = chain(&error), "a pattern stands for every path");
        PathPatterns::everything(root)
    })
}

impl Job<'_> {
    pub(super) fn selection(&self) -> Selection {
        let ids = match &self.input.work {
            Work::Test { tests } => tests,
            Work::Fix { visible, .. } => visible,
            Work::Diagnose { .. } | Work::Replay(_) | Work::Faults { .. } => &Vec::new(),
        };
        if ids.is_empty() {
            Selection::All
        } else {
            Selection::Only(ids.iter().cloned().map(TestId).collect())
        }
    }

    /// All cores for somebody who waits, the configured share for background work.
    pub(super) fn jobs(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match self.input.config.fix.jobs as usize {
            0 if self.input.waited_for => cores,
            0 => (cores / 2).max(1),
            jobs => jobs,
        }
    }

    pub(super) fn workbench(&self) -> Result<Workbench, RemoteError> {
        let helper = Helper::locate().map_err(|error| {
            RemoteError::new(ErrorKind::SandboxUnavailable, chain(&error))
                .hint("reinstall Greenlit: `greenlit-sandbox` belongs next to `greenlitd`")
        })?;
        let config = &self.input.config;
        let root = self.input.view.root();
        let overlays = self.input.view.overlays();
        Ok(Workbench {
            subject: Subject {
                root: root.to_owned(),
                overlays: overlays
                    .map(|(path, overlay)| (path.to_owned(), overlay.text.clone()))
                    .collect(),
                protected: patterns(root, &config.paths.never),
            },
            sandbox: SandboxSettings {
                helper,
                isolation: isolation(config.sandbox.layer),
                limits: limits(&config.sandbox),
                readable: config.sandbox.readable.iter().map(|path| root.join(path)).collect(),
                store: self.input.store.clone(),
            },
            walls: Walls {
                build: Duration::from_secs(config.run.build_timeout_secs),
                tests: Duration::from_secs(config.run.timeout_secs),
                per_test: Duration::from_secs(config.run.test_timeout_secs.max(1)),
            },
            cancel: self.input.cancel.clone(),
        })
    }
}
