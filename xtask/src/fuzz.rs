//! `cargo xtask fuzz`: libFuzzer writes what parsers have to survive.
//!
//! Built apart from everything else: with coverage counters in every crate, and with the checks of
//! debug builds. What it learned is kept in `target/fuzz/corpus`, and what broke a target beside it.

use anyhow::{Context, Result};

use crate::run::{cargo, output, root, run, say};

/// Coverage as libFuzzer reads it; no flag of an unstable compiler.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1 -Cdebug-assertions";

/// Fuzzes one target for a while.
pub(crate) fn fuzz(target: &str, seconds: u64) -> Result<()> {
    let directory = root().join("target").join("fuzz");
    let triple = host()?;
    let mut build = cargo();
    build.env("CARGO_TARGET_DIR", &directory).env("RUSTFLAGS", FLAGS);
    // Naming the host keeps the flags from build scripts and procedural macros.
    build.args(["build", "--locked", "--release", "--target", &triple]);
    run(build.args(["--package", "greenlit-fuzz", "--features", "libfuzzer"]))?;
    let corpus = directory.join("corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let program = directory.join(&triple).join("release").join("greenlit-fuzz");
    let mut fuzz = std::process::Command::new(program);
    fuzz.env("GREENLIT_FUZZ", target).env("GREENLIT_FUZZ_CORPUS", &corpus);
    fuzz.current_dir(&directory).arg(&corpus);
    run(fuzz.args([format!("-max_total_time={seconds}"), "-timeout=20".to_owned()]))?;
    say(format!("{target}: no defect in {seconds} s"));
    Ok(())
}

fn host() -> Result<String> {
    let said = output(std::process::Command::new("rustc").args(["--print", "host-tuple"]));
    said.map(|host| host.trim().to_owned()).context("rustc does not say what it builds for")
}
