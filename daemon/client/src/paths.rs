//! Where the daemon listens, logs and caches; shared by both sides.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use etcetera::BaseStrategy;

/// Overrides the directory of the socket and the locks.
const RUNTIME_ENV: &str = "GREENLIT_RUNTIME_DIR";
/// Overrides the directory of logs.
const STATE_ENV: &str = "GREENLIT_STATE_DIR";
/// Overrides the directory of build stores.
const CACHE_ENV: &str = "GREENLIT_CACHE_DIR";

/// Overrides the directory of models.
const DATA_ENV: &str = "GREENLIT_DATA_DIR";

/// Longest socket path: `sun_path` without its terminating zero.
#[cfg(target_os = "linux")]
const SOCKET_PATH_MAX: usize = 107;
/// Longest socket path: `sun_path` without its terminating zero.
#[cfg(not(target_os = "linux"))]
const SOCKET_PATH_MAX: usize = 103;

/// Why the per-user directories cannot be used. All of them fail closed.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// Neither the environment nor the platform names a home directory.
    #[error("no home directory is known")]
    NoHome(#[source] etcetera::HomeDirError),
    /// An environment variable names a relative directory.
    #[error("{variable} is {value:?}, and must be an absolute path")]
    Relative {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: PathBuf,
    },
    /// The directory cannot be created or looked at.
    #[error("cannot use the directory {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory is something else.
    #[error("{} is not a directory (a symbolic link is not accepted)", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The directory belongs to somebody else.
    #[error("{} belongs to user {owner}, not to you (user {user})", path.display())]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// This process's user.
        user: u32,
    },
    /// Others can enter the directory.
    #[error("{} has mode {mode:04o}, and must be 0700", path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The platform cannot bind so long a path.
    #[error(
        "the socket path {} has {length} bytes, and the platform allows {SOCKET_PATH_MAX}",
        path.display()
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
}

impl PathsError {
    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::OpenToOthers { path, .. } => Some(format!("run: chmod 700 {}", path.display())),
            Self::ForeignOwner { .. } | Self::NotADirectory { .. } => {
                Some(format!("set {RUNTIME_ENV} to a directory that only you can enter"))
            }
            Self::SocketPathTooLong { .. } => {
                Some(format!("set {RUNTIME_ENV} to a shorter directory"))
            }
            Self::NoHome(_) => Some("set HOME".to_owned()),
            Self::Relative { .. } | Self::Io { .. } => None,
        }
    }
}

/// Where everything of one user lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// 0700; holds the socket, the locks and the daemon's process id.
    pub runtime_dir: PathBuf,
    /// The socket (0600), or on Windows the name that the pipe's name is made of.
    pub socket: PathBuf,
    /// Held by clients while they start a daemon.
    pub start_lock: PathBuf,
    /// Held by the daemon as long as it lives.
    pub daemon_lock: PathBuf,
    /// [`DaemonInfo`] of the running daemon; left behind only by one that did not exit cleanly.
    pub info: PathBuf,
    /// Logs and the crash record.
    pub state_dir: PathBuf,
    /// The daemon's log; older ones are `daemon.log.1`, `daemon.log.2`, ….
    pub log: PathBuf,
    /// When the daemon died without a clean exit, one Unix time per line.
    pub crashes: PathBuf,
    /// Build stores, indexes and vectors: what can be made again.
    pub cache_dir: PathBuf,
    /// Models and the library that runs them: what a person chose to download.
    pub data_dir: PathBuf,
}

impl Paths {
    /// The paths of this user, by `GREENLIT_RUNTIME_DIR`, `GREENLIT_STATE_DIR`,
    /// `GREENLIT_CACHE_DIR` and `GREENLIT_DATA_DIR`, else by the platform's rules. Touches no file.
    pub fn for_user() -> Result<Self, PathsError> {
        let base = || etcetera::choose_base_strategy().map_err(PathsError::NoHome);
        let runtime_dir = match absolute(RUNTIME_ENV)? {
            Some(dir) => dir,
            None => default_runtime_dir(),
        };
        let state_dir = match absolute(STATE_ENV)? {
            Some(dir) => dir,
            None => {
                let base = base()?;
                base.state_dir().unwrap_or_else(|| base.data_dir()).join("greenlit")
            }
        };
        let cache_dir = match absolute(CACHE_ENV)? {
            Some(dir) => dir,
            None => base()?.cache_dir().join("greenlit"),
        };
        let data_dir = match absolute(DATA_ENV)? {
            Some(dir) => dir,
            None => base()?.data_dir().join("greenlit"),
        };
        Ok(Self::new(runtime_dir, state_dir, cache_dir, data_dir))
    }

    /// The paths in these directories.
    pub fn new(
        runtime_dir: PathBuf,
        state_dir: PathBuf,
        cache_dir: PathBuf,
        data_dir: PathBuf,
    ) -> Self {
        Self {
            socket: runtime_dir.join("daemon.sock"),
            start_lock: runtime_dir.join("start.lock"),
            daemon_lock: runtime_dir.join("daemon.lock"),
            info: runtime_dir.join("daemon.pid"),
            log: state_dir.join("daemon.log"),
            crashes: state_dir.join("crashes"),
            runtime_dir,
            state_dir,
            cache_dir,
            data_dir,
        }
    }

