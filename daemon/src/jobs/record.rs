//! What a job records of its attempts. Nothing here waits: the store takes what it can.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use greenlit_evidence::{Attempt, Search, SearchEnd};
use greenlit_generate::{Attempt as Asked, Ending, Record as Calls};
use greenlit_protocol::{
    BUILD_ID, EvidenceReport, FileEdit, FixStats, OfferedFix, RemoteError, TraceCall, TraceMessage,
    TraceSearch, TriedCandidate,
};
use greenlit_repair::{Baseline, Candidate, Fate, PathPatterns, Retrieved, SearchCounts, relative};
use greenlit_runner::TestId;
use greenlit_workspace::{Inputs, git_branch};

use super::reports::{self, TEMPLATE};
use super::run::Job;
use super::{Answer, notices, setup};

/// What was recorded of a search so far.
pub(super) struct Recorded {
    search: u64,
    private: PathPatterns,
    /// Failures are seen in private files: nothing of this search is quoted.
    all_private: bool,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    /// Verified candidates by what they change: more becomes known of them.
    fixes: BTreeMap<[u8; 32], Attempt>,
    fallen: Vec<(String, u64)>,
    tried: Vec<TriedCandidate>,
}

/// Fallen candidates that the evidence of a fix lists, about.
const TRIED: usize = 40;

impl Recorded {
    fn rest(&self) -> std::sync::MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job<'_> {
    /// A search begins. `seen_in` are the files that its failures or diagnostics are in.
    pub(super) fn begin_record(
        &self,
        kind: &str,
        inputs: &Inputs,
        tests: Vec<String>,
        seen_in: &[PathBuf],
    ) {
        let root = self.input.view.root();
        let patterns = &self.input.config.evidence.private;
        let private = setup::patterns(root, patterns);
        let all_private = seen_in.iter().any(|path| private.covers(path));
        let search = self.input.attempts.next_search();
        let about = TraceSearch {
            kind: kind.to_owned(),
            branch: git_branch(root).map(|head| head.name().to_owned()),
            revision: self.input.revision,
            inputs: inputs.digest().to_hex().to_string(),
            background: !self.input.waited_for,
            build: BUILD_ID.to_owned(),
            tests,
            ..TraceSearch::default()
        };
        self.input.attempts.begin(Search { id: search, root: root.to_owned(), about });
        let rest = Mutex::default();
        // A job searches once.
        let _first = self.recorded.set(Recorded { search, private, all_private, rest });
    }

    /// The files in which failures of targets show.
    pub(super) fn begin_test_record(
        &self,
        inputs: &Inputs,
        baseline: &Baseline,
        targets: &[TestId],
    ) {
        let failures = baseline.failing().filter(|(id, _)| targets.contains(id));
        let frames = failures.flat_map(|(_, failure)| failure.site.iter().chain(&failure.trace));
        let seen_in: Vec<_> = frames.map(|frame| frame.path.clone()).collect();
        let tests = targets.iter().map(|id| id.0.clone()).collect();
        self.begin_record("tests", inputs, tests, &seen_in);
    }

    /// A candidate of the templates is no fix. Those of models are recorded with their calls.
    pub(super) fn record_fall(
        &self,
        candidate: &Candidate,
        fell: bool,
        reason: String,
        failure: Option<String>,
    ) {
        let Some(recorded) = self.recorded.get() else { return };
        if fell {
            self.list_tried(recorded, candidate, &reason, failure.as_ref());
        }
        if candidate.source.tier != TEMPLATE {
            return;
        }
        let root = self.input.view.root();
        let edits = reports::file_edits(root, candidate);
        let touches = candidate.edits.iter().any(|edit| recorded.private.covers(&edit.path));
        self.input.attempts.attempt(Attempt {
            id: self.input.attempts.next_attempt(),
            search: recorded.search,
            root: root.to_owned(),
            tier: candidate.source.tier.clone(),
            rule: Some(candidate.source.rule.clone()),
            verdict: if fell { "fell" } else { "untried" }.to_owned(),
            reason: Some(reason),
            failure,
            summary: Some(candidate.summary.clone()),
            edits,
            private: recorded.all_private || touches,
            ..Attempt::default()
        });
    }

    /// For the evidence that editors show; the record has a row for each.
    fn list_tried(
        &self,
        recorded: &Recorded,
        candidate: &Candidate,
        reason: &str,
        failure: Option<&String>,
    ) {
        if recorded.rest().tried.len() >= TRIED {
            return;
        }
        let Some(edit) = candidate.edits.first() else { return };
        let view = &self.input.view;
        let text = view.read_text(&edit.path).unwrap_or_default();
        let line = 1 + text.get(..edit.start).unwrap_or_default().matches('\n').count();
        let tried = TriedCandidate {
            place: format!("{}:{line}", relative(view.root(), &edit.path)),
            summary: candidate.summary.clone(),
            reason: reason.to_owned(),
            failure: failure.cloned(),
        };
        recorded.rest().tried.push(tried);
    }

