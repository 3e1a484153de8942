//! What probing has in common for all runners: one outcome per input and variant, and which of
//! them can be compared.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::project::Probes;

/// Inputs, and bytes of each as text, that are taken from a recording.
pub(crate) const INPUTS: usize = 60;
pub(crate) const INPUT_BYTES: usize = 16 << 10;

/// How often a variant that ends its process, or cannot be interrupted, is started again behind
/// the input that did it.
pub(crate) const RESTARTS: usize = 3;

/// What is left of a limit when there is no point in another start.
pub(crate) const SHORTEST: Duration = Duration::from_millis(50);

/// Bytes of an outcome: its kind and a digest.
const OUTCOME_BYTES: usize = 40;

/// The outcomes of one variant by input. Whoever reports them may lie: they are bounded.
#[derive(Debug)]
pub(crate) struct Outcomes {
    of: Vec<Option<String>>,
    /// Inputs whose outcome differs from call to call.
    unstable: BTreeSet<usize>,
}

impl Outcomes {
    pub(crate) fn new(inputs: usize) -> Self {
        Self { of: vec![None; inputs], unstable: BTreeSet::new() }
    }

    /// The first input without an outcome.
    pub(crate) fn next(&self) -> Option<usize> {
        self.of.iter().position(Option::is_none)
    }

    pub(crate) fn note(&mut self, index: usize, outcome: String, stable: bool) {
        let Some(slot) = self.of.get_mut(index) else { return };
        if outcome.len() > OUTCOME_BYTES || !outcome.is_ascii() {
            return;
        }
        *slot = Some(outcome);
        if !stable {
            self.unstable.insert(index);
        }
    }

    /// The process ended at the next input, by itself or at its limit.
    pub(crate) fn ended(&mut self, timed_out: bool) {
        if let Some(fatal) = self.next() {
            let how = if timed_out { "timeout" } else { "ends the process" };
            self.of[fatal] = Some(how.to_owned());
        }
    }

    /// `None` when an input has no outcome.
    pub(crate) fn complete(self) -> Option<Self> {
        self.of.iter().all(Option::is_some).then_some(self)
    }
}

/// The outcomes of all variants on those of `inputs` inputs whose outcome is never chance; `None`
/// when no variant could be run.
pub(crate) fn compared(inputs: usize, variants: Vec<Option<Outcomes>>) -> Option<Probes> {
    if variants.iter().all(Option::is_none) {
        return None;
    }
    let unstable: BTreeSet<usize> =
        variants.iter().flatten().flat_map(|outcomes| outcomes.unstable.clone()).collect();
    let stable = |of: Outcomes| -> Vec<String> {
        let known = of.of.into_iter().enumerate();
        known.filter(|(index, _)| !unstable.contains(index)).filter_map(|(_, o)| o).collect()
    };
    let outcomes = variants.into_iter().map(|of| of.map(stable)).collect();
    let inputs = u32::try_from(inputs - unstable.len()).unwrap_or(u32::MAX);
    Some(Probes { inputs, outcomes })
}

/// What is left until `end`.
pub(crate) fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_are_bounded_and_chance_is_left_out_for_all() {
        let mut one = Outcomes::new(3);
        one.note(0, "returns a".into(), true);
        one.note(9, "returns b".into(), true);
        one.note(1, "x".repeat(100), true);
        assert_eq!(one.next(), Some(1));
        one.note(1, "returns c".into(), false);
        one.ended(false);
        let mut two = Outcomes::new(3);
        for index in 0..3 {
            two.note(index, format!("returns {index}"), true);
        }
        let open = Outcomes::new(3);
        let variants = vec![one.complete(), two.complete(), open.complete()];
        let probes = compared(3, variants).unwrap();
        assert_eq!(probes.inputs, 2);
        let outcomes = |variant: usize| probes.outcomes[variant].as_deref();
        assert_eq!(outcomes(0), Some(&["returns a".to_owned(), "ends the process".to_owned()][..]));
        assert_eq!(outcomes(1), Some(&["returns 0".to_owned(), "returns 2".to_owned()][..]));
        assert_eq!(outcomes(2), None);
        assert_eq!(compared(3, vec![None, None]), None);
    }
}
