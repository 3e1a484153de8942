//! Recall, precision, and the rank of the first right hit.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use crate::corpus::{K, Place, Question};

/// A way to search, with its name.
pub(crate) type Way<'a> = (&'static str, Box<dyn Fn(&Question) -> Result<Vec<Place>> + 'a>);

/// Of one question, or the mean over some.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Scores {
    /// The part of the right places among the first hits.
    pub(crate) recall_1: f64,
    pub(crate) recall_5: f64,
    pub(crate) recall_10: f64,
    /// One over the rank of the first right hit, nothing beyond the tenth.
    pub(crate) mrr: f64,
    /// The part of the first hits that are right: of five, of ten.
    pub(crate) precision_5: f64,
    pub(crate) precision_10: f64,
}

/// One way to search on one kind of question.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) kind: &'static str,
    pub(crate) questions: usize,
    pub(crate) way: &'static str,
    pub(crate) scores: Scores,
    /// Standard error of the recall at ten.
    pub(crate) error: f64,
}

impl Scores {
    pub(crate) fn of(found: &[Place], right: &[Place]) -> Self {
        let is_right = |hit: &&Place| right.iter().any(|place| place.shares_lines(hit));
        let recall = |k: usize| {
            let seen = &found[..found.len().min(k)];
            let covered =
                right.iter().filter(|place| seen.iter().any(|hit| hit.shares_lines(place)));
            covered.count() as f64 / right.len().max(1) as f64
        };
        let precision = |k: usize| found.iter().take(k).filter(is_right).count() as f64 / k as f64;
        let first = found.iter().take(K).position(|hit| is_right(&hit));
        Self {
            recall_1: recall(1),
            recall_5: recall(5),
            recall_10: recall(10),
            mrr: first.map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0)),
            precision_5: precision(5),
            precision_10: precision(10),
        }
    }

    pub(crate) fn mean(all: &[Scores]) -> Self {
        let of = |value: fn(&Scores) -> f64| {
            all.iter().map(value).sum::<f64>() / all.len().max(1) as f64
        };
        Self {
            recall_1: of(|s| s.recall_1),
            recall_5: of(|s| s.recall_5),
            recall_10: of(|s| s.recall_10),
            mrr: of(|s| s.mrr),
            precision_5: of(|s| s.precision_5),
            precision_10: of(|s| s.precision_10),
        }
    }
}

/// Asks every question in every way, kind by kind.
pub(crate) fn rows(questions: &[Question], ways: &[Way<'_>]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for kind in kinds(questions) {
        let asked: Vec<&Question> = questions.iter().filter(|q| q.kind == kind).collect();
        let mut scores = vec![Vec::new(); ways.len()];
        // Question by question: the model reads each once.
        for question in &asked {
            for ((_, way), scores) in ways.iter().zip(&mut scores) {
                scores.push(Scores::of(&way(question)?, &question.right));
            }
        }
        let near = asked.iter().any(|question| !question.near.is_empty());
        for ((name, _), all) in ways.iter().zip(scores) {
            if name.contains("near") && !near {
                continue;
            }
            let mean = Scores::mean(&all);
            let spread = all.iter().map(|s| (s.recall_10 - mean.recall_10).powi(2)).sum::<f64>();
            let error = spread.sqrt() / all.len().max(1) as f64;
            let questions = asked.len();
            rows.push(Row { kind, questions, way: name, scores: mean, error });
        }
    }
    Ok(rows)
}

/// Kinds of questions, each once.
pub(crate) fn kinds(questions: &[Question]) -> Vec<&'static str> {
    let mut kinds: Vec<&'static str> = questions.iter().map(|question| question.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut last = "";
    for Row { kind, questions, way, scores, error } in rows {
        if *kind != last {
            let head = "recall@1     @5    @10   (±)     MRR   prec@5    @10";
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:26}{head}", format!("{kind} ({questions})"));
            last = kind;
        }
        let Scores { recall_1, recall_5, recall_10, mrr, precision_5, precision_10 } = scores;
        let _ = writeln!(
            text,
            "  {way:24}   {recall_1:.3}  {recall_5:.3}  {recall_10:.3}  {error:.3}  {mrr:.3}    \
             {precision_5:.3}  {precision_10:.3}"
        );
    }
    text
}
