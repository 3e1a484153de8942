//! Verifies a recorded candidate once more and compares.

use std::collections::BTreeSet;
use std::path::Path;

use greenlit_evidence::Kept;
use greenlit_protocol::{ErrorKind, ProgressStage, RemoteError, ReplayReport};
use greenlit_repair::{Purpose, SandboxVerifier, Verdict, Verifier, apply, baseline};
use greenlit_runner::{Detection, Selection, detect};
use greenlit_workspace::Inputs;

use super::problem::{project_error, remote_error};
use super::reports::{layer_name, millis};
use super::run::{Job, no_runner};
use super::then::patch_of;
use super::{Answer, JobNews};

/// Why a record cannot be replayed.
fn refuse(id: u64, why: &str) -> RemoteError {
    RemoteError::new(ErrorKind::BadRequest, format!("attempt {id} cannot be replayed: {why}"))
}

impl Job<'_> {
    pub(super) fn replay(&self, kept: &Kept, now: &Inputs) -> Result<Answer, RemoteError> {
        let id = kept.entry.id;
        if kept.search.kind == "diagnostics" {
            return Err(refuse(id, "it mends a diagnostic, and only fixes of tests can be"));
        }
        if kept.edits.is_empty() {
            return Err(refuse(id, "no candidate is kept of it"));
        }
        if kept.entry.reason.as_ref().is_some_and(|why| why.starts_with("rejected")) {
            return Err(refuse(id, "it was refused without being run"));
        }
        let title = "Replaying".to_owned();
        (self.news)(JobNews::Progress(ProgressStage::Begin { title }));
        let (view, restored) = self.view_of_then(kept);
        let exact = match restored.is_empty() {
            true => now.digest(),
            false => self.inputs_of(&view)?.digest(),
        };
        let exact = exact.to_hex().as_str() == kept.search.inputs;
        if !exact && kept.files.is_empty() {
            return Err(refuse(id, "files changed since, and their texts of then are not kept"));
        }
        let bench = self.bench_of(&view)?;
        let root = view.root();
        let text_of = |path: &Path| view.read_text(path).ok();
        let files = apply(&patch_of(kept, root), &text_of)
            .map_err(|_| refuse(id, "its files are others by now, and their texts are not kept"))?;
        let Detection { projects, .. } = detect(root, &self.input.environment);
        if projects.is_empty() {
            return Err(no_runner(&[]));
        }
        let selection = Selection::All;
        let baseline = baseline(&bench, &projects, &selection, Purpose::Report)
            .map_err(|error| remote_error(&error))?;
        if baseline.projects.is_empty() {
            let error = baseline.problems.first().map(project_error);
            return Err(error.unwrap_or_else(|| no_runner(&[])));
        }
        let verifier = SandboxVerifier {
            bench: &bench,
            baseline: &baseline,
            selection: &selection,
            inputs_unchanged: &|| self.scan().is_ok_and(|after| after.digest() == now.digest()),
            quick: false,
        };
        let verdict = verifier.verify(&files).map_err(|error| remote_error(&error))?;
        self.check_unchanged(now)?;
        Ok(Answer::Replayed(self.compare(kept, &verdict, exact, restored)))
    }

    fn compare(
        &self,
        kept: &Kept,
        verdict: &Verdict,
        exact: bool,
        restored: Vec<String>,
    ) -> ReplayReport {
        let before = kept.entry.verdict.clone();
        let mut differences = Vec::new();
        let then = kept.evidence.as_ref().map(|report| &report.entry.evidence);
        let after = match verdict {
            Verdict::Fallen(fall) => {
                if before == "verified" || before == "partial" {
                    differences.push(format!("it falls now: {}", fall.label()));
                }
                "fell"
            }
            Verdict::Plausible(plausible) => {
                if before == "fell" || before == "untried" {
                    differences.push("it passes now".to_owned());
                }
                if let Some(then) = then {
                    let old: BTreeSet<&str> =
                        then.red_to_green.iter().map(String::as_str).collect();
                    let new: BTreeSet<&str> =
                        plausible.red_to_green.iter().map(|id| id.0.as_str()).collect();
                    let gone = old.difference(&new).map(|id| format!("{id} does not turn green"));
                    differences.extend(gone);
                    let more = new.difference(&old).map(|id| format!("{id} turns green as well"));
                    differences.extend(more);
                    if then.unchanged != plausible.unchanged {
                        let (old, new) = (then.unchanged, plausible.unchanged);
                        differences.push(format!("{new} other tests are unchanged, then {old}"));
                    }
                    let layer = layer_name(plausible.layer);
                    if then.layer != layer {
                        differences.push(format!("it ran in layer {layer}, then {}", then.layer));
                    }
                }
                "verified"
            }
        };
        // A stronger or weaker sandbox is worth a line; it is no other verdict.
        let agrees = differences.iter().all(|line| line.starts_with("it ran in layer"));
        let asked = kept.call.as_ref().map(|call| {
            format!(
                "the model was not asked again: its reply was sampled (temperature {}), and another \
                 one would prove nothing; the kept reply is what is verified here",
                call.temperature
            )
        });
        ReplayReport {
            id: kept.entry.id,
            root: self.input.view.root().to_owned(),
            exact,
            restored,
            agrees,
            before,
            after: after.to_owned(),
            differences,
            model: asked,
            elapsed_ms: millis(self.started.elapsed()),
        }
    }
}
