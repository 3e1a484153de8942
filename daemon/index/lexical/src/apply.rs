//! Changes: held in memory, or stored.

use std::sync::PoisonError;

use tantivy::{Searcher, TantivyError, Term};

use crate::document::Document;
use crate::error::{ApplyError, guarded};
use crate::held::View;
use crate::lexical::{Lexical, Stored};

impl Lexical {
    /// Removes and adds documents as one step: searches see all of it or nothing. A document whose
    /// id is there already takes its place. What was held is stored with it; all of it is on disk
    /// when this returns.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; nothing was changed.
    pub fn apply(&self, removed: &[u64], added: &[Document]) -> Result<(), ApplyError> {
        self.with_stored(|stored| {
            let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let mut view = View::clone(&self.view());
            view.remove(self.fields.id, &changed(removed, added))?;
            let searcher = self.write(stored, &view, added)?;
            self.publish(view.folded(&view, searcher));
            Ok(())
        })
    }

    /// As [`Lexical::apply`], but in memory: it takes milliseconds, whatever the size of the index,
    /// and a process that is killed forgets it. The next [`Lexical::apply`] or [`Lexical::fold`]
    /// stores it; until then it takes memory and slows searches down, so it should be some hundred
    /// documents at most.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; nothing was changed.
    pub fn hold(&self, removed: &[u64], added: Vec<Document>) -> Result<(), ApplyError> {
        let work = || {
            let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let mut view = View::clone(&self.view());
            let held = view.remove(self.fields.id, &changed(removed, &added));
            held.and_then(|()| view.push(&self.fields, added))
                .map_err(|source| ApplyError::Write { source })?;
            self.publish(view);
            Ok(())
        };
        guarded(|reason| ApplyError::Damaged { reason }, work)
    }

    /// Stores what is held. Meanwhile more can be held by another thread, without waiting.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; what was held still is.
    pub fn fold(&self) -> Result<(), ApplyError> {
        let change = |make: &dyn Fn(&View) -> View| {
            let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let view = make(&self.view());
            self.publish(view.clone());
            view
        };
        let stored = self.with_stored(|stored| {
            let before = change(&|now| View { folding: now.layers.len(), ..now.clone() });
            let searcher = self.write(stored, &before, &[])?;
            change(&|now| now.folded(&before, searcher.clone()));
            Ok(())
        });
        if stored.is_err() {
            change(&|now| View { folding: 0, ..now.clone() });
        }
        stored
    }

    /// Works on what is in the directory; an error takes back what was written.
    fn with_stored(
        &self,
        work: impl FnOnce(&mut Stored) -> Result<(), TantivyError>,
    ) -> Result<(), ApplyError> {
        let mut slot = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let result = guarded(
            |reason| ApplyError::Damaged { reason },
            || {
                let stored = slot.as_mut().ok_or(ApplyError::Stopped)?;
                let done = work(stored);
                if done.is_err() {
                    stored.writer.rollback().map_err(|_| ApplyError::Stopped)?;
                }
                done.map_err(|source| ApplyError::Write { source })
            },
        );
        if matches!(result, Err(ApplyError::Damaged { .. } | ApplyError::Stopped)) {
            *slot = None;
        }
        result
    }

    /// Writes what a view has only in memory, and more; gives all that is stored then.
    fn write(
        &self,
        stored: &mut Stored,
        view: &View,
        added: &[Document],
    ) -> Result<Searcher, TantivyError> {
        if view.layers.is_empty() && view.stored.gone.is_empty() && added.is_empty() {
            return Ok(view.stored.searcher.clone());
        }
        for gone in &view.stored.gone {
            stored.writer.delete_term(Term::from_field_u64(self.fields.id, gone));
        }
        let held = view.layers.iter().flat_map(|layer| layer.documents());
        for document in held {
            stored.writer.add_document(self.fields.document(document))?;
        }
        for document in added {
            // One that was added twice is there once.
            stored.writer.delete_term(Term::from_field_u64(self.fields.id, document.id));
            stored.writer.add_document(self.fields.document(document))?;
        }
        stored.writer.commit()?;
        stored.reader.reload()?;
        Ok(stored.reader.searcher())
    }
}

/// Ids that mean nothing or something else from now on.
fn changed(removed: &[u64], added: &[Document]) -> Vec<u64> {
    removed.iter().copied().chain(added.iter().map(|document| document.id)).collect()
}
