//! `greenlit/tests` and `greenlit/runTests`

use std::sync::Arc;

use greenlit_protocol::{Request, Response};
use serde::Deserialize;
use tower_lsp::jsonrpc::{Error, Result};

use super::execute_command::unexpected;
use crate::server::session::Session;
use crate::server::test_results::TestResults;

/// What `greenlit/tests` takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RootParams {
    /// URI or path; without one all roots are meant.
    #[serde(default)]
    root: Option<String>,
}

/// What `greenlit/runTests` takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunTestsParams {
    /// URI or path.
    root: String,
    /// Ids; none means all.
    #[serde(default)]
    tests: Vec<String>,
}

/// What is known of tests, with where they are written. Nothing is run.
pub(crate) async fn tests(session: &Arc<Session>, params: RootParams) -> Result<Vec<TestResults>> {
    let roots = match &params.root {
        Some(name) => vec![root_of(session, name)?],
        None => session.state().roots.canonical(),
    };
    let mut known = Vec::new();
    for root in roots {
        match session.request(Request::Tests { root }).await {
            Ok(Response::Tests(report)) => {
                known.extend(TestResults::of_known(&session.state().roots, report));
            }
            other => return Err(unexpected(other)),
        }
    }
    Ok(known)
}

/// Runs tests and answers when they ended; cancelling the request stops them.
pub(crate) async fn run_tests(
    session: &Arc<Session>,
    params: RunTestsParams,
) -> Result<TestResults> {
    let root = root_of(session, &params.root)?;
    session.wake();
    let all = params.tests.is_empty();
    match session.request(Request::Test { root, tests: params.tests }).await {
        Ok(Response::Test(report)) => {
            let results = TestResults::of_report(&session.state().roots, report, all);
            results.ok_or_else(|| not_open(&params.root))
        }
        other => Err(unexpected(other)),
    }
}

fn root_of(session: &Session, name: &str) -> Result<std::path::PathBuf> {
    session.state().roots.find(name).ok_or_else(|| not_open(name))
}

fn not_open(name: &str) -> Error {
    Error::invalid_params(format!("`{name}` is not open"))
}
