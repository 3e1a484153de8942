//! How much each thing that is known of a fix counts for its place, as data: `weights.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::provenance::Provenance;

pub(super) static WEIGHTS: LazyLock<Weights> =
    LazyLock::new(|| read().expect("the test of this module reads the same file"));

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Weights {
    /// How much naturalness may change a score, up or down, as a share of it.
    pub(super) naturalness: Weight,
    /// What each doubling of the candidates that behave alike adds to a score.
    pub(super) agreement: Weight,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what only readers of the file and a test need")]
pub(super) struct Weight {
    pub(super) weight: f64,
    provenance: Provenance,
    note: String,
}

fn read() -> Result<Weights, toml::de::Error> {
    toml::from_str(include_str!("weights.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_says_where_it_comes_from() {
        let weights = read().expect("the file can be read");
        for weight in [&weights.naturalness, &weights.agreement] {
            assert!((0.0..1.0).contains(&weight.weight), "{weight:?}");
            assert!(weight.note.len() > 20, "{weight:?}");
        }
    }
}
