//! The download as its caller sees it: wanted, attempts, verified.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::attempt::{Failure, attempt};
use crate::digest::Digest;
use crate::error::DownloadError;
use crate::part::{Origin, Part};
use crate::way;

/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often a wait looks whether it was cancelled.
const BEAT: Duration = Duration::from_millis(50);

/// How connections are made and how patient they are.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ask nobody: what is not there already is an error
    pub offline: bool,
    /// `http://`, `https://`, `socks4://` or `socks5://`; `None` takes what the environment names
    /// (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`)
    pub proxy: Option<String>,
    /// Until a connection stands
    pub connect_timeout: Duration,
    /// Without any byte from the server
    pub idle_timeout: Duration,
    /// Attempts in a row that bring no new byte before the download is given up
    pub attempts: u32,
    /// The wait after the first failure; doubled after each more
    pub backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            offline: false,
            proxy: None,
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            attempts: 5,
            backoff: Duration::from_millis(500),
        }
    }
}

/// What is known of a file's size before it is there, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Any other size is an error
    Exactly(u64),
    /// Not known, but more is an error
    AtMost(u64),
}

impl Size {
    pub(crate) fn exact(self) -> Option<u64> {
        match self {
            Self::Exactly(size) => Some(size),
            Self::AtMost(_) => None,
        }
    }

    pub(crate) fn limit(self) -> u64 {
        match self {
            Self::Exactly(size) | Self::AtMost(size) => size,
        }
    }
}

/// A file to download.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Where it is
    pub url: &'a str,
    /// Its final name; the directory is made
    pub to: &'a Path,
    /// Its size
    pub size: Size,
    /// Its digest; without one the digest of what came is reported
    pub sha256: Option<Digest>,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes on disk
    pub done: u64,
    /// Bytes of the whole file, when known
    pub total: Option<u64>,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where
    pub path: PathBuf,
    /// In bytes
    pub size: u64,
    /// Of its content
    pub sha256: Digest,
}

/// Downloads files. Blocking; one client may be used by many threads.
#[derive(Debug, Clone)]
pub struct Client {
    /// `None` when offline
    agent: Option<Agent>,
    attempts: u32,
    backoff: Duration,
}

impl Client {
    /// A client with these options.
    ///
    /// # Errors
    /// When the proxy's address is none.
    pub fn new(options: &Options) -> Result<Self, DownloadError> {
        let agent = way::anywhere(options)?;
        Ok(Self { agent, attempts: options.attempts.max(1), backoff: options.backoff })
    }

    /// Brings a file to its final name, verified. One that is already there and right is taken as it is;
    /// one that is wrong is replaced.
    ///
    /// `progress` is asked again and again, while waiting too; `Break` cancels and keeps what came.
    ///
    /// # Errors
    /// See [`DownloadError`]. Whatever came before the error is kept for the next call, except bytes
    /// that are known to be wrong.
    pub fn fetch(
        &self,
        wanted: &Wanted<'_>,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Fetched, DownloadError> {
        if let Some(there) = already_there(wanted)? {
            return Ok(there);
        }
        let Some(agent) = &self.agent else {
            return Err(DownloadError::Offline { url: wanted.url.to_owned() });
        };
        if let Some(dir) = wanted.to.parent() {
            fs::create_dir_all(dir).map_err(|source| DownloadError::file(dir, source))?;
        }
        let total = wanted.size.exact();
        let mut part = Part::open(wanted.to, wanted.size.limit(), |done| {
            progress(Progress { done, total }).is_continue()
        })?;
        // Another process may have finished between the first look and the lock.
        if let Some(there) = already_there(wanted)? {
            return Ok(there);
        }
        let resumed = part.len() > 0;
        self.complete(agent, wanted, &mut part, progress)?;
        let mut verified = verify(wanted, &part);
        if verified.is_err() && resumed {
            // The kept bytes may be those of another version: once more from the beginning.
            part.restart(Origin::default())?;
            self.complete(agent, wanted, &mut part, progress)?;
            verified = verify(wanted, &part);
        }
        if verified.is_err() {
            part.restart(Origin::default())?;
        }
        let sha256 = verified?;
        let size = part.len();
        part.finish(wanted.to)?;
        Ok(Fetched { path: wanted.to.to_owned(), size, sha256 })
    }

    /// Attempts until all bytes are there.
    fn complete(
        &self,
        agent: &Agent,
        wanted: &Wanted<'_>,
        part: &mut Part,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), DownloadError> {
        if part.len() > wanted.size.limit() {
            part.restart(Origin::default())?;
        }
        let mut most = part.len();
        let mut failures = 0;
        while wanted.size.exact() != Some(part.len()) || part.len() == 0 {
            let (source, after) = match attempt(agent, wanted, part, progress) {
                Ok(()) => break,
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again { source, after }) => (source, after),
            };
            // Bytes never seen before are progress; a server that always cuts at the same place is not.
            failures = if part.len() > most { 1 } else { failures + 1 };
            most = most.max(part.len());
            if failures >= self.attempts {
                return Err(DownloadError::Interrupted {
                    url: wanted.url.to_owned(),
                    attempts: failures,
                    kept: part.len(),
                    source,
                });
            }
            let wait = after.unwrap_or_else(|| self.backoff * 2_u32.pow((failures - 1).min(6)));
            let now = Progress { done: part.len(), total: wanted.size.exact() };
            pause(wait.min(LONGEST_WAIT), || progress(now))?;
        }
        Ok(())
    }
}

/// What is already there under the final name, if it is what is wanted.
fn already_there(wanted: &Wanted<'_>) -> Result<Option<Fetched>, DownloadError> {
    let failed = |source| DownloadError::file(wanted.to, source);
    match fs::metadata(wanted.to) {
        Ok(found) if !found.is_file() => {
            return Err(failed(std::io::Error::other("there is something that is not a file")));
        }
        Ok(found) if wanted.size.exact().is_some_and(|size| size != found.len()) => {
            return Ok(None);
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let (sha256, size) = Digest::of_file(wanted.to).map_err(failed)?;
    let right = wanted.sha256.is_none_or(|known| known == sha256);
    Ok(right.then(|| Fetched { path: wanted.to.to_owned(), size, sha256 }))
}

fn verify(wanted: &Wanted<'_>, part: &Part) -> Result<Digest, DownloadError> {
    let url = || wanted.url.to_owned();
    let found = part.len();
    if let Some(size) = wanted.size.exact()
        && size != found
    {
        return Err(DownloadError::WrongSize { url: url(), wanted: size, found });
    }
    let found = part.digest();
    match wanted.sha256 {
        Some(wanted) if wanted != found => {
            Err(DownloadError::WrongDigest { url: url(), wanted, found })
        }
        _ => Ok(found),
    }
}

/// Waits, unless it is cancelled.
fn pause(time: Duration, mut asked: impl FnMut() -> ControlFlow<()>) -> Result<(), DownloadError> {
    let end = Instant::now() + time;
    loop {
        if asked().is_break() {
            return Err(DownloadError::Cancelled);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(BEAT));
    }
}
