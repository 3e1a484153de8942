//! `cargo xtask engine`: the process that runs language models, and how it must be built.
//!
//! Its instructions are chosen when it is compiled: built for any x86-64 processor it would run models
//! several times slower than it could. So it is built for x86-64-v3 (AVX2, FMA), and says at its start
//! where that does not run. The flag goes to every crate below it; in a target directory of its own, so
//! that this and the other builds do not throw each other's products away.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cargo, root, run, say};

/// Profiles in the root `Cargo.toml`: what is installed, and what is tested.
const PROFILE: &str = "engine";
const TEST_PROFILE: &str = "engine-test";
const PACKAGE: &str = "greenlit-engine";

/// Builds the engine and puts it into cargo's bin directory.
pub(crate) fn engine(cuda: bool) -> Result<()> {
    let mut build = prepared(cargo());
    build.args(["build", "--locked", "--profile", PROFILE, "--package", PACKAGE, "--bin", PACKAGE]);
    let mut installed = PACKAGE.to_owned();
    if cuda {
        build.args(["--features", "cuda"]);
        installed.push_str("-cuda");
    }
    run(&mut build)?;
    let suffix = std::env::consts::EXE_SUFFIX;
    let built = directory().join(PROFILE).join(format!("{PACKAGE}{suffix}"));
    let target = bin_directory()?.join(format!("{installed}{suffix}"));
    std::fs::copy(&built, &target)
        .with_context(|| format!("cannot copy {} to {}", built.display(), target.display()))?;
    say(format!("installed {}", target.display()));
    Ok(())
}

/// Lints and tests the engine with real inference. Clippy stands in for the compiler in one build:
/// `cargo clippy` would check all crates below a second time, which takes minutes.
pub(crate) fn test(nextest: &Path) -> Result<()> {
    let mut tests = prepared(Command::new(nextest));
    tests.current_dir(root());
    tests.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    // As `cargo clippy -- -D warnings` hands it on.
    tests.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    run(tests.args([
        "nextest",
        "run",
        "--cargo-profile",
        TEST_PROFILE,
        "--package",
        PACKAGE,
        "--no-fail-fast",
    ]))
}

/// A command that builds for the processors that the engine is for, where the engine is built.
fn prepared(mut command: Command) -> Command {
    command.env("CARGO_TARGET_DIR", directory());
    if cfg!(target_arch = "x86_64") {
        // The variable takes the place of flags from cargo's configuration: a person's own are kept.
        let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        if !flags.contains("target-cpu") {
            flags.push_str(" -C target-cpu=x86-64-v3");
        }
        command.env("RUSTFLAGS", flags.trim());
    }
    command
}

fn directory() -> PathBuf {
    root().join("target").join("engine")
}

/// Where `cargo install` puts executables.
fn bin_directory() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let home = match set("CARGO_INSTALL_ROOT").or_else(|| set("CARGO_HOME")) {
        Some(home) => home,
        None => std::env::home_dir().context("there is no home directory")?.join(".cargo"),
    };
    let directory = home.join("bin");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}
