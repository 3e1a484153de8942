//! What each retriever counts, as data: `weights.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

static DEFAULT: LazyLock<Weights> = LazyLock::new(|| {
    let read = read().expect("the test of this module reads the same file");
    Weights {
        lexical: read.lexical.weight,
        dense: read.dense.weight,
        symbol: read.symbol.weight,
        edge: read.edge.weight,
        depth: read.depth.weight,
    }
});

/// What each retriever counts, none of them below zero. [`Weights::default`] are those of
/// `weights.toml`, which says where they come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Words.
    pub lexical: f64,
    /// Meaning.
    pub dense: f64,
    /// Names of definitions.
    pub symbol: f64,
    /// Factor for each kind of edge between a chunk and the files that the asker works on.
    pub edge: f64,
    /// How much ranks far down still count: a rank counts one part in this and itself.
    pub depth: f64,
}

impl Default for Weights {
    fn default() -> Self {
        *DEFAULT
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    lexical: Weight,
    dense: Weight,
    symbol: Weight,
    edge: Weight,
    depth: Weight,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what only readers of the file and a test need")]
struct Weight {
    weight: f64,
    provenance: Provenance,
    note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Provenance {
    Development,
    Literature,
    Guess,
}

fn read() -> Result<File, toml::de::Error> {
    toml::from_str(include_str!("weights.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_says_where_it_comes_from() {
        let File { lexical, dense, symbol, edge, depth } = read().expect("the file can be read");
        for weight in [lexical, dense, symbol, edge, depth] {
            assert!(weight.weight.is_finite() && weight.weight >= 0.0, "{weight:?}");
            assert!(weight.note.len() > 20, "{weight:?}");
        }
        assert!(Weights::default().edge >= 1.0);
    }
}
