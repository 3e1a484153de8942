//! What the benchmarks in `benches/` share: the product in an isolated place, packages from the
//! registries, their own test suites as the judge, injected faults, results that can be resumed.
//!
//! This crate must not be depended on by any other.
//!
//! Invariant: the judge is the package's plain test command, run outside the product.
//! Invariant: no daemon of the person who runs a benchmark is used or stopped.

pub mod checkout;
pub mod embedder;
pub mod fates;
pub mod features;
pub mod fetch;
pub mod inject;
pub mod machine;
pub mod manifest;
pub mod options;
pub mod process;
pub mod product;
pub mod results;
pub mod suite;
pub mod summary;

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate lies in the repository's root").to_owned()
}

/// Goes where the person is: `cargo bench` starts programs in their package's directory.
///
/// # Errors
/// When the directory that `cargo xtask bench` names is gone.
pub fn enter() -> std::io::Result<()> {
    match std::env::var_os("GREENLIT_BENCH_DIR") {
        Some(dir) => std::env::set_current_dir(dir),
        None => Ok(()),
    }
}

/// The middle of some numbers; `None` of none.
pub fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}
