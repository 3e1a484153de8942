//! What a person is told beside the findings.

use std::collections::BTreeSet;

use greenlit_generate::Record;
use greenlit_protocol::Notice;
use greenlit_repair::{Localization, MAX_SOURCE_BYTES, Subject, Withheld, WithheldReason};

/// Why a green fix is not offered.
pub(super) fn withheld(fix: &Withheld) -> Notice {
    let summary = &fix.summary;
    let (kind, why) = match fix.reason {
        WithheldReason::WeakTests(strength) => (
            "weak-tests",
            format!(
                "it only makes the code do less, and of {} small changes there the tests miss {}",
                strength.mutants, strength.survived
            ),
        ),
        WithheldReason::LeavesRed { mended, red } => (
            "partial-fix",
            format!(
                "it turns {mended} failing tests green, and {red} that run the same lines stay red"
            ),
        ),
    };
    Notice { kind: kind.into(), message: format!("not offered, though green: {summary}; {why}") }
}

/// What a notice says of a fix with this summary that is not offered.
pub(super) fn why_withheld(notice: &Notice, summary: &str) -> Option<String> {
    let said = notice.message.strip_prefix("not offered, though green: ")?;
    Some(said.strip_prefix(summary)?.strip_prefix("; ")?.to_owned())
}

/// Suspected files in which no fix is looked for.
pub(super) fn left_alone(suspected: Option<&Localization>, subject: &Subject) -> Vec<Notice> {
    let lines = suspected.into_iter().flat_map(|found| &found.lines);
    let paths: BTreeSet<_> = lines.map(|line| &line.path).collect();
    let notice = |path: &std::path::PathBuf| {
        let (kind, why) = if subject.protected.covers(path) {
            ("protected", "named by `paths.never`".to_owned())
        } else if subject.is_too_large(path) {
            ("file-too-large", format!("larger than {} MiB", MAX_SOURCE_BYTES >> 20))
        } else {
            return None;
        };
        let shown = path.strip_prefix(&subject.root).unwrap_or(path).display();
        let message = format!("{shown} is suspected and {why}: no fix is looked for in it");
        Some(Notice { kind: kind.into(), message })
    };
    paths.into_iter().filter_map(notice).collect()
}

/// What of a search a model was not asked about.
pub(super) fn unasked(record: &Record) -> Option<Notice> {
    let (tier, model) = (&record.tier, &record.model.name);
    let message = format!(
        "{tier} ({model}) is not asked about what lies in files that stay on this machine (`paths.local`)"
    );
    (record.unasked > 0).then(|| Notice { kind: "model".into(), message })
}

/// Reasons named of replies that could not be used.
const REASONS: usize = 4;

/// What of a model's replies could not be used.
pub(super) fn unusable(record: &Record) -> Option<Notice> {
    let mut failures: Vec<_> = record.failures().into_iter().collect();
    failures.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let count: usize = failures.iter().map(|(_, count)| count).sum();
    let reasons: Vec<_> =
        failures.iter().take(REASONS).map(|(why, count)| format!("{why} ({count})")).collect();
    let (tier, model, calls) = (&record.tier, &record.model.name, record.attempts.len());
    let message = format!(
        "{tier} ({model}): {count} of {calls} calls brought nothing usable: {}",
        reasons.join("; ")
    );
    (count > 0).then(|| Notice { kind: "model".into(), message })
}

#[cfg(test)]
mod tests {
    use greenlit_repair::{Method, Suspicious};

    use super::*;

    #[test]
    fn a_suspected_file_that_is_too_large_is_named_once() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["large.py", "small.py"].map(|name| dir.path().join(name));
        std::fs::File::create(&paths[0]).unwrap().set_len(MAX_SOURCE_BYTES + 1).unwrap();
        std::fs::File::create(&paths[1]).unwrap().set_len(MAX_SOURCE_BYTES).unwrap();
        let lines = paths.iter().chain([&paths[0]]).zip(1..);
        let lines = lines.map(|(path, line)| Suspicious { path: path.clone(), line, score: 1.0 });
        let suspected = Localization {
            method: Method::Trace,
            measured_by: None,
            changed: false,
            lines: lines.collect(),
        };
        let subject = Subject {
            root: dir.path().to_owned(),
            overlays: Default::default(),
            protected: Default::default(),
        };
        let notices = left_alone(Some(&suspected), &subject);
        let [notice] = &notices[..] else { panic!() };
        assert!(notice.message.starts_with("large.py is suspected and larger than 4 MiB"));
        assert!(left_alone(None, &subject).is_empty());
    }
}