    /// Creates what is missing, the runtime directory with mode 0700, then verifies as
    /// [`Self::verify`] does.
    pub fn create(&self) -> Result<(), PathsError> {
        create_private(&self.runtime_dir)?;
        self.verify()?;
        for dir in [&self.state_dir, &self.cache_dir, &self.data_dir] {
            create_private(dir)?;
        }
        Ok(())
    }

    /// Whether the runtime directory exists.
    pub fn exists(&self) -> bool {
        self.runtime_dir.symlink_metadata().is_ok()
    }

    /// Fails unless the runtime directory is a directory of this user that nobody else can enter,
    /// and the socket's path is short enough.
    pub fn verify(&self) -> Result<(), PathsError> {
        let length = self.socket.as_os_str().len();
        if cfg!(unix) && length > SOCKET_PATH_MAX {
            return Err(PathsError::SocketPathTooLong { path: self.socket.clone(), length });
        }
        verify_private(&self.runtime_dir)
    }

    /// What the running daemon says about itself, or one that did not exit cleanly.
    pub fn read_info(&self) -> Option<DaemonInfo> {
        DaemonInfo::parse(&fs::read_to_string(&self.info).ok()?)
    }
}

/// What a daemon writes next to its socket, for people and for telling a crash from an exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonInfo {
    /// Process id.
    pub pid: u32,
    /// Build.
    pub build: String,
}

impl DaemonInfo {
    /// As text: the process id, then the build.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n", self.pid, self.build)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.parse().ok()?;
        Some(Self { pid, build: lines.next()?.to_owned() })
    }
}

fn absolute(variable: &'static str) -> Result<Option<PathBuf>, PathsError> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let value = PathBuf::from(value);
    if value.is_absolute() {
        Ok(Some(value))
    } else {
        Err(PathsError::Relative { variable, value })
    }
}

#[cfg(unix)]
fn default_runtime_dir() -> PathBuf {
    let xdg: Option<OsString> = std::env::var_os("XDG_RUNTIME_DIR");
    match xdg.map(PathBuf::from).filter(|dir| dir.is_absolute() && dir.is_dir()) {
        Some(dir) => dir.join("greenlit"),
        None => std::env::temp_dir().join(format!("greenlit-{}", nix::unistd::geteuid())),
    }
}

#[cfg(not(unix))]
fn default_runtime_dir() -> PathBuf {
    let user: OsString = std::env::var_os("USERNAME").unwrap_or_else(|| "user".into());
    std::env::temp_dir().join(format!("greenlit-{}", user.to_string_lossy()))
}

fn create_private(dir: &Path) -> Result<(), PathsError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| PathsError::Io { path: dir.to_owned(), source })
}

#[cfg(unix)]
fn verify_private(dir: &Path) -> Result<(), PathsError> {
    use std::os::unix::fs::MetadataExt;

    let path = || dir.to_owned();
    let metadata =
        dir.symlink_metadata().map_err(|source| PathsError::Io { path: path(), source })?;
    if !metadata.is_dir() {
        return Err(PathsError::NotADirectory { path: path() });
    }
    let user = nix::unistd::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(PathsError::ForeignOwner { path: path(), owner: metadata.uid(), user });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PathsError::OpenToOthers { path: path(), mode });
    }
    Ok(())
}

// On Windows the pipe's own access list keeps others out; the directory holds only locks.
#[cfg(not(unix))]
fn verify_private(dir: &Path) -> Result<(), PathsError> {
    let path = || dir.to_owned();
    let metadata =
        dir.symlink_metadata().map_err(|source| PathsError::Io { path: path(), source })?;
    if metadata.is_dir() { Ok(()) } else { Err(PathsError::NotADirectory { path: path() }) }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn paths(dir: &Path) -> Paths {
        Paths::new(dir.join("run"), dir.join("state"), dir.join("cache"), dir.join("data"))
    }

    #[test]
    fn a_created_runtime_directory_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        paths.create().unwrap();
        let mode = paths.runtime_dir.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        paths.create().unwrap();
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        paths.create().unwrap();
        fs::set_permissions(&paths.runtime_dir, fs::Permissions::from_mode(0o750)).unwrap();
        let error = paths.verify().unwrap_err();
        assert!(matches!(error, PathsError::OpenToOthers { mode: 0o750, .. }), "{error}");
        assert!(error.hint().unwrap().starts_with("run: chmod 700 "));
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut paths = paths(dir.path());
        paths.create().unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&paths.runtime_dir, Some(65534), None).unwrap();
        } else {
            // This one is root's everywhere.
            paths.runtime_dir = "/".into();
        }
        let error = paths.verify().unwrap_err();
        assert!(matches!(error, PathsError::ForeignOwner { .. }), "{error}");
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let target = dir.path().join("elsewhere");
        create_private(&target).unwrap();
        std::os::unix::fs::symlink(&target, &paths.runtime_dir).unwrap();
        assert!(matches!(paths.create(), Err(PathsError::NotADirectory { .. })));
    }

    #[test]
    fn a_socket_path_that_cannot_be_bound_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(&dir.path().join("x".repeat(120)));
        assert!(matches!(paths.verify(), Err(PathsError::SocketPathTooLong { .. })));
    }

    #[test]
    fn daemon_info_round_trips() {
        let info = DaemonInfo { pid: 42, build: "0.1.0".to_owned() };
        assert_eq!(DaemonInfo::parse(&info.to_text()), Some(info));
        assert_eq!(DaemonInfo::parse("junk\n"), None);
        assert_eq!(DaemonInfo::parse(""), None);
    }
}
