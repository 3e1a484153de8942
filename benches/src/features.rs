//! What is known of an offered fix besides whether it is right: what an order can be made of.

use greenlit_protocol::FixEntry;
use serde::{Deserialize, Serialize};

/// One offered fix, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Tests that it turns green.
    pub mends: usize,
    /// The generator's score.
    pub score: f64,
    /// Bits per token by which it is more natural; 0 where not known.
    pub naturalness: f64,
    /// Tokens taken out.
    pub removed: u32,
    /// Tokens put in.
    pub added: u32,
    /// Whether it only makes the code do less.
    #[serde(default)]
    pub shortcut: bool,
    /// Green candidates that behave alike; 0 where not compared.
    pub alike: u32,
    /// Different behaviours of green candidates.
    pub behaviours: u32,
    /// Inputs compared.
    pub inputs: u32,
    /// Mutants of the fixed function that were run, of the first fix only.
    pub mutants: u32,
    /// Those that no test noticed.
    pub survived: u32,
}

impl Features {
    /// Of a fix in a report.
    pub fn of(fix: &FixEntry) -> Self {
        let evidence = &fix.evidence;
        let mut features = Self { mends: fix.tests.len(), ..Self::default() };
        if let Some(merit) = evidence.merit {
            features.score = merit.score;
            features.naturalness = merit.naturalness.unwrap_or_default();
            (features.removed, features.added) = (merit.removed, merit.added);
            features.shortcut = merit.shortcut;
        }
        if let Some(agreement) = evidence.agreement {
            features.alike = agreement.alike;
            features.behaviours = agreement.behaviours;
            features.inputs = agreement.inputs;
        }
        if let Some(strength) = evidence.test_strength {
            (features.mutants, features.survived) = (strength.mutants, strength.survived);
        }
        features
    }
}
