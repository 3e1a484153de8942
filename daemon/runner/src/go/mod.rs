//! Go: builds each package's test binary with `go test -c`, then runs it directly and reads the
//! framed events that `-test.v=test2json` makes the `testing` package write.
//!
//! `go test` itself would do both in one command: there a slow build could not be told from a
//! hanging test, and its own cache could answer instead of the tests.
//!
//! Tests, examples and the seed inputs of fuzz tests are run, benchmarks are not, and neither is
//! `go vet`. A subtest is a test of its own, `TestX/case_1`; the test around it is one too.
//!
//! What frames prove: a line that a program prints is never taken for a result, and an early exit
//! is no report. Code under test shares its process with the `testing` package, so code that is
//! written to forge frames byte by byte, for each expected test, can: that is why candidates that
//! end the process or touch tests are refused before they run, and why callers demand the exact
//! set of ids.

mod build;
mod cover;
mod failures;
mod frames;
mod modules;
mod profile;
mod run;
mod shot;
mod trials;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use greenlit_sandbox::{BuildCache, CacheMode, Command};

use crate::environment::Environment;
use crate::host;
use crate::project::Needs;
use crate::scope::{Scope, relative};
use crate::types::TestId;

pub(crate) use modules::modules;

/// The first version that builds many test binaries at once and reports whole paths.
const OLDEST: (u32, u32) = (1, 21);

/// Where the person's build cache is shown, in the sandbox only. Go does not look for packages in
/// directories whose name begins with a dot.
const CACHE: &str = ".greenlit-go";

/// Settings of the person's that decide what is built and how.
const SETTINGS: &[&str] = &[
    "CGO_CFLAGS",
    "CGO_CPPFLAGS",
    "CGO_CXXFLAGS",
    "CGO_ENABLED",
    "CGO_LDFLAGS",
    "GOAMD64",
    "GOARM64",
    "GODEBUG",
    "GOEXPERIMENT",
    "GOFLAGS",
];

/// A Go module.
#[derive(Debug, Clone)]
pub(crate) struct GoProject {
    pub(crate) root: PathBuf,
    pub(crate) dir: PathBuf,
    /// Directories of modules below this one.
    nested: Vec<PathBuf>,
    goroot: PathBuf,
    modcache: Option<PathBuf>,
    /// The person's own build cache: there the standard library is built already.
    gocache: Option<PathBuf>,
    version: String,
    env: BTreeMap<OsString, OsString>,
}

impl GoProject {
    pub(crate) fn new(
        root: &Path,
        dir: &Path,
        nested: Vec<PathBuf>,
        environment: &Environment,
    ) -> Result<Self, String> {
        let go = host::tool(environment, root, "go")
            .ok_or("go is not on PATH; to get it: https://go.dev/dl")?;
        let answer = ask(&go, environment)
            .ok_or_else(|| format!("{} does not work: `go env` failed", go.display()))?;
        let get = |name: &str| answer.get(name).filter(|value| !value.is_empty());
        let version = get("GOVERSION").map_or("", |v| v.trim_start_matches("go")).to_owned();
        if number(&version) < OLDEST {
            let (major, minor) = OLDEST;
            return Err(format!("go {version} is too old; go {major}.{minor} or newer is needed"));
        }
        let directory = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let (modcache, gocache) = (directory("GOMODCACHE"), directory("GOCACHE"));
        let goroot = directory("GOROOT")
            .filter(|goroot| !goroot.starts_with(root))
            .ok_or_else(|| format!("{} does not know its GOROOT", go.display()))?;
        let mut env = environment.allowed();
        for name in SETTINGS {
            if let Some(value) = get(name) {
                env.insert(name.into(), value.into());
            }
        }
        if get("GOWORK").is_some_and(|value| value == "off") {
            env.insert("GOWORK".into(), "off".into());
        }
        // `go test` puts its own tools first as well.
        let mut path = vec![goroot.join("bin")];
        path.extend(environment.path_entries());
        env.insert("PATH".into(), std::env::join_paths(path).unwrap_or_default());
        for (name, value) in [
            // The person's file of settings may hold credentials; what matters of it is above.
            ("GOENV", "off"),
            ("GOPROXY", "off"),
            ("GOSUMDB", "off"),
            ("GOTELEMETRY", "off"),
            ("GOTOOLCHAIN", "local"),
            ("GOVCS", "*:off"),
        ] {
            env.insert(name.into(), value.into());
        }
        env.insert("GOROOT".into(), goroot.clone().into());
        if let Some(modcache) = &modcache {
            env.insert("GOMODCACHE".into(), modcache.clone().into());
        }
        Ok(Self {
            root: root.to_owned(),
            dir: dir.to_owned(),
            nested,
            goroot,
            modcache,
            gocache,
            version,
            env,
        })
    }

