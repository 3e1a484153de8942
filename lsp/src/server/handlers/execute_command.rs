//! `workspace/executeCommand`

use std::path::PathBuf;
use std::sync::Arc;

use greenlit_client::RequestError;
use greenlit_protocol::{Notification, Request, Response, TestOutcome, Tier};
use lsp_types::{ExecuteCommandParams, MessageType};
use serde::Deserialize;
use serde_json::Value;
use tower_lsp::jsonrpc::{Error, ErrorCode, Result};

use crate::server::evidence;
use crate::server::outgoing::Outgoing;
use crate::server::session::Session;
use crate::server::test_results::TestResults;

/// What can be executed.
pub(crate) const COMMANDS: [&str; 7] = [
    "greenlit.runTests",
    "greenlit.fix",
    "greenlit.cancel",
    "greenlit.showEvidence",
    "greenlit.dismissFix",
    "greenlit.status",
    "greenlit.restart",
];

/// What runs on a root: `{ "root": uri or path, "tests": [id] }`, each optional; or the root alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Target {
    root: Option<String>,
    tests: Vec<String>,
}

pub(crate) async fn execute_command(
    session: &Arc<Session>,
    params: ExecuteCommandParams,
) -> Result<Option<Value>> {
    let argument = params.arguments.into_iter().next().unwrap_or_default();
    match params.command.as_str() {
        "greenlit.runTests" => {
            for (root, tests) in targets(session, argument)? {
                run(session, root.clone(), Request::Test { root, tests });
            }
            Ok(None)
        }
        "greenlit.fix" => {
            for (root, tests) in targets(session, argument)? {
                let request = Request::Fix {
                    root: root.clone(),
                    tests,
                    visible: Vec::new(),
                    tier: Tier::Auto,
                    budget_secs: None,
                };
                run(session, root, request);
            }
            Ok(None)
        }
        "greenlit.cancel" => {
            targets(session, argument)?.iter().for_each(|(root, _)| session.cancel(root));
            Ok(None)
        }
        "greenlit.showEvidence" => {
            let fix = argument.as_str().map(str::to_owned);
            let fix = fix.ok_or_else(|| Error::invalid_params("expected the id of a fix"))?;
            match session.request(Request::Evidence { fix }).await {
                Ok(Response::Evidence(report)) => Ok(Some(evidence::markdown(&report).into())),
                other => Err(unexpected(other)),
            }
        }
        "greenlit.dismissFix" => {
            let fix = argument.as_str().map(str::to_owned);
            let fix = fix.ok_or_else(|| Error::invalid_params("expected the id of a fix"))?;
            session.notify(Notification::FixDecision { fix, applied: false });
            Ok(None)
        }
        "greenlit.status" => {
            let mut status = serde_json::to_value(session.status()).unwrap_or_default();
            status["ignoredDiagnostics"] = session.state().seen.ignored().into();
            match session.request(Request::Status).await {
                Ok(Response::Status(report)) => {
                    status["report"] = serde_json::to_value(report).unwrap_or_default();
                }
                Ok(other) => return Err(unexpected(Ok(other))),
                Err(error) => status["message"] = error.to_string().into(),
            }
            Ok(Some(status))
        }
        "greenlit.restart" => {
            let session = session.clone();
            tokio::spawn(async move { session.restart().await });
            Ok(None)
        }
        other => Err(Error::invalid_params(format!("there is no command `{other}`"))),
    }
}

/// The roots that a command is for; without one, all of them.
fn targets(session: &Session, argument: Value) -> Result<Vec<(PathBuf, Vec<String>)>> {
    let target = match argument {
        Value::Null => Target::default(),
        Value::String(root) => Target { root: Some(root), tests: Vec::new() },
        other => serde_json::from_value(other)
            .map_err(|error| Error::invalid_params(format!("expected a root: {error}")))?,
    };
    let state = session.state();
    let roots = match &target.root {
        Some(name) => {
            let root = state.roots.find(name);
            vec![root.ok_or_else(|| Error::invalid_params(format!("`{name}` is not open")))?]
        }
        None => state.roots.canonical(),
    };
    Ok(roots.into_iter().map(|root| (root, target.tests.clone())).collect())
}

/// Starts something long; its results come as diagnostics, its end as a line in the log.
fn run(session: &Arc<Session>, root: PathBuf, request: Request) {
    session.wake();
    let here = session.clone();
    let all = matches!(&request, Request::Test { tests, .. } if tests.is_empty());
    session.spawn_job(root, async move {
        match here.request(request).await {
            Ok(response) => {
                here.log(MessageType::INFO, summary(&response));
                tell_tests(&here, response, all);
            }
            Err(error) => here.send(Outgoing::Show(MessageType::ERROR, explain(&error))),
        }
    });
}

/// Those who list tests learn how they ended from here: the daemon tells it once, as an answer.
fn tell_tests(session: &Session, response: Response, all: bool) {
    let Response::Test(report) = response else { return };
    let results = {
        let state = session.state();
        let shown = state.features.test_results;
        shown.then(|| TestResults::of_report(&state.roots, report, all)).flatten()
    };
    results.into_iter().for_each(|results| session.send(Outgoing::Tests(results)));
}

fn summary(response: &Response) -> String {
    match response {
        Response::Test(report) => {
            let count = |outcome| report.tests.iter().filter(|t| t.outcome == outcome).count();
            format!(
                "{}: {} tests passed, {} failed, {} flaky in {:.1} s",
                report.root.display(),
                count(TestOutcome::Passed),
                count(TestOutcome::Failed) + count(TestOutcome::Hung),
                count(TestOutcome::Flaky),
                report.duration_ms as f64 / 1000.0
            )
        }
        Response::Fix { report, .. } => format!(
            "{}: {} verified fixes for {} failing tests, {} candidates run in {:.1} s",
            report.root.display(),
            report.fixes.len(),
            report.failing.len(),
            report.stats.candidates.run,
            report.stats.elapsed_ms as f64 / 1000.0
        ),
        _ => "done".to_owned(),
    }
}

pub(crate) fn explain(error: &RequestError) -> String {
    match error {
        RequestError::Remote(remote) => match &remote.hint {
            Some(hint) => format!("Greenlit: {}. {hint}", remote.message),
            None => format!("Greenlit: {}", remote.message),
        },
        other => format!("Greenlit: {other}"),
    }
}

pub(super) fn unexpected(result: std::result::Result<Response, RequestError>) -> Error {
    let mut error = Error::new(ErrorCode::ServerError(-32803));
    error.message = match result {
        Ok(_) => "greenlitd gave an answer to another question".into(),
        Err(error) => explain(&error).into(),
    };
    error
}