    /// The first candidates of this search that fell.
    pub(super) fn tried(&self) -> Vec<TriedCandidate> {
        self.recorded.get().map(|recorded| recorded.rest().tried.clone()).unwrap_or_default()
    }

    /// A fix was verified, or more is known of one.
    pub(super) fn record_fix(&self, fix: &OfferedFix, report: &EvidenceReport) {
        let Some(recorded) = self.recorded.get() else { return };
        let (view, entry) = (&self.input.view, &fix.entry);
        let files: Vec<(String, Arc<str>)> = entry
            .evidence
            .content_hashes
            .iter()
            .filter_map(|(path, hash)| {
                let text = view.read_text(&view.root().join(path)).ok()?;
                // Only what the verdict is about.
                let same = blake3::hash(text.as_bytes()).to_hex().as_str() == hash;
                same.then(|| (path.clone(), text))
            })
            .collect();
        let touched = entry.edits.iter().map(|edit| &edit.path);
        let mut touched = touched.chain(entry.evidence.content_hashes.keys());
        let private =
            recorded.all_private || touched.any(|path| recorded.private.covers(Path::new(path)));
        let mut rest = recorded.rest();
        let known = rest.fixes.get(&key(&entry.edits));
        let id = known.map_or_else(|| self.input.attempts.next_attempt(), |known| known.id);
        let attempt = Attempt {
            id,
            search: recorded.search,
            root: view.root().to_owned(),
            tier: entry.source.tier.clone(),
            rule: entry.source.rule.clone(),
            model: entry.source.model.clone(),
            adapter: entry.source.adapter.clone(),
            verdict: "verified".to_owned(),
            summary: Some(fix.summary.clone()),
            diff: Some(entry.diff.clone()),
            edits: entry.edits.clone(),
            fix: Some(fix.id.clone()),
            evidence: Some(report.clone()),
            // Who waits for an answer sees what is in it, and nothing before.
            offered: !self.input.waited_for,
            files,
            private,
            ..Attempt::default()
        };
        rest.fixes.insert(key(&entry.edits), attempt.clone());
        drop(rest);
        self.input.attempts.attempt(attempt);
    }

    /// Why candidates fell, for the end of the record.
    pub(super) fn record_counts(&self, counts: &SearchCounts) {
        if let Some(recorded) = self.recorded.get() {
            recorded.rest().fallen = reports::most_first(&counts.fallen);
        }
    }

    /// The search is over, however it ended.
    pub(super) fn end_record(
        &self,
        answer: &Result<Answer, RemoteError>,
        retrieved: Option<&Retrieved>,
        calls: &[Calls],
    ) {
        let Some(recorded) = self.recorded.get() else { return };
        self.record_offers(recorded, answer);
        for record in calls {
            for asked in &record.attempts {
                self.record_call(recorded, record, asked);
            }
        }
        let (mut stats, mut localization) = (FixStats::default(), None);
        stats.elapsed_ms = reports::millis(self.started.elapsed());
        let ended = match answer {
            Ok(Answer::Fix { report, offered, .. }) => {
                stats = report.stats.clone();
                localization.clone_from(&report.localization);
                if offered.is_empty() { "nothing found" } else { "fixed" }.to_owned()
            }
            Ok(Answer::Diagnosed { findings, .. }) => {
                if findings.is_empty() { "nothing found" } else { "fixed" }.to_owned()
            }
            Ok(_) => "nothing found".to_owned(),
            Err(error) if error.kind == greenlit_protocol::ErrorKind::Cancelled => {
                "cancelled".to_owned()
            }
            Err(error) => error.message.clone(),
        };
        let rounds = calls.iter().filter_map(|record| {
            let rounds = record.attempts.iter().map(|asked| asked.round).max()?;
            Some((record.tier.clone(), record.model.name.clone(), rounds as u64))
        });
        let root = self.input.view.root();
        self.input.attempts.end(SearchEnd {
            id: recorded.search,
            stats,
            fallen: std::mem::take(&mut recorded.rest().fallen),
            localization,
            retrieval: retrieved.map(|found| reports::retrieval(root, Some(found))),
            ended,
            rounds: rounds.collect(),
        });
    }

    /// What is in the answer was offered; of the others it is said why not.
    fn record_offers(&self, recorded: &Recorded, answer: &Result<Answer, RemoteError>) {
        let Ok(Answer::Fix { offered, notices, .. }) = answer else { return };
        let mut rest = recorded.rest();
        for attempt in rest.fixes.values_mut() {
            if offered.iter().any(|fix| Some(&fix.id) == attempt.fix.as_ref()) {
                attempt.offered = true;
            } else {
                let summary = attempt.summary.as_deref().unwrap_or_default();
                let why = notices.iter().find_map(|notice| notices::why_withheld(notice, summary));
                attempt.reason = Some(why.unwrap_or_else(|| {
                    "others were better, or behave alike and come first".to_owned()
                }));
            }
            self.input.attempts.attempt(attempt.clone());
        }
    }

