//! Models behind an endpoint: whatever speaks OpenAI's chat completions (llama.cpp, vLLM, Ollama,
//! LM Studio, TGI, OpenAI itself), and TGI's own `/generate_stream`.
//!
//! A thread of its own reads from the socket, so that whoever asked can stop at any moment; it ends
//! with the next piece or the next time-out.

mod call;
mod dialect;
mod endpoint;
mod error;
mod standing;
mod stream;
mod tgi;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Agent;

use self::call::{Call, Heard};
pub use self::endpoint::{AskKey, Endpoint, Key, KeySource, Protocol};
pub use self::error::EndpointError;
pub use self::standing::{Limits, Standing};
use self::standing::{Permit, Refusal};
use crate::model::{Completion, Finish, Identity, Model, ModelError, Request, Usage};

/// How often somebody who waits is asked whether they still want to.
const BEAT: Duration = Duration::from_millis(50);
/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A model behind an endpoint.
pub struct Remote {
    endpoint: Endpoint,
    agent: Agent,
    standing: Arc<Standing>,
}

impl Remote {
    /// Asks nobody anything yet. `standing` belongs to the endpoint, whoever asks it.
    ///
    /// # Errors
    /// When the network is forbidden and the endpoint is elsewhere, its address is none, or its key
    /// would be sent where anybody can read it.
    pub fn new(
        endpoint: Endpoint,
        standing: Arc<Standing>,
        offline: bool,
    ) -> Result<Self, EndpointError> {
        let agent = endpoint.way(offline)?;
        Ok(Self { endpoint, agent, standing })
    }

    /// One attempt. Retries make sense only as long as nothing was handed over.
    fn attempt(
        &self,
        request: &Request<'_>,
        piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
        heard: &Call,
        permit: &Permit<'_>,
        begun: &mut bool,
    ) -> Result<Completion, EndpointError> {
        let mut said = String::new();
        let mut usage = None;
        let (asked, mut first_token) = (Instant::now(), None);
        let mut finish = loop {
            if (request.stop)() {
                break Finish::Cancelled;
            }
            match heard.next(BEAT) {
                None => {}
                Some(Heard::Piece(text)) => {
                    if !*begun {
                        permit.answers();
                    }
                    *begun = true;
                    first_token.get_or_insert_with(|| asked.elapsed());
                    said.push_str(&text);
                    if piece(&text).is_break() {
                        break Finish::Cancelled;
                    }
                }
                Some(Heard::Usage(mut told)) => {
                    if told.prompt_tokens == 0 {
                        told.prompt_tokens = self.count(request);
                    }
                    usage = Some(told);
                }
                Some(Heard::End(finish)) => break finish,
                Some(Heard::Failed(error)) => return Err(error),
            }
        };
        let mut usage = usage.unwrap_or_else(|| Usage {
            prompt_tokens: self.count(request),
            completion_tokens: self.count_tokens(&said) as u64,
            estimated: true,
        });
        if finish == Finish::Stop
            && usage.completion_tokens >= u64::from(request.sampling.max_tokens)
        {
            // Some servers say "stop" for either.
            finish = Finish::Length;
        }
        if said.is_empty() {
            usage.completion_tokens = 0;
        }
        Ok(Completion { usage, finish, first_token })
    }

    /// Tokens of the messages, estimated.
    fn count(&self, request: &Request<'_>) -> u64 {
        request.messages.iter().map(|message| self.count_tokens(&message.content) as u64).sum()
    }

