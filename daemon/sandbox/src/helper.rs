//! Where the helper executable is.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::HelperError;

/// The helper executable and the facts about this machine's user that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    pub(crate) path: PathBuf,
    pub(crate) home: PathBuf,
}

impl Helper {
    /// Finds the helper: `GREENLIT_SANDBOX_HELPER`, else next to the running executable or one
    /// directory above it (test binaries lie in `deps/`), else in `PATH`.
    ///
    /// # Errors
    /// When there is none, or the variable names no file.
    pub fn locate() -> Result<Self, HelperError> {
        if let Some(path) = env::var_os("GREENLIT_SANDBOX_HELPER").map(PathBuf::from) {
            return if path.is_file() {
                Ok(Self::at(path))
            } else {
                Err(HelperError::NotAFile { path })
            };
        }
        let name = format!("greenlit-sandbox{}", env::consts::EXE_SUFFIX);
        let near = env::current_exe().map_err(HelperError::CurrentExe)?;
        let beside = near.ancestors().skip(1).take(2).map(|directory| directory.join(&name));
        let path = env::var_os("PATH").unwrap_or_default();
        let in_path = env::split_paths(&path).map(|directory| directory.join(&name));
        match beside.chain(in_path).find(|candidate| candidate.is_file()) {
            Some(path) => Ok(Self::at(path)),
            None => Err(HelperError::NotFound { near }),
        }
    }

    /// The helper at a known path. The home directory whose secrets are hidden is taken from `HOME`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let home = env::home_dir().unwrap_or_default();
        Self { path: path.into(), home }
    }

    /// Replaces the home directory that is masked inside the sandbox.
    #[must_use]
    pub fn with_home(mut self, home: impl Into<PathBuf>) -> Self {
        self.home = home.into();
        self
    }

    /// The helper's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