    fn record_call(&self, recorded: &Recorded, record: &Calls, asked: &Asked) {
        let root = self.input.view.root();
        let edits: Vec<FileEdit> =
            asked.edits.iter().map(|e| reports::file_edit(root, e)).collect();
        let mut quoted = asked.quoted.iter().chain(asked.edits.iter().map(|edit| &edit.path));
        let private = recorded.all_private || quoted.any(|path| recorded.private.covers(path));
        let (verdict, reason, failure) = ending(&asked.ending);
        let mut rest = recorded.rest();
        let known = if edits.is_empty() { None } else { rest.fixes.get(&key(&edits)).cloned() };
        // A reply that repeats a fix is another attempt.
        let known = known.filter(|known| known.call.is_none() && verdict != "repeated");
        let verdict = if known.is_some() { "verified" } else { verdict };
        let base = known.clone().unwrap_or_else(|| Attempt {
            id: self.input.attempts.next_attempt(),
            search: recorded.search,
            root: root.to_owned(),
            reason,
            failure,
            edits: edits.clone(),
            diff: asked.diff.clone(),
            ..Attempt::default()
        });
        let message = |message: &greenlit_generate::Message| TraceMessage {
            role: message.role.name().to_owned(),
            content: message.content.clone(),
        };
        let attempt = Attempt {
            tier: record.tier.clone(),
            model: Some(record.model.name.clone()),
            adapter: record.model.adapter.clone(),
            verdict: verdict.to_owned(),
            call: Some(self.call(record, asked)),
            prompt: Some(asked.messages.iter().map(message).collect()),
            reply: Some(asked.reply.clone()),
            private: base.private || private,
            ..base
        };
        if known.is_some() {
            rest.fixes.insert(key(&edits), attempt.clone());
        }
        drop(rest);
        self.input.attempts.attempt(attempt);
    }

    fn call(&self, record: &Calls, asked: &Asked) -> TraceCall {
        TraceCall {
            model: record.model.name.clone(),
            digest: record.model.digest.clone(),
            provider: self.input.tiers.provider(&record.tier),
            adapter: record.model.adapter.clone(),
            round: u32::try_from(asked.round).unwrap_or(u32::MAX),
            temperature: asked.sampling.temperature,
            top_p: asked.sampling.top_p,
            max_tokens: asked.sampling.max_tokens,
            seed: asked.sampling.seed,
            prompt_tokens: asked.usage.prompt_tokens,
            completion_tokens: asked.usage.completion_tokens,
            estimated: asked.usage.estimated,
            latency_ms: reports::millis(asked.wall),
        }
    }
}

/// What a candidate changes, whoever wrote it.
fn key(edits: &[FileEdit]) -> [u8; 32] {
    let mut sorted: Vec<_> = edits.iter().collect();
    sorted.sort_by_key(|edit| (&edit.path, edit.start, edit.end));
    let mut hasher = blake3::Hasher::new();
    for FileEdit { path, start, end, new_text } in sorted {
        for part in [path.as_bytes(), new_text.as_bytes()] {
            hasher.update(&part.len().to_le_bytes());
            hasher.update(part);
        }
        hasher.update(&start.to_le_bytes());
        hasher.update(&end.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn ending(ending: &Ending) -> (&'static str, Option<String>, Option<String>) {
    match ending {
        Ending::Planned => ("planned", None, None),
        Ending::Waiting | Ending::Tried(Fate::Untried) => ("untried", None, None),
        Ending::Tried(Fate::Verified) => ("verified", None, None),
        Ending::Tried(Fate::Partial) => ("partial", None, None),
        Ending::Tried(Fate::Fell { reason, failure }) => {
            ("fell", Some(reason.clone()), failure.clone())
        }
        Ending::Repeated => ("repeated", None, None),
        Ending::Invalid(why) => ("invalid", Some(why.clone()), None),
        Ending::Failed(why) => ("failed", Some(why.clone()), None),
        Ending::Cancelled => ("cancelled", None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(path: &str, start: usize, new_text: &str) -> FileEdit {
        FileEdit { path: path.into(), start, end: start + 1, new_text: new_text.into() }
    }

    #[test]
    fn the_same_change_has_one_key_whatever_the_order() {
        let (a, b) = (edit("a", 1, "x"), edit("a", 5, "y"));
        assert_eq!(key(&[a.clone(), b.clone()]), key(&[b.clone(), a.clone()]));
        assert_ne!(key(std::slice::from_ref(&a)), key(&[b]));
        assert_ne!(key(&[edit("ab", 1, "c")]), key(&[edit("a", 1, "bc")]));
    }
}
