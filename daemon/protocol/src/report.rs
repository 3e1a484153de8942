//! The objects behind `--json`: their field names are public and stable.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::MendedDiagnostic;

/// How far to go up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Deterministic templates, no model.
    Template,
    /// A small local model.
    Small,
    /// A bigger or remote model.
    Large,
    /// Whatever is configured, cheapest first.
    #[default]
    Auto,
}

/// What `greenlit fix --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixReport {
    /// Workspace root.
    pub root: PathBuf,
    /// Workspace revision that it holds for.
    pub revision: u64,
    /// Failing tests, each seen failing twice.
    pub failing: Vec<FailingTest>,
    /// Verified fixes, best first.
    pub fixes: Vec<FixEntry>,
    /// The suspicious lines; `None` when nothing fails, or none were looked for.
    #[serde(default)]
    pub localization: Option<LocalizationReport>,
    /// What it took.
    pub stats: FixStats,
}

/// Where the fault may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalizationReport {
    /// `spectrum (…)` (which lines the tests ran, and how that was measured) or `trace` (stack traces
    /// and calls).
    pub method: String,
    /// At most 50 lines, most suspicious first.
    pub lines: Vec<SuspiciousLine>,
}

/// One suspicious line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspiciousLine {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// 1-based.
    pub line: u32,
    /// In 0..=1; comparable only within one report.
    pub score: f64,
}

/// A failing test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingTest {
    /// Test id.
    pub id: String,
    /// File of the failure, relative to the root; `None` when the report names none.
    pub file: Option<String>,
    /// 1-based line.
    pub line: Option<u32>,
    /// One line for people.
    pub message: String,
}

/// One verified fix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixEntry {
    /// Failing tests that it turns green.
    pub tests: Vec<String>,
    /// 1 is best.
    pub rank: u32,
    /// Unified diff with paths relative to the root; `git apply` accepts it.
    pub diff: String,
    /// The same change as byte ranges.
    pub edits: Vec<FileEdit>,
    /// Who wrote it.
    pub source: FixSource,
    /// What was run.
    pub evidence: FixEvidence,
}

/// One replacement in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEdit {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// Start in bytes of the unpatched file.
    pub start: usize,
    /// End (exclusive) in bytes.
    pub end: usize,
    /// What stands there afterwards.
    pub new_text: String,
}

/// Who wrote a fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixSource {
    /// `template`, `small`, `large`; `checker` for a compiler's or linter's own suggestion.
    pub tier: String,
    /// Template family.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<String>,
    /// Model name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// Adapter `name@version`.
    pub adapter: Option<String>,
}

/// What was run on a fix, and what came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixEvidence {
    /// Tests that failed before and passed in every verification run.
    pub red_to_green: Vec<String>,
    /// Tests whose outcome is the same as before.
    pub unchanged: u32,
    /// Always 0 in an offered fix.
    pub newly_failing: u32,
    /// Verification runs of the target tests on the final patch.
    pub runs: u32,
    /// `all` tests were run, or the `affected` ones, or `none`.
    pub scope: String,
    /// Sandbox layer that ran.
    pub layer: String,
    /// Wall time of the verification.
    pub duration_ms: u64,
    /// blake3 (hex) of the unpatched content of every file that the verdict depends on and the fix
    /// edits or the failure names; keys relative to the root.
    pub content_hashes: BTreeMap<String, String>,
    /// The diagnostic that it makes go away, where that is what it is for. `unchanged` then also
    /// counts tests that could not be run before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub diagnostic: Option<MendedDiagnostic>,
    /// How it compares with the other candidates that turned the same tests green.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agreement: Option<Agreement>,
    /// How strong the tests are around the change.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub test_strength: Option<TestStrength>,
    /// What a search of the index found near the fault for candidates to borrow from; absent where
    /// repair does not ask.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retrieved: Option<RetrievalReport>,
    /// What the model that wrote it was asked; absent for templates.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generation: Option<GenerationReport>,
    /// What its place in the order was made of, beside `agreement`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub merit: Option<Merit>,
    /// Whether it was offered for an earlier text of its files, and moved to this one.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub rebased: bool,
}

/// What a model was asked for all fixes of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationReport {
    /// Its name.
    pub model: String,
    /// What its weights hash to, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
    /// Adapter `name@version` that was applied.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub adapter: Option<String>,
    /// Calls until the report was made.
    pub calls: u64,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Tokens of all replies.
    pub completion_tokens: u64,
    /// Whether the tokens are estimates: the model did not say.
    pub estimated: bool,
    /// Time that the calls took.
    pub model_ms: u64,
    /// Mean time to the first token, where the model says it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_ms: Option<u64>,
    /// Why replies could not be used, most frequent first.
    pub unusable: Vec<(String, u64)>,
}

/// What a search of the index found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RetrievalReport {
    /// Best first.
    pub passages: Vec<RetrievedPassage>,
    /// Why there may be more or better ones, or none.
    pub degraded: Option<String>,
}

/// A passage that candidates could borrow from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrievedPassage {
    /// Relative to the root.
    pub path: String,
    /// 1-based first line.
    pub start_line: u32,
    /// 1-based last line, inclusive.
    pub end_line: u32,
    /// The definition that it is or belongs to.
    pub symbol: Option<String>,
    /// Comparable within one list.
    pub score: f64,
    /// Whether the fix changes lines of it. What it only lent is not seen.
    #[serde(default)]
    pub used: bool,
}

