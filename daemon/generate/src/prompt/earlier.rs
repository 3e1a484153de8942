//! What was tried before, in a compact form.

use greenlit_repair::Fate;

use super::pieces::quoted;

/// Lines shown of a change.
const LINES: usize = 30;

/// An earlier reply and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// It did not validate.
    Invalid {
        /// Why.
        reason: String,
    },
    /// It was tried.
    Tried {
        /// The change as a unified diff.
        diff: String,
        /// What became of it.
        fate: Fate,
    },
}

impl Earlier {
    /// A few lines; `back` counts from the latest.
    pub(super) fn text(&self, back: usize) -> String {
        match self {
            Self::Invalid { reason } => {
                format!("{back}. A reply could not be used: {reason}.\n")
            }
            Self::Tried { diff, fate } => {
                let changed = |line: &&str| {
                    let head = line.starts_with("--- ") || line.starts_with("+++ ");
                    line.starts_with(['-', '+']) && !head
                };
                let lines: Vec<&str> = diff.lines().filter(changed).take(LINES).collect();
                let mut text = format!("{back}. {}\n{}", words(fate), quoted(&lines.join("\n")));
                if let Fate::Fell { failure: Some(failure), .. } = fate {
                    text.push_str(&quoted(failure));
                }
                text
            }
        }
    }
}

fn words(fate: &Fate) -> &str {
    match fate {
        Fate::Verified => "This works. Look for a smaller change:",
        Fate::Partial => "This mends some of the failing tests, and others stay red:",
        Fate::Fell { reason, .. } => reason,
        Fate::Untried => "This could not be tried in time:",
    }
}
