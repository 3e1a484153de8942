//! Weights compared on the development role. The mean over the kinds of questions of recall@10 and
//! of MRR decides: neither may be bought with the other, and no kind with its number.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use greenlit_index::Weights;

use crate::corpus::Corpus;
use crate::meaning::Searched;
use crate::measure::Scores;

/// Against words, which count one.
const DENSE: [f64; 8] = [0.0, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0];
const SYMBOL: [f64; 4] = [0.0, 0.3, 1.0, 2.0];
const DEPTH: [f64; 3] = [10.0, 30.0, 60.0];
const EDGE: [f64; 6] = [1.0, 1.05, 1.15, 1.3, 1.6, 2.0];
/// Settings that are shown.
const SHOWN: usize = 12;

/// What came of each setting, by kind of question.
#[derive(Default)]
pub(crate) struct Sweep {
    found: Vec<Tried>,
}

/// One setting.
struct Tried {
    weights: Weights,
    /// Whether the asker's files are told.
    near: bool,
    by_kind: BTreeMap<&'static str, Vec<Scores>>,
}

fn settings() -> Vec<(Weights, bool)> {
    let mut settings = Vec::new();
    for dense in DENSE {
        for symbol in SYMBOL {
            for depth in DEPTH {
                let weights = Weights { lexical: 1.0, dense, symbol, edge: 1.0, depth };
                settings.push((weights, false));
            }
        }
    }
    // Edges need a file to be near to; the rest is as it stands.
    settings.extend(EDGE.map(|edge| (Weights { edge, ..Weights::default() }, true)));
    settings
}

impl Sweep {
    pub(crate) fn add(&mut self, corpus: &Corpus, index: &Searched) -> Result<()> {
        if self.found.is_empty() {
            let all = settings().into_iter();
            let by_kind = BTreeMap::new();
            self.found = all
                .map(|(weights, near)| Tried { weights, near, by_kind: by_kind.clone() })
                .collect();
        }
        for question in &corpus.questions {
            for Tried { weights, near, by_kind } in &mut self.found {
                if *near && question.near.is_empty() {
                    continue;
                }
                let hits = index.search(question, *weights, *near)?;
                let scores = Scores::of(&hits, &question.right);
                by_kind.entry(question.kind).or_default().push(scores);
            }
        }
        Ok(())
    }

    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for near in [false, true] {
            let mut ranked: Vec<_> = self
                .found
                .iter()
                .filter(|tried| tried.near == near)
                .map(|Tried { weights, by_kind, .. }| {
                    let means: BTreeMap<_, _> =
                        by_kind.iter().map(|(kind, all)| (*kind, Scores::mean(all))).collect();
                    (mean(means.values()), *weights, means)
                })
                .collect();
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
            let what = if near { "near the test, by edge" } else { "without a file to be near to" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n{what}: mean, then recall@10 and MRR by kind");
            for (mean, weights, means) in ranked.iter().take(SHOWN) {
                let _ = writeln!(text, "{}", line(*mean, weights, means));
            }
            for kind in ranked.first().map(|(.., means)| means.keys()).into_iter().flatten() {
                let of = |means: &BTreeMap<&str, Scores>| means.get(kind).map_or(0.0, value);
                let best = ranked.iter().max_by(|a, b| of(&a.2).total_cmp(&of(&b.2)));
                if let Some((mean, weights, means)) = best {
                    let _ = writeln!(text, "best for {kind}:\n{}", line(*mean, weights, means));
                }
            }
        }
        text
    }
}

fn value(scores: &Scores) -> f64 {
    f64::midpoint(scores.recall_10, scores.mrr)
}

fn mean<'a>(all: impl ExactSizeIterator<Item = &'a Scores>) -> f64 {
    let count = all.len().max(1) as f64;
    all.map(value).sum::<f64>() / count
}

fn line(mean: f64, weights: &Weights, means: &BTreeMap<&str, Scores>) -> String {
    let Weights { lexical, dense, symbol, edge, depth } = weights;
    let mut text = format!(
        "{mean:.4}  words {lexical} meaning {dense} names {symbol} edge {edge} depth {depth}:"
    );
    for (kind, scores) in means {
        let _ = write!(text, "  {kind} {:.3} {:.3}", scores.recall_10, scores.mrr);
    }
    text
}
