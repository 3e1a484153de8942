//! How natural code is for a repository: token statistics (Hindle et al., "On the naturalness of
//! software", 2012), a trigram model over the project's own files.

use std::collections::HashMap;
use std::sync::Arc;

use similar::{ChangeTag, TextDiff};

/// Weight of the shorter context against what was counted (Dirichlet smoothing).
const SMOOTHING: f64 = 3.0;

/// Token counts of a repository.
#[derive(Debug, Default)]
pub(super) struct Naturalness {
    /// Counts of token sequences of length 1 to 3, by their joined text.
    counts: HashMap<String, f64>,
    /// Counts of contexts of length 0 to 2.
    contexts: HashMap<String, f64>,
    vocabulary: f64,
}

impl Naturalness {
    pub(super) fn of(texts: impl Iterator<Item = Arc<str>>) -> Self {
        let mut model = Self::default();
        for text in texts {
            let tokens = tokens(&text);
            for at in 0..tokens.len() {
                for length in 0..=2.min(at) {
                    let context = tokens[at - length..at].join("\u{0}");
                    let sequence = tokens[at - length..=at].join("\u{0}");
                    *model.contexts.entry(context).or_default() += 1.0;
                    let count = model.counts.entry(sequence).or_default();
                    *count += 1.0;
                    if length == 0 && *count == 1.0 {
                        model.vocabulary += 1.0;
                    }
                }
            }
        }
        model
    }

    /// By how many bits per token the lines of `after` that differ are more natural than those of
    /// `before` that they replace. 0 where lines were only added or only removed.
    pub(super) fn gain(&self, before: &str, after: &str) -> f64 {
        let diff = TextDiff::from_lines(before, after);
        let side = |tag: ChangeTag| {
            let lines = diff.iter_all_changes().filter(move |change| change.tag() == tag);
            self.bits(&lines.map(|change| change.value()).collect::<String>())
        };
        match (side(ChangeTag::Delete), side(ChangeTag::Insert)) {
            (Some(old), Some(new)) => old - new,
            _ => 0.0,
        }
    }

    /// Mean surprise of a text in bits per token.
    fn bits(&self, text: &str) -> Option<f64> {
        let tokens = tokens(text);
        let bits = (0..tokens.len())
            .map(|at| -self.probability(&tokens[at.saturating_sub(2)..=at]).log2());
        (!tokens.is_empty()).then(|| bits.sum::<f64>() / tokens.len() as f64)
    }

    /// Of the last token after the others.
    fn probability(&self, sequence: &[&str]) -> f64 {
        let Some((_, context)) = sequence.split_last() else {
            return 1.0 / (self.vocabulary + 1.0);
        };
        let shorter = match sequence {
            [_] => 1.0 / (self.vocabulary + 1.0),
            [_, rest @ ..] => self.probability(rest),
            [] => unreachable!("a sequence has a last token"),
        };
        let count = self.counts.get(&sequence.join("\u{0}")).copied().unwrap_or(0.0);
        let total = self.contexts.get(&context.join("\u{0}")).copied().unwrap_or(0.0);
        (count + SMOOTHING * shorter) / (total + SMOOTHING)
    }
}

/// Names, numbers and single signs; white space is left out.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if !first.is_whitespace() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_repository_writes_is_more_natural() {
        let text = "for i in range(len(items)):\n    use(items[i])\n".repeat(5);
        let model = Naturalness::of([Arc::from(text)].into_iter());
        let gain = model.gain("for i in range(items):\n", "for i in range(len(items)):\n");
        assert!(gain > 0.0, "{gain}");
        let gain = model.gain("use(items[i])\n", "use(items[i], zero)\n");
        assert!(gain < 0.0, "{gain}");
        assert_eq!(model.gain("a\n", "a\nb\n"), 0.0, "nothing was replaced");
    }

    #[test]
    fn tokens_are_names_numbers_and_signs() {
        assert_eq!(tokens("a_b += 12;\n é"), ["a_b", "+", "=", "12", ";", "é"]);
    }

    #[test]
    fn an_empty_model_prefers_nothing() {
        let model = Naturalness::default();
        assert_eq!(model.gain("x < y\n", "x > y\n"), 0.0);
    }
}
