//! Trying a model in a child process before this one loads it.
//!
//! A network is parsed and computed by native code, which a broken or hostile file may crash or hang. The
//! child loads it and embeds a word. That protects from crashes only: what passes runs in this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use crate::embedder::EmbedError;
use crate::model::{Installed, Model, Overrides};
use crate::onnx::OnnxEmbedder;
use crate::runtime::{Device, Found, Prober, Runtime, answer, answered};

/// Begins the child's line.
const MARK: &str = "greenlit-model";

/// Tries models, each once: what passed is remembered by what was tried.
#[derive(Debug, Clone)]
pub struct Trials {
    /// Starts the child; its program must call [`trial_child`] with the last four arguments
    pub prober: Prober,
    /// Remembers what passed; `None` remembers nothing
    pub directory: Option<PathBuf>,
}

impl Trials {
    /// Loads a model in a child and embeds a word there, unless just that has passed before.
    ///
    /// # Errors
    /// [`EmbedError::Trial`] with what became of the child, or [`EmbedError::NoTrial`].
    pub fn pass(
        &self,
        installed: &Installed,
        model: &Model,
        found: &Found,
    ) -> Result<(), EmbedError> {
        let remembered = self.directory.as_ref().zip(name(model, found));
        let remembered = remembered.map(|(directory, name)| directory.join(name));
        if remembered.as_ref().is_some_and(|path| path.exists()) {
            return Ok(());
        }
        let usage = serde_json::to_string(&installed.usage).expect("plain data");
        let arguments = [
            found.path.as_os_str(),
            found.device.name().as_ref(),
            installed.directory.as_os_str(),
            usage.as_ref(),
        ];
        let said = self.prober.ask(&arguments).map_err(EmbedError::NoTrial)?;
        let reason = match said.as_ref().map(|output| answered(output, MARK)) {
            Ok(Some(("works", digest))) if digest == hex(model) => {
                if let Some(path) = remembered {
                    remember(&path);
                }
                return Ok(());
            }
            Ok(Some(("works", _))) => "its files changed while it was tried".to_owned(),
            Ok(Some((_, reason))) => reason.to_owned(),
            Ok(None) => "the process that tried it said nothing".to_owned(),
            Err(reason) => reason.clone(),
        };
        Err(EmbedError::Trial { reason })
    }
}

/// What was tried: the model and the library with its device. `None` for a library that the system finds.
fn name(model: &Model, found: &Found) -> Option<String> {
    let metadata = fs::metadata(&found.path).ok()?;
    let changed = metadata.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let mut hasher = blake3::Hasher::new_derive_key("greenlit model trial 1");
    hasher.update(&model.digest());
    hasher.update(&metadata.len().to_le_bytes());
    hasher.update(&changed.as_nanos().to_le_bytes());
    hasher.update(found.device.name().as_bytes());
    hasher.update(found.path.as_os_str().as_encoded_bytes());
    Some(hasher.finalize().to_hex()[..32].to_owned())
}

fn remember(path: &Path) {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, ""));
    if let Err(error) = made {
        // Then it is tried again next time.
        tracing::info!(path = %path.display(), %error, "a trial is not remembered");
    }
}

fn hex(model: &Model) -> String {
    blake3::Hash::from(model.digest()).to_hex().to_string()
}

/// The child: loads a library that was tried, then a model; `usage` is [`Overrides`] as JSON.
#[must_use]
pub fn trial_child(library: &Path, device: &str, directory: &Path, usage: &str) -> ExitCode {
    match try_here(library, device, directory, usage) {
        Ok(digest) => answer(MARK, "works", &digest),
        Err(reason) => answer(MARK, "bad", &reason),
    }
}

fn try_here(library: &Path, device: &str, directory: &Path, usage: &str) -> Result<String, String> {
    let device = Device::named(device).ok_or_else(|| format!("no device is called {device}"))?;
    let usage: Overrides = serde_json::from_str(usage).map_err(|error| error.to_string())?;
    let model = Model::open(directory, &usage).map_err(|error| chain(&error))?;
    let digest = hex(&model);
    // The version only names what is computed.
    let found = Found { path: library.to_owned(), minor: 0, device, declined: None };
    let runtime = Runtime::load(&found).map_err(|error| chain(&error))?;
    OnnxEmbedder::load(model, &runtime, 1).map_err(|error| chain(&error))?;
    Ok(digest)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
