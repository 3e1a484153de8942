//! `greenlit test`.

use greenlit_protocol::{Notice, Request, Response, TestOutcome, TestReport};

use super::args::TestArgs;
use super::failure::Failure;
use super::output::{self, DIM, GREEN, RED, RESET, YELLOW};
use super::{daemon, root};

/// Runs the command.
pub(crate) async fn run(args: &TestArgs) -> Result<u8, Failure> {
    let root = root::resolve(args.root.as_deref())?;
    let connection = daemon::open("test", vec![root.clone()]).await?;
    let request = Request::Test { root, tests: Vec::new() };
    let report = match daemon::ask(&connection, request).await? {
        Response::Test(report) => report,
        other => return Err(daemon::unexpected(&other)),
    };
    if args.json {
        output::json(&report);
    } else {
        print(&report);
    }
    Ok(u8::from(!green(&report)))
}

/// A flaky test is not green: it failed at least once.
fn green(report: &TestReport) -> bool {
    let good = |outcome| matches!(outcome, TestOutcome::Passed | TestOutcome::Skipped);
    report.tests.iter().all(|test| good(test.outcome))
}

fn print(report: &TestReport) {
    for Notice { kind, message } in &report.notices {
        output::notice(format_args!("{YELLOW}{kind}:{RESET} {message}"));
    }
    let number = |outcome| report.tests.iter().filter(|test| test.outcome == outcome).count();
    for test in &report.tests {
        let mark = match test.outcome {
            TestOutcome::Failed | TestOutcome::Hung => format!("{RED}✗{RESET}"),
            TestOutcome::Flaky => format!("{YELLOW}~{RESET}"),
            TestOutcome::Passed | TestOutcome::Skipped => continue,
        };
        let place = match (&test.file, test.line) {
            (Some(file), Some(line)) => format!("  {DIM}{file}:{line}{RESET}"),
            _ => String::new(),
        };
        output::line(format_args!("{mark}  {}{place}", test.id));
        if let Some(message) = &test.message {
            output::line(format_args!("   {message}"));
        }
    }
    let mut parts = Vec::new();
    for (outcome, word, color) in [
        (TestOutcome::Passed, "passed", GREEN),
        (TestOutcome::Failed, "failed", RED),
        (TestOutcome::Hung, "hung", RED),
        (TestOutcome::Flaky, "flaky", YELLOW),
        (TestOutcome::Skipped, "skipped", DIM),
    ] {
        let number = number(outcome);
        if number > 0 {
            parts.push(format!("{color}{number} {word}{RESET}"));
        }
    }
    let seconds = report.duration_ms as f64 / 1000.0;
    output::line(format_args!(
        "{} in {seconds:.1} s {DIM}({}, sandbox: {}){RESET}",
        parts.join(", "),
        report.runners.join(", "),
        report.layer
    ));
}
