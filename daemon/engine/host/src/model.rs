//! A model of the engine, as a repair asks it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlit_generate::{
    Completion, Constraint, Finish, Identity, Model, ModelError, Request, Role, Usage,
};
use greenlit_protocol::engine::{
    self as wire, EngineAnswer, EngineFailureKind as Kind, EngineRequest, Generate, Generated,
};
use greenlit_serving::CallError;

use crate::Wanted;
use crate::engine::{Engine, InUse};
use crate::error::EngineError;

/// How often somebody who waits is asked whether they still want to.
const BEAT: Duration = Duration::from_millis(20);

/// A model of the engine, alone or with an adapter. It is loaded when it is needed.
pub struct LocalModel {
    /// Runs it.
    pub engine: Engine,
    /// Which one.
    pub wanted: Wanted,
    /// Who it is, for the evidence.
    pub identity: Identity,
    /// Tokens that messages and reply may have together.
    pub context: usize,
    /// Whether nobody wants anything any more, whatever is being asked.
    pub stop: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Until when it is waited for where only tokens are counted.
    pub until: Instant,
}

/// How a call went.
enum Went {
    Well(Generated),
    Unwanted,
}

impl LocalModel {
    /// The result of work, or `None` when nobody wants it any more.
    fn wait<T>(&self, work: impl Future<Output = T>, stop: &dyn Fn() -> bool) -> Option<T> {
        self.engine.handle().block_on(async {
            tokio::pin!(work);
            loop {
                if stop() {
                    return None;
                }
                if let Ok(done) = tokio::time::timeout(BEAT, &mut work).await {
                    return Some(done);
                }
            }
        })
    }

    fn request(&self, request: &Request<'_>) -> EngineRequest {
        let message = |message: &greenlit_generate::Message| wire::Message {
            role: match message.role {
                Role::System => wire::Role::System,
                Role::User => wire::Role::User,
                Role::Assistant => wire::Role::Assistant,
            },
            content: message.content.clone(),
        };
        EngineRequest::Generate(Generate {
            model: self.wanted.model.clone(),
            adapter: self.wanted.adapter.as_ref().map(|(name, _)| name.clone()),
            prompt: wire::Prompt::Chat(request.messages.iter().map(message).collect()),
            constraint: match request.constraint {
                Constraint::Free => wire::Constraint::None,
                Constraint::JsonSchema(schema) => wire::Constraint::JsonSchema(schema.clone()),
                Constraint::Lark(grammar) => wire::Constraint::Lark(grammar.clone()),
            },
            sampling: wire::Sampling {
                temperature: request.sampling.temperature.into(),
                top_p: request.sampling.top_p.into(),
                max_tokens: request.sampling.max_tokens,
            },
        })
    }

    /// One call of a model that is in memory. Where nobody wants the rest, the engine is told at once.
    fn call(
        &self,
        used: &InUse,
        request: &Request<'_>,
        piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Went, CallError> {
        let mut call = used.client().call(self.request(request));
        loop {
            let Some(next) = self.wait(call.piece(), request.stop) else {
                return Ok(Went::Unwanted);
            };
            match next {
                Some(text) if piece(&text).is_break() => return Ok(Went::Unwanted),
                Some(_) => {}
                None => break,
            }
        }
        match self.engine.handle().block_on(call.end())? {
            EngineAnswer::Generated(generated) => Ok(Went::Well(generated)),
            _ => Err(CallError::Gone),
        }
    }

    fn unavailable(&self, error: EngineError) -> ModelError {
        ModelError::Unavailable {
            model: self.identity.name.clone(),
            lasting: error.is_lasting(),
            read: false,
            source: Box::new(error),
        }
    }
}

impl Model for LocalModel {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn context_tokens(&self) -> usize {
        self.context
    }

    /// By the model's own tokenizer, once it is in memory; an estimate where that takes too long or fails.
    fn count_tokens(&self, text: &str) -> usize {
        let late = || Instant::now() > self.until && !self.engine.holds(&self.wanted.model);
        let stop = || (self.stop)() || late();
        let counted = self.wait(
            async {
                let used = self.engine.ready(&self.wanted).await.ok()?;
                let (model, texts) = (self.wanted.model.clone(), vec![text.to_owned()]);
                match used.client().ask(EngineRequest::Count { model, texts }).await {
                    Ok(EngineAnswer::Counted(counts)) => usize::try_from(*counts.first()?).ok(),
                    _ => None,
                }
            },
            &stop,
        );
        counted.flatten().unwrap_or_else(|| greenlit_syntax::chunk::tokens(text))
    }

    fn prepare(&self) {
        self.engine.warm(&self.wanted);
    }

    fn generate(
        &self,
        request: &Request<'_>,
        piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion, ModelError> {
        let mut begun = false;
        let mut again = true;
        loop {
            let Some(used) = self.wait(self.engine.ready(&self.wanted), request.stop) else {
                return Ok(unwanted());
            };
            let used = used.map_err(|error| self.unavailable(error))?;
            let went = self.call(&used, request, &mut |text| {
                begun = true;
                piece(text)
            });
            match went {
                Ok(Went::Unwanted) => return Ok(unwanted()),
                Ok(Went::Well(generated)) => {
                    used.worked();
                    return Ok(completion(&generated));
                }
                Err(CallError::Failed(failure))
                    if failure.kind == Kind::NotLoaded && again && !begun =>
                {
                    // It left the memory between the two questions.
                    again = false;
                    used.is_not_there(&self.wanted);
                }
                Err(error) => {
                    let error = self.engine.handle().block_on(used.failed(error));
                    return Err(self.unavailable(error));
                }
            }
        }
    }
}

fn completion(generated: &Generated) -> Completion {
    Completion {
        usage: Usage {
            prompt_tokens: generated.usage.prompt_tokens,
            completion_tokens: generated.usage.completion_tokens,
            estimated: false,
        },
        finish: match generated.finish {
            wire::Finish::Stop => Finish::Stop,
            wire::Finish::Length => Finish::Length,
        },
        first_token: Duration::try_from_secs_f64(generated.first_token_ms / 1000.0).ok(),
    }
}

fn unwanted() -> Completion {
    Completion { usage: Usage::default(), finish: Finish::Cancelled, first_token: None }
}
