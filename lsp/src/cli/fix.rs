//! `greenlit fix`.

use std::collections::BTreeSet;
use std::path::Path;

use greenlit_client::Connection;
use greenlit_protocol::{FixReport, Notice, Notification, OfferedFix, Request, Response};
use serde::Serialize;

use super::apply::{self, Outcome};
use super::args::FixArgs;
use super::failure::Failure;
use super::output::{self, BOLD, DIM, GREEN, RED, RESET, YELLOW, count};
use super::{daemon, root};

/// What `--json` prints: the report, and what was applied when that was asked for.
#[derive(Debug, Serialize)]
struct Object<'a> {
    #[serde(flatten)]
    report: &'a FixReport,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a Outcome>,
}

/// Runs the command.
pub(crate) async fn run(args: &FixArgs) -> Result<u8, Failure> {
    let root = root::resolve(args.root.as_deref())?;
    let connection = daemon::open("fix", vec![root.clone()]).await?;
    let request = Request::Fix {
        root: root.clone(),
        tests: args.tests.clone(),
        visible: visible(args)?,
        tier: args.tier.into(),
        budget_secs: args.budget,
    };
    let (report, offered, notices) = match daemon::ask(&connection, request).await? {
        Response::Fix { report, offered, notices } => (report, offered, notices),
        other => return Err(daemon::unexpected(&other)),
    };
    for Notice { kind, message } in &notices {
        output::notice(format_args!("{YELLOW}{kind}:{RESET} {message}"));
    }
    let outcome = match args.apply {
        true => Some(apply_best(&connection, &root, &report, &offered).await?),
        false => None,
    };
    if args.json {
        output::json(&Object { report: &report, outcome: outcome.as_ref() });
    } else {
        print(&report, &offered, outcome.as_ref());
    }
    Ok(u8::from(!unfixed(&report).is_empty()))
}

/// The tests that may be run; none means all.
fn visible(args: &FixArgs) -> Result<Vec<String>, Failure> {
    let mut ids = args.visible.clone();
    if let Some(path) = &args.visible_from {
        let what = format_args!("cannot read {}", path.display()).to_string();
        let text = std::fs::read_to_string(path).map_err(Failure::io(what))?;
        let lines = text.lines().map(|line| line.strip_suffix('\r').unwrap_or(line));
        ids.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
        if ids.is_empty() {
            // An empty list must not become "all tests".
            return Err(Failure::usage(format!("{} names no test", path.display())));
        }
    }
    Ok(ids)
}

/// Failing tests without a verified fix.
fn unfixed(report: &FixReport) -> Vec<&str> {
    let fixed: BTreeSet<&str> =
        report.fixes.iter().flat_map(|fix| &fix.tests).map(String::as_str).collect();
    let failing = report.failing.iter().map(|test| test.id.as_str());
    failing.filter(|id| !fixed.contains(id)).collect()
}

async fn apply_best(
    connection: &Connection,
    root: &Path,
    report: &FixReport,
    offered: &[OfferedFix],
) -> Result<Outcome, Failure> {
    let outcome = apply::apply(root, report, offered)?;
    for applied in &outcome.applied {
        let decision = Notification::FixDecision { fix: applied.id.clone(), applied: true };
        connection.client.notify(decision)?;
    }
    if !outcome.applied.is_empty() {
        // In order with the notifications: once it is answered, they were received. The files are
        // written whatever it says.
        let _status = connection.client.request(Request::Status).await;
    }
    Ok(outcome)
}

fn print(report: &FixReport, offered: &[OfferedFix], outcome: Option<&Outcome>) {
    if report.failing.is_empty() {
        output::line(format_args!("{GREEN}nothing fails{RESET}"));
        return;
    }
    output::line(format_args!("{BOLD}{}{RESET}", count(report.failing.len(), "failing test")));
    for test in &report.failing {
        let place = match (&test.file, test.line) {
            (Some(file), Some(line)) => format!("  {DIM}{file}:{line}{RESET}"),
            (Some(file), None) => format!("  {DIM}{file}{RESET}"),
            _ => String::new(),
        };
        output::line(format_args!("{RED}✗{RESET}  {}{place}", test.id));
        output::line(format_args!("   {}", test.message));
    }
    output::line("");
    output::line(format_args!("{BOLD}{}{RESET}", count(report.fixes.len(), "verified fix")));
    for (index, fix) in report.fixes.iter().enumerate() {
        let fallback = || format!("Fix {}", fix.tests.join(", "));
        let title = offered.get(index).map_or_else(fallback, |offered| offered.title.clone());
        output::line(format_args!("{GREEN}{}.{RESET} {title}", index + 1));
        output::diff(&fix.diff);
    }
    for id in unfixed(report) {
        output::line(format_args!("{YELLOW}no verified fix{RESET} for {id}"));
    }
    if let Some(outcome) = outcome {
        print_outcome(outcome);
    }
}

fn print_outcome(outcome: &Outcome) {
    output::line("");
    for applied in &outcome.applied {
        let files = applied.files.join(", ");
        output::line(format_args!("{GREEN}applied{RESET} {} ({files})", applied.title));
    }
    for skipped in &outcome.skipped {
        output::line(format_args!(
            "{YELLOW}not applied{RESET} {}: {}",
            skipped.title, skipped.reason
        ));
    }
    if outcome.applied.len() > 1 {
        output::notice(
            "note: each fix was verified on its own, not together with the others; `greenlit test` \
             runs the tests on the result",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, more: &[&str]) -> Result<Vec<String>, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap();
        let words = ["greenlit", "fix", "--visible-tests-from", path];
        let words = words.into_iter().chain(more.iter().copied());
        let cli = <crate::cli::args::Cli as clap::Parser>::try_parse_from(words).unwrap();
        let crate::cli::args::Command::Fix(args) = cli.command else { panic!() };
        visible(&args)
    }

    #[test]
    fn ids_come_from_a_file_line_by_line_and_keep_their_blanks() {
        let ids = read("a.py::test[x y]\r\n\nb > c \n", &["--visible-tests", "d"]).unwrap();
        assert_eq!(ids, ["d", "a.py::test[x y]", "b > c "]);
    }

    #[test]
    fn an_empty_file_is_not_all_tests() {
        assert!(read("\n", &[]).unwrap_err().message.contains("names no test"));
    }
}
