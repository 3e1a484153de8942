//! The best few of many.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A neighbour of a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Where its vector is.
    pub slot: u32,
    /// Cosine of the angle between, in full precision.
    pub similarity: f32,
}

/// A score of something with a number; of two that score the same, the lower number is greater.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scored {
    pub(crate) score: f32,
    pub(crate) id: u32,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.id.cmp(&self.id))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scored {}

/// Keeps the greatest `size`.
#[derive(Debug)]
pub(crate) struct Top {
    size: usize,
    heap: BinaryHeap<Reverse<Scored>>,
}

impl Top {
    pub(crate) fn new(size: usize) -> Self {
        // A caller may ask for more than there is.
        Self { size, heap: BinaryHeap::with_capacity(size.min(4096)) }
    }

    pub(crate) fn push(&mut self, new: Scored) {
        if self.heap.len() < self.size {
            self.heap.push(Reverse(new));
        } else if let Some(mut least) = self.heap.peek_mut()
            && new > least.0
        {
            *least = Reverse(new);
        }
    }

    /// The least that is kept, once nothing less gets in.
    pub(crate) fn floor(&self) -> Option<Scored> {
        (self.heap.len() >= self.size).then(|| self.heap.peek().map(|least| least.0)).flatten()
    }

    /// Greatest first.
    pub(crate) fn into_sorted(self) -> Vec<Scored> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(scored)| scored).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_come_first_and_ties_by_number() {
        let mut top = Top::new(3);
        for (id, score) in [(7, 0.5), (3, 0.5), (1, 0.1), (9, 0.9), (2, 0.5)] {
            top.push(Scored { score, id });
        }
        let ids: Vec<_> = top.into_sorted().iter().map(|scored| scored.id).collect();
        assert_eq!(ids, [9, 2, 3]);
    }

    #[test]
    fn of_none_there_is_none() {
        let mut top = Top::new(0);
        top.push(Scored { score: 1.0, id: 0 });
        assert_eq!(top.floor(), None);
        assert!(top.into_sorted().is_empty());
    }
}
