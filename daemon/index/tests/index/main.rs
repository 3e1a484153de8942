//! Indexes of real directories and repositories.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod branches;
mod counted;
mod damaged;
mod disk_full;
mod exchange;
mod fresh;
mod kept;
mod killed;
mod meaning;
mod near;
mod progress;
mod support;
mod vectors;
