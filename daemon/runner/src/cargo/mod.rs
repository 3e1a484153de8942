//! cargo: builds with `cargo test --no-run`, then runs each test executable directly and reads
//! libtest's JSON.
//!
//! Doctests are not run; [`doctests`] counts them. Test targets with `harness = false` are skipped: their reports are not
//! libtest's. cargo itself runs inside the sandbox too, because a checkout's configuration can
//! name programs for it to run.

mod build;
mod check;
mod coverage;
pub(crate) mod doctests;
mod fresh;
mod libtest;
mod locate;
mod messages;
mod metadata;
mod panics;
mod run;
mod schemata;
mod source;
mod trials;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use greenlit_sandbox::{BuildCache, CacheMode, Command};
use std::time::Duration;

use crate::environment::Environment;
use crate::host;
use crate::project::Needs;
use crate::scope::relative;
use crate::types::TestId;

pub(crate) use locate::{Workspace, workspaces};

use build::Binary;

/// Test executables, with a hash of what decides which there are.
#[derive(Debug, Clone)]
struct Executables {
    layout: blake3::Hash,
    binaries: Vec<Binary>,
}

/// A cargo workspace, or a package without one.
#[derive(Debug, Clone)]
pub(crate) struct CargoProject {
    pub(crate) root: PathBuf,
    pub(crate) dir: PathBuf,
    workspace: Workspace,
    cargo: PathBuf,
    cargo_home: Option<PathBuf>,
    rustup_home: Option<PathBuf>,
    /// Where build products go: inside the checkout.
    target: PathBuf,
    env: BTreeMap<OsString, OsString>,
    /// Those of the last complete build. Clones share them.
    executables: Arc<Mutex<Option<Executables>>>,
}

impl CargoProject {
    /// The error holds the directory and what is missing.
    pub(crate) fn new(
        root: &Path,
        workspace: Workspace,
        environment: &Environment,
    ) -> Result<Self, (PathBuf, String)> {
        let dir = workspace.dir.clone();
        let home = |variable: &str, name: &str| {
            let named = environment.get(variable).map(PathBuf::from).filter(|p| p.is_absolute());
            named.or_else(|| Some(environment.home()?.join(name))).filter(|path| path.is_dir())
        };
        let cargo_home = home("CARGO_HOME", ".cargo");
        let rustup_home = home("RUSTUP_HOME", ".rustup");
        let in_home = cargo_home.as_ref().and_then(|home| host::existing(home.join("bin/cargo")));
        let Some(cargo) = host::tool(environment, root, "cargo").or(in_home) else {
            let message = "cargo is not installed; to get it: https://rustup.rs".to_owned();
            return Err((dir, message));
        };
        let target = locate::target_directory(root, &dir, environment);
        let mut env = environment.allowed();
        for (name, value) in [("CARGO_HOME", &cargo_home), ("RUSTUP_HOME", &rustup_home)] {
            if let Some(value) = value {
                env.insert(name.into(), value.clone().into());
            }
        }
        env.insert("CARGO_NET_OFFLINE".into(), "true".into());
        env.insert("CARGO_TERM_COLOR".into(), "never".into());
        env.insert("RUSTUP_AUTO_INSTALL".into(), "0".into());
        Ok(Self {
            root: root.to_owned(),
            dir,
            workspace,
            cargo,
            cargo_home,
            rustup_home,
            target,
            env,
            executables: Arc::default(),
        })
    }

    pub(crate) fn label(&self) -> String {
        let what = if self.workspace.is_workspace { "workspace" } else { "package" };
        format!("cargo test ({what}, without doctests)")
    }

    pub(crate) fn needs(&self, _: &Environment, store: &Path, mode: CacheMode) -> Needs {
        let store = store.join(self.store_name("cargo"));
        let cache = BuildCache { path: self.target.clone(), base: None, store, mode };
        Needs { readable: self.readable(), caches: vec![cache] }
    }

    /// The toolchain and the registries.
    fn readable(&self) -> Vec<PathBuf> {
        let mut readable = host::link_chain(&self.cargo);
        if let Some(home) = &self.cargo_home {
            // Not the whole directory: it also holds credentials.
            readable.extend(["bin", "registry", "git", "env"].map(|name| home.join(name)));
            readable.extend(["config.toml", "config"].map(|n| home.join(n)).into_iter().filter(
                |config| {
                    let secret = locate::holds_token(config);
                    if secret {
                        tracing::warn!(
                            config = %config.display(),
                            "cargo's configuration holds a token and is hidden from the sandbox"
                        );
                    }
                    !secret
                },
            ));
        }
        readable.extend(self.rustup_home.clone());
        readable.retain(|path| path.exists() && !path.starts_with(&self.root));
        readable.sort();
        readable.dedup();
        readable
    }

    /// The directory of a kept store.
    fn store_name(&self, kind: &str) -> String {
        let inner = relative(&self.root, &self.dir).unwrap_or_default();
        let name = blake3::hash(inner.as_bytes()).to_hex();
        format!("{kind}-{}", &name[..16])
    }

    pub(crate) fn owns(&self, id: &TestId) -> bool {
        let package = id.0.split("::").next().unwrap_or_default();
        id.0.contains("::") && self.workspace.packages.iter().any(|name| name == package)
    }

    fn command(
        &self,
        argv: Vec<OsString>,
        cwd: PathBuf,
        env: BTreeMap<OsString, OsString>,
        wall: Duration,
    ) -> Command {
        Command { argv, cwd, env, stdin: Vec::new(), wall, cpu: None }
    }
}

/// See [`crate::read_any_report`].
pub(crate) fn read_any_report(bytes: &[u8]) {
    libtest::parse(bytes);
    libtest::parse_list(bytes);
    messages::Messages::parse(bytes);
}
