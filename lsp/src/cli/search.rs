//! `greenlit search`.

use greenlit_protocol::{Request, Response, SearchReport, SearchRequest};

use super::args::SearchArgs;
use super::failure::Failure;
use super::output::{self, BOLD, DIM, RESET, YELLOW};
use super::{daemon, root};

/// Lines of a passage that a terminal gets.
const SHOWN: usize = 6;
/// How long a person waits for a first index before an incomplete answer is better than none.
const PATIENCE_MS: u64 = 10_000;

/// Runs the command.
pub(crate) async fn run(args: &SearchArgs) -> Result<u8, Failure> {
    let root = root::resolve(args.root.as_deref())?;
    let connection = daemon::open("search", vec![root.clone()]).await?;
    let request = Request::Search(SearchRequest {
        root,
        query: args.query.join(" "),
        k: args.hits,
        paths: args.paths.clone(),
        languages: args.languages.clone(),
        kinds: args.kinds.clone(),
        wait_ms: Some(PATIENCE_MS),
        ..SearchRequest::default()
    });
    let report = match daemon::ask(&connection, request).await? {
        Response::Search(report) => report,
        other => return Err(daemon::unexpected(&other)),
    };
    if args.json {
        output::json(&report);
    } else {
        print(&report);
    }
    Ok(u8::from(report.hits.is_empty()))
}

fn print(report: &SearchReport) {
    for hit in &report.hits {
        let symbol = hit.symbol.as_ref().map(|symbol| format!("  {BOLD}{symbol}{RESET}"));
        output::line(format_args!(
            "{}:{}{}  {DIM}{}{RESET}",
            hit.path,
            hit.start_line,
            symbol.unwrap_or_default(),
            hit.kind
        ));
        for text in hit.text.lines().take(SHOWN) {
            output::line(format_args!("    {text}"));
        }
        let more = hit.text.lines().count().saturating_sub(SHOWN);
        if more > 0 {
            output::line(format_args!("    {DIM}… {}{RESET}", output::count(more, "more line")));
        }
    }
    if report.hits.is_empty() {
        output::line("nothing found");
    }
    if let Some(why) = &report.degraded {
        output::notice(format_args!("{YELLOW}note:{RESET} {why}"));
    }
}
