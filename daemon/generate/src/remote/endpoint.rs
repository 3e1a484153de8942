//! Where a model is, and how it is asked there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use greenlit_download::{Options, is_loopback, way};
use ureq::Agent;

use super::EndpointError;

/// A key. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Asks for a key, perhaps a person, for as long as the given function does not say to stop; else says why there is
/// none.
pub type AskKey = dyn Fn(&dyn Fn() -> bool) -> Result<Key, String> + Send + Sync;

/// Where a key comes from.
#[derive(Clone)]
pub enum KeySource {
    /// It is known.
    Known(Key),
    /// It is asked for when the endpoint is.
    Asked(Arc<AskKey>),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "Known(…)",
            Self::Asked(_) => "Asked(…)",
        })
    }
}

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI's chat completions.
    OpenAi,
    /// TGI's own. It knows no roles: messages are put one after the other.
    Tgi,
}

/// An endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// What `/chat/completions` (`http://127.0.0.1:8080/v1`) or `/generate_stream` is put behind.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// Sent as a bearer token.
    pub key: Option<KeySource>,
    /// Tokens that messages and reply may have together.
    pub context_tokens: usize,
    /// The longest silence.
    pub patience: Duration,
    /// Attempts of one call that bring nothing.
    pub attempts: u32,
    /// About the wait after the first of them.
    pub backoff: Duration,
}

impl Endpoint {
    /// An endpoint with the usual patience.
    pub fn new(protocol: Protocol, url: &str, model: &str) -> Self {
        Self {
            protocol,
            url: url.trim_end_matches('/').to_owned(),
            model: model.to_owned(),
            key: None,
            context_tokens: 8192,
            patience: Duration::from_secs(60),
            attempts: 3,
            backoff: Duration::from_millis(500),
        }
    }

    pub(super) fn completions(&self) -> String {
        let path = match self.protocol {
            Protocol::OpenAi => "chat/completions",
            Protocol::Tgi => "generate_stream",
        };
        format!("{}/{path}", self.url)
    }

    /// The same with its key known, which may take a while.
    pub(super) fn opened(&self, stop: &dyn Fn() -> bool) -> Result<Self, EndpointError> {
        let key = match &self.key {
            Some(KeySource::Asked(ask)) => {
                Some(KeySource::Known(ask(stop).map_err(EndpointError::NoKey)?))
            }
            known => known.clone(),
        };
        Ok(Self { key, ..self.clone() })
    }

    /// The way there, if there may be one.
    pub(super) fn way(&self, offline: bool) -> Result<Agent, EndpointError> {
        let scheme = self.url.split("://").next().unwrap_or_default();
        if !["http", "https"].contains(&scheme) || self.url.parse::<ureq::http::Uri>().is_err() {
            return Err(EndpointError::Address(self.url.clone()));
        }
        if self.key.is_some() && scheme != "https" && !is_loopback(&self.url) {
            return Err(EndpointError::KeyInClear(self.url.clone()));
        }
        let options = Options { offline, idle_timeout: self.patience, ..Options::default() };
        way(&options, &self.url).map_err(EndpointError::Network)
    }

    /// What a server says, fit to be shown: short, on one line, without the key.
    pub(super) fn shown(&self, text: &str) -> String {
        let text = match &self.key {
            Some(KeySource::Known(Key(key))) if !key.is_empty() => text.replace(key.as_str(), "…"),
            _ => text.to_owned(),
        };
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let short: String = plain.take(300).collect();
        short.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
