//! What a person is told beside the findings.

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
