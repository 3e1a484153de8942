//! What keeps tests from being run, as errors for people: what failed, why, what to do next.

use greenlit_protocol::{ErrorKind, RemoteError};
use greenlit_repair::{ProjectProblem, WorkError};
use greenlit_runner::RunState;
use greenlit_workspace::chain;

/// A job that could not run at all.
pub(crate) fn remote_error(error: &WorkError) -> RemoteError {
    match error {
        WorkError::Flaky => RemoteError::new(ErrorKind::Flaky, chain(error))
            .hint("nothing is offered on a test that proves nothing: make it deterministic first"),
        WorkError::Cancelled => RemoteError::new(ErrorKind::Cancelled, "the job was cancelled"),
        WorkError::InputsChanged => RemoteError::new(ErrorKind::InputsChanged, chain(error))
            .hint("run again when the files are at rest"),
        WorkError::Open(_) => RemoteError::new(ErrorKind::SandboxUnavailable, chain(error)).hint(
            "run `greenlit doctor` to see which sandbox layers work here and what would enable \
             the others",
        ),
        WorkError::Sandbox(_) | WorkError::Run(_) => {
            RemoteError::new(ErrorKind::Internal, chain(error))
                .hint("run `greenlit logs` for more, and `greenlit doctor` to check this machine")
        }
    }
}

/// A project whose tests could not be run.
pub(crate) fn project_error(problem: &ProjectProblem) -> RemoteError {
    let label = &problem.label;
    match &problem.state {
        RunState::Completed => RemoteError::new(ErrorKind::Internal, format!("{label}: completed")),
        RunState::ToolMissing { message } => {
            RemoteError::new(ErrorKind::ToolMissing, format!("{label}: {message}"))
        }
        RunState::BuildFailed { diagnostics, details } => {
            let first = diagnostics
                .first()
                .map(|first| format!("{}:{}: {}", first.path.display(), first.line, first.message));
            let what = first.unwrap_or_else(|| "see the details".to_owned());
            RemoteError::new(
                ErrorKind::BuildFailed,
                format!("{label}: the project does not build or its tests do not load: {what}"),
            )
            .details(details.clone())
        }
        RunState::NoTests => {
            RemoteError::new(ErrorKind::NoTests, format!("{label}: there are no tests"))
                .hint("add a test that fails, then save or run `greenlit fix`")
        }
        RunState::Hung { running } => {
            let names: Vec<_> = running.iter().map(|id| id.0.as_str()).collect();
            let which = if names.is_empty() {
                String::new()
            } else {
                format!("; running at the end: {}", names.join(", "))
            };
            RemoteError::new(
                ErrorKind::Hung,
                format!("{label}: the tests did not end in time{which}"),
            )
            .hint("raise `run.timeout_secs` in greenlit.toml if they need longer")
        }
        RunState::NoReport { message } => RemoteError::new(
            ErrorKind::NoReport,
            format!("{label}: the test run ended without a valid report: {message}"),
        ),
    }
}

/// A configuration that cannot be used.
pub(crate) fn configuration_error(message: String) -> RemoteError {
    RemoteError::new(ErrorKind::BadConfiguration, message)
        .hint("correct it and save: it is read again at the next run")
}
