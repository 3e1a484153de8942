//! Runs hostile commands on a throw-away view of a checkout.
//!
//! A [`Sandbox`] is one helper process (`greenlit-sandbox`) and everything below it. Opening one
//! builds the isolation once; commands are then run in it one after the other over a private
//! socket. Whatever they write goes to a throw-away layer. Dropping the handle kills everything.
//!
//! This crate must not know tests, languages, candidate patches, editors or the daemon's socket.
//!
//! Invariant: the checkout is never written.
//! Invariant: the layer that ran is known to the caller ([`Sandbox::layer`]) and never lowered
//! silently: [`Isolation::Off`] is used only when the specification names it, and what a layer
//! could not provide on this machine is listed by [`Sandbox::notes`].
//! Invariant: when the handle, the helper or the daemon dies, every process of the sandbox dies.
//! Invariant: nothing that a sandboxed process can write is followed, executed or parsed by the
//! trusted side; it only carries bytes.
//!
//! What commands cannot do inside, and programs may have to live with: rename a directory that
//! comes from the checkout in one step (an unprivileged overlay answers "cross-device link"; moving
//! by copy works); use `memfd_create`, `io_uring`, `ptrace` or namespaces of their own; reach any
//! network but their own loopback. A checkout with another file system mounted inside it, or one
//! that contains the home directory, is refused.
//!
//! Memory is bounded by a watchdog on `/proc`, not by a cgroup: what the kernel holds for sockets
//! is not counted. Layers below [`Layer::Namespaces`] bound the disk by a watchdog as well.

mod error;
#[cfg(target_os = "linux")]
mod frame;
mod helper;
#[cfg(target_os = "linux")]
mod linux;
mod probe;
#[cfg(target_os = "linux")]
mod sandbox;
mod spec;
#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(target_os = "linux")]
mod wire;

pub use error::{HelperError, OpenError, Refusal, SandboxError};
pub use helper::Helper;
pub use probe::{LayerReport, ProbeReport, probe};
#[cfg(target_os = "linux")]
pub use sandbox::{Canceller, Sandbox};
pub use spec::{
    BuildCache, CacheMode, Command, ExecOutcome, ExitState, FileWrite, Isolation, Layer, Limits,
    LineOutcome, SandboxSpec,
};
#[cfg(not(target_os = "linux"))]
pub use unsupported::{Canceller, Sandbox};

/// The whole of the helper executable; not for callers of this crate.
#[doc(hidden)]
#[must_use]
pub fn helper_main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    std::process::ExitCode::from(2)
}
