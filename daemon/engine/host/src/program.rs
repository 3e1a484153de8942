//! Where the engine's executable is.

use std::ffi::OsString;
use std::path::PathBuf;

/// The executable's name.
pub const PROGRAM: &str = "greenlit-engine";

/// Where to look for the executable.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// What the person named; then nowhere else is looked.
    pub configured: Option<PathBuf>,
    /// The directory of `greenlitd`.
    pub beside: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
}

/// There is no executable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// The one that was named is none.
    #[error("{}, which `engine.program` names, is not an executable", .0.display())]
    Configured(PathBuf),
    /// There is none anywhere.
    #[error("{PROGRAM} is not installed")]
    Missing,
}

impl Absent {
    /// What can be done.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Configured(_) => "correct `engine.program` and run `greenlit restart`",
            Self::Missing => {
                "build it with `cargo xtask engine` and put it beside `greenlitd`, or name it in \
                 `engine.program`"
            }
        }
    }
}

impl Program {
    /// The executable: what is configured, else beside the daemon, else on the path.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self) -> Result<PathBuf, Absent> {
        if let Some(named) = &self.configured {
            return which::which(named).map_err(|_| Absent::Configured(named.clone()));
        }
        if let Some(found) =
            self.beside.as_ref().and_then(|dir| which::which(dir.join(PROGRAM)).ok())
        {
            return Ok(found);
        }
        let found = which::which_in_global(PROGRAM, self.path.as_ref());
        found.ok().and_then(|mut found| found.next()).ok_or(Absent::Missing)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn executable(dir: &Path) -> std::io::Result<PathBuf> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(PROGRAM);
        std::fs::write(&path, "#!/bin/sh\n")?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    #[test]
    fn the_named_one_comes_first_then_the_one_beside_the_daemon_then_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let [named, beside, path] = ["named", "beside", "path"].map(|name| dir.path().join(name));
        let mut program = Program { path: Some(path.clone().into()), ..Program::default() };
        assert_eq!(program.find(), Err(Absent::Missing));
        assert_eq!(executable(&path).unwrap(), program.find().unwrap());
        program.beside = Some(beside.clone());
        assert_eq!(program.find().unwrap(), path.join(PROGRAM), "nothing lies beside yet");
        assert_eq!(executable(&beside).unwrap(), program.find().unwrap());
        program.configured = Some(named.join(PROGRAM));
        assert_eq!(program.find(), Err(Absent::Configured(named.join(PROGRAM))));
        assert_eq!(executable(&named).unwrap(), program.find().unwrap());
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(PROGRAM), "").unwrap();
        let program = Program { beside: Some(dir.path().to_owned()), ..Program::default() };
        assert_eq!(program.find(), Err(Absent::Missing));
    }
}
