//! One table per grammar.

pub(crate) mod javascript;
pub(crate) mod python;
pub(crate) mod rust;
