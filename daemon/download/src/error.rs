//! Why a download ended without a file.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// Why a download ended without a file. Each message says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The configuration forbids the network.
    #[error("{url} is not asked for: `network.offline` is set in the configuration")]
    Offline {
        /// What would have been asked for
        url: String,
    },
    /// The connection failed too often in a row without any new byte.
    #[error(
        "cannot get {url} after {attempts} attempts; {kept} bytes are kept and the next download goes \
         on from there: check the network and the proxy"
    )]
    Interrupted {
        /// What was asked for
        url: String,
        /// How often in a row nothing new came
        attempts: u32,
        /// Bytes in the partial file
        kept: u64,
        /// What the last attempt ran into
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refuses, and asking again would not help.
    #[error("the server answers {status} for {url}: {}", advice(*status))]
    Status {
        /// What was asked for
        url: String,
        /// The HTTP status
        status: u16,
    },
    /// The request cannot be made at all.
    #[error(
        "cannot ask for {url}: check the address, the proxy and the certificates of this machine"
    )]
    Request {
        /// What was asked for
        url: String,
        /// Why
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server has another file than the one that is wanted, or one that is too large.
    #[error("{url} has {found} bytes and not {wanted}: the file was replaced, or a proxy answers")]
    WrongSize {
        /// What was asked for
        url: String,
        /// The size, or the limit, in bytes
        wanted: u64,
        /// At least this many bytes came or were announced
        found: u64,
    },
    /// All bytes came and they are not those that are wanted; nothing was kept.
    #[error(
        "{url} has the SHA-256 {found} and not {wanted}: the file was replaced, or a proxy changes it"
    )]
    WrongDigest {
        /// What was asked for
        url: String,
        /// What it should be
        wanted: Digest,
        /// What it is
        found: Digest,
    },
    /// The caller said stop; the partial file is kept.
    #[error("the download was cancelled")]
    Cancelled,
    /// Another process downloads the same file at this moment.
    #[error("{} is being downloaded by another process: wait for it", .0.display())]
    Busy(PathBuf),
    /// There is no room; the partial file is kept.
    #[error("no space left for {}: make room and start the download again, it goes on", .path.display())]
    DiskFull {
        /// The file that could not grow
        path: PathBuf,
        /// What the system says
        #[source]
        source: io::Error,
    },
    /// A file or directory cannot be written, read or renamed.
    #[error("cannot use {}", .path.display())]
    File {
        /// Which
        path: PathBuf,
        /// Why
        #[source]
        source: io::Error,
    },
    /// The proxy's address is not one.
    #[error(
        "{proxy} is not the address of a proxy, such as http://host:3128 or socks5://host:1080"
    )]
    Proxy {
        /// What was configured
        proxy: String,
        /// What is wrong with it
        #[source]
        source: Box<ureq::Error>,
    },
}

impl DownloadError {
    /// A failure of a local file.
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::DiskFull { path, source },
            _ => Self::File { path, source },
        }
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => "it needs a permission that Greenlit does not have",
        404 | 410 => "check the name and the revision",
        407 => "the proxy wants a user and a password",
        _ => "the download cannot go on",
    }
}
