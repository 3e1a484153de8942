//! The adapters with the real tools: cargo, Python with pytest, node. Nothing is skipped silently:
//! a test that does not find its tool fails and says what is missing.

#[cfg(test)]
mod cargo;
#[cfg(test)]
mod check;
#[cfg(test)]
mod detect;
#[cfg(test)]
mod node;
#[cfg(test)]
mod pytest;
#[cfg(test)]
mod support;
