//! The evidence for a fix, for people: Markdown that every editor can show.

use std::fmt::Write;

use greenlit_protocol::{
    EvidenceReport, EvidenceTest, FixEvidence, MendedDiagnostic, TestOutcome, TestStrength,
};

/// Tests and reasons listed at most.
const MAX_LISTED: usize = 50;

/// Killing failures listed at most.
const MAX_KILLS: usize = 8;
/// Tests that miss more than one in so many mutants are called weak.
const WEAK: u32 = 3;

/// What was run on a fix and what came out.
pub(crate) fn markdown(report: &EvidenceReport) -> String {
    let mut text = String::new();
    write(&mut text, report).expect("writing to a string does not fail");
    text
}

fn write(text: &mut String, report: &EvidenceReport) -> std::fmt::Result {
    let EvidenceReport {
        title,
        entry,
        localization,
        suspicious,
        tests,
        fallen,
        killed_by,
        tried,
        stats,
        ..
    } = report;
    let evidence = &entry.evidence;
    writeln!(text, "# {title}\n")?;
    let fence = fence(&entry.diff);
    writeln!(text, "{fence}diff\n{}\n{fence}\n", entry.diff.trim_end())?;
    writeln!(text, "## Verification\n")?;
    if let Some(mended) = &evidence.diagnostic {
        write_diagnostic(text, mended)?;
    }
    writeln!(text, "- red to green: {}", codes(&evidence.red_to_green))?;
    writeln!(text, "- unchanged: {} tests", evidence.unchanged)?;
    writeln!(text, "- newly failing: {}", evidence.newly_failing)?;
    writeln!(text, "- runs of the failing tests on this patch: {}", evidence.runs)?;
    writeln!(text, "- tests run: {}", evidence.scope)?;
    writeln!(text, "- sandbox layer: {}", evidence.layer)?;
    writeln!(text, "- time: {:.1} s", evidence.duration_ms as f64 / 1000.0)?;
    let source = &entry.source;
    let by = [&source.rule, &source.model, &source.adapter];
    let by: Vec<&str> = by.into_iter().flatten().map(String::as_str).collect();
    writeln!(text, "- written by: {} {}", source.tier, by.join(" "))?;
    if evidence.rebased {
        writeln!(
            text,
            "- offered before for an earlier text, moved to this one and verified again"
        )?;
    }
    if let Some(asked) = &evidence.generation {
        let about = if asked.estimated { "about " } else { "" };
        writeln!(
            text,
            "- asked {} times: {about}{} tokens read, {about}{} written, {:.1} s",
            asked.calls,
            asked.prompt_tokens,
            asked.completion_tokens,
            asked.model_ms as f64 / 1000.0
        )?;
        for (why, count) in asked.unusable.iter().take(MAX_LISTED) {
            writeln!(text, "- {count} × a reply that could not be used: {why}")?;
        }
    }
    if let Some(retrieved) = &evidence.retrieved {
        for passage in retrieved.passages.iter().take(MAX_LISTED) {
            let symbol =
                passage.symbol.as_deref().map_or(String::new(), |s| format!(" {}", code(s)));
            writeln!(
                text,
                "- may borrow from {}{symbol}",
                code(&format!("{}:{}", passage.path, passage.start_line))
            )?;
        }
        if let Some(why) = &retrieved.degraded {
            writeln!(text, "- what it may borrow from is not all: {why}")?;
        }
    }
    judge(text, evidence)?;
    writeln!(text, "\nIt holds for these contents:\n")?;
    for (path, hash) in &evidence.content_hashes {
        writeln!(text, "- `{path}` {}", hash.get(..12).unwrap_or(hash))?;
    }
    if !tests.is_empty() {
        write_tests(text, tests)?;
    }
    writeln!(text, "\n## Search\n\nThe fault was localized by {localization}:\n")?;
    for (place, score) in suspicious.iter().take(MAX_LISTED) {
        writeln!(text, "- `{place}` {score:.2}")?;
    }
    let counts = &stats.candidates;
    writeln!(
        text,
        "\n{} candidates: {} refused without running, {} known to fall, {} built, {} run, {} verified.\n",
        counts.generated,
        counts.rejected_static,
        counts.known,
        counts.built,
        counts.run,
        counts.verified
    )?;
    for (reason, count) in fallen.iter().take(MAX_LISTED) {
        writeln!(text, "- {count} × {reason}")?;
    }
    if !killed_by.is_empty() {
        writeln!(text, "\nThe failures that killed most of them:\n")?;
    }
    for (failure, count) in killed_by.iter().take(MAX_KILLS) {
        writeln!(text, "- {count} × {}", code(failure))?;
    }
    if !tried.is_empty() {
        writeln!(text, "\nThe first that fell:\n")?;
    }
    for candidate in tried.iter().take(MAX_LISTED) {
        let (place, change) = (code(&candidate.place), code(&candidate.summary));
        write!(text, "- {place} {change}: {}", candidate.reason)?;
        match &candidate.failure {
            Some(failure) => writeln!(text, ", {}", code(failure))?,
            None => writeln!(text)?,
        }
    }
    writeln!(
        text,
        "\nThe search took {:.1} s, and {:.1} s of CPU.",
        stats.elapsed_ms as f64 / 1000.0,
        stats.cpu_ms as f64 / 1000.0
    )
}

