//! What is to be embedded next.

use std::collections::{HashSet, VecDeque};

use crate::record::RecordId;

/// Records with texts that have no vector, in the order in which they come.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// What the last comparison of all files found, and before it what was named since.
    recent: VecDeque<RecordId>,
    /// What waited when that comparison began.
    older: VecDeque<RecordId>,
    /// Whose texts were not to be had when it was their turn: they are asked for again later.
    unread: Vec<RecordId>,
}

impl Queue {
    /// A comparison of all files begins: what it finds is newer than what waits.
    pub(super) fn begin(&mut self) {
        let mut found = std::mem::take(&mut self.recent);
        found.append(&mut self.older);
        self.older = found;
    }

    /// Before everything.
    pub(super) fn push_front(&mut self, number: RecordId) {
        self.recent.push_front(number);
    }

    /// Behind what the last comparison found, before what is older.
    pub(super) fn extend(&mut self, numbers: impl IntoIterator<Item = RecordId>) {
        self.recent.extend(numbers);
    }

    /// Behind everything, but for what waits already.
    pub(super) fn push_back(&mut self, numbers: impl IntoIterator<Item = RecordId>) {
        let mut known: HashSet<RecordId> = self.iter().copied().collect();
        self.older.extend(numbers.into_iter().filter(|number| known.insert(*number)));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RecordId> {
        self.recent.iter().chain(&self.older)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.older.is_empty()
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&RecordId) -> bool) {
        self.recent.retain(&mut keep);
        self.older.retain(&mut keep);
    }

    /// Those of these that wait come first, the last one before the others.
    pub(super) fn prefer(&mut self, numbers: &[RecordId]) {
        let mut waiting = HashSet::new();
        let wanted: HashSet<RecordId> = numbers.iter().copied().collect();
        self.retain(|number| {
            let is_wanted = wanted.contains(number);
            if is_wanted {
                waiting.insert(*number);
            }
            !is_wanted
        });
        let first = numbers.iter().filter(|number| waiting.remove(number));
        first.for_each(|number| self.push_front(*number));
    }

    /// Takes records out of the order until [`Queue::take_unread`].
    pub(super) fn put_aside(&mut self, numbers: &[RecordId]) {
        if numbers.is_empty() {
            return;
        }
        let aside: HashSet<RecordId> = numbers.iter().copied().collect();
        self.retain(|number| !aside.contains(number));
        self.unread.extend(aside);
    }

    /// How many were put aside.
    pub(super) fn unread(&self) -> usize {
        self.unread.len()
    }

    pub(super) fn take_unread(&mut self) -> Vec<RecordId> {
        std::mem::take(&mut self.unread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(queue: &Queue) -> Vec<RecordId> {
        queue.iter().copied().collect()
    }

    #[test]
    fn what_a_later_comparison_finds_keeps_its_order_and_comes_before_what_waited() {
        let mut queue = Queue::default();
        queue.begin();
        queue.extend([1, 2]);
        queue.extend([3]);
        queue.begin();
        queue.extend([4, 5]);
        queue.push_front(9);
        queue.extend([6]);
        queue.push_back([2, 7, 7]);
        assert_eq!(order(&queue), [9, 4, 5, 6, 1, 2, 3, 7]);
        queue.begin();
        queue.extend([8]);
        assert_eq!(order(&queue), [8, 9, 4, 5, 6, 1, 2, 3, 7]);
    }

    #[test]
    fn what_was_put_aside_waits_no_more_and_is_not_forgotten() {
        let mut queue = Queue::default();
        queue.extend([1, 2, 3]);
        queue.put_aside(&[2]);
        assert_eq!((order(&queue), queue.unread()), (vec![1, 3], 1));
        queue.retain(|_| false);
        assert!(queue.is_empty());
        assert_eq!((queue.take_unread(), queue.unread()), (vec![2], 0));
    }
}
