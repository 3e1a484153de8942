//! Fetching a recommended model from a hub.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use greenlit_download::{Client, Progress, Size, Wanted, hub_url};

use super::catalogue::Recommended;
use super::error::ModelError;

/// Whether the person agreed to a download, knowing what and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Yes
    Given,
    /// No, or not asked
    Missing,
}

/// How models are fetched.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Proxies and patience
    pub client: Client,
    /// [`greenlit_download::HUB`] or a mirror
    pub endpoint: String,
    /// Each model gets a directory in here
    pub models: PathBuf,
}

impl Hub {
    /// The directory of a model and revision.
    #[must_use]
    pub fn directory(&self, model: &Recommended) -> PathBuf {
        directory(&self.models, model)
    }

    /// Bytes of the files that are not there with their size.
    #[must_use]
    pub fn missing(&self, model: &Recommended) -> u64 {
        missing(model, &self.directory(model))
    }

    /// Brings a model's files into [`Hub::directory`], verified. What is already there is checked and
    /// not fetched. `progress` counts the bytes of all files; `Break` cancels.
    ///
    /// # Errors
    /// [`ModelError::ConsentNeeded`] when anything would be downloaded without consent; or why it
    /// failed. What came is kept.
    pub fn fetch(
        &self,
        model: &Recommended,
        consent: Consent,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<PathBuf, ModelError> {
        let dir = self.directory(model);
        let missing = self.missing(model);
        if missing > 0 && consent == Consent::Missing {
            return Err(ModelError::ConsentNeeded {
                name: model.name.clone(),
                from: format!("{}/{}", self.endpoint.trim_end_matches('/'), model.repo),
                bytes: missing,
                licence: model.licence.clone(),
            });
        }
        let total = Some(model.size());
        let mut before = 0;
        for file in &model.files {
            let url = hub_url(&self.endpoint, &model.repo, &model.revision, &file.path);
            let to = dir.join(&file.to);
            let size = Size::Exactly(file.size);
            let wanted = Wanted { url: &url, to: &to, size, sha256: Some(file.sha256) };
            // A file of the right size with wrong content would be replaced: that is a download, too.
            let consented = consent == Consent::Given;
            let mut asked = |now: Progress| match consented {
                true => progress(Progress { done: before + now.done, total }),
                false => ControlFlow::Break(()),
            };
            self.client.fetch(&wanted, &mut asked).map_err(|source| {
                let name = model.name.clone();
                match consented {
                    true => ModelError::Download { name, source },
                    false => ModelError::Format {
                        path: to.clone(),
                        reason: "its digest is not the one of the model".to_owned(),
                    },
                }
            })?;
            before += file.size;
        }
        Ok(dir)
    }
}

pub(super) fn directory(models: &Path, model: &Recommended) -> PathBuf {
    let revision = model.revision.get(..12).unwrap_or(&model.revision);
    models.join(format!("{}-{revision}", model.name))
}

/// Bytes of the files that are not there with their size.
pub(super) fn missing(model: &Recommended, dir: &Path) -> u64 {
    let there = |to: &str, size| {
        std::fs::metadata(dir.join(to)).is_ok_and(|found| found.is_file() && found.len() == size)
    };
    model.files.iter().filter(|file| !there(&file.to, file.size)).map(|file| file.size).sum()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use greenlit_download::{Digest, DownloadError, Options};

    use super::*;

    const ONNX: &[u8] = b"not really a network";

    /// A hub that has one repository, and the model in it.
    fn hub(dir: &Path) -> (Hub, Recommended) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let asked = lines.next().unwrap().unwrap();
                while !lines.next().unwrap().unwrap().is_empty() {}
                let body = match asked.split(' ').nth(1).unwrap() {
                    "/a/b/resolve/0123/onnx/model.onnx" => ONNX,
                    "/a/b/resolve/0123/config.json" => b"{}",
                    _ => b"another file",
                };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}");
                write!(stream, "{head}\r\n\r\n").unwrap();
                stream.write_all(body).unwrap();
            }
        });
        let model = format!(
            "kind = 'embedding'\nname = 'x'\nabout = ''\nrepo = 'a/b'\nrevision = '0123'\nlicence = 'MIT'\ndims = 2\n\
             max_tokens = 4\npooling = 'mean'\nquery_prefix = ''\nfiles = [\n\
             {{ path = 'onnx/model.onnx', to = 'model.onnx', size = {}, sha256 = '{}' }},\n\
             {{ path = 'config.json', to = 'config.json', size = 2, sha256 = '{}' }}]",
            ONNX.len(),
            Digest::of(ONNX),
            Digest::of(b"{}")
        );
        let client = Client::new(&Options::default()).unwrap();
        (Hub { client, endpoint, models: dir.to_owned() }, toml::from_str(&model).unwrap())
    }

    #[test]
    fn nothing_is_downloaded_without_consent_and_the_size_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let (hub, model) = hub(dir.path());
        let mut progress = |_: Progress| -> ControlFlow<()> { panic!("nothing is downloaded") };
        let error = hub.fetch(&model, Consent::Missing, &mut progress).unwrap_err();
        let bytes = ONNX.len() as u64 + 2;
        assert!(
            matches!(error, ModelError::ConsentNeeded { bytes: b, .. } if b == bytes),
            "{error}"
        );
        assert!(!hub.directory(&model).exists());
    }

    #[test]
    fn a_model_is_fetched_once_and_needs_no_consent_when_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (hub, model) = hub(dir.path());
        let mut last = None;
        let mut progress = |now: Progress| {
            last = Some(now);
            ControlFlow::Continue(())
        };
        let place = hub.fetch(&model, Consent::Given, &mut progress).unwrap();
        let total = ONNX.len() as u64 + 2;
        assert_eq!(last, Some(Progress { done: total, total: Some(total) }));
        assert_eq!(std::fs::read(place.join("model.onnx")).unwrap(), ONNX);
        let nowhere = Hub { endpoint: "http://127.0.0.1:1".to_owned(), ..hub };
        let mut progress = |_: Progress| -> ControlFlow<()> { panic!("nothing is downloaded") };
        nowhere.fetch(&model, Consent::Missing, &mut progress).unwrap();
        // A file of the right size and another content is neither used nor replaced unasked.
        std::fs::write(place.join("config.json"), "[]").unwrap();
        let mut progress = |_: Progress| ControlFlow::Continue(());
        let error = nowhere.fetch(&model, Consent::Missing, &mut progress).unwrap_err();
        assert!(matches!(error, ModelError::Format { .. }), "{error}");
    }

    #[test]
    fn a_file_that_is_not_the_pinned_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (hub, mut model) = hub(dir.path());
        model.files[0].sha256 = Digest::of(b"what was pinned");
        let mut progress = |_: Progress| ControlFlow::Continue(());
        let error = hub.fetch(&model, Consent::Given, &mut progress).unwrap_err();
        let wrong = matches!(
            &error,
            ModelError::Download { source: DownloadError::WrongDigest { .. }, .. }
        );
        assert!(wrong, "{error:?}");
        assert!(!hub.directory(&model).join("model.onnx").exists());
    }
}
