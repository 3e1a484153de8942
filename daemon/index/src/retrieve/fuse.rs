//! Several rankings into one.

use std::collections::HashMap;

/// Fuses rankings, each with its weight, by the rank alone: scores of different retrievers cannot
/// be compared. Best first, at most `limit`.
/// `depth` is how much ranks far down still count (reciprocal rank fusion's constant). A ranking
/// that counts nothing brings nothing in.
pub(crate) fn fuse(rankings: &[(f64, &[u64])], depth: f64, limit: usize) -> Vec<(u64, f64)> {
    let mut scores: HashMap<u64, f64> = HashMap::new();
    for (weight, ranking) in rankings.iter().filter(|(weight, _)| *weight > 0.0) {
        for (rank, document) in ranking.iter().enumerate() {
            *scores.entry(*document).or_default() += weight / (depth + rank as f64 + 1.0);
        }
    }
    let mut fused: Vec<(u64, f64)> = scores.into_iter().collect();
    fused.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    fused.truncate(limit);
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_find_comes_first_and_weights_decide_the_rest() {
        let fused = fuse(&[(0.7, &[1, 2, 3]), (0.3, &[4, 2]), (0.0, &[5])], 60.0, 10);
        let order: Vec<u64> = fused.iter().map(|(document, _)| *document).collect();
        assert_eq!(order, [2, 1, 3, 4]);
        assert_eq!(fuse(&[(0.7, &[1, 2, 3])], 60.0, 2).len(), 2);
        assert!(fuse(&[], 60.0, 2).is_empty());
    }
}
