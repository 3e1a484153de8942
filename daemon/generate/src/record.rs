//! What a model was asked and what came of it: the evidence, and what a person is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use greenlit_repair::{Edit, Fate};

use crate::model::{Identity, Message, Sampling, Usage};

/// How one call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A plan that validates.
    Planned,
    /// A candidate that was handed in; how it ended is told later.
    Waiting,
    /// A candidate, and how it ended.
    Tried(Fate),
    /// A patch that leaves what an earlier one left.
    Repeated,
    /// A reply that does not validate.
    Invalid(String),
    /// No complete reply.
    Failed(String),
    /// Nobody wanted the rest.
    Cancelled,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Which round of the loop, from 1.
    pub round: usize,
    /// How its tokens were chosen.
    pub sampling: Sampling,
    /// What the model was told; the calls of a round share it.
    pub messages: Arc<[Message]>,
    /// What it said, as far as it came.
    pub reply: Arc<str>,
    /// Files that the messages may quote, absolute. The attempts at a fault share them.
    pub quoted: Arc<[PathBuf]>,
    /// What the reply asks for, where it could be read.
    pub edits: Vec<Edit>,
    /// The same as a unified diff.
    pub diff: Option<String>,
    /// What it took.
    pub usage: Usage,
    /// How long it took.
    pub wall: Duration,
    /// How long it took until the first token, where the model says it.
    pub first_token: Option<Duration>,
    /// How it ended.
    pub ending: Ending,
}

/// Everything that an author asked its model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// `small` or `large`.
    pub tier: String,
    /// Which model.
    pub model: Identity,
    /// In order.
    pub attempts: Vec<Attempt>,
    /// Faults that it was not asked about: they lie in files that it must not see.
    pub unasked: usize,
}

impl Record {
    /// What all calls took.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for attempt in &self.attempts {
            sum.prompt_tokens += attempt.usage.prompt_tokens;
            sum.completion_tokens += attempt.usage.completion_tokens;
            sum.estimated |= attempt.usage.estimated;
        }
        sum
    }

    /// Mean time to the first token, of the calls that say it.
    pub fn first_token(&self) -> Option<Duration> {
        let times: Vec<_> =
            self.attempts.iter().filter_map(|attempt| attempt.first_token).collect();
        let calls = u32::try_from(times.len()).ok().filter(|calls| *calls > 0)?;
        Some(times.iter().sum::<Duration>() / calls)
    }

    /// Why the model could not be asked at all: no call ever came to its end.
    pub fn unreached(&self) -> Option<&str> {
        let failed = |attempt: &Attempt| matches!(attempt.ending, Ending::Failed(_));
        self.failed().filter(|_| self.attempts.iter().all(failed))
    }

    /// Why a call failed, of the last one that did: what the model would have said is not known.
    pub fn failed(&self) -> Option<&str> {
        self.attempts.iter().rev().find_map(|attempt| match &attempt.ending {
            Ending::Failed(why) => Some(why.as_str()),
            _ => None,
        })
    }

    /// Replies that could not be used and calls that failed, by why.
    pub fn failures(&self) -> BTreeMap<&str, usize> {
        let mut failures = BTreeMap::new();
        for attempt in &self.attempts {
            if let Ending::Invalid(why) | Ending::Failed(why) = &attempt.ending {
                *failures.entry(why.as_str()).or_default() += 1;
            }
        }
        failures
    }
}
