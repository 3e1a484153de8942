//! The vectors of one lane by one model, and what is still to be embedded with it.

use std::collections::HashSet;
use std::sync::Arc;

use greenlit_store::Owner;
use greenlit_workspace::chain;
use roaring::RoaringBitmap;

use crate::dense::Model;
use crate::dense::queue::Queue;
use crate::dense::slots::{Digest, Slots};
use crate::dense::vectors::{Bound, keys};
use crate::record::{Record, RecordId};
use crate::snapshot::Snapshot;

/// Why what was evicted is missing.
const EVICTED: &str = "other indexes needed the room of their vectors";

/// One side. A lane has one; while the model is exchanged it has a second one, which follows the index in
/// the same way.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) slots: Slots,
    pub(super) queue: Queue,
    /// Texts that the model has no vector for.
    pub(super) refused: HashSet<Digest>,
    pub(super) bound: Option<Bound>,
    /// Why nothing can be added.
    pub(super) stuck: Option<String>,
    /// Whether vectors went because other indexes needed their room. They are not embedded again of
    /// themselves: else two indexes would drive each other out for ever.
    pub(super) evicted: bool,
    /// What the store was told last that is needed.
    pub(super) retained: Option<(Owner, RoaringBitmap)>,
    /// Slots whose vectors were checked.
    pub(super) verified: RoaringBitmap,
}

impl Side {
    /// The same chunks, for another model. What waits for the first model keeps its order.
    pub(super) fn of(before: &mut Self, first: Vec<RecordId>, bound: Bound) -> Self {
        let space = &bound.model.space;
        let slots = before.slots.looked_up(&|texts| space.lookup(&keys(space, texts)));
        let queue = match before.bound {
            None => std::mem::take(&mut before.queue),
            Some(_) => Queue::default(),
        };
        let mut side = Self { slots, queue, bound: Some(bound), ..Self::default() };
        let Self { queue, slots, .. } = &mut side;
        queue.retain(|number| !slots.missing_of(*number).is_empty());
        side.enqueue_missing(first);
        side.refresh();
        side
    }

    /// Without anything, for an index that begins anew.
    pub(super) fn emptied(self) -> Self {
        let mut side = Self { bound: self.bound, ..Self::default() };
        side.refresh();
        side
    }

    pub(super) fn serves(&self, model: &Arc<Model>) -> bool {
        self.bound.as_ref().is_some_and(|bound| Arc::ptr_eq(&bound.model, model))
    }

    /// Whether the vectors of both are the same.
    pub(super) fn has_space_of(&self, other: &Self) -> bool {
        let space = |side: &Self| side.bound.as_ref().map(|bound| bound.model.space.id().clone());
        space(self) == space(other)
    }

