//! A package as somebody's checkout: under git, with its dependencies, twice.
//!
//! The product works in one copy, the judge in the other, so that neither sees what the other left.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::fetch::{Cache, done};
use crate::manifest::{Ecosystem, Package};
use crate::process;

/// A package, ready to be tested.
pub struct Checkout {
    /// Its language.
    pub ecosystem: Ecosystem,
    /// Which.
    pub package: Package,
    /// Where the product works.
    pub work: PathBuf,
    /// Where the plain test command runs.
    pub judge: PathBuf,
    /// The interpreter, for Python.
    pub python: Option<PathBuf>,
}

/// Files that a checkout of such a project ignores.
const IGNORED: &str =
    "target/\nnode_modules/\n__pycache__/\n.pytest_cache/\n.coverage*\n.hypothesis/\nhtmlcov/\n";

/// Downloads, unpacks and installs; a checkout that is ready is taken as it is.
///
/// # Errors
/// When a step fails; the message shows what the tool said.
pub fn prepare(
    cache: &Cache,
    ecosystem: Ecosystem,
    package: &Package,
    python: Option<&Path>,
) -> Result<Checkout> {
    let archive = cache.archive(ecosystem, package)?;
    let place = cache.place(ecosystem, package);
    let checkout = Checkout {
        ecosystem,
        package: package.clone(),
        work: place.join("work"),
        judge: place.join("judge"),
        python: python.map(Path::to_owned),
    };
    let wanted = format!("{package:?}");
    let stamp = place.join("ready");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        checkout.restore()?;
        return Ok(checkout);
    }
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot empty {}", place.display()))?;
    }
    fs::create_dir_all(&checkout.work)?;
    let mut tar = process::command("tar");
    tar.arg("xzf")
        .arg(&archive)
        .args(["--no-same-owner", "--strip-components=1", "-C"])
        .arg(&checkout.work);
    done(&mut tar)?;
    match ecosystem {
        Ecosystem::Rust => install_crate(&checkout.work)?,
        Ecosystem::Python => {}
        Ecosystem::JavaScript => install_package(&checkout.work, package)?,
    }
    commit(&checkout.work)?;
    done(process::command("cp").arg("-a").args([&checkout.work, &checkout.judge]))?;
    fs::write(stamp, wanted)?;
    Ok(checkout)
}

/// The cache may lie below another workspace; dependencies are fetched while there is a network.
fn install_crate(dir: &Path) -> Result<()> {
    let manifest = dir.join("Cargo.toml");
    let mut text = fs::read_to_string(&manifest)?;
    if !text.lines().any(|line| line.trim() == "[workspace]") {
        text.push_str("\n[workspace]\n");
        fs::write(&manifest, text)?;
    }
    done(process::command("cargo").args(["fetch", "--quiet"]).current_dir(dir)).map(drop)
}

/// The author's tools (coverage, linters, type tests) are left out: they are no part of the tests,
/// and the script becomes the plain command that they wrap.
fn install_package(dir: &Path, package: &Package) -> Result<()> {
    let manifest = dir.join("package.json");
    let mut value: serde_json::Value = serde_json::from_str(&fs::read_to_string(&manifest)?)?;
    let object = value.as_object_mut().context("package.json is an object")?;
    object.remove("devDependencies");
    let script = [&["node".to_owned(), "--test".to_owned()], package.test_args.as_slice()].concat();
    object.insert("scripts".into(), serde_json::json!({ "test": script.join(" ") }));
    fs::write(&manifest, serde_json::to_string_pretty(&value)? + "\n")?;
    let mut npm = process::command("npm");
    npm.args(["install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
    npm.args(["--no-save", "--silent"]).args(&package.test_dependencies);
    done(npm.current_dir(dir)).map(drop)
}

fn commit(dir: &Path) -> Result<()> {
    let git = |args: &[&str]| {
        let mut git = process::command("git");
        git.args(["-c", "user.name=bench", "-c", "user.email=bench@localhost"]);
        git.args(["-c", "commit.gpgsign=false", "-c", "core.autocrlf=false"]);
        done(git.args(args).current_dir(dir)).map(drop)
    };
    git(&["init", "--quiet"])?;
    fs::create_dir_all(dir.join(".git/info"))?;
    fs::write(dir.join(".git/info/exclude"), IGNORED)?;
    // Some archives ignore files of their own.
    git(&["add", "--all", "--force", "--", ".", ":!target", ":!node_modules"])?;
    git(&["commit", "--quiet", "--no-verify", "-m", "as released"])
}

impl Checkout {
    /// `javascript/find-my-way 9.10.1`
    pub fn label(&self) -> String {
        format!("{}/{} {}", self.ecosystem.name(), self.package.name, self.package.version)
    }

    /// What the product and the judge are started with.
    pub fn env(&self, dir: &Path) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> =
            vec![("PYTHONDONTWRITEBYTECODE".into(), "1".into())];
        if let Some(bin) = self.python.as_deref().and_then(Path::parent) {
            env.push(("VIRTUAL_ENV".into(), bin.parent().unwrap_or(bin).into()));
            let path = std::env::var_os("PATH").unwrap_or_default();
            let all = [bin.to_owned()].into_iter().chain(std::env::split_paths(&path));
            env.push(("PATH".into(), std::env::join_paths(all).unwrap_or(path)));
        }
        if !self.package.python_path.is_empty() {
            let all = self.package.python_path.iter().map(|path| dir.join(path));
            env.push(("PYTHONPATH".into(), std::env::join_paths(all).unwrap_or_default()));
        }
        env
    }

    /// The sources that faults go into, sorted by path.
    ///
    /// # Errors
    /// When one that the manifest names is missing.
    pub fn sources(&self) -> Result<Vec<(PathBuf, Arc<str>)>> {
        let mut found = Vec::new();
        for source in &self.package.sources {
            let path = self.work.join(source);
            let data = fs::metadata(&path).with_context(|| format!("no {}", path.display()))?;
            if data.is_dir() { collect(&path, &mut found)? } else { found.push(path) }
        }
        found.sort();
        found.dedup();
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).ok()?;
            Some((path.strip_prefix(&self.work).ok()?.to_owned(), text.into()))
        };
        Ok(found.into_iter().filter_map(read).collect())
    }

    /// Both copies as they were committed.
    ///
    /// # Errors
    /// When git fails.
    pub fn restore(&self) -> Result<()> {
        restore(&self.work)?;
        restore(&self.judge)
    }
}

/// A copy as it was committed; ignored files stay.
///
/// # Errors
/// When git fails.
pub fn restore(dir: &Path) -> Result<()> {
    let git = |args: &[&str]| done(process::command("git").args(args).current_dir(dir)).map(drop);
    git(&["checkout", "--quiet", "--force", "--", "."])?;
    git(&["clean", "--quiet", "--force", "-d"])
}

/// Code below a directory; tests and what is generated or foreign are no places for faults.
fn collect(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    const LEFT_OUT: [&str; 7] =
        ["tests", "test", "target", "node_modules", "benches", "benchmark", "examples"];
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let test = LEFT_OUT.contains(&stem) || stem.starts_with("test_") || stem.ends_with("_test");
        if path.is_dir() && !test && !name.starts_with('.') {
            collect(&path, found)?;
        } else if path.is_file() && !test && greenlit_syntax::Language::from_path(&path).is_some() {
            found.push(path);
        }
    }
    Ok(())
}
