//! What a person is told beside the findings.

use greenlit_generate::Record;
use greenlit_protocol::Notice;
use greenlit_repair::{Withheld, WithheldReason};

/// Why a green fix is not offered.
pub(super) fn withheld(fix: &Withheld) -> Notice {
    let summary = &fix.summary;
    let (kind, why) = match fix.reason {
        WithheldReason::WeakTests(strength) => (
            "weak-tests",
            format!(
                "it only makes the code do less, and of {} small changes there the tests miss {}",
                strength.mutants, strength.survived
            ),
        ),
        WithheldReason::LeavesRed { mended, red } => (
            "partial-fix",
            format!(
                "it turns {mended} failing tests green, and {red} that run the same lines stay red"
            ),
        ),
    };
    Notice { kind: kind.into(), message: format!("not offered, though green: {summary}; {why}") }
}

/// What a notice says of a fix with this summary that is not offered.
pub(super) fn why_withheld(notice: &Notice, summary: &str) -> Option<String> {
    let said = notice.message.strip_prefix("not offered, though green: ")?;
    Some(said.strip_prefix(summary)?.strip_prefix("; ")?.to_owned())
}

/// Reasons named of replies that could not be used.
const REASONS: usize = 4;

/// What of a model's replies could not be used.
pub(super) fn unusable(record: &Record) -> Option<Notice> {
    let mut failures: Vec<_> = record.failures().into_iter().collect();
    failures.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let count: usize = failures.iter().map(|(_, count)| count).sum();
    let reasons: Vec<_> =
        failures.iter().take(REASONS).map(|(why, count)| format!("{why} ({count})")).collect();
    let (tier, model, calls) = (&record.tier, &record.model.name, record.attempts.len());
    let message = format!(
        "{tier} ({model}): {count} of {calls} calls brought nothing usable: {}",
        reasons.join("; ")
    );
    (count > 0).then(|| Notice { kind: "model".into(), message })
}
