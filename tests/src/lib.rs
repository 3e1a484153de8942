//! Support for end-to-end tests: a private installation of the real binaries, and small projects.
//!
//! This crate must not reach into any other: it drives executables and reads what they print.
//!
//! Invariant: every [`Installation`] has directories of its own and stops its daemon when dropped.

mod editor;
mod endpoint;
mod installation;
mod model_hub;
mod projects;

pub use editor::Editor;
pub use endpoint::Endpoint;
pub use installation::{Installation, Ran};
pub use model_hub::ModelHub;
pub use projects::{
    Project, WIDE_PEOPLE, node_project, python_project, rust_project, wide_python_project,
};

/// An executable of this workspace.
///
/// # Panics
/// When it was not built.
pub fn binary(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().expect("a test knows its executable");
    let profile = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let path = profile.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace --bins`", path.display());
    path
}

/// A tool that `cargo xtask test` installs; its path is in the environment variable.
///
/// # Panics
/// When the variable is not set.
pub fn tool(variable: &str, fallback: &str) -> std::path::PathBuf {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = std::env::var_os(variable).map_or_else(|| root.join(fallback), Into::into);
    assert!(path.is_file(), "{} is missing: run `cargo xtask test` once", path.display());
    path
}
