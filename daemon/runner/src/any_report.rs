//! Everything that reads what tests and tools print, on the same bytes: for fuzzing.

use crate::{cargo, go, junit};

/// Reads a text as every report that runners write. It may be none; nothing may panic.
#[doc(hidden)]
pub fn read_any_report(bytes: &[u8]) {
    // Whether it is one is all that is asked.
    let _ = junit::parse(bytes);
    cargo::read_any_report(bytes);
    go::read_any_report(bytes);
}