    /// The right to ask, as soon as there is one; `None` when nobody wants to ask any more.
    /// Where that takes too long, `last` says why, if an attempt failed.
    fn permit(
        &self,
        stop: &dyn Fn() -> bool,
        last: Option<EndpointError>,
    ) -> Result<Option<Permit<'_>>, EndpointError> {
        loop {
            let wait = match self.standing.admit(Instant::now()) {
                Ok(permit) => return Ok(Some(permit)),
                Err(Refusal::Rest { failures, rest }) => {
                    return Err(EndpointError::Resting { failures, rest });
                }
                Err(Refusal::Spent { tokens, most }) => {
                    return Err(EndpointError::Spent { tokens, most });
                }
                Err(Refusal::Wait(wait)) => wait,
            };
            if wait > LONGEST_WAIT {
                return Err(last.unwrap_or(EndpointError::Busy { after: Some(wait) }));
            }
            if !pause(wait, stop) {
                return Ok(None);
            }
        }
    }

    fn unavailable(&self, error: EndpointError) -> ModelError {
        ModelError::Unavailable {
            model: self.endpoint.model.clone(),
            lasting: error.is_lasting(),
            read: matches!(error, EndpointError::Silent { .. }),
            source: Box::new(error),
        }
    }
}

impl Model for Remote {
    fn identity(&self) -> Identity {
        Identity { name: self.endpoint.model.clone(), digest: None, adapter: None }
    }

    fn context_tokens(&self) -> usize {
        self.endpoint.context_tokens
    }

    /// An estimate: endpoints have no agreed way to count.
    fn count_tokens(&self, text: &str) -> usize {
        greenlit_syntax::chunk::tokens(text)
    }

    fn generate(
        &self,
        request: &Request<'_>,
        piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion, ModelError> {
        let (mut failures, mut last) = (0, None);
        let cancelled = || {
            let usage = Usage::default();
            Ok(Completion { usage, finish: Finish::Cancelled, first_token: None })
        };
        let endpoint = match self.endpoint.opened(request.stop) {
            Ok(endpoint) => endpoint,
            Err(_) if (request.stop)() => return cancelled(),
            Err(error) => return Err(self.unavailable(error)),
        };
        loop {
            let permit = self.permit(request.stop, last.take());
            let permit = permit.map_err(|error| self.unavailable(error))?;
            let Some(permit) = permit else { return cancelled() };
            let mut begun = false;
            let (body, sent) = self.standing.dialect.body(&endpoint, request);
            let heard = Call::start(&self.agent, &endpoint, body);
            let mut said = 0_u64;
            let mut piece = |text: &str| {
                said += self.count_tokens(text) as u64;
                piece(text)
            };
            let asked = self.attempt(request, &mut piece, &heard, &permit, &mut begun);
            // Of what breaks off nobody says what it took: it was read, and what was heard was written.
            let took = match &asked {
                Ok(Completion { usage, .. }) => usage.prompt_tokens + usage.completion_tokens,
                Err(error) if begun || matches!(error, EndpointError::Silent { .. }) => {
                    self.count(request) + said
                }
                Err(_) => 0,
            };
            self.standing.spend(Instant::now(), took);
            let error = match asked {
                Ok(completion) => {
                    if begun || completion.finish != Finish::Cancelled {
                        permit.answered();
                    }
                    return Ok(completion);
                }
                Err(error) => error,
            };
            if !begun && self.standing.dialect.learns(&error, &sent) {
                permit.answered();
                continue;
            }
            permit.failed(&error, Instant::now());
            failures += 1;
            if begun || error.is_lasting() || failures >= self.endpoint.attempts {
                return Err(self.unavailable(error));
            }
            tracing::debug!(%error, failures, "the endpoint is asked again");
            // Where the endpoint says how long, the next permit waits for it.
            let again = backoff(self.endpoint.backoff, failures);
            if error.wanted_wait().is_none() && !pause(again, request.stop) {
                return cancelled();
            }
            last = Some(error);
        }
    }
}

/// Doubled after each failure, and never the same for two clients.
fn backoff(first: Duration, failures: u32) -> Duration {
    first.mul_f64(f64::from(1_u32 << failures.min(6)) * (0.25 + fastrand::f64() / 2.0))
}

/// Waits; `false` when nobody wants to any more.
fn pause(time: Duration, stop: &dyn Fn() -> bool) -> bool {
    let end = Instant::now() + time;
    loop {
        if stop() {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(BEAT));
    }
}
