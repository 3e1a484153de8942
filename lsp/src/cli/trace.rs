//! `greenlit trace`.

mod show;

use std::path::PathBuf;

use greenlit_client::Connection;
use greenlit_protocol::{
    ReplayReport, Request, Response, TraceAction, TraceEntry, TraceFilter, TraceReport,
};
use serde::Serialize;

use super::args::{TraceArgs, TraceFilterArgs, TraceVerb};
use super::failure::Failure;
use super::output::{self, BOLD, DIM, GREEN, RED, RESET, YELLOW, count};
use super::{daemon, root};

/// What `trace list --json` prints.
#[derive(Debug, Serialize)]
struct List {
    attempts: Vec<TraceEntry>,
}

/// Runs the command.
pub(crate) async fn run(args: &TraceArgs) -> Result<u8, Failure> {
    let connection = daemon::open("trace", Vec::new()).await?;
    match &args.verb {
        TraceVerb::List { filter, limit } => {
            let filter = TraceFilter { limit: *limit, ..wanted(filter)? };
            let attempts = match ask(&connection, TraceAction::List(filter)).await? {
                Response::Traces(attempts) => attempts,
                other => return Err(daemon::unexpected(&other)),
            };
            if args.json {
                output::json(&List { attempts });
            } else {
                list(&attempts);
            }
            Ok(0)
        }
        TraceVerb::Show { id, texts } => {
            let report = one(&connection, TraceAction::Show { id: id.clone() }).await?;
            match args.json {
                true => output::json(&report),
                false => show::print(&report, *texts),
            }
            Ok(0)
        }
        TraceVerb::Export { filter } => export(&connection, wanted(filter)?).await,
        TraceVerb::Replay { id } => {
            let report = match ask(&connection, TraceAction::Replay { id: id.clone() }).await? {
                Response::Replayed(report) => report,
                other => return Err(daemon::unexpected(&other)),
            };
            match args.json {
                true => output::json(&report),
                false => replayed(&report),
            }
            Ok(u8::from(!report.agrees))
        }
        TraceVerb::Redact { id } => {
            let report = one(&connection, TraceAction::Redact { id: id.clone() }).await?;
            match args.json {
                true => output::json(&report),
                false => output::line(format_args!(
                    "attempt {} quotes no code any more",
                    report.entry.id
                )),
            }
            Ok(0)
        }
    }
}

async fn ask(connection: &Connection, action: TraceAction) -> Result<Response, Failure> {
    daemon::ask(connection, Request::Trace(action)).await
}

async fn one(connection: &Connection, action: TraceAction) -> Result<TraceReport, Failure> {
    match ask(connection, action).await? {
        Response::TraceReports(mut reports) if reports.len() == 1 => Ok(reports.remove(0)),
        other => Err(daemon::unexpected(&other)),
    }
}

/// JSON Lines, a page at a time.
async fn export(connection: &Connection, filter: TraceFilter) -> Result<u8, Failure> {
    let mut after = 0;
    loop {
        let action = TraceAction::Export { filter: filter.clone(), after };
        let reports = match ask(connection, action).await? {
            Response::TraceReports(reports) => reports,
            other => return Err(daemon::unexpected(&other)),
        };
        let Some(last) = reports.last() else { return Ok(0) };
        after = last.entry.id;
        if !reports.iter().all(output::json_line) {
            // Nobody reads the rest.
            return Ok(0);
        }
    }
}

fn wanted(args: &TraceFilterArgs) -> Result<TraceFilter, Failure> {
    let root = args.root.as_deref().map(|path| root::resolve(Some(path))).transpose()?;
    // The daemon knows workspaces by their canonical path.
    let root = root.map(|path: PathBuf| path.canonicalize().unwrap_or(path));
    let since_ms = args.since.map(|ago| now_ms().saturating_sub(ago));
    Ok(TraceFilter { root, since_ms, tier: args.tier.clone(), offered: args.offered, limit: 0 })
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// `90s`, `15m`, `2h`, `7d`, in milliseconds.
pub(crate) fn ago(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no time: expected a number with s, m, h or d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let ms = number.checked_mul(seconds * 1000).filter(|ms| *ms >= 0);
    ms.ok_or_else(wrong)
}

fn list(attempts: &[TraceEntry]) {
    if attempts.is_empty() {
        output::line("no attempts");
        return;
    }
    for entry in attempts {
        let (color, became) = became(entry);
        let by = entry.model.as_deref().or(entry.rule.as_deref()).unwrap_or_default();
        let what = entry.summary.as_deref().or(entry.reason.as_deref()).unwrap_or_default();
        output::line(format_args!(
            "{BOLD}{:>7}{RESET}  {}  {color}{became:<9}{RESET}  {} {by}  {what}  {DIM}{}{RESET}",
            entry.id,
            show::time(entry.at_ms),
            entry.tier,
            entry.root.display(),
        ));
    }
}

/// The last that is known of it.
fn became(entry: &TraceEntry) -> (&'static str, &str) {
    match entry {
        TraceEntry { reverted_ms: Some(_), .. } => (YELLOW, "reverted"),
        TraceEntry { applied_ms: Some(_), .. } => (GREEN, "applied"),
        TraceEntry { dismissed_ms: Some(_), .. } => (YELLOW, "dismissed"),
        TraceEntry { offered_ms: Some(_), .. } => (GREEN, "offered"),
        TraceEntry { verdict, .. } if verdict == "verified" => (GREEN, verdict),
        TraceEntry { verdict, .. } => (DIM, verdict),
    }
}

fn replayed(report: &ReplayReport) {
    let (color, words) = match report.agrees {
        true => (GREEN, "the same verdict"),
        false => (RED, "another verdict"),
    };
    output::line(format_args!(
        "{color}{words}{RESET}: {} then, {} now ({:.1} s)",
        report.before,
        report.after,
        report.elapsed_ms as f64 / 1000.0
    ));
    for difference in &report.differences {
        output::line(format_args!("   {difference}"));
    }
    match (report.exact, report.restored.len()) {
        (true, 0) => output::line("   every input is what it was then"),
        (true, restored) => output::line(format_args!(
            "   every input is what it was then; {} came from the record",
            count(restored, "file")
        )),
        (false, _) => output::line("   other files are not what they were then"),
    }
    for file in &report.restored {
        output::line(format_args!("   {DIM}from the record: {file}{RESET}"));
    }
    if let Some(model) = &report.model {
        output::line(format_args!("   {model}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_ago_have_a_unit() {
        assert_eq!(ago("90s"), Ok(90_000));
        assert_eq!(ago("2h"), Ok(7_200_000));
        assert_eq!(ago("1d"), Ok(86_400_000));
        for wrong in ["", "5", "h", "-1h", "1.5h", "3w", "99999999999999999d", "1é"] {
            assert!(ago(wrong).is_err(), "{wrong}");
        }
    }
}
