//! Fixes that are green and still not offered: shortcuts past tests that would not notice.
//!
//! A shortcut ([`Change::shortcut`](super::Change)) mends by doing less. Where the tests notice most
//! mutants of the function, they would have noticed what it no longer does; where most survive, that
//! it is green says next to nothing.

use super::{Strength, changed_function};
use crate::search::VerifiedFix;

/// Mutants below which the share of survivors says nothing.
const ENOUGH: u32 = 6;

/// A verified fix that is not offered.
#[derive(Debug, Clone, PartialEq)]
pub struct Withheld {
    /// What it does, in a few words.
    pub summary: String,
    /// Why not.
    pub reason: Reason,
}

/// Why a fix that turns tests green is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It makes the code do less, and this is what the tests notice of small changes there.
    WeakTests(Strength),
    /// Failing tests that run what it changes stay red.
    LeavesRed {
        /// Tests that it turns green.
        mended: usize,
        /// Tests that stay red.
        red: usize,
    },
}

impl Strength {
    /// Whether most mutants of a telling sample survive.
    pub fn is_weak(self) -> bool {
        self.mutants >= ENOUGH && self.survived * 2 > self.mutants
    }
}

/// Takes the shortcuts in the function of the first fix out of `fixes`, where the tests around it are
/// weak: its standing says how strong they are. A fix that mends more than one function stays.
pub(crate) fn withhold(fixes: &mut Vec<VerifiedFix>) -> Vec<Withheld> {
    let Some(best) = fixes.first() else { return Vec::new() };
    let Some(strength) = best.standing.strength.filter(|strength| strength.is_weak()) else {
        return Vec::new();
    };
    let place = |fix: &VerifiedFix| match &*fix.files {
        [file] => Some((file.path.clone(), changed_function(file)?)),
        _ => None,
    };
    let function = place(best);
    let mut withheld = Vec::new();
    fixes.retain(|fix| {
        let keep = !fix.standing.change.shortcut || place(fix) != function || function.is_none();
        if !keep {
            let summary = fix.candidate.summary.clone();
            withheld.push(Withheld { summary, reason: Reason::WeakTests(strength) });
        }
        keep
    });
    withheld
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use greenlit_sandbox::Layer;

    use super::*;
    use crate::candidate::{Candidate, Source};
    use crate::patch::PatchedFile;
    use crate::ranking::{Change, Standing};
    use crate::verify::Plausible;

    const TEXT: &str = "def f(a):\n    g(a)\n    return a + 1\n\ndef h(a):\n    return a + 2\n";

    pub(in crate::ranking) fn fix(
        from: &str,
        to: &str,
        strength: Option<(u32, u32)>,
    ) -> VerifiedFix {
        let after = TEXT.replacen(from, to, 1);
        let files = vec![PatchedFile { path: "/w/a.py".into(), before: TEXT.into(), after }];
        let standing = Standing {
            change: Change::of(&files),
            strength: strength.map(|(mutants, survived)| Strength { mutants, survived }),
            ..Standing::default()
        };
        VerifiedFix {
            files,
            candidate: Candidate {
                edits: Vec::new(),
                source: Source { tier: "template".into(), rule: "test".into(), adapter: None },
                summary: format!("{from} -> {to}"),
                score: 1.0,
            },
            plausible: Plausible {
                red_to_green: BTreeSet::new(),
                unchanged: 0,
                runs: 2,
                layer: Layer::Namespaces,
                wall: Duration::ZERO,
                cpu: Duration::ZERO,
            },
            standing,
        }
    }

    fn left(mut fixes: Vec<VerifiedFix>) -> (Vec<String>, usize) {
        let withheld = withhold(&mut fixes).len();
        (fixes.into_iter().map(|fix| fix.candidate.summary).collect(), withheld)
    }

    #[test]
    fn shortcuts_past_weak_tests_are_withheld_and_others_stay() {
        let with = |strength| {
            left(vec![
                fix("    g(a)\n", "", strength),
                fix("a + 1", "a - 1", None),
                fix("a + 1", "a", None),
                fix("a + 2", "a", None),
            ])
        };
        let (kept, withheld) = with(Some((12, 7)));
        assert_eq!(kept, ["a + 1 -> a - 1", "a + 2 -> a"], "another function was not looked at");
        assert_eq!(withheld, 2);
        assert_eq!(with(Some((12, 6))).1, 0, "half of them were noticed");
        assert_eq!(with(Some((5, 5))).1, 0, "too few to say anything");
        assert_eq!(with(None).1, 0, "nothing is known");
    }
}
