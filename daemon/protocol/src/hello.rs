//! The first frame each way: who speaks which versions.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// First bytes of every connection, inside [`Hello`] and [`Welcome`].
pub const MAGIC: &str = "greenlit";
/// Oldest protocol version that this build speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// Newest protocol version that this build speaks.
pub const PROTOCOL_MAX: u32 = 1;
/// Identifies this build: the package version. Protocol ranges decide compatibility; this is for
/// people and for deciding which side is newer.
pub const BUILD_ID: &str = env!("CARGO_PKG_VERSION");

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: String,
    /// Oldest protocol version the client speaks.
    pub min: u32,
    /// Newest protocol version the client speaks.
    pub max: u32,
    /// The client's build.
    pub build: String,
    /// Optional features the client understands; unknown ones are ignored.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// When no version is common and the client is the newer side ([`newer`]): asks the daemon to
    /// drain, because the client starts its own. An older client's wish is ignored, so that two
    /// versions never alternate kills.
    #[serde(default)]
    pub replace: bool,
    /// The session that this connection is.
    pub session: SessionParams,
}

/// The part of [`Hello`] that every version of the protocol, past and future, reads the same way.
/// A daemon decodes it first: a newer client's [`Hello`] may hold a session that it cannot read.
///
/// Invariant: these fields, and [`Welcome::Incompatible`], never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloHead {
    /// [`MAGIC`].
    pub magic: String,
    /// Oldest protocol version the client speaks.
    pub min: u32,
    /// Newest protocol version the client speaks.
    pub max: u32,
    /// The client's build.
    #[serde(default)]
    pub build: String,
    /// As [`Hello::replace`].
    #[serde(default)]
    pub replace: bool,
}

/// One editor session or one command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionParams {
    /// Who connects, for `status`: `nvim 0.11.4`, `Visual Studio Code`, `greenlit fix`.
    #[serde(default)]
    pub client: String,
    /// Workspace roots that the session has open.
    #[serde(default)]
    pub roots: Vec<PathBuf>,
    /// The session's working directory.
    #[serde(default)]
    pub cwd: PathBuf,
    /// The session's environment: test runners are found and run in it, not in the daemon's.
    #[serde(default)]
    pub env: BTreeMap<OsString, OsString>,
    /// Settings from the editor, as JSON text in the schema of `greenlit.toml`.
    #[serde(default)]
    pub settings: Option<String>,
    /// Whether saving and opening files starts test runs (an editor), or only requests (a command).
    #[serde(default)]
    pub background: bool,
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Welcome {
    /// The connection is open.
    Accepted {
        /// [`MAGIC`].
        magic: String,
        /// The protocol version in use.
        protocol: u32,
        /// The daemon's build.
        build: String,
        /// The daemon's process id.
        pid: u32,
        /// Optional features the daemon understands.
        capabilities: Vec<String>,
        /// The session's id, unique in this daemon's life.
        session: u64,
    },
    /// The versions do not overlap; the connection closes.
    Incompatible {
        /// Oldest protocol version the daemon speaks.
        min: u32,
        /// Newest protocol version the daemon speaks.
        max: u32,
        /// The daemon's build.
        build: String,
        /// The daemon's process id.
        pid: u32,
        /// Whether the daemon grants [`Hello::replace`]: it finishes its requests and exits.
        #[serde(default)]
        draining: bool,
    },
    /// The daemon takes no new session (draining); connect again soon.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Hello {
    /// A hello of this build.
    pub fn new(session: SessionParams) -> Self {
        Self {
            magic: MAGIC.to_owned(),
            min: PROTOCOL_MIN,
            max: PROTOCOL_MAX,
            build: BUILD_ID.to_owned(),
            capabilities: Vec::new(),
            replace: false,
            session,
        }
    }
}

/// The newest version that both ranges hold.
pub fn negotiate(ours: (u32, u32), theirs: (u32, u32)) -> Option<u32> {
    let newest = ours.1.min(theirs.1);
    (newest >= ours.0 && newest >= theirs.0).then_some(newest)
}

/// Whether the side `(newest protocol, build)` of `ours` is newer than `theirs`: by protocol, then
/// by the numbers in the build id, left to right.
pub fn newer(ours: (u32, &str), theirs: (u32, &str)) -> bool {
    fn numbers(build: &str) -> Vec<u64> {
        build
            .split(|c: char| !c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().unwrap_or(u64::MAX))
            .collect()
    }
    (ours.0, numbers(ours.1)) > (theirs.0, numbers(theirs.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_compares_protocol_then_build() {
        assert!(newer((2, "0.1.0"), (1, "9.9.9")));
        assert!(newer((1, "0.10.0"), (1, "0.9.9")));
        assert!(!newer((1, "0.1.0"), (1, "0.1.0")));
        assert!(!newer((1, "0.1.0"), (2, "0.0.1")));
    }

    #[test]
    fn the_head_is_read_whatever_the_session_holds() {
        #[derive(Serialize)]
        struct Future {
            magic: &'static str,
            min: u32,
            max: u32,
            session: Vec<u8>,
            unheard_of: bool,
        }
        let frame = crate::frame::encode(&Future {
            magic: MAGIC,
            min: 7,
            max: 9,
            session: vec![1],
            unheard_of: true,
        })
        .unwrap();
        let head: HelloHead = crate::frame::decode(&frame[..].into()).unwrap();
        assert_eq!((head.min, head.max, head.replace), (7, 9, false));
        assert!(crate::frame::decode::<Hello>(&frame[..].into()).is_err());
    }

    #[test]
    fn the_newest_common_version_wins() {
        assert_eq!(negotiate((1, 3), (2, 5)), Some(3));
        assert_eq!(negotiate((1, 1), (1, 1)), Some(1));
        assert_eq!(negotiate((1, 2), (3, 4)), None);
        assert_eq!(negotiate((3, 4), (1, 2)), None);
    }
}
