//! The adapters with the real tools: cargo, Python with pytest, node, go. Nothing is skipped silently:
//! a test that does not find its tool fails and says what is missing.

#[cfg(test)]
mod cargo;
#[cfg(test)]
mod cargo_bad_input;
#[cfg(test)]
mod cargo_schemata;
#[cfg(test)]
mod cargo_spectrum;
#[cfg(test)]
mod check;
#[cfg(test)]
mod detect;
#[cfg(test)]
mod go;
#[cfg(test)]
mod go_bad_input;
#[cfg(test)]
mod node;
#[cfg(test)]
mod node_bad_input;
mod node_probe;
#[cfg(test)]
mod node_spectrum;
#[cfg(test)]
mod node_suites;
#[cfg(test)]
mod node_trials;
#[cfg(test)]
mod pytest;
#[cfg(test)]
mod pytest_bad_input;
#[cfg(test)]
mod pytest_probe;
#[cfg(test)]
mod pytest_trials;
#[cfg(test)]
mod support;
