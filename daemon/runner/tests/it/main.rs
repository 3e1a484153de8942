//! The adapters with the real tools: cargo, Python with pytest, node. Nothing is skipped silently:
//! a test that does not find its tool fails and says what is missing.

mod cargo;
mod dbg;
mod detect;
mod node;
mod pytest;
mod support;
