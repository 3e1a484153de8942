//! `cargo check` and `cargo clippy`, for diagnostics.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_sandbox::{BuildCache, CacheMode, ExecOutcome, Sandbox};

use crate::cargo::CargoProject;
use crate::error::RunError;
use crate::project::Needs;
use crate::scope::Scope;

impl CargoProject {
    /// A target directory of its own: build scripts and procedural macros would otherwise be shared
    /// with test builds, whose list of sources knows nothing of what a check compiled.
    fn check_target(&self) -> PathBuf {
        self.target.join("greenlit-check")
    }

    pub(crate) fn check_needs(&self, store: &Path, mode: CacheMode) -> Needs {
        let name = self.store_name("check");
        let cache =
            BuildCache { path: self.check_target(), base: None, store: store.join(name), mode };
        Needs { readable: self.readable(), caches: vec![cache] }
    }

    /// Checks every target of the workspace.
    pub(crate) fn check(
        &self,
        sandbox: &mut Sandbox,
        clippy: bool,
        wall: Duration,
    ) -> Result<ExecOutcome, RunError> {
        let target = self.check_target();
        let sources = self.freshen(sandbox, &target)?;
        let scope = Scope::new(sandbox, &self.root);
        let mut argv: Vec<OsString> = vec![self.cargo.clone().into()];
        argv.push(if clippy { "clippy" } else { "check" }.into());
        // Without `--keep-going` an error in one crate hides what another has.
        argv.extend(
            ["--offline", "--all-targets", "--keep-going", "--message-format=json"]
                .map(OsString::from),
        );
        if self.workspace.is_workspace {
            argv.push("--workspace".into());
        }
        let mut env = self.env.clone();
        env.insert("CARGO_TARGET_DIR".into(), scope.inside(&target).into());
        let outcome = sandbox.exec(&self.command(argv, self.dir.clone(), env, wall))?;
        if outcome.state == greenlit_sandbox::ExitState::Exited(0) {
            sources.built(sandbox)?;
        }
        Ok(outcome)
    }
}
