//! Syntax trees for the languages that Greenlit repairs: parse, name functions, calls and scopes.
//!
//! One [`Table`] per grammar translates node kinds into language-neutral [`Role`]s and says how the
//! language writes things. Everything above the tables is written once, over roles.
//!
//! [`chunk`] divides texts for the index, documents without a grammar included.
//!
//! This crate must not know repair, tests, documents or files: text goes in, facts come out.
//!
//! Invariant: byte offsets handed out lie on character boundaries of the text that was parsed.
//! Invariant: no text, however mangled, makes a function of this crate panic.

pub mod chunk;
mod declared;
mod expressions;
mod items;
mod language;
mod parsed;
mod role;
mod scope;
mod shape;
mod table;
mod tables;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

pub use declared::{FLOAT, INTEGER, is_float};
pub use items::FunctionItem;
pub use language::Language;
pub use parsed::{Binary, CallParts, ParseError, Parsed, SliceParts, parse};
pub use role::Role;
pub use scope::{Binding, BindingKind};
pub use shape::Shapes;
pub use table::{Absence, Style, Table, When, Words};
pub use tree_sitter::Node;
