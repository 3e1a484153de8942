//! What became of each candidate, for whoever asks why the right one was not offered: one JSON
//! object per line in the log, when its filter has `greenlit_repair::fate=trace`.

use serde::Serialize;

use crate::Candidate;
use crate::candidate::Edit;

/// One line.
#[derive(Serialize)]
struct Fate<'a> {
    fate: String,
    edits: &'a [Edit],
}

/// Says what became of a candidate. Costs nothing where nobody listens.
pub(super) fn tell(candidate: &Candidate, fate: impl FnOnce() -> String) {
    const TARGET: &str = "greenlit_repair::fate";
    if !tracing::enabled!(target: TARGET, tracing::Level::TRACE) {
        return;
    }
    let line = Fate { fate: fate(), edits: &candidate.edits };
    match serde_json::to_string(&line) {
        Ok(line) => tracing::trace!(target: TARGET, "{line}"),
        Err(error) => tracing::trace!(target: TARGET, %error, "a candidate cannot be written down"),
    }
}
