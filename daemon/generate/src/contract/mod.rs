//! What a model has to answer, and how its answer is read.
//!
//! A **plan** is one JSON object. A **patch** is a header, one line of JSON, followed by the code in a
//! fence: code inside of JSON strings costs escapes that models get wrong. Grammars say the same to
//! decoders that can be held to one. Replies of those that cannot are read as far as their meaning is
//! beyond doubt: fences of several shapes, search and replace blocks, unified diffs, a whole function.

mod blocks;
mod fence;
mod function;
mod grammar;
mod json;
mod path;
mod place;
mod plan;
mod reply;
mod write;

#[cfg(test)]
mod tests;

pub use grammar::{patch_grammar, plan_schema};
pub use path::PathFault;
pub use place::{Scope, edits};
pub use plan::{Plan, plan};
pub use reply::{Change, Draft, drafts};
pub use write::reply;

/// The version of the contract that replies name.
pub const VERSION: u64 = 1;

/// Bytes of the longest reply that is read.
pub const MAX_REPLY: usize = 128 << 10;

/// Why a reply does not validate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// Longer than [`MAX_REPLY`].
    #[error("the reply is longer than {MAX_REPLY} bytes")]
    TooLong,
    /// It ended within a block of code.
    #[error("the reply ends within a code block")]
    Unfinished,
    /// Neither a header with code nor anything else that says what to change.
    #[error("the reply has no patch")]
    NoPatch,
    /// No JSON object, or not one of the schema.
    #[error("the plan is not valid: {0}")]
    Plan(String),
    /// The header is not of the schema.
    #[error("the header is not valid: {0}")]
    Header(String),
    /// It is of another version of the contract.
    #[error("the reply is of version {0} of the contract, not {VERSION}")]
    Version(u64),
    /// It asks for more than a patch may have.
    #[error("the patch has more than {0}")]
    TooMuch(&'static str),
    /// A path that may not be changed. The path is the model's: it is shortened and escaped.
    #[error("{fault}: {path}")]
    Path {
        /// As the model wrote it.
        path: String,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// No path, and more than one file or none that could be meant.
    #[error("the reply does not say which file it changes")]
    NoPath,
    /// There is no such function.
    #[error("there is no function `{0}` in the file")]
    NoFunction(String),
    /// There are several.
    #[error("there are several functions `{0}` in the file")]
    ManyFunctions(String),
    /// The code does not hold the function that it is to replace.
    #[error("the code is not the function `{0}`")]
    NotTheFunction(String),
    /// A range outside of the file.
    #[error("lines {0} to {1} are not in the file")]
    NoLines(u64, u64),
    /// A text to replace that the file does not have exactly once.
    #[error("the text to replace is in the file {0} times, not once")]
    NotOnce(usize),
    /// Two blocks change the same place.
    #[error("two changes of one place")]
    Overlap,
    /// It leaves everything as it is.
    #[error("the patch changes nothing")]
    NoChange,
}

/// A name that a model gave, fit to be shown.
fn shown(name: &str) -> String {
    let escaped: String = name.chars().take(80).flat_map(char::escape_default).collect();
    if escaped.is_empty() { "an empty name".to_owned() } else { escaped }
}