    pub(crate) fn label(&self) -> String {
        format!("go test (go {})", self.version)
    }

    pub(crate) fn needs(&self, store: &Path, mode: CacheMode) -> Needs {
        let mut readable = host::link_chain(&self.goroot);
        readable.extend(self.modcache.clone());
        readable.retain(|path| path.exists() && !path.starts_with(&self.root));
        readable.sort();
        readable.dedup();
        // One for all modules of the root: they share the standard library.
        let outside = |path: &PathBuf| path.is_dir() && !path.starts_with(&self.root);
        let base = self.gocache.clone().filter(outside);
        let cache = BuildCache { path: self.cache(), base, store: store.join("go"), mode };
        Needs { readable, caches: vec![cache] }
    }

    /// `./price::TestX`: no other ecosystem's ids begin with a dot.
    pub(crate) fn owns(&self, id: &TestId) -> bool {
        let Some((package, _)) = id.0.split_once("::") else { return false };
        if package != "." && !package.starts_with("./") {
            return false;
        }
        let path = self.root.join(package);
        let path: PathBuf = path.components().collect();
        path.starts_with(&self.dir) && !self.nested.iter().any(|nested| path.starts_with(nested))
    }

    /// The directory of a package as ids name it.
    fn id_package(&self, dir: &Path) -> String {
        match relative(&self.root, dir).as_deref() {
            Some("") | None => ".".to_owned(),
            Some(inner) => format!("./{inner}"),
        }
    }

    fn cache(&self) -> PathBuf {
        self.root.join(CACHE)
    }

    fn go(&self) -> PathBuf {
        self.goroot.join("bin").join("go").with_extension(std::env::consts::EXE_EXTENSION)
    }

    fn command(
        &self,
        scope: &Scope,
        argv: Vec<OsString>,
        cwd: PathBuf,
        more: &[(&str, OsString)],
        wall: Duration,
    ) -> Command {
        let mut env = self.env.clone();
        env.insert("GOCACHE".into(), scope.inside(&self.cache()).into());
        env.insert("PWD".into(), scope.inside(&cwd).into());
        env.extend(more.iter().map(|(name, value)| (OsString::from(name), value.clone())));
        Command { argv, cwd, env, stdin: Vec::new(), wall, cpu: None }
    }
}

/// Asks a `go` of the person's own for its settings, outside of any module.
fn ask(go: &Path, environment: &Environment) -> Option<BTreeMap<String, String>> {
    let mut command = process::Command::new(go);
    command.args(["env", "-json"]).env_clear().envs(environment.allowed());
    for (name, value) in &environment.vars {
        let name = name.to_str().unwrap_or_default();
        if name.starts_with("GO") || name.starts_with("CGO_") || name.starts_with("XDG_") {
            command.env(name, value);
        }
    }
    if let Some(home) = environment.home() {
        command.env("HOME", home);
    }
    command.env("GOTOOLCHAIN", "local").env("GOPROXY", "off");
    serde_json::from_slice(&host::ask(command, Duration::from_secs(20))?).ok()
}

/// `1.27.3` and `1.28rc1` as numbers; a version that is none counts as the oldest.
fn number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| {
        let digits = part.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().unwrap_or(0)
    });
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// See [`crate::read_any_report`].
pub(crate) fn read_any_report(bytes: &[u8]) {
    profile::executed(bytes);
    let mut report = frames::Report::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        report.feed(line, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(number("1.9.7") < OLDEST);
        assert!(number("1.27.3") > OLDEST);
        assert!(number("1.28rc1") > OLDEST);
        assert!(number("devel") < OLDEST);
    }
}
