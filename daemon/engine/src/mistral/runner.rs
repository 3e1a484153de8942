//! A resident model that writes texts.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use either::Either;
use futures::future::BoxFuture;
use greenlit_protocol::engine::{
    Constraint, EngineFailure, EngineFailureKind as Kind, Finish, Generate, Generated, Prompt,
    Usage,
};
use greenlit_serving::{Plan, Runner, cancelled, failure};
use mistralrs_core::{
    DefaultSchedulerMethod, MistralRs, MistralRsBuilder, NormalRequest, Pipeline, Request,
    RequestMessage, Response, SchedulerConfig, TokenizationRequest,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::load::SharedPipeline;
use super::prompt;
use super::watch::Watch;

/// How long the library may take to end after it was told to. A step on a long prompt takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

type Count = Box<dyn Fn(&str) -> Result<u64, String> + Send + Sync>;

/// One `MistralRs`.
pub(super) struct MistralRunner {
    /// `None` after it was closed.
    library: Mutex<Option<Arc<MistralRs>>>,
    pipeline: Weak<tokio::sync::Mutex<dyn Pipeline + Send + Sync>>,
    count: Count,
    /// The token with which a constrained text ends; `None` where grammars know none.
    end: Option<u32>,
    /// In tokens.
    context: usize,
    /// One request at a time, in the order in which they came. See [`super`].
    turn: Semaphore,
}

impl MistralRunner {
    pub(super) fn new(pipeline: SharedPipeline, plan: &Plan) -> Result<Self, EngineFailure> {
        let name = plan.files.place.display();
        let tokenizer = pipeline.try_lock().ok().and_then(|pipeline| pipeline.tokenizer());
        let tokenizer = tokenizer
            .ok_or_else(|| failure(Kind::Backend, format!("{name}: there is no tokenizer")))?;
        let added = tokenizer.get_added_tokens_decoder().into_iter();
        let ends = added.filter(|(_, token)| prompt::ENDS.contains(&token.content.as_str()));
        let end = ends.map(|(id, _)| id).max();
        let count: Count = Box::new(move |text| {
            let encoded = tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
            Ok(encoded.get_ids().len() as u64)
        });
        let weak = Arc::downgrade(&pipeline);
        let one = std::num::NonZeroUsize::MIN;
        let scheduler =
            SchedulerConfig::DefaultScheduler { method: DefaultSchedulerMethod::Fixed(one) };
        let builder =
            MistralRsBuilder::new(pipeline, scheduler, false, None).with_no_prefix_cache(true);
        // Outside of a runtime, so that it does no trial run: that would block for a whole step.
        let library = futures::executor::block_on(builder.build());
        Ok(Self {
            library: Mutex::new(Some(library)),
            pipeline: weak,
            count,
            end,
            context: usize::try_from(plan.context).unwrap_or(usize::MAX),
            turn: Semaphore::new(1),
        })
    }

    /// Hands a request to the library, which it restarts where it has panicked before.
    async fn send(&self, request: Request) -> Result<(), EngineFailure> {
        let gone = || failure(Kind::Backend, "the model was closed");
        let library =
            self.library.lock().expect("nothing panics with it").clone().ok_or_else(gone)?;
        let sender =
            library.get_sender(None).map_err(|error| failure(Kind::Backend, error.to_string()))?;
        sender
            .send(request)
            .await
            .map_err(|_| failure(Kind::Backend, "the inference library has ended"))
    }

    /// The tokens of a prompt, with what the chat template adds.
    async fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, EngineFailure> {
        let text = match prompt {
            Prompt::Chat(messages) => Either::Left(prompt::messages(messages)),
            Prompt::Text(text) => Either::Right(text.clone()),
        };
        let (response, mut answer) = mpsc::channel(1);
        self.send(Request::Tokenize(TokenizationRequest {
            text,
            tools: None,
            add_generation_prompt: true,
            add_special_tokens: true,
            enable_thinking: Some(false),
            reasoning_effort: None,
            response,
        }))
        .await?;
        // The library panics when nobody takes the answer, so somebody does even when the request is
        // cancelled meanwhile.
        let answer = tokio::spawn(async move { answer.recv().await }).await;
        match answer.expect("receiving does not panic") {
            Some(Ok(tokens)) => Ok(tokens),
            Some(Err(error)) => Err(failure(
                Kind::BadRequest,
                format!("the prompt does not suit the model: {error:#}"),
            )),
            None => {
                Err(failure(Kind::Backend, "the inference library ended while it read the prompt"))
            }
        }
    }

    async fn write(
        &self,
        job: &Generate,
        stop: &CancellationToken,
        piece: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Generated, EngineFailure> {
        let began = Instant::now();
        let constraint = prompt::grammar(&job.constraint)?;
        let end = match job.constraint {
            Constraint::None => None,
            _ => Some(self.end.ok_or_else(prompt::endless)?),
        };
        let _turn = self.turn.acquire().await.expect("it is never closed");
        let tokens = self.tokens(&job.prompt).await?;
        let prompt_tokens = tokens.len();
        let room = self.context.saturating_sub(prompt_tokens);
        if room == 0 {
            return Err(failure(
                Kind::TooLong,
                format!(
                    "the prompt has {prompt_tokens} tokens and the context {}: shorten the prompt by at \
                     least {}, or load the model with a longer context",
                    self.context,
                    prompt_tokens + 1 - self.context
                ),
            ));
        }
        let (watch, seen, ended) = Watch::new(prompt_tokens);
        let sampling = prompt::sampling(&job.sampling, room, end);
        let most = sampling.max_len.unwrap_or(room);
        // Room for every token: the library waits for who does not read, and with it everybody else.
        let (response, mut responses) = mpsc::channel(most + 1);
        self.send(Request::Normal(Box::new(NormalRequest {
            is_streaming: true,
            constraint,
            logits_processors: Some(vec![Arc::new(watch)]),
            ..NormalRequest::new_simple(
                RequestMessage::CompletionTokens(tokens),
                sampling,
                response,
                0,
                None,
                None,
            )
        })))
        .await?;
        let told = self.listen(job, stop, &mut responses, piece).await?;
        // The library says nothing at the end when the last bytes are no text.
        let written = seen.tokens.load(Ordering::Relaxed);
        let finish = match told {
            Some(finish) => finish,
            None => {
                drop(ended.await);
                if seen.panicked.load(Ordering::Relaxed) {
                    return Err(failure(
                        Kind::Backend,
                        "the inference library panicked; see its log",
                    ));
                }
                if written >= most { Finish::Length } else { Finish::Stop }
            }
        };
        let first = seen.first.get().map_or_else(|| began.elapsed(), |first| *first - began);
        Ok(Generated {
            usage: Usage {
                prompt_tokens: prompt_tokens as u64,
                completion_tokens: seen.tokens.load(Ordering::Relaxed) as u64,
            },
            finish,
            first_token_ms: first.as_secs_f64() * 1e3,
            total_ms: began.elapsed().as_secs_f64() * 1e3,
        })
    }

    /// Passes pieces on until the end; `None` when the library did not say why it ended.
    async fn listen(
        &self,
        job: &Generate,
        stop: &CancellationToken,
        responses: &mut mpsc::Receiver<Response>,
        piece: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Option<Finish>, EngineFailure> {
        while let Some(response) = responses.recv().await {
            if stop.is_cancelled() {
                return Err(cancelled());
            }
            match response {
                Response::CompletionChunk(chunk) => {
                    let Some(choice) = chunk.choices.into_iter().next() else { continue };
                    if !choice.text.is_empty() {
                        piece(choice.text);
                    }
                    match choice.finish_reason.as_deref() {
                        None => {}
                        Some("length") => return Ok(Some(Finish::Length)),
                        Some(_) => return Ok(Some(Finish::Stop)),
                    }
                }
                Response::ValidationError(error) => {
                    let constrained = !matches!(job.constraint, Constraint::None);
                    let kind = if constrained { Kind::BadConstraint } else { Kind::BadRequest };
                    return Err(failure(kind, error.to_string()));
                }
                Response::InternalError(error) => {
                    return Err(failure(Kind::Backend, error.to_string()));
                }
                Response::CompletionModelError(error, _) => {
                    return Err(failure(Kind::Backend, error));
                }
                _ => {
                    return Err(failure(
                        Kind::Backend,
                        "the inference library answered something else",
                    ));
                }
            }
        }
        Ok(None)
    }
}

impl Runner for MistralRunner {
    fn count(&self, text: &str) -> Result<u64, EngineFailure> {
        (self.count)(text).map_err(|error| failure(Kind::Backend, error))
    }

    fn generate<'a>(
        &'a self,
        job: &'a Generate,
        stop: &'a CancellationToken,
        piece: &'a (dyn Fn(String) + Send + Sync),
    ) -> BoxFuture<'a, Result<Generated, EngineFailure>> {
        Box::pin(async move {
            // Dropping the work closes its channel, and the library ends the text at the next token.
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(cancelled()),
                written = self.write(job, stop, piece) => written,
            }
        })
    }

    fn close(&self) {
        // Its drop tells the library's threads to end.
        drop(self.library.lock().expect("nothing panics with it").take());
        let deadline = Instant::now() + PATIENCE;
        while self.pipeline.strong_count() > 0 {
            if Instant::now() > deadline {
                tracing::error!("the inference library does not let go of a model");
                return;
            }
            sleep(Duration::from_millis(1));
        }
    }
}
