//! The session of this process.

use std::path::PathBuf;

use greenlit_protocol::SessionParams;

/// Parameters of a session with this process's working directory and environment.
///
/// `client` says who it is in `greenlit status`; `background` as in [`SessionParams::background`].
pub fn current_session(
    client: impl Into<String>,
    roots: Vec<PathBuf>,
    background: bool,
) -> SessionParams {
    SessionParams {
        client: client.into(),
        roots,
        cwd: std::env::current_dir().unwrap_or_default(),
        env: std::env::vars_os().collect(),
        settings: None,
        background,
    }
}
