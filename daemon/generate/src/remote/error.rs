//! Why an endpoint gave no reply.

use std::time::Duration;

use greenlit_download::DownloadError;

/// Why an endpoint gave no reply. What servers say is shortened before it is shown.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not an address.
    #[error("{0} is not an address: it has to begin with `http://` or `https://`")]
    Address(String),
    /// Everybody on the way could read the key.
    #[error("the key is not sent to {0} without encryption: use `https://`")]
    KeyInClear(String),
    /// There may be no way there.
    #[error("there is no way to the endpoint")]
    Network(#[source] DownloadError),
    /// No connection, or it broke before the reply began.
    #[error("the endpoint cannot be reached")]
    Unreachable(#[source] Box<ureq::Error>),
    /// Nothing came for too long.
    #[error("the endpoint said nothing for {} s", patience.as_secs())]
    Silent {
        /// The longest silence that is waited for.
        patience: Duration,
    },
    /// Who knows the key does not say it.
    #[error("{0}")]
    NoKey(String),
    /// 401 or 403.
    #[error(
        "the endpoint refuses the key ({status}): check what `api_key_env` or `api_key_command` names; `greenlit restart` asks for it anew"
    )]
    Key {
        /// The HTTP status.
        status: u16,
    },
    /// 429.
    #[error("the endpoint is asked too often (429)")]
    Busy {
        /// When to ask again, if it says so.
        after: Option<Duration>,
    },
    /// It failed again and again.
    #[error(
        "the endpoint failed {failures} times in a row and is left alone for another {} s",
        rest.as_secs().max(1)
    )]
    Resting {
        /// How often.
        failures: u32,
        /// When it is asked again.
        rest: Duration,
    },
    /// It may not take more.
    #[error("it took {tokens} tokens in 24 hours, and `tokens_per_day` allows {most}")]
    Spent {
        /// In the last 24 hours.
        tokens: u64,
        /// As configured.
        most: u64,
    },
    /// 5xx.
    #[error("the endpoint fails ({status}): {said}")]
    Failing {
        /// The HTTP status.
        status: u16,
        /// When to ask again, if it says so.
        after: Option<Duration>,
        /// What it says.
        said: String,
    },
    /// Any other status.
    #[error("the endpoint refuses the request ({status}): {said}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says.
        said: String,
    },
    /// Neither a stream of events nor JSON.
    #[error("the endpoint answers with {0} instead of a stream of events: is the address right?")]
    WrongType(String),
    /// The stream ended before the reply did.
    #[error("the reply breaks off in the middle")]
    Cut,
    /// A line that no reply has.
    #[error("the endpoint sent a line of more than {} KiB", super::stream::LINE >> 10)]
    LongLine,
    /// Not UTF-8.
    #[error("the endpoint sent bytes that are not text")]
    NotText,
    /// Not what a completion looks like.
    #[error("the endpoint sent something that is no completion: {0}")]
    Malformed(String),
}

impl EndpointError {
    /// Whether asking again makes no sense before something is changed, or a long time has passed.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Address(_) | Self::KeyInClear(_) | Self::Network(_) => true,
            Self::NoKey(_) | Self::Key { .. } => true,
            Self::Refused { .. } | Self::WrongType(_) => true,
            Self::Resting { .. } | Self::Spent { .. } => true,
            Self::Unreachable(_)
            | Self::Silent { .. }
            | Self::Busy { .. }
            | Self::Failing { .. } => false,
            Self::Cut | Self::LongLine | Self::NotText | Self::Malformed(_) => false,
        }
    }

    /// When the endpoint wants to be asked again.
    pub(super) fn wanted_wait(&self) -> Option<Duration> {
        match self {
            Self::Busy { after } | Self::Failing { after, .. } => *after,
            _ => None,
        }
    }
}
