//! The first step: what a model means to do.

use serde::Deserialize;

use super::json::object;
use super::{ContractError, MAX_REPLY, Scope, VERSION, path};

/// Files or symbols that a plan may name.
const NAMES: usize = 16;

/// What a model means to do. All of it is a hint: nothing is run or changed by it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Plan {
    /// The version of the contract; the present one where it is missing.
    #[serde(default = "present")]
    pub version: u64,
    /// `fix-test` and the like.
    pub intent: String,
    /// Relative to the root, with forward slashes: each may be changed.
    pub files: Vec<String>,
    /// Functions that it wants to look at or change.
    pub symbols: Vec<String>,
    /// Why, for people.
    pub rationale: String,
    /// Test ids that it wants run. What is run is decided elsewhere.
    #[serde(default)]
    pub run_tests: Vec<String>,
}

fn present() -> u64 {
    VERSION
}

/// Reads a plan out of a reply.
///
/// # Errors
/// When there is none, or it names a file that may not be changed.
pub fn plan(reply: &str, scope: &Scope<'_>) -> Result<Plan, ContractError> {
    if reply.len() > MAX_REPLY {
        return Err(ContractError::TooLong);
    }
    let found = object(super::reply::answer(reply), |object| object.contains_key("intent"));
    let Some((found, _)) = found else {
        return Err(ContractError::Plan("there is no JSON object with an `intent`".to_owned()));
    };
    let plan: Plan = serde_json::from_value(found.into())
        .map_err(|error| ContractError::Plan(super::shown(&error.to_string())))?;
    if plan.version != VERSION {
        return Err(ContractError::Version(plan.version));
    }
    if plan.files.len() > NAMES || plan.symbols.len() > NAMES {
        return Err(ContractError::TooMuch("16 files or symbols"));
    }
    for file in &plan.files {
        path::admit(file, scope)?;
    }
    Ok(plan)
}
