//! What editors show: one finding per failing test, with the fixes that mend it.

use std::path::{Path, PathBuf};

use greenlit_protocol::{Finding, FindingKind, OfferedFix, Related};
use greenlit_repair::{
    Baseline, BaselineOutcome, Localization, ProjectProblem, Retrieved, VerifiedFix,
};
use greenlit_runner::{Failure, FailureKind, RunState, TestId};
use greenlit_workspace::View;

use super::Work;
use super::earlier::Origins;
use super::reports::{self, short_name};

/// Suspicious lines shown with a finding.
const RELATED: usize = 5;

/// Findings for everything that a baseline run saw.
pub(crate) fn findings(
    view: &View,
    baseline: &Baseline,
    localization: Option<&Localization>,
    fixes: &[OfferedFix],
) -> Vec<Finding> {
    let tests = baseline.tests.iter().filter_map(|(id, outcome)| match outcome {
        BaselineOutcome::Failed(failure) => Some(failing(view, id, failure, localization, fixes)),
        BaselineOutcome::Flaky => Some(flaky(view, id)),
        BaselineOutcome::Passed | BaselineOutcome::Skipped => None,
    });
    tests.chain(baseline.problems.iter().flat_map(|problem| build_errors(view, problem))).collect()
}

fn failing(
    view: &View,
    id: &TestId,
    failure: &Failure,
    localization: Option<&Localization>,
    fixes: &[OfferedFix],
) -> Finding {
    let (path, line) = match failure.site.as_ref().or(failure.trace.last()) {
        Some(frame) => (frame.path.clone(), frame.line),
        None => (file_of(view, id), 1),
    };
    let suspicious = localization.into_iter().flat_map(|found| &found.lines).take(RELATED);
    let related = suspicious.map(|suspect| Related {
        path: suspect.path.clone(),
        line: suspect.line,
        message: format!("suspicious ({:.2})", suspect.score),
    });
    let name = short_name(&id.0);
    let (kind, message) = match failure.kind {
        FailureKind::Timeout => (FindingKind::HangingTest, format!("{name} {}", failure.message)),
        FailureKind::Assertion | FailureKind::Error => {
            (FindingKind::FailingTest, format!("{name} failed: {}", failure.message))
        }
    };
    Finding {
        kind,
        test: Some(id.0.clone()),
        content_hash: hash(view, &path),
        path,
        line,
        message,
        related: related.collect(),
        fixes: fixes.iter().filter(|fix| fix.entry.tests.contains(&id.0)).cloned().collect(),
    }
}

fn flaky(view: &View, id: &TestId) -> Finding {
    let path = file_of(view, id);
    Finding {
        kind: FindingKind::FlakyTest,
        test: Some(id.0.clone()),
        content_hash: hash(view, &path),
        path,
        line: 1,
        message: format!("{} is flaky: it failed, and passed when run again", short_name(&id.0)),
        related: Vec::new(),
        fixes: Vec::new(),
    }
}

fn build_errors(view: &View, problem: &ProjectProblem) -> Vec<Finding> {
    let RunState::BuildFailed { diagnostics, .. } = &problem.state else { return Vec::new() };
    let finding = |diagnostic: &greenlit_runner::Diagnostic| Finding {
        kind: FindingKind::BuildError,
        test: None,
        path: diagnostic.path.clone(),
        line: diagnostic.line,
        content_hash: hash(view, &diagnostic.path),
        message: format!("tests cannot run: {}", diagnostic.message),
        related: Vec::new(),
        fixes: Vec::new(),
    };
    diagnostics.iter().map(finding).collect()
}

/// The file that a test id names, or the project's own description.
fn file_of(view: &View, id: &TestId) -> PathBuf {
    let root = view.root();
    let named = id.0.split("::").next().map(|file| root.join(file));
    let manifests =
        ["Cargo.toml", "pyproject.toml", "package.json", "go.mod"].map(|name| root.join(name));
    let mut known = named.into_iter().chain(manifests);
    known.find(|path| path.is_file()).unwrap_or_else(|| root.to_owned())
}

fn hash(view: &View, path: &Path) -> String {
    view.hash(path).map(|hash| hash.to_hex().to_string()).unwrap_or_default()
}

/// The fixes with their handles, best first.
pub(super) fn offered(
    origins: Origins<'_>,
    baseline: &Baseline,
    fixes: &[VerifiedFix],
    retrieved: Option<&Retrieved>,
) -> Vec<OfferedFix> {
    let input = origins.input;
    let retrieved = reports::retrieval(input.view.root(), retrieved);
    let restricted = matches!(&input.work, Work::Fix { visible, .. } if !visible.is_empty());
    let scope = if restricted { "affected" } else { "all" };
    let offer = |(index, fix): (usize, &VerifiedFix)| {
        let mut entry = reports::fix_entry(&input.view, baseline, fix, index + 1, scope);
        entry.evidence.retrieved = Some(retrieved.clone());
        entry.evidence.rebased = origins.before(fix).is_some_and(|before| before.moved);
        entry.evidence.generation = origins.generation(fix);
        reports::mark_used(&input.view, &mut entry);
        reports::offered(entry, &fix.candidate.summary)
    };
    fixes.iter().enumerate().map(offer).collect()
}
