//! One attempt for people.

use greenlit_protocol::{TraceCall, TraceReport, TraceSearch};

use crate::cli::output::{self, BOLD, DIM, RESET, count};

/// Suspicious lines and passages shown.
const MOST: usize = 8;

/// Milliseconds of Unix time in UTC: `2026-11-22 08:30:05`.
pub(super) fn time(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1000);
    // Civil from days (Howard Hinnant): years begin in March, so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The whole lineage; prompts and replies only where somebody wants them.
pub(super) fn print(report: &TraceReport, texts: bool) {
    let entry = &report.entry;
    let what = entry.summary.as_deref().unwrap_or("attempt");
    output::line(format_args!("{BOLD}{}  {what}{RESET}", entry.id));
    field("when", format!("{} UTC", time(entry.at_ms)));
    field("root", entry.root.display().to_string());
    search(&report.search);
    if let Some(call) = &report.call {
        model(call);
    }
    if report.private {
        field("private", "it touches a private path: no code is kept".to_owned());
    }
    if report.redacted {
        field("redacted", "what quoted code was removed".to_owned());
    }
    quotes(report, texts);
    let by = [&entry.rule, &entry.model, &entry.adapter];
    let by: Vec<&str> = by.into_iter().flatten().map(String::as_str).collect();
    field("written by", format!("{} {}", entry.tier, by.join(" ")));
    if let Some(diff) = &report.diff {
        output::diff(diff);
    } else {
        for edit in &report.edits {
            let range = format!("{} bytes {}..{}", edit.path, edit.start, edit.end);
            field("edit", format!("{range}: {:?}", edit.new_text));
        }
    }
    let reason = entry.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    field("verdict", format!("{}{reason}", entry.verdict));
    if let Some(failure) = &report.failure {
        field("killed by", failure.clone());
    }
    if let Some(evidence) = report.evidence.as_ref().map(|report| &report.entry.evidence) {
        field("red to green", evidence.red_to_green.join(", "));
        field(
            "unchanged",
            format!(
                "{}, newly failing {}, {} runs, scope {}, layer {}, {:.1} s",
                count(evidence.unchanged as usize, "test"),
                evidence.newly_failing,
                evidence.runs,
                evidence.scope,
                evidence.layer,
                evidence.duration_ms as f64 / 1000.0
            ),
        );
    }
    for (name, at) in [
        ("offered", entry.offered_ms),
        ("applied", entry.applied_ms),
        ("dismissed", entry.dismissed_ms),
        ("reverted", entry.reverted_ms),
    ] {
        if let Some(at) = at {
            field(name, format!("{} UTC", time(at)));
        }
    }
    if let Some(fix) = &entry.fix {
        field("fix", fix.clone());
    }
}

fn search(search: &TraceSearch) {
    let TraceSearch { id, kind, branch, background, build, tests, ended, .. } = search;
    let branch = branch.as_ref().map(|name| format!(" on {name}")).unwrap_or_default();
    let asked = if *background { "in the background" } else { "asked for" };
    let ended = ended.as_deref().unwrap_or("not known to have ended");
    field("search", format!("{id}, for {kind}{branch}, {asked}: {ended} (build {build})"));
    for test in tests.iter().take(MOST) {
        field("failing", test.clone());
    }
    if let Some(found) = &search.localization {
        field("located by", found.method.clone());
        for line in found.lines.iter().take(MOST) {
            output::line(format_args!(
                "      {DIM}{:.2}  {}:{}{RESET}",
                line.score, line.path, line.line
            ));
        }
    }
    if let Some(retrieval) = &search.retrieval {
        let degraded = retrieval.degraded.as_ref().map(|why| format!(" ({why})"));
        let passages = count(retrieval.passages.len(), "passage");
        field("retrieved", format!("{passages}{}", degraded.unwrap_or_default()));
        for passage in retrieval.passages.iter().take(MOST) {
            let symbol = passage.symbol.as_deref().unwrap_or_default();
            let (path, first, last) = (&passage.path, passage.start_line, passage.end_line);
            output::line(format_args!("      {DIM}{path}:{first}-{last} {symbol}{RESET}"));
        }
    }
    if let Some(stats) = &search.stats {
        let counts = stats.candidates;
        field(
            "candidates",
            format!(
                "{} generated, {} refused, {} run, {} verified; {:.1} s, {:.1} s of CPU",
                counts.generated,
                counts.rejected_static,
                counts.run,
                counts.verified,
                stats.elapsed_ms as f64 / 1000.0,
                stats.cpu_ms as f64 / 1000.0
            ),
        );
    }
}

fn model(call: &TraceCall) {
    let digest = call.digest.as_deref().unwrap_or("not known");
    let adapter = call.adapter.as_deref().unwrap_or("none");
    let provider = call.provider.as_deref().unwrap_or("not known");
    field("model", format!("{} at {provider}, digest {digest}, adapter {adapter}", call.model));
    let about = if call.estimated { "about " } else { "" };
    field(
        "call",
        format!(
            "round {}, temperature {}, top-p {}, seed {}, {about}{} tokens read, {about}{} of {} \
             written, {:.1} s",
            call.round,
            call.temperature,
            call.top_p,
            call.seed,
            call.prompt_tokens,
            call.completion_tokens,
            call.max_tokens,
            call.latency_ms as f64 / 1000.0
        ),
    );
}

fn quotes(report: &TraceReport, texts: bool) {
    let Some(prompt) = &report.prompt else { return };
    let bytes: usize = prompt.iter().map(|message| message.content.len()).sum();
    let reply = report.reply.as_deref().unwrap_or_default();
    if !texts {
        field(
            "prompt",
            format!(
                "{} of {bytes} bytes, reply of {}; --texts shows them",
                count(prompt.len(), "message"),
                reply.len()
            ),
        );
        return;
    }
    for message in prompt {
        output::line(format_args!("   {BOLD}{}:{RESET}", message.role));
        message.content.lines().for_each(|line| output::line(format_args!("      {line}")));
    }
    output::line(format_args!("   {BOLD}reply:{RESET}"));
    reply.lines().for_each(|line| output::line(format_args!("      {line}")));
}

/// Control characters of what a model or a test said must not reach the terminal.
fn field(name: &str, value: String) {
    let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    output::line(format_args!("   {name:<13} {value}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(time(951_782_399_000), "2000-02-28 23:59:59");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(time(1_795_335_005_123), "2026-11-22 08:10:05");
        assert_eq!(time(-1), "1969-12-31 23:59:59");
    }
}
