//! Searching a lane, and how it is.

use std::sync::Arc;

use crate::dense::Meaning;
use crate::dense::lane::Lane;
use crate::dense::vectors::GraphStatus;
use crate::record::{Record, parts};
use crate::retrieve::Filter;
use crate::snapshot::Scope;

/// What a search by meaning found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Chunks, best first.
    pub(crate) documents: Vec<u64>,
    /// Chunks in view that have no vector.
    pub(crate) pending: u64,
    /// Why it does not find everything.
    pub(crate) degraded: Option<String>,
}

/// What is said while there is no way to search by meaning.
pub(crate) const NO_MODEL: &str = "no embedding model: found by words and names, not by meaning";

/// Why what was evicted is missing.
const EVICTED: &str = "other indexes needed the room of their vectors";

impl Lane {
    /// The best chunks in a scope that the filter admits (all without it). Embeds the question on the
    /// calling thread.
    pub(crate) fn search(
        &self,
        text: &str,
        scope: &Scope,
        filter: Option<&Filter>,
        k: usize,
    ) -> Found {
        let mut found = self.standing(scope);
        if k == 0 || text.trim().is_empty() {
            return found;
        }
        // What moves while it is searched has moved when it is searched again.
        let mut near = self.nearest(text, scope, filter, k);
        if matches!(near, Ok(None)) {
            near = self.nearest(text, scope, filter, k);
        }
        let why = match near {
            Ok(Some(documents)) => {
                found.documents = documents;
                return found;
            }
            Ok(None) => "vectors are being moved".to_owned(),
            Err(why) => why,
        };
        found.degraded = Some(format!("not found by meaning: {why}"));
        found
    }

    /// Chunks, best first; `None` when vectors moved meanwhile; an error in words.
    fn nearest(
        &self,
        text: &str,
        scope: &Scope,
        filter: Option<&Filter>,
        k: usize,
    ) -> Result<Option<Vec<u64>>, String> {
        let model = self.read().bound.as_ref().map(|bound| bound.model.clone());
        let Some(model) = model else { return Ok(Some(Vec::new())) };
        // This may wait for the model, and much can happen meanwhile.
        let query = self.core().embed_query(&model, text)?;
        let (bound, difference, only) = {
            let state = self.read();
            let Some(bound) = state.bound.clone() else { return Ok(None) };
            if !Arc::ptr_eq(&bound.model, &model) {
                return Ok(None);
            }
            let difference = state.slots.difference(&scope.hidden, &scope.shown);
            let only = filter.map(|filter| state.slots.only(&|record| scope.holds(record), filter));
            (bound, difference, only)
        };
        let near = bound.search(&query, k, &difference, only.as_ref())?;
        let state = self.read();
        if !state.bound.as_ref().is_some_and(|now| now.has_slots_of(&bound)) {
            return Ok(None);
        }
        let is_seen = |document: &u64| {
            let (number, ordinal) = parts(*document);
            let admits =
                |record: &Arc<Record>| filter.is_none_or(|filter| filter.admits(record, ordinal));
            scope.holds(number) && state.slots.record(number).is_some_and(admits)
        };
        let documents = near.iter().flat_map(|near| state.slots.documents(near.slot));
        Ok(Some(documents.filter(is_seen).take(k).collect()))
    }

    /// What is missing in a scope, and why.
    fn standing(&self, scope: &Scope) -> Found {
        let pending = {
            let state = self.read();
            state.slots.difference(&scope.hidden, &scope.shown).missing
        };
        let degraded = self.degraded(pending);
        Found { documents: Vec::new(), pending, degraded }
    }

    /// Live chunks without a vector.
    pub(crate) fn pending(&self) -> u64 {
        self.read().slots.missing()
    }

    /// Why searches by meaning do not find everything, of which so many chunks are missing.
    pub(crate) fn degraded(&self, pending: u64) -> Option<String> {
        match self.core().meaning() {
            Meaning::Off => return Some(NO_MODEL.to_owned()),
            Meaning::Loading => {
                let loading = "the embedding model is being loaded";
                return Some(format!("{loading}: found by words and names, not by meaning"));
            }
            Meaning::Degraded { reason, remedy } => {
                let only = "found by words and names, not by meaning";
                return Some(format!("{only}: {reason} ({remedy})"));
            }
            Meaning::Ready(_) => {}
        }
        let state = self.read();
        if pending == 0 {
            return None;
        }
        let missing = format!("{pending} chunks are not found by meaning yet");
        let (refused, unread) = (state.refused.len(), state.queue.unread());
        let reasons = [
            state.paused.then(|| "embedding is paused".to_owned()),
            state.stuck.clone(),
            state.evicted.then(|| EVICTED.to_owned()),
            (unread > 0)
                .then(|| format!("{unread} files changed at that moment, and are read again")),
            (refused > 0).then(|| format!("the model has no vector for {refused} texts")),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        Some(if reasons.is_empty() { missing } else { missing + ": " + &reasons.join("; ") })
    }

    /// What a person should know: the store, the graph.
    pub(crate) fn notices(&self) -> Vec<String> {
        let (own, damaged) = {
            let state = self.read();
            (state.notice.clone(), state.damaged)
        };
        let damaged =
            (damaged > 0).then(|| format!("{damaged} vectors were damaged and are computed again"));
        self.core().notices().into_iter().chain(own).chain(damaged).collect()
    }

    /// Name and backend of the model, and how its vectors are searched.
    pub(crate) fn described(&self) -> Option<(String, String, GraphStatus)> {
        let state = self.read();
        let bound = state.bound.as_ref()?;
        let identity = bound.model.embedder.identity();
        Some((identity.name.clone(), identity.backend.clone(), bound.graph()))
    }
}
