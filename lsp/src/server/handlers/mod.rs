//! One LSP method per file: parse, call, convert.

mod code_action;
mod code_action_resolve;
mod diagnostic;
mod did_change;
mod did_change_configuration;
mod did_change_workspace_folders;
mod did_close;
mod did_open;
mod did_save;
mod evidence;
mod execute_command;
mod fixes;
mod initialize;
mod initialized;
mod search;
mod tests;
mod work_done_progress_cancel;

pub(crate) use code_action::code_action;
pub(crate) use code_action_resolve::code_action_resolve;
pub(crate) use diagnostic::diagnostic;
pub(crate) use did_change::did_change;
pub(crate) use did_change_configuration::{did_change_configuration, set_settings};
pub(crate) use did_change_workspace_folders::did_change_workspace_folders;
pub(crate) use did_close::did_close;
pub(crate) use did_open::did_open;
pub(crate) use did_save::did_save;
pub(crate) use evidence::{Evidence, EvidenceParams, evidence};
pub(crate) use execute_command::{COMMANDS, execute_command, explain};
pub(crate) use fixes::{FixesParams, ListedFix, fixes};
pub(crate) use initialize::initialize;
pub(crate) use initialized::{initialized, pull_settings};
pub(crate) use search::{RootHits, SearchParams, search, symbol};
pub(crate) use tests::{RootParams, RunTestsParams, run_tests, tests};
pub(crate) use work_done_progress_cancel::work_done_progress_cancel;
