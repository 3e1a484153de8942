//! The local socket: a Unix socket with mode 0600, or a named pipe for one user on Windows.

use std::io;

use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::{ListenerOptions, Name};

use crate::Paths;

/// One connection, bytes both ways.
pub type Stream = LocalSocketStream;
/// Accepts connections.
pub type Listener = LocalSocketListener;

/// The other end is not this user's.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It runs as somebody else.
    #[error("the other end of the socket runs as user {peer}, not as you (user {user})")]
    Foreign {
        /// The peer's effective user id.
        peer: u32,
        /// This process's.
        user: u32,
    },
    /// The platform does not say who it is; that counts as somebody else.
    #[error("the platform does not say who is at the other end of the socket")]
    Unknown(#[source] Option<io::Error>),
}

#[cfg(unix)]
fn name(paths: &Paths) -> io::Result<Name<'_>> {
    use interprocess::local_socket::{GenericFilePath, ToFsName};

    paths.socket.as_path().to_fs_name::<GenericFilePath>()
}

// Two users must not meet in one pipe, nor two runtime directories of one user.
#[cfg(windows)]
fn name(paths: &Paths) -> io::Result<Name<'_>> {
    use interprocess::local_socket::{GenericNamespaced, ToNsName};

    let mut name: String = paths
        .socket
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' })
        .collect();
    name.insert_str(0, "greenlit-");
    name.to_ns_name::<GenericNamespaced>()
}

/// Connects to the socket and verifies that this user's process listens.
pub async fn dial(paths: &Paths) -> io::Result<Stream> {
    let stream = Stream::connect(name(paths)?).await?;
    check_peer(&stream).map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
    Ok(stream)
}

/// Listens on the socket, for this user only. Fails with `AddrInUse` when the name is taken; the
/// caller decides under the daemon's lock whether that is a leftover.
pub fn bind(paths: &Paths) -> io::Result<Listener> {
    let options = ListenerOptions::new().name(name(paths)?).reclaim_name(false);
    #[cfg(unix)]
    let options = interprocess::os::unix::local_socket::ListenerOptionsExt::mode(options, 0o600);
    #[cfg(windows)]
    let options = {
        use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
        use interprocess::os::windows::security_descriptor::SecurityDescriptor;

        // Protected list, full access for the owner and nobody else.
        let list = widestring::u16cstr!("D:P(A;;GA;;;OW)");
        options.security_descriptor(SecurityDescriptor::deserialize(list)?)
    };
    options.create_tokio()
}

/// The next connection, of this user. The error of a foreign peer has kind `PermissionDenied`; the
/// listener stays usable.
pub async fn accept(listener: &Listener) -> io::Result<Stream> {
    let stream = listener.accept().await?;
    check_peer(&stream).map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
    Ok(stream)
}

#[cfg(unix)]
fn check_peer(stream: &Stream) -> Result<(), PeerError> {
    let credentials = stream.peer_creds().map_err(|error| PeerError::Unknown(Some(error)))?;
    let peer = credentials.euid().ok_or(PeerError::Unknown(None))?;
    let user = nix::unistd::geteuid().as_raw();
    if peer == user { Ok(()) } else { Err(PeerError::Foreign { peer, user }) }
}

// The pipe's access list admits nobody else.
#[cfg(windows)]
fn check_peer(_stream: &Stream) -> Result<(), PeerError> {
    Ok(())
}
