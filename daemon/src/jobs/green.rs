//! The state on which tests passed last, to tell what broke them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use greenlit_repair::{Baseline, BaselineOutcome, Changes, Subject};
use greenlit_runner::{Project, TestId};
use greenlit_workspace::Inputs;

/// Text kept of one state. Beyond it, what a change was is not known, only that there was one.
const MOST_BYTES: usize = 16 << 20;

/// A state and the tests that passed on it.
#[derive(Debug, Clone)]
pub(crate) struct Green {
    inputs: Inputs,
    passed: BTreeSet<TestId>,
    /// Source files by absolute path; as many as [`MOST_BYTES`] hold.
    texts: BTreeMap<PathBuf, Arc<str>>,
}

impl Green {
    /// The state that later ones are to be compared with: this one, unless a test fails that passed on
    /// `before`. `None` keeps `before`. Every test must have run.
    pub(super) fn after(
        before: Option<&Self>,
        baseline: &Baseline,
        projects: &[Project],
        inputs: &Inputs,
        subject: &Subject,
    ) -> Option<Self> {
        let broken = |id: &TestId| before.is_some_and(|before: &Self| before.passed.contains(id));
        if baseline.failing().any(|(id, _)| broken(id)) {
            return None;
        }
        let passed = baseline.tests.iter().filter(|(_, end)| **end == BaselineOutcome::Passed);
        let mut texts = BTreeMap::new();
        let mut left = MOST_BYTES;
        for path in sources(projects, inputs, subject) {
            let known =
                before.filter(|before| before.inputs.hash_of(&path) == inputs.hash_of(&path));
            let known = known.and_then(|before| before.texts.get(&path).cloned());
            let Some(text) = known.or_else(|| subject.text(&path)) else { continue };
            if let Some(rest) = left.checked_sub(text.len()) {
                left = rest;
                texts.insert(path, text);
            }
        }
        let passed = passed.map(|(id, _)| id.clone()).collect();
        Some(Self { inputs: inputs.clone(), passed, texts })
    }

    /// What is different on `now`.
    pub(super) fn since(&self, projects: &[Project], now: &Inputs, subject: &Subject) -> Changes {
        let changed: BTreeSet<PathBuf> = now.changed(&self.inputs).into_iter().collect();
        let before = sources(projects, now, subject)
            .filter(|path| changed.contains(path))
            .map(|path| {
                let text = self.texts.get(&path).cloned();
                (path, text.unwrap_or_else(|| "".into()))
            })
            .collect();
        Changes::since(self.passed.clone(), &before, subject)
    }
}

/// Source files of the projects that are no tests.
fn sources<'a>(
    projects: &'a [Project],
    inputs: &'a Inputs,
    subject: &'a Subject,
) -> impl Iterator<Item = PathBuf> + 'a {
    let is_source = |path: &PathBuf| {
        projects.iter().any(|of| of.is_source_file(path) && !of.is_test_file(path))
    };
    inputs.paths().map(|path| subject.root.join(path)).filter(is_source)
}
