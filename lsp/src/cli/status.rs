//! `greenlit status`.

use greenlit_client::{ConnectError, connect};
use greenlit_protocol::{BUILD_ID, EvidenceStatus, Request, Response, StatusReport};
use serde::Serialize;

use super::args::StatusArgs;
use super::failure::Failure;
use super::output::{self, BOLD, DIM, RESET, count};
use super::{daemon, engine};

/// Exit code when no daemon runs, as `systemctl status` has it.
const NOT_RUNNING: u8 = 3;

#[derive(Debug, Serialize)]
struct Object {
    running: bool,
    /// This program's build; may differ from the daemon's.
    client_build: &'static str,
    #[serde(flatten)]
    report: Option<StatusReport>,
}

/// Runs the command.
pub(crate) async fn run(args: StatusArgs) -> Result<u8, Failure> {
    if args.metrics {
        return metrics().await;
    }
    let json = args.json;
    let options = daemon::options("status", Vec::new()).without_spawn();
    let report = match connect(&options).await {
        Ok(connection) => match connection.client.request(Request::Status).await? {
            Response::Status(report) => Some(report),
            other => return Err(daemon::unexpected(&other)),
        },
        Err(ConnectError::NotRunning) => None,
        Err(error) => return Err(error.into()),
    };
    let code = if report.is_some() { 0 } else { NOT_RUNNING };
    if json {
        let running = report.is_some();
        output::json(&Object { running, client_build: BUILD_ID, report });
    } else {
        match report {
            Some(report) => print(&report),
            None => output::line("greenlitd is not running; a command or an editor starts it"),
        }
    }
    Ok(code)
}

/// What is measured, as Prometheus' text collectors take it.
async fn metrics() -> Result<u8, Failure> {
    let options = daemon::options("status", Vec::new()).without_spawn();
    match connect(&options).await {
        Ok(connection) => match connection.client.request(Request::Metrics).await? {
            Response::Metrics(text) => output::text(&text),
            other => return Err(daemon::unexpected(&other)),
        },
        Err(ConnectError::NotRunning) => {
            output::notice("greenlitd is not running; a command or an editor starts it");
            return Ok(NOT_RUNNING);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(0)
}

fn print(report: &StatusReport) {
    let StatusReport { build, protocol, pid, uptime_secs, .. } = report;
    output::line(format_args!(
        "{BOLD}greenlitd {build}{RESET} (protocol {protocol}, process {pid}) has run for {}",
        duration(*uptime_secs)
    ));
    if build != BUILD_ID {
        output::line(format_args!("   this is greenlit {BUILD_ID}: same protocol, other build"));
    }
    if let Some(bytes) = report.memory_bytes {
        output::line(format_args!("   memory  {:.1} MiB", bytes as f64 / f64::from(1 << 20)));
    }
    output::line(format_args!("   socket  {}", report.socket.display()));
    output::line(format_args!("   log     {}", report.log.display()));
    output::line(format_args!("   jobs    {}", report.jobs));
    report.evidence.iter().for_each(evidence);
    if let Some(report) = &report.engine {
        engine::print(report);
    }
    output::line(count(report.sessions.len(), "session"));
    for session in &report.sessions {
        let documents = count(session.documents as usize, "open document");
        output::line(format_args!("   {} {DIM}{documents}{RESET}", session.client));
    }
    output::line(count(report.roots.len(), "workspace"));
    for root in &report.roots {
        let branch = root.branch.as_ref().map(|name| format!(" [{name}]")).unwrap_or_default();
        output::line(format_args!(
            "   {}{branch}: {}, {}, {}",
            root.root.display(),
            root.phase,
            count(root.failing as usize, "failing test"),
            count(root.fixes as usize, "verified fix"),
        ));
        if let Some(layer) = &root.layer {
            output::line(format_args!("      {DIM}sandbox: {layer}{RESET}"));
        }
        if let Some(index) = &root.index {
            output::line(format_args!("      {DIM}index: {index}{RESET}"));
        }
        if let Some(adapter) = &root.adapter {
            output::line(format_args!("      {DIM}adapter: {adapter}{RESET}"));
        }
    }
    for model in &report.models {
        output::line(format_args!("tier {}: {}", model.tier, model.model));
    }
}

fn evidence(status: &EvidenceStatus) {
    let totals = &status.totals;
    match status.state.as_str() {
        "kept" => output::line(format_args!(
            "   record  {} attempts, {} offered, {} applied, {} reverted, {} dismissed",
            totals.attempts, totals.offered, totals.applied, totals.reverted, totals.dismissed
        )),
        state => output::line(format_args!("   record  {state}")),
    }
    if status.dropped > 0 {
        output::line(format_args!("           {} records were not written", status.dropped));
    }
    for notice in &status.notices {
        output::line(format_args!("           {notice}"));
    }
}

fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(61), "1 min 1 s");
        assert_eq!(duration(7322), "2 h 2 min");
    }
}
