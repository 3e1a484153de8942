//! Standard output, out of the reach of what prints.

use std::io;

/// Takes standard output for frames alone. A library that prints would end the conversation: what is
/// printed from now on goes to standard error.
#[cfg(unix)]
pub(crate) fn take() -> io::Result<std::fs::File> {
    use std::os::fd::AsFd;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok(output.into())
}

/// Takes standard output. Windows has no safe call to put another file in its place; what mistralrs
/// prints there is only in code that is not used here.
#[cfg(windows)]
pub(crate) fn take() -> io::Result<std::fs::File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

pub(crate) fn writer(output: std::fs::File) -> tokio::fs::File {
    tokio::fs::File::from_std(output)
}