/// What the tests leave open.
fn judge(text: &mut String, evidence: &FixEvidence) -> std::fmt::Result {
    if let Some(agreement) = evidence.agreement {
        let others = agreement.alike.saturating_sub(1);
        writeln!(
            text,
            "- on {} more inputs {others} other candidates behave like this one",
            agreement.inputs
        )?;
        if agreement.behaviours > 1 {
            writeln!(
                text,
                "- **the tests leave {} different behaviours open**: compare the other fixes",
                agreement.behaviours
            )?;
        }
    }
    if evidence.merit.is_some_and(|merit| merit.shortcut) {
        writeln!(text, "- **it makes the code do less**: see whether what is skipped is needed")?;
    }
    if let Some(TestStrength { mutants, survived }) = evidence.test_strength {
        let weak = if survived * WEAK > mutants { " **(the tests are weak here)**" } else { "" };
        writeln!(
            text,
            "- of {mutants} small changes of the fixed function the tests miss {survived}{weak}"
        )?;
    }
    Ok(())
}

fn write_diagnostic(text: &mut String, mended: &MendedDiagnostic) -> std::fmt::Result {
    let code = mended.seen.code.as_deref().unwrap_or("no code");
    writeln!(text, "- the checker does not report it any more: {code}, {}", mended.seen.message)?;
    match mended.revealed {
        0 => writeln!(text, "- new diagnostics: 0")?,
        count => writeln!(text, "- new diagnostics: {count} warnings that the error had hidden")?,
    }
    if mended.first_run > 0 {
        writeln!(text, "- tests that could not run before, all green: {}", mended.first_run)?;
    }
    for project in mended.not_run.iter().take(MAX_LISTED) {
        writeln!(text, "- not run: {project}")?;
    }
    Ok(())
}

fn write_tests(text: &mut String, tests: &[EvidenceTest]) -> std::fmt::Result {
    let changed: Vec<_> = tests.iter().filter(|test| test.before != test.after).collect();
    writeln!(text, "\n## Tests\n")?;
    writeln!(text, "{} were run; {} ended differently:\n", tests.len(), changed.len())?;
    for test in changed.iter().take(MAX_LISTED) {
        writeln!(text, "- `{}`: {} → {}", test.id, outcome(test.before), outcome(test.after))?;
    }
    Ok(())
}

/// A fence that nothing in the text closes.
fn fence(text: &str) -> String {
    let longest = text.lines().map(|line| {
        let line = line.trim_start_matches(['+', '-', ' ']);
        line.len() - line.trim_start_matches('`').len()
    });
    "`".repeat(longest.max().unwrap_or(0).max(2) + 1)
}

/// As code, on one line, whatever it holds.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace(['\n', '\r'], " "))
}

fn codes(names: &[String]) -> String {
    let listed: Vec<String> =
        names.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
    listed.join(", ")
}

fn outcome(outcome: TestOutcome) -> &'static str {
    match outcome {
        TestOutcome::Passed => "passed",
        TestOutcome::Failed => "failed",
        TestOutcome::Hung => "hung",
        TestOutcome::Flaky => "flaky",
        TestOutcome::Skipped => "skipped",
    }
}
