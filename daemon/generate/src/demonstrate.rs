//! A known patch as a model should have written it: an example to train an adapter on.

use std::sync::{Arc, Mutex, PoisonError};

use greenlit_repair::{Author, Candidate, Desk, Edit, Fate, Fault, Source};

use crate::contract::{self, Scope, drafts, edits};
use crate::hidden::{self, Hidden};
use crate::model::{Completion, Identity, Message, Model, ModelError, Request};
use crate::prompt::{Prompt, Step};
use crate::secrets;

/// What a model is asked, in the words of today, and what it should answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The prompt.
    pub messages: Vec<Message>,
    /// A reply that the contract reads as the patch.
    pub reply: String,
}

/// Why a patch is no example.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The prompt would quote what must not be shown.
    #[error("its prompt would quote a private file")]
    Hidden,
    /// No reply asks for it.
    #[error("the contract has no form for its change")]
    NoForm,
    /// Something in it must not be learnt.
    #[error("its {part} holds what looks like {kind}")]
    Secret {
        /// `prompt` or `patch`.
        part: &'static str,
        /// What it looks like.
        kind: &'static str,
    },
    /// The model could not read it.
    #[error("it does not fit the model")]
    TooLong(#[source] ModelError),
    /// It is longer than a reply may be.
    #[error("the patch takes more than the {most} tokens of a reply")]
    LongReply {
        /// Tokens of a reply.
        most: usize,
    },
    /// It does not mend what it mended.
    #[error("it is not verified again: {0}")]
    Fell(String),
}

/// Hands in a known patch and keeps the prompt that a model would have got in its place.
pub struct Demonstrator {
    /// Whose prompt it is; it is not asked.
    model: Arc<dyn Model>,
    reply_tokens: usize,
    patch: Vec<Edit>,
    hidden: Hidden,
    found: Mutex<Option<Result<Example, Unfit>>>,
}

impl Demonstrator {
    /// For a patch of the view under repair. `reply_tokens` are kept for the reply, as for any.
    pub fn new(
        model: Arc<dyn Model>,
        reply_tokens: usize,
        patch: Vec<Edit>,
        hidden: Hidden,
    ) -> Self {
        Self { model, reply_tokens, patch, hidden, found: Mutex::default() }
    }

    /// What came of it; `None` where it was never asked.
    pub fn found(&self) -> Option<Result<Example, Unfit>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn show(&self, fault: &Fault<'_>, desk: &dyn Desk) -> Result<Example, Unfit> {
        let scope = Scope {
            root: fault.root,
            text: &|path| (fault.text)(path),
            is_test: &|path| (fault.is_test)(path),
            is_source: &|path| (fault.is_source)(path),
            allow_tests: false,
            suspects: fault.context.files,
        };
        let reply = contract::reply(&self.patch, &scope).ok_or(Unfit::NoForm)?;
        // A model that writes more is cut off: it must not learn to.
        if self.model.count_tokens(&reply) > self.reply_tokens {
            return Err(Unfit::LongReply { most: self.reply_tokens });
        }
        let prompt = Prompt::new(&*self.model, fault, None, Step::Patch, self.reply_tokens);
        let messages = prompt.map_err(Unfit::TooLong)?.messages(Step::Patch, &[]);
        let told = messages.iter().map(|message| ("prompt", message.content.as_str()));
        for (part, text) in told.chain([("patch", reply.as_str())]) {
            if let Some(kind) = secrets::find(text) {
                return Err(Unfit::Secret { part, kind });
            }
        }
        // What is verified is what the reply says.
        let read = drafts(&reply).and_then(|drafts| edits(&drafts, &scope));
        let source = Source { tier: self.name(), rule: String::new(), adapter: None };
        let candidate = Candidate {
            edits: read.map_err(|_| Unfit::NoForm)?,
            source,
            summary: String::new(),
            score: 1.0,
        };
        let fate = if desk.submit(candidate) { desk.wait() } else { None };
        match fate {
            Some(Fate::Verified) => Ok(Example { messages, reply }),
            Some(Fate::Partial) => Err(Unfit::Fell("other tests of its cause stay red".into())),
            Some(Fate::Fell { reason, .. }) => Err(Unfit::Fell(reason)),
            Some(Fate::Untried) | None => Err(Unfit::Fell("there was no time for it".into())),
        }
    }
}

impl Author for Demonstrator {
    fn name(&self) -> String {
        "demonstration".to_owned()
    }

    fn write(&self, fault: &Fault<'_>, desk: &dyn Desk) {
        let mut shown = Err(Unfit::Hidden);
        hidden::without(fault, &*self.hidden, |fault| shown = self.show(fault, desk));
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        // Of several causes it is one that the patch mends.
        if !matches!(*found, Some(Ok(_))) {
            *found = Some(shown);
        }
    }
}

/// Stands in for a model that is not there: it counts tokens about as one would, and writes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Estimate {
    /// Tokens that messages and reply may have together.
    pub context_tokens: usize,
}

impl Model for Estimate {
    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    fn count_tokens(&self, text: &str) -> usize {
        greenlit_syntax::chunk::tokens(text)
    }

    fn generate(
        &self,
        _request: &Request<'_>,
        _piece: &mut dyn FnMut(&str) -> std::ops::ControlFlow<()>,
    ) -> Result<Completion, ModelError> {
        let source = "it only counts tokens".into();
        let model = "an estimate".into();
        Err(ModelError::Unavailable { model, lasting: true, read: false, source })
    }
}
