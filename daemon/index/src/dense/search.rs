//! Searching a lane, and how it is.

use std::sync::Arc;

use crate::dense::Meaning;
use crate::dense::lane::{Lane, State};
use crate::dense::side::Side;
use crate::dense::vectors::GraphStatus;
use crate::record::{Record, parts};
use crate::retrieve::Filter;
use crate::snapshot::Scope;

/// What a search by meaning found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Chunks, best first.
    pub(crate) documents: Vec<u64>,
    /// Chunks in view that have no vector of the model that is to answer.
    pub(crate) pending: u64,
    /// The model that answered.
    pub(crate) model: Option<String>,
    /// Why it does not find everything.
    pub(crate) degraded: Option<String>,
}

/// What is said while there is no way to search by meaning.
pub(crate) const NO_MODEL: &str =
    "no embedding model: found by words and names, not by meaning (`greenlit model pull` gets one)";

/// How often a question is asked anew because something changed meanwhile.
const ATTEMPTS: usize = 3;

/// Chunks, best first, and the model that found them.
type Nearest = (Vec<u64>, Option<String>);

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
        let mut why = "vectors are being moved".to_owned();
        // What moves while it is searched has moved when it is searched again.
        for _ in 0..ATTEMPTS {
            match self.nearest(text, scope, filter, k) {
                Ok(Some((documents, Some(model)))) => {
                    return Found { documents, model: Some(model), ..found };
                }
                // The model may have gone since its standing was asked for.
                Ok(Some((_, None))) => return self.standing(scope),
                Ok(None) => {}
                Err(error) => {
                    why = error;
                    break;
                }
            }
        }
        found.degraded = Some(format!("not found by meaning: {why}"));
        found
    }

    /// `None` when vectors moved or the model was exchanged meanwhile; an error in words.
    fn nearest(
        &self,
        text: &str,
        scope: &Scope,
        filter: Option<&Filter>,
        k: usize,
    ) -> Result<Option<Nearest>, String> {
        let Some(model) = self.serving() else { return Ok(Some(Nearest::default())) };
        // This may wait for the model, and much can happen meanwhile.
        let query = self.core().embed_query(&model, text)?;
        let (bound, difference, only) = {
            let side = &self.read().serving;
            let Some(bound) = side.bound.clone().filter(|_| side.serves(&model)) else {
                return Ok(None);
            };
            let difference = side.slots.difference(&scope.hidden, &scope.shown);
            let only = filter.map(|filter| side.slots.only(&|record| scope.holds(record), filter));
            (bound, difference, only)
        };
        let near = bound.search(&query, k, &difference, only.as_ref())?;
        let side = &self.read().serving;
        if !side.bound.as_ref().is_some_and(|now| now.has_slots_of(&bound)) {
            return Ok(None);
        }
        let is_seen = |document: &u64| {
            let (number, ordinal) = parts(*document);
            let admits =
                |record: &Arc<Record>| filter.is_none_or(|filter| filter.admits(record, ordinal));
            scope.holds(number) && side.slots.record(number).is_some_and(admits)
        };
        let documents = near.iter().flat_map(|near| side.slots.documents(near.slot));
        let documents = documents.filter(is_seen).take(k).collect();
        Ok(Some((documents, Some(model.embedder.identity().name.clone()))))
    }

    /// What is missing in a scope, and why.
    fn standing(&self, scope: &Scope) -> Found {
        let (pending, unseen) = {
            let state = self.read();
            let missing = |side: &Side| side.slots.difference(&scope.hidden, &scope.shown).missing;
            (missing(state.work()), missing(&state.serving))
        };
        Found { pending, degraded: self.degraded(unseen), ..Found::default() }
    }

    /// Live chunks without a vector of the model that is to answer.
    pub(crate) fn pending(&self) -> u64 {
        self.read().work().slots.missing()
    }

    /// Live chunks without a vector of the model that answers.
    pub(crate) fn unseen(&self) -> u64 {
        self.read().serving.slots.missing()
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
        let paused = state.paused.then(|| "embedding is paused".to_owned());
        let reasons: Vec<String> = paused.into_iter().chain(state.serving.reasons()).collect();
        Some(if reasons.is_empty() { missing } else { missing + ": " + &reasons.join("; ") })
    }

    /// What a person should know: the store, the graph, an exchange of the model.
    pub(crate) fn notices(&self) -> Vec<String> {
        let (own, damaged, coming) = {
            let state = self.read();
            (state.notice.clone(), state.damaged, state.coming())
        };
        let damaged =
            (damaged > 0).then(|| format!("{damaged} vectors were damaged and are computed again"));
        self.core().notices().into_iter().chain(own).chain(damaged).chain(coming).collect()
    }

    /// Name and backend of the model, and how its vectors are searched.
    pub(crate) fn described(&self) -> Option<(String, String, GraphStatus)> {
        let state = self.read();
        let bound = state.serving.bound.as_ref()?;
        let identity = bound.model.embedder.identity();
        Some((identity.name.clone(), identity.backend.clone(), bound.graph()))
    }
}

impl State {
    /// How far an exchange of the model is.
    fn coming(&self) -> Option<String> {
        let coming = self.coming.as_ref()?;
        let name = |side: &Side| Some(side.bound.as_ref()?.model.embedder.identity().name.clone());
        let (new, old, left) = (name(coming)?, name(&self.serving)?, coming.slots.missing());
        let reasons = coming.reasons().join("; ");
        let reasons = if reasons.is_empty() { reasons } else { format!(" ({reasons})") };
        Some(format!("{left} chunks to embed with {new}, {old} answers until then{reasons}"))
    }
}
