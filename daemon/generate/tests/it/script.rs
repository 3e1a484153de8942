//! A model that says what a test wants.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use greenlit_generate::{
    Completion, Finish, Identity, Message, Model, ModelError, Request, Sampling, Usage,
};

/// What is asked with a call.
pub(crate) struct Asked {
    pub(crate) messages: Vec<Message>,
    pub(crate) sampling: Sampling,
}

type Says = dyn Fn(usize, &Asked) -> Reply + Send + Sync;

/// A reply.
pub(crate) enum Reply {
    Text(String),
    /// The same again and again, without end.
    Endless(&'static str),
    /// Nothing, until nobody wants to wait any more.
    Silence,
    Error(bool),
}

pub(crate) struct Script {
    says: Box<Says>,
    pub(crate) calls: AtomicUsize,
    pub(crate) asked: Mutex<Vec<Asked>>,
}

impl Script {
    /// `says` gets the number of the call, from 0, and what is asked.
    pub(crate) fn new(says: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self { says: Box::new(says), calls: AtomicUsize::new(0), asked: Mutex::default() }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Model for Script {
    fn identity(&self) -> Identity {
        Identity { name: "script".into(), digest: Some("d1".into()), adapter: None }
    }

    fn context_tokens(&self) -> usize {
        4000
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn generate(
        &self,
        request: &Request<'_>,
        piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion, ModelError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let asked = Asked { messages: request.messages.to_vec(), sampling: request.sampling };
        let reply = (self.says)(call, &asked);
        self.asked.lock().unwrap().push(asked);
        let mut finish = Finish::Stop;
        match reply {
            Reply::Text(text) => {
                let cut = text.floor_char_boundary(text.len() / 2);
                for half in [&text[..cut], &text[cut..]] {
                    if piece(half).is_break() {
                        finish = Finish::Cancelled;
                        break;
                    }
                }
            }
            Reply::Endless(text) => {
                while piece(text).is_continue() {}
                finish = Finish::Cancelled;
            }
            Reply::Silence => {
                while !(request.stop)() {
                    std::thread::yield_now();
                }
                finish = Finish::Cancelled;
            }
            Reply::Error(lasting) => {
                let source = "no electricity".into();
                return Err(ModelError::Unavailable {
                    model: "script".into(),
                    lasting,
                    read: false,
                    source,
                });
            }
        }
        Ok(Completion {
            usage: Usage { prompt_tokens: 100, completion_tokens: 10, estimated: false },
            finish,
            first_token: None,
        })
    }
}

/// A reply with the whole function `total` of `shop.py`.
pub(crate) fn total(body: &str) -> Reply {
    Reply::Text(format!(
        "{{\"version\":1,\"path\":\"shop.py\",\"operation\":\"replace-function\",\"symbol\":\"total\"}}\n\
         ```python\ndef total(items):\n    {body}\n```\n"
    ))
}