    /// Whether everything is embedded that can be.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && !self.evicted
    }

    /// Why something is missing, other than that it waits for its turn.
    pub(super) fn reasons(&self) -> Vec<String> {
        let (refused, unread) = (self.refused.len(), self.queue.unread());
        let reasons = [
            self.stuck.clone(),
            self.evicted.then(|| EVICTED.to_owned()),
            (unread > 0)
                .then(|| format!("{unread} files changed at that moment, and are read again")),
            (refused > 0).then(|| format!("the model has no vector for {refused} texts")),
        ];
        reasons.into_iter().flatten().collect()
    }

    /// Follows the index in what changed.
    pub(super) fn follow(
        &mut self,
        snapshot: &Snapshot,
        changed: &RoaringBitmap,
        is_shown: impl Fn(RecordId) -> bool,
        urgent: bool,
    ) {
        let mut new = Vec::new();
        for number in changed {
            match snapshot.records.get(number).filter(|_| snapshot.live.contains(number)) {
                Some(record) => {
                    self.track(number, record);
                    self.slots.set_live(number, true);
                    new.push(number);
                }
                None => {
                    self.slots.set_live(number, false);
                    if !is_shown(number) {
                        self.slots.untrack(number);
                    }
                }
            }
        }
        if self.bound.is_none() {
            // Nobody else takes out what is gone.
            let Self { queue, slots, .. } = self;
            queue.retain(|number| slots.record(*number).is_some());
        }
        self.enqueue(&new, urgent);
        self.stuck = None;
        self.refresh();
    }

    pub(super) fn track(&mut self, number: RecordId, record: &Arc<Record>) {
        match &self.bound {
            Some(bound) => {
                let space = &bound.model.space;
                let lookup = |texts: &[Digest]| space.lookup(&keys(space, texts));
                self.slots.track(number, record, &lookup);
            }
            None => self.slots.track(number, record, &|texts| vec![None; texts.len()]),
        }
    }

    /// The texts of a record that are to be embedded.
    pub(super) fn wanted_of(&self, number: RecordId) -> Vec<Digest> {
        let mut wanted = self.slots.missing_of(number);
        wanted.retain(|text| !self.refused.contains(text));
        wanted
    }

    pub(super) fn enqueue(&mut self, records: &[RecordId], urgent: bool) {
        let missing = |number: &&RecordId| !self.wanted_of(**number).is_empty();
        let missing: Vec<RecordId> = records.iter().filter(missing).copied().collect();
        if urgent {
            missing.into_iter().rev().for_each(|number| self.queue.push_front(number));
        } else {
            self.queue.extend(missing);
        }
    }

    /// Behind everything that waits: these, then what lives.
    fn enqueue_missing(&mut self, first: Vec<RecordId>) {
        let live: Vec<RecordId> = self.slots.live().iter().collect();
        let Self { queue, slots, .. } = self;
        // What is newest has the largest number.
        let missing = first.into_iter().chain(live.into_iter().rev());
        queue.push_back(missing.filter(|number| !slots.missing_of(*number).is_empty()));
    }

    /// Asks again for texts that were not to be had.
    pub(super) fn retry(&mut self) {
        let unread = self.queue.take_unread();
        let Self { queue, slots, .. } = self;
        // Nothing is missing of what nobody sees any more.
        let missing = unread.into_iter();
        queue.push_back(missing.filter(|number| !slots.missing_of(*number).is_empty()));
    }

    /// There may be room again for what was evicted.
    pub(super) fn readmit(&mut self) {
        self.stuck = None;
        if std::mem::take(&mut self.evicted) {
            self.enqueue_missing(Vec::new());
        }
    }

    /// Vectors moved or were lost. What is missing now is embedded again, unless it went because there
    /// is no room; says whether that is so.
    pub(super) fn rebind(&mut self, again: bool) -> bool {
        let Some(bound) = self.bound.clone() else { return false };
        let (before, space) = (self.slots.missing(), &bound.model.space);
        self.slots = self.slots.looked_up(&|texts| space.lookup(&keys(space, texts)));
        let is_evicted = !again && self.slots.missing() > before;
        if again {
            self.enqueue_missing(Vec::new());
        } else if is_evicted {
            self.evicted = true;
            // What waits would drive out the others in turn.
            self.queue = Queue::default();
        }
        bound.measure_again();
        self.refresh();
        is_evicted
    }

    /// These records are done, unless their numbers mean other records by now.
    pub(super) fn drop_queued(&mut self, done: &[(RecordId, Option<Arc<Record>>)]) {
        let done: HashSet<RecordId> = done
            .iter()
            .filter(|(number, record)| {
                let now = self.slots.record(*number);
                now.map(Arc::as_ptr) == record.as_ref().map(Arc::as_ptr)
            })
            .map(|(number, _)| *number)
            .collect();
        self.queue.retain(|number| !done.contains(number));
    }

    /// Shows readers what lives now.
    pub(super) fn refresh(&mut self) {
        if let Some(bound) = &mut self.bound {
            bound.refresh(self.slots.members());
        }
    }

    /// Tells the store that no branch of a repository needs these vectors any more.
    pub(super) fn forget(&self, repository: &str) {
        let Some(bound) = &self.bound else { return };
        let space = &bound.model.space;
        for owner in space.owners().iter().filter(|owner| owner.repository == repository) {
            if let Err(error) = space.forget(owner) {
                tracing::warn!(error = chain(&error), "the store was not told what is not needed");
            }
        }
    }
}
