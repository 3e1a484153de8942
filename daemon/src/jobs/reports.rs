//! From what repair found to the objects that are shown: `--json`, menus, evidence.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use greenlit_generate::Record;
use greenlit_protocol::{
    Agreement, CandidateCounts, EvidenceReport, EvidenceTest, FailingTest, FileEdit, FixEntry,
    FixEvidence, FixSource, FixStats, GenerationReport, LocalizationReport, MendedDiagnostic,
    Merit, OfferedFix, RetrievalReport, RetrievedPassage, SuspiciousLine, TestEntry, TestOutcome,
    TestStrength,
};
use greenlit_repair::{
    Baseline, BaselineOutcome, Candidate, DiagnosticFix, Localization, Method, Retrieved,
    SearchCounts, Source, Standing, TargetOutcome, VerifiedFix, function_of, relative,
    unified_diff,
};
use greenlit_runner::{Failure, FailureKind, TestId};
use greenlit_sandbox::Layer;
use greenlit_workspace::View;

/// The name of a layer in evidence.
pub(crate) fn layer_name(layer: Layer) -> &'static str {
    match layer {
        Layer::None => "none",
        Layer::Copy => "copy",
        Layer::Bubblewrap => "bubblewrap",
        Layer::Namespaces => "namespaces",
    }
}

/// The file and line of a failure, relative to the root.
pub(crate) fn place(root: &Path, failure: &Failure) -> (Option<String>, Option<u32>) {
    match failure.site.as_ref().or(failure.trace.last()) {
        Some(frame) => (Some(relative(root, &frame.path)), Some(frame.line)),
        None => (None, None),
    }
}

pub(crate) fn failing_test(root: &Path, id: &TestId, failure: &Failure) -> FailingTest {
    let (file, line) = place(root, failure);
    FailingTest { id: id.0.clone(), file, line, message: failure.message.clone() }
}

pub(crate) fn test_entries(root: &Path, baseline: &Baseline) -> Vec<TestEntry> {
    let entry = |(id, outcome): (&TestId, &BaselineOutcome)| {
        let mut entry = TestEntry {
            id: id.0.clone(),
            outcome: outcome_of(outcome),
            file: None,
            line: None,
            message: None,
            duration_ms: millis(baseline.durations.get(id).copied().unwrap_or_default()),
        };
        if let BaselineOutcome::Failed(failure) = outcome {
            (entry.file, entry.line) = place(root, failure);
            entry.message = Some(failure.message.clone());
        }
        entry
    };
    baseline.tests.iter().map(entry).collect()
}