/// What is known of a fix beyond its tests and its behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Merit {
    /// The generator's: family, place in the code, suspicion of the line. Comparable within one
    /// request.
    pub score: f64,
    /// By how many bits per token the new code is more natural for the repository than what it
    /// replaces; nothing where there was no other fix to compare with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub naturalness: Option<f64>,
    /// Tokens taken out.
    pub removed: u32,
    /// Tokens put in.
    pub added: u32,
    /// Whether it makes the code do less: only takes code away, or leaves something early.
    pub shortcut: bool,
}

/// How candidates that pass the same tests behave on inputs that the tests do not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Candidates that behaved like this fix on every input, itself included.
    pub alike: u32,
    /// Different behaviours among the candidates: more than one is left open by the tests.
    pub behaviours: u32,
    /// Inputs compared.
    pub inputs: u32,
}

/// A sample of small changes of the fixed function, run against the tests around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestStrength {
    /// Changes tried.
    pub mutants: u32,
    /// Changes that no test noticed. Some change nothing that can be observed.
    pub survived: u32,
}

/// What a fix request took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixStats {
    /// From the request to the suspicious lines.
    pub localized_ms: u64,
    /// What became of the candidates.
    pub candidates: CandidateCounts,
    /// Wall time of the request.
    pub elapsed_ms: u64,
    /// CPU time of the baseline, of screening, and of the verification of the fixes found; that of
    /// localization and of fallen verifications is not in it.
    pub cpu_ms: u64,
}

/// What became of the candidates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateCounts {
    /// Proposed, without duplicates.
    pub generated: u64,
    /// Refused without running.
    pub rejected_static: u64,
    /// Built or loaded.
    pub built: u64,
    /// Tests were run on it.
    pub run: u64,
    /// Passed the whole verification.
    pub verified: u64,
    /// Not run again: they fell on the same inputs before.
    #[serde(default)]
    pub known: u64,
}

/// Something a person should know that is not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// `flaky-test`, `weaker-sandbox`, `budget`, `file-too-large`, ….
    pub kind: String,
    /// One line.
    pub message: String,
}

/// How one test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestOutcome {
    /// Passed.
    Passed,
    /// Failed in every run.
    Failed,
    /// Took longer than one test may, in every run.
    Hung,
    /// Differed between two runs.
    Flaky,
    /// Skipped by the runner.
    Skipped,
}

/// What `greenlit test --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestReport {
    /// Workspace root.
    pub root: PathBuf,
    /// Workspace revision that it holds for.
    pub revision: u64,
    /// Every test with its outcome.
    pub tests: Vec<TestEntry>,
    /// Runners used, for people.
    pub runners: Vec<String>,
    /// Sandbox layer that ran.
    pub layer: String,
    /// Wall time.
    pub duration_ms: u64,
    /// CPU time.
    pub cpu_ms: u64,
    /// What else a person should know.
    pub notices: Vec<Notice>,
}

/// One test in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestEntry {
    /// Test id.
    pub id: String,
    /// How it ended.
    pub outcome: TestOutcome,
    /// File of the failure, relative to the root.
    pub file: Option<String>,
    /// 1-based line.
    pub line: Option<u32>,
    /// One line for people, for a failure.
    pub message: Option<String>,
    /// As the runner reported it.
    pub duration_ms: u64,
}

/// What a session knows of a root's tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestsReport {
    /// Workspace root.
    pub root: PathBuf,
    /// The workspace revision of the last run; 0 before the first.
    pub revision: u64,
    /// Every known test as it ended last.
    pub tests: Vec<TestEntry>,
    /// Where tests are written, by id; those that were not found have none.
    pub places: BTreeMap<String, TestPlace>,
}

/// Where a test is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestPlace {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// 1-based first line of its definition, where it was found.
    pub line: Option<u32>,
}

/// Everything kept about one offered fix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceReport {
    /// [`OfferedFix::id`](crate::OfferedFix::id).
    pub id: String,
    /// As in the menu.
    pub title: String,
    /// The fix.
    pub entry: FixEntry,
    /// How the fault was localized: `spectrum (sys.monitoring)` or `trace`.
    pub localization: String,
    /// Suspected lines, most suspicious first: `path:line` and score.
    pub suspicious: Vec<(String, f64)>,
    /// Tests of the verification with their outcomes before and after.
    pub tests: Vec<EvidenceTest>,
    /// Candidates of the same search by why they fell, most frequent first.
    pub fallen: Vec<(String, u64)>,
    /// Failures that killed candidates, by their first line, most frequent first.
    #[serde(default)]
    pub killed_by: Vec<(String, u64)>,
    /// Candidates of the same search that fell, the first that were tried, in that order. Only in what
    /// editors show of a test's fix: in the record each has a row of its own.
    #[serde(default)]
    pub tried: Vec<TriedCandidate>,
    /// What the search took.
    pub stats: FixStats,
}

/// A candidate that is no fix, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedCandidate {
    /// `path:line` of its first edit, relative to the root.
    pub place: String,
    /// What it does: ``replace `<` by `<=` ``.
    pub summary: String,
    /// Why it fell.
    pub reason: String,
    /// The first line of the failure that killed it, where one did.
    pub failure: Option<String>,
}

/// One test before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceTest {
    /// Test id.
    pub id: String,
    /// On the unpatched view.
    pub before: TestOutcome,
    /// In every verification run.
    pub after: TestOutcome,
}
