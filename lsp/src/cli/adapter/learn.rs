//! `greenlit adapter dataset` and `evaluate`.

use std::collections::HashSet;
use std::path::Path;

use greenlit_protocol::{
    DatasetPage, EvaluationReport, LearnAction, LeftOut, Request, Response, TrainingExample,
};
use serde::Serialize;

use super::super::failure::Failure;
use super::super::output::{self, BOLD, DIM, GREEN, RED, RESET, count};
use super::super::{daemon, root};

/// What `adapter dataset --json` prints.
#[derive(Debug, Default, Serialize)]
struct Written {
    /// Lines of the file.
    examples: usize,
    /// Accepted fixes that are kept for evaluations.
    held_out: u32,
    left_out: Vec<LeftOut>,
    notes: Vec<String>,
}

/// Writes the examples, each once.
pub(super) async fn dataset(
    root: Option<&Path>,
    file: Option<&Path>,
    all: bool,
    json: bool,
) -> Result<u8, Failure> {
    if json && file.is_none() {
        return Err(Failure::usage(
            "`--json` needs `--output`: the examples are lines of JSON themselves",
        ));
    }
    let root = root::resolve(root)?;
    let connection = daemon::open("adapter", Vec::new()).await?;
    let mut written = Written::default();
    let (mut lines, mut seen, mut after) = (String::new(), HashSet::new(), 0);
    loop {
        let action = LearnAction::Dataset { root: root.clone(), after, all };
        let page = match daemon::ask(&connection, Request::Learn(action)).await? {
            Response::Dataset(page) => page,
            other => return Err(daemon::unexpected(&other)),
        };
        let DatasetPage { examples, left_out, held_out, last, notes } = page;
        for example in examples {
            if seen.insert(said(&example)) {
                written.examples += 1;
                lines.push_str(&output::json_text(&example));
                lines.push('\n');
            }
        }
        written.left_out.extend(left_out);
        written.held_out += held_out;
        written.notes.extend(
            notes.into_iter().filter(|note| !written.notes.contains(note)).collect::<Vec<_>>(),
        );
        let Some(last) = last else { break };
        after = last;
    }
    match file {
        Some(file) => std::fs::write(file, &lines)
            .map_err(Failure::io(format_args!("cannot write {}", file.display())))?,
        None => output::text(&lines),
    }
    match json {
        true => output::json(&written),
        false => tell(&written),
    }
    Ok(0)
}

/// What an example teaches.
fn said(example: &TrainingExample) -> Vec<String> {
    example.messages.iter().map(|message| message.content.clone()).collect()
}

fn tell(written: &Written) {
    output::notice(format_args!(
        "{}, {} kept back for `greenlit adapter evaluate`, {} left out",
        count(written.examples, "example"),
        written.held_out,
        written.left_out.len()
    ));
    reasons(&written.left_out);
    for note in &written.notes {
        output::notice(format_args!("note: {note}"));
    }
}

fn reasons(left_out: &[LeftOut]) {
    for LeftOut { attempt, why } in left_out {
        output::notice(format_args!("   {DIM}attempt {attempt}: {why}{RESET}"));
    }
}

/// Shows how an adapter does.
pub(super) async fn evaluate(action: LearnAction, json: bool) -> Result<u8, Failure> {
    let connection = daemon::open("adapter", Vec::new()).await?;
    let report = match daemon::ask(&connection, Request::Learn(action)).await? {
        Response::Evaluated(report) => report,
        other => return Err(daemon::unexpected(&other)),
    };
    match json {
        true => output::json(&report),
        false => print(&report),
    }
    Ok(u8::from(report.evaluation.is_worse()))
}

fn print(report: &EvaluationReport) {
    let EvaluationReport { adapter, model, evaluation, .. } = report;
    let color = if evaluation.is_worse() { RED } else { GREEN };
    let of = count(evaluation.faults as usize, "recorded fault");
    output::line(format_args!(
        "{BOLD}{adapter}{RESET}: {model} mends {color}{} of {of}{RESET} with it, {} without ({:.0} s)",
        evaluation.with,
        evaluation.without,
        report.elapsed_ms as f64 / 1000.0
    ));
    for outcome in &report.outcomes {
        let word = |mended: bool| if mended { "mended" } else { "not mended" };
        output::line(format_args!(
            "   attempt {}: {} with, {} without",
            outcome.attempt,
            word(outcome.with),
            word(outcome.without)
        ));
    }
    reasons(&report.left_out);
    if !evaluation.held_out {
        output::notice("note: faults are among these that the adapter may have been trained on");
    }
    if evaluation.is_worse() {
        output::notice("note: it is not activated here without `--force`");
    }
}
