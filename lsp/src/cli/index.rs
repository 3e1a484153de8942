//! `greenlit index`.

use greenlit_protocol::{IndexAction, IndexReport, Request, Response, UseReport, VectorsReport};

use super::args::{IndexArgs, IndexVerb};
use super::failure::Failure;
use super::output::{self, BOLD, DIM, RESET, YELLOW};
use super::{daemon, root};

/// Runs the command.
pub(crate) async fn run(args: &IndexArgs) -> Result<u8, Failure> {
    let root = root::resolve(args.root.as_deref())?;
    let connection = daemon::open("index", vec![root.clone()]).await?;
    let action = match args.verb {
        IndexVerb::Status => IndexAction::Status,
        IndexVerb::Rebuild => IndexAction::Rebuild,
        IndexVerb::Pause => IndexAction::Pause,
        IndexVerb::Resume => IndexAction::Resume,
    };
    let report = match daemon::ask(&connection, Request::Index { root, action }).await? {
        Response::Index(report) => report,
        other => return Err(daemon::unexpected(&other)),
    };
    if args.json {
        output::json(&report);
    } else {
        print(&report);
    }
    Ok(u8::from(report.state == "failed"))
}

fn print(report: &IndexReport) {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let branch = report.branch.as_ref().map(|name| format!(" [{name}]")).unwrap_or_default();
    output::line(format_args!("{BOLD}{}{branch}: {}{RESET}", report.root.display(), report.state));
    let pending = match report.files_pending {
        None => ", more to be looked at".to_owned(),
        Some(0) => String::new(),
        Some(left) => format!(", {left} to go"),
    };
    output::line(format_args!(
        "   files   {}{pending}; {} chunks, {} of them without a vector",
        report.files, report.chunks, report.dense_pending
    ));
    output::line(format_args!(
        "   size    {:.1} MiB on disk, {:.1} MiB in memory",
        mebibytes(report.bytes_disk),
        mebibytes(report.bytes_memory)
    ));
    output::line(format_args!(
        "   all     {:.1} of {:.0} MiB for the words of {} workspaces",
        mebibytes(report.shelf.bytes),
        mebibytes(report.shelf.quota_bytes),
        report.shelf.indexes
    ));
    if let Some(VectorsReport { bytes, quota_bytes }) = report.vectors {
        output::line(format_args!(
            "           {:.1} of {:.0} MiB for the vectors of all workspaces",
            mebibytes(bytes),
            mebibytes(quota_bytes)
        ));
    }
    output::line(format_args!("   model   {}", report.model.as_deref().unwrap_or("none")));
    if report.staleness_ms > 0 {
        output::line(format_args!("   behind  {} ms", report.staleness_ms));
    }
    let latency = report.latency;
    if latency.searches > 0 {
        let millis = |micros: u64| micros as f64 / 1000.0;
        output::line(format_args!(
            "   speed   {:.1} ms (median), {:.1} ms (99 of 100) over {}",
            millis(latency.p50_us),
            millis(latency.p99_us),
            format_args!("{} searches", latency.searches)
        ));
    }
    let UseReport { verified, accepted } = report.by_use;
    if verified.passages > 0 {
        output::line(format_args!(
            "   use     {} of {} passages retrieved for {} verified fixes lie where these are; of {} applied \
             ones {} of {}",
            verified.used,
            verified.passages,
            verified.fixes,
            accepted.fixes,
            accepted.used,
            accepted.passages
        ));
    }
    let left_out: u64 = report.skipped.values().sum();
    if left_out > 0 {
        output::line(format_args!("   left out {left_out} files"));
        let mut reasons: Vec<_> = report.skipped.iter().collect();
        reasons.sort_by_key(|(_, files)| std::cmp::Reverse(**files));
        for (reason, files) in reasons {
            output::line(format_args!("      {DIM}{files:>6}  {reason}{RESET}"));
        }
    }
    for note in report.degraded.iter().chain(&report.notices) {
        output::notice(format_args!("{YELLOW}note:{RESET} {note}"));
    }
}
