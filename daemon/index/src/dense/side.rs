//! The vectors of one lane by one model, and what is still to be embedded with it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use greenlit_store::Owner;
use roaring::RoaringBitmap;

use crate::dense::Model;
use crate::dense::lane::Lane;
use crate::dense::slots::{Digest, Slots};
use crate::dense::vectors::{Bound, keys};
use crate::record::{Record, RecordId};
use crate::snapshot::Snapshot;

/// One side. A lane has one; while the model is exchanged it has a second one, which follows the index in
/// the same way.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) slots: Slots,
    /// Records with texts that are to be embedded, in this order.
    pub(super) queue: VecDeque<RecordId>,
    /// Texts that the model has no vector for.
    pub(super) refused: HashSet<Digest>,
    pub(super) bound: Option<Bound>,
    /// Why nothing can be added.
    pub(super) stuck: Option<String>,
    /// What the store was told last that is needed.
    pub(super) retained: Option<(Owner, RoaringBitmap)>,
    /// Whether the vectors were checked.
    pub(super) verified: bool,
}

impl Side {
    /// The same chunks, for another model; says if its graph is damaged.
    pub(super) fn of(
        slots: &Slots,
        first: impl Iterator<Item = RecordId>,
        model: &Arc<Model>,
        lane: &Lane,
    ) -> (Self, Option<String>) {
        let (bound, notice) = Bound::new(model.clone(), lane);
        let space = &model.space;
        let slots = slots.looked_up(&|texts| space.lookup(&keys(space, texts)));
        let mut side = Self { slots, bound: Some(bound), ..Self::default() };
        let live: Vec<RecordId> = side.slots.live().iter().collect();
        // What the person works on, then what is newest.
        let mut known = HashSet::new();
        let order: Vec<RecordId> =
            first.chain(live.into_iter().rev()).filter(|number| known.insert(*number)).collect();
        side.enqueue(&order, false);
        side.refresh();
        (side, notice)
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

    pub(super) fn enqueue(&mut self, records: &[RecordId], urgent: bool) {
        if self.bound.is_none() {
            // Whatever is missing is looked up when there is a model.
            return;
        }
        let missing = |number: &&RecordId| !self.slots.missing_of(**number).is_empty();
        let missing: Vec<RecordId> = records.iter().filter(missing).copied().collect();
        if urgent {
            missing.into_iter().rev().for_each(|number| self.queue.push_front(number));
        } else {
            self.queue.extend(missing);
        }
    }

    /// Vectors moved or were lost. What is missing now is embedded again, unless it went because there
    /// is no room: else two indexes would drive each other out for ever.
    pub(super) fn rebind(&mut self, again: bool) {
        let Some(bound) = self.bound.clone() else { return };
        let (before, space) = (self.slots.missing(), &bound.model.space);
        self.slots = self.slots.looked_up(&|texts| space.lookup(&keys(space, texts)));
        if again {
            let live: Vec<RecordId> = self.slots.live().iter().collect();
            let known: HashSet<RecordId> = self.queue.iter().copied().collect();
            let lost: Vec<_> = live.into_iter().filter(|number| !known.contains(number)).collect();
            self.enqueue(&lost, false);
        } else if self.slots.missing() > before {
            self.stuck = Some("other indexes needed the room of their vectors".to_owned());
        }
        self.refresh();
    }

    /// These records come before what else waits, the last one first.
    pub(super) fn prefer(&mut self, records: &[RecordId]) {
        let wanted: HashSet<RecordId> = records.iter().copied().collect();
        let mut waiting: HashSet<RecordId> = HashSet::new();
        self.queue.retain(|number| {
            let is_wanted = wanted.contains(number);
            if is_wanted {
                waiting.insert(*number);
            }
            !is_wanted
        });
        let first = records.iter().filter(|number| waiting.remove(number));
        first.for_each(|number| self.queue.push_front(*number));
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

    /// Tells the store what is needed, if that has changed.
    pub(super) fn retain(&mut self, owner: Owner) {
        let Some(bound) = &self.bound else { return };
        let now = (owner, self.slots.members().clone());
        if self.retained.as_ref() == Some(&now) {
            return;
        }
        match bound.model.space.retain(&now.0, &now.1) {
            Ok(()) => self.retained = Some(now),
            Err(error) => {
                let error = greenlit_workspace::chain(&error);
                tracing::warn!(error, "the store was not told what is needed");
            }
        }
    }

    /// Tells the store that no branch of a repository needs these vectors any more.
    pub(super) fn forget(&self, repository: &str) {
        let Some(bound) = &self.bound else { return };
        let space = &bound.model.space;
        for owner in space.owners().iter().filter(|owner| owner.repository == repository) {
            if let Err(error) = space.forget(owner) {
                let error = greenlit_workspace::chain(&error);
                tracing::warn!(error, "the store was not told what is not needed");
            }
        }
    }
}
