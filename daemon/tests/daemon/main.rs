//! The real daemon, seen by real clients.
#![cfg(unix)]

#[cfg(test)]
mod diagnostics;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod link;
#[cfg(test)]
mod support;