pub(crate) fn outcome_of(outcome: &BaselineOutcome) -> TestOutcome {
    match outcome {
        BaselineOutcome::Passed => TestOutcome::Passed,
        BaselineOutcome::Failed(failure) if failure.kind == FailureKind::Timeout => {
            TestOutcome::Hung
        }
        BaselineOutcome::Failed(_) => TestOutcome::Failed,
        BaselineOutcome::Flaky => TestOutcome::Flaky,
        BaselineOutcome::Skipped => TestOutcome::Skipped,
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A verified fix as the public entry.
pub(crate) fn fix_entry(
    view: &View,
    baseline: &Baseline,
    fix: &VerifiedFix,
    rank: usize,
    scope: &str,
) -> FixEntry {
    let root = view.root();
    let plausible = &fix.plausible;
    let tests: Vec<_> = plausible.red_to_green.iter().map(|id| id.0.clone()).collect();
    FixEntry {
        rank: u32::try_from(rank).unwrap_or(u32::MAX),
        diff: unified_diff(root, &fix.files),
        edits: file_edits(root, &fix.candidate),
        source: source(&fix.candidate),
        evidence: FixEvidence {
            red_to_green: tests.clone(),
            unchanged: plausible.unchanged,
            newly_failing: 0,
            runs: plausible.runs,
            scope: scope.to_owned(),
            layer: layer_name(plausible.layer).to_owned(),
            duration_ms: millis(plausible.wall),
            diagnostic: None,
            retrieved: None,
            generation: None,
            content_hashes: content_hashes(view, baseline, fix),
            agreement: agreement(&fix.standing),
            test_strength: fix.standing.strength.map(|strength| TestStrength {
                mutants: strength.mutants,
                survived: strength.survived,
            }),
            merit: Some(Merit {
                score: fix.candidate.score,
                naturalness: fix.standing.naturalness,
                removed: fix.standing.change.removed,
                added: fix.standing.change.added,
                shortcut: fix.standing.change.shortcut,
            }),
            rebased: false,
        },
        tests,
    }
}

/// Who wrote a candidate: a template family or a model.
fn source(candidate: &Candidate) -> FixSource {
    let Source { tier, rule, adapter } = candidate.source.clone();
    let (rule, model) = if tier == TEMPLATE { (Some(rule), None) } else { (None, Some(rule)) };
    FixSource { tier, rule, model, adapter }
}

/// The tier without a model.
pub(super) const TEMPLATE: &str = "template";

/// What a model was asked so far.
pub(super) fn generation(record: &Record) -> GenerationReport {
    let usage = record.usage();
    let wall: Duration = record.attempts.iter().map(|attempt| attempt.wall).sum();
    let mut unusable: Vec<_> =
        record.failures().into_iter().map(|(why, n)| (why.to_owned(), n as u64)).collect();
    unusable.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    GenerationReport {
        model: record.model.name.clone(),
        digest: record.model.digest.clone(),
        adapter: record.model.adapter.clone(),
        calls: record.attempts.len() as u64,
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        estimated: usage.estimated,
        model_ms: millis(wall),
        first_token_ms: record.first_token().map(millis),
        unusable,
    }
}

/// What the index lent; where it was not asked, the reason.
pub(crate) fn retrieval(root: &Path, found: Option<&Retrieved>) -> RetrievalReport {
    let Some(found) = found else {
        let why = "no index of this root is open: donors come from imports and shared names alone";
        return RetrievalReport { passages: Vec::new(), degraded: Some(why.to_owned()) };
    };
    let passages = found.passages.iter().map(|passage| RetrievedPassage {
        path: relative(root, &passage.path),
        start_line: passage.first_line,
        end_line: passage.last_line,
        symbol: (!passage.symbol.is_empty()).then(|| passage.symbol.clone()),
        score: passage.score,
        used: false,
    });
    RetrievalReport { passages: passages.collect(), degraded: found.degraded.clone() }
}

/// Marks the retrieved passages whose lines a fix changes.
pub(crate) fn mark_used(view: &View, entry: &mut FixEntry) {
    let Some(retrieved) = &mut entry.evidence.retrieved else { return };
    for edit in &entry.edits {
        let Ok(text) = view.read_text(&view.root().join(&edit.path)) else { continue };
        let line = |at: usize| {
            let before = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n');
            u32::try_from(before.count() + 1).unwrap_or(u32::MAX)
        };
        // What ends at the beginning of a line does not change it.
        let (first, last) = (line(edit.start), line(edit.end.max(edit.start + 1) - 1));
        for passage in retrieved.passages.iter_mut().filter(|passage| passage.path == edit.path) {
            passage.used |= passage.start_line <= last && first <= passage.end_line;
        }
    }
}

/// Nothing where behaviour was not compared, or there was nothing to compare with.
fn agreement(standing: &Standing) -> Option<Agreement> {
    (standing.agreement > 0).then_some(Agreement {
        alike: standing.agreement,
        behaviours: standing.behaviours,
        inputs: standing.probes,
    })
}

/// A fix of a diagnostic at `path`, with its handle and menu title.
pub(crate) fn diagnostic_fix(
    view: &View,
    path: &Path,
    fix: &DiagnosticFix,
    mended: MendedDiagnostic,
    rank: usize,
) -> OfferedFix {
    let (root, checked) = (view.root(), &fix.checked);
    let tests: Vec<_> = checked.red_to_green.iter().map(|id| id.0.clone()).collect();
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    let edited =
        fix.files.iter().map(|file| (relative(root, &file.path), hash(file.before.as_bytes())));
    let shown = view.hash(path).map(|hash| (relative(root, path), hash.to_hex().to_string()));
    let source = &fix.candidate.source;
    let entry = FixEntry {
        rank: u32::try_from(rank).unwrap_or(u32::MAX),
        diff: unified_diff(root, &fix.files),
        edits: file_edits(root, &fix.candidate),
        source: FixSource {
            tier: source.tier.clone(),
            rule: Some(source.rule.clone()),
            model: None,
            adapter: source.adapter.clone(),
        },
        evidence: FixEvidence {
            red_to_green: tests.clone(),
            unchanged: checked.unchanged.saturating_add(mended.first_run),
            newly_failing: 0,
            runs: match (checked.tests(), tests.len()) {
                (0, _) => 0,
                (_, 0) => 1,
                _ => 2,
            },
            scope: if checked.tests() == 0 { "none" } else { "all" }.to_owned(),
            layer: layer_name(checked.layer).to_owned(),
            duration_ms: millis(checked.wall),
            content_hashes: edited.chain(shown.ok()).collect(),
            diagnostic: Some(mended),
            agreement: None,
            test_strength: None,
            retrieved: None,
            generation: None,
            merit: None,
            rebased: false,
        },
        tests,
    };
    offered(entry, &fix.candidate.summary)
}

pub(super) fn file_edits(root: &Path, candidate: &Candidate) -> Vec<FileEdit> {
    candidate.edits.iter().map(|edit| file_edit(root, edit)).collect()
}

pub(super) fn file_edit(root: &Path, edit: &greenlit_repair::Edit) -> FileEdit {
    FileEdit {
        path: relative(root, &edit.path),
        start: edit.start,
        end: edit.end,
        new_text: edit.new_text.clone(),
    }
}

/// Hashes of what the fix edits and of where its failures were seen.
fn content_hashes(view: &View, baseline: &Baseline, fix: &VerifiedFix) -> BTreeMap<String, String> {
    let edited = fix.files.iter().map(|file| {
        (
            relative(view.root(), &file.path),
            blake3::hash(file.before.as_bytes()).to_hex().to_string(),
        )
    });
    let failed = fix.plausible.red_to_green.iter().filter_map(|id| {
        let BaselineOutcome::Failed(failure) = baseline.tests.get(id)? else { return None };
        let path = &failure.site.as_ref()?.path;
        let hash = view.hash(path).ok()?;
        Some((relative(view.root(), path), hash.to_hex().to_string()))
    });
    edited.chain(failed).collect()
}

/// The fix with its handle and menu title.
pub(crate) fn offered(entry: FixEntry, summary: &str) -> OfferedFix {
    let mut hasher = blake3::Hasher::new();
    hasher.update(entry.diff.as_bytes());
    for (path, hash) in &entry.evidence.content_hashes {
        hasher.update(path.as_bytes());
        hasher.update(hash.as_bytes());
    }
    let id = hasher.finalize().to_hex()[..16].to_owned();
    let title = match &entry.evidence.diagnostic {
        Some(mended) => diagnostic_title(&entry, mended),
        None => title(&entry, summary),
    };
    OfferedFix { id, title, summary: summary.to_owned(), entry }
}

/// ``Fix test_gcd: replace `>` by `>=` · verified: 1 red→green, 42 others unchanged, 3.1 s · template``:
/// several fixes of one test are told apart in the menu.
fn title(entry: &FixEntry, summary: &str) -> String {
    let evidence = &entry.evidence;
    let seconds = Duration::from_millis(evidence.duration_ms).as_secs_f64();
    format!(
        "Fix {}: {} · verified: {} red→green, {} others unchanged, {seconds:.1} s · {}",
        subject_of(&entry.tests),
        cut(summary),
        evidence.red_to_green.len(),
        evidence.unchanged,
        entry.source.tier,
    )
}

/// ``Fix `os` imported but unused (F401) · checked: diagnostic gone, none new; 42 tests unchanged,
/// 1.2 s · ruff-fix``. It says of tests only what was run.
fn diagnostic_title(entry: &FixEntry, mended: &MendedDiagnostic) -> String {
    let evidence = &entry.evidence;
    let mut what = cut(mended.seen.message.lines().next().unwrap_or_default());
    if let Some(code) = &mended.seen.code {
        what = format!("{what} ({code})");
    }
    let new = match mended.revealed {
        0 => "none new".to_owned(),
        count => format!("none new but {count} warnings that it had hidden"),
    };
    let known = evidence.unchanged.saturating_sub(mended.first_run);
    let tests: Vec<String> = [
        (evidence.red_to_green.len(), "red→green"),
        (known as usize, "tests unchanged"),
        (mended.first_run as usize, "tests green that could not run before"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let seconds = Duration::from_millis(evidence.duration_ms).as_secs_f64();
    let tests = if tests.is_empty() { "no tests ran".to_owned() } else { tests.join(", ") };
    let rule = entry.source.rule.as_deref().unwrap_or(&entry.source.tier);
    let by = if entry.source.tier == "checker" { rule } else { &entry.source.tier };
    format!("Fix {what} · checked: diagnostic gone, {new}; {tests}, {seconds:.1} s · {by}")
}

/// Characters of a diagnostic's message or of what a fix does in a menu.
const MOST_IN_TITLE: usize = 60;

fn cut(text: &str) -> String {
    if text.chars().count() <= MOST_IN_TITLE {
        return text.to_owned();
    }
    text.chars().take(MOST_IN_TITLE).chain(['…']).collect()
}

/// The test in a title: its own name, without file, module and parameters.
fn subject_of(tests: &[String]) -> String {
    let mut names: Vec<_> = tests.iter().map(|id| short_name(id)).collect();
    names.dedup();
    match names.as_slice() {
        [] => "the tests".to_owned(),
        [only] => (*only).to_owned(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

pub(crate) fn short_name(id: &str) -> &str {
    let whole = function_of(id);
    let name = whole.rsplit(" > ").next().unwrap_or(whole);
    name.rsplit("::").next().unwrap_or(name)
}

pub(crate) fn stats(
    localized: Duration,
    counts: &SearchCounts,
    elapsed: Duration,
    cpu: Duration,
) -> FixStats {
    FixStats {
        localized_ms: millis(localized),
        candidates: CandidateCounts {
            generated: counts.generated,
            rejected_static: counts.rejected_static,
            built: counts.built,
            run: counts.run,
            verified: counts.verified,
            known: counts.known,
        },
        elapsed_ms: millis(elapsed),
        cpu_ms: millis(cpu),
    }
}

/// The most suspicious lines, for people and for measurements.
pub(crate) fn localization(root: &Path, found: &Localization) -> LocalizationReport {
    let lines = found.lines.iter().take(50).map(|line| SuspiciousLine {
        path: relative(root, &line.path),
        line: line.line,
        score: line.score,
    });
    LocalizationReport { method: method(found), lines: lines.collect() }
}

/// Everything kept about one offered fix.
pub(crate) fn evidence(
    root: &Path,
    offered: &OfferedFix,
    baseline: &Baseline,
    localization: Option<&Localization>,
    counts: &SearchCounts,
    stats: FixStats,
) -> EvidenceReport {
    let green = &offered.entry.evidence.red_to_green;
    let tests = baseline.tests.iter().map(|(id, outcome)| {
        let before = outcome_of(outcome);
        let after = if green.contains(&id.0) { TestOutcome::Passed } else { before };
        EvidenceTest { id: id.0.clone(), before, after }
    });
    let suspicious = localization.into_iter().flat_map(|found| &found.lines).take(20);
    EvidenceReport {
        id: offered.id.clone(),
        title: offered.title.clone(),
        entry: offered.entry.clone(),
        localization: localization.map_or("nothing".to_owned(), method),
        suspicious: suspicious
            .map(|line| (format!("{}:{}", relative(root, &line.path), line.line), line.score))
            .collect(),
        tests: tests.collect(),
        fallen: most_first(&counts.fallen),
        killed_by: most_first(&counts.killed_by),
        tried: Vec::new(),
        stats,
    }
}

/// How the suspicious lines were found: `spectrum (V8 coverage), changed lines first`.
fn method(localization: &Localization) -> String {
    let mut text = means(localization);
    if localization.changed {
        text.push_str(", lines first that changed since the tests passed, where they did");
    }
    text
}

fn means(localization: &Localization) -> String {
    match (localization.method, &localization.measured_by) {
        (Method::Spectrum, Some(means)) if !means.is_empty() => format!("spectrum ({means})"),
        (Method::Spectrum, _) => "spectrum".to_owned(),
        (Method::Trace, _) => "trace".to_owned(),
        (Method::Diagnostic, _) => "diagnostic".to_owned(),
    }
}

pub(super) fn most_first(counts: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut counts: Vec<_> = counts.iter().map(|(what, count)| (what.clone(), *count)).collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts
}

/// Everything kept about one offered fix of a diagnostic.
pub(crate) fn diagnostic_evidence(
    root: &Path,
    path: &Path,
    line: usize,
    offered: &OfferedFix,
    target: &TargetOutcome,
    stats: FixStats,
) -> EvidenceReport {
    EvidenceReport {
        id: offered.id.clone(),
        title: offered.title.clone(),
        entry: offered.entry.clone(),
        localization: "diagnostic".to_owned(),
        suspicious: vec![(format!("{}:{line}", relative(root, path)), 1.0)],
        tests: Vec::new(),
        fallen: most_first(&target.counts.fallen),
        killed_by: most_first(&target.counts.killed_by),
        tried: Vec::new(),
        stats,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_name_the_test_and_nothing_else_of_its_id() {
        assert_eq!(short_name("tests/test_gcd.py::TestGcd::test_gcd[3-5]"), "test_gcd");
        assert_eq!(short_name("my-crate::integration::gcd_of_primes"), "gcd_of_primes");
        assert_eq!(short_name("test/gcd.test.js::numbers > gcd of primes"), "gcd of primes");
        let cases = ["a.py::test_x[1]".to_owned(), "a.py::test_x[2]".to_owned()];
        assert_eq!(subject_of(&cases), "test_x");
        let two = ["a.py::test_x".to_owned(), "a.py::test_y".to_owned()];
        assert_eq!(subject_of(&two), "test_x and 1 more");
    }
}
