//! The record as the daemon uses it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use greenlit_evidence::{Attempt, Decision, Limits, Options, ReadError, Search, SearchEnd, Store};
use greenlit_protocol::{FileEdit, TraceCall, TraceFilter, TraceMessage, TraceSearch};

const BEFORE: &str = "def a(x):\n    return x > 1\n";

fn options(dir: &Path) -> Options {
    Options::new(dir.join("evidence.db"))
}

fn all() -> TraceFilter {
    TraceFilter { limit: 1000, ..TraceFilter::default() }
}

fn search(store: &Store, root: &str) -> u64 {
    let id = store.next_search();
    let about = TraceSearch {
        kind: "tests".into(),
        branch: Some("main".into()),
        tests: vec!["t.py::test_a".into()],
        ..TraceSearch::default()
    };
    store.begin(Search { id, root: root.into(), about });
    id
}

/// An offered template fix of `/w/a.py`.
fn offered(store: &Store, search: u64, fix: &str) -> Attempt {
    let at = BEFORE.find('>').unwrap();
    Attempt {
        id: store.next_attempt(),
        search,
        root: "/w".into(),
        tier: "template".into(),
        rule: Some("comparison".into()),
        verdict: "verified".into(),
        summary: Some("replace `>` by `>=`".into()),
        diff: Some("-    return x > 1\n+    return x >= 1\n".into()),
        edits: vec![FileEdit {
            path: "a.py".into(),
            start: at,
            end: at + 1,
            new_text: ">=".into(),
        }],
        fix: Some(fix.into()),
        offered: true,
        files: vec![("a.py".into(), BEFORE.into())],
        ..Attempt::default()
    }
}

/// A call of a model whose candidate fell.
fn asked(store: &Store, search: u64, secret: &str) -> Attempt {
    let prompt = TraceMessage { role: "user".into(), content: format!("mend {secret}") };
    Attempt {
        id: store.next_attempt(),
        search,
        root: "/w".into(),
        tier: "small".into(),
        model: Some("tiny".into()),
        verdict: "fell".into(),
        reason: Some("target still red".into()),
        failure: Some(format!("assert {secret}")),
        diff: Some(format!("+{secret}")),
        call: Some(TraceCall {
            model: "tiny".into(),
            temperature: 0.5,
            prompt_tokens: 10,
            completion_tokens: 3,
            latency_ms: 700,
            ..TraceCall::default()
        }),
        prompt: Some(Arc::from([prompt])),
        reply: Some(format!("say {secret}").into()),
        ..Attempt::default()
    }
}

#[test]
fn the_whole_lineage_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    let attempt = asked(&store, id, "x = 'ü'");
    store.attempt(attempt.clone());
    store.end(SearchEnd { id, ended: "nothing found".into(), ..SearchEnd::default() });
    let report = store.show(&attempt.id.to_string()).unwrap();
    assert_eq!(report.entry.verdict, "fell");
    assert_eq!(report.call, attempt.call);
    assert_eq!(report.prompt.as_deref(), attempt.prompt.as_deref());
    assert_eq!(report.reply.as_deref(), attempt.reply.as_deref());
    assert_eq!((report.diff, report.failure), (attempt.diff, attempt.failure));
    assert_eq!(report.search.ended.as_deref(), Some("nothing found"));
    assert_eq!(report.search.tests, ["t.py::test_a"]);
    assert!(matches!(store.show("77"), Err(ReadError::Unknown { .. })));
    assert!(matches!(store.show("x"), Err(ReadError::Unknown { .. })));
}

#[test]
fn lists_are_filtered_and_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let one = search(&store, "/w");
    store.attempt(asked(&store, one, "s"));
    store.attempt(offered(&store, one, "f1"));
    store.attempt(Attempt { root: "/v".into(), ..asked(&store, one, "s") });
    let list = |filter: TraceFilter| {
        store.list(&filter).unwrap().iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    assert_eq!(list(all()), [3, 2, 1]);
    assert_eq!(list(TraceFilter { limit: 1, ..all() }), [3]);
    assert_eq!(list(TraceFilter { root: Some("/w".into()), ..all() }), [2, 1]);
    assert_eq!(list(TraceFilter { tier: Some("small".into()), ..all() }), [3, 1]);
    assert_eq!(list(TraceFilter { offered: true, ..all() }), [2]);
    assert_eq!(list(TraceFilter { since_ms: Some(0), ..all() }), [3, 2, 1]);
    assert!(list(TraceFilter { since_ms: Some(i64::MAX), ..all() }).is_empty());
    let both = TraceFilter {
        root: Some("/w".into()),
        tier: Some("small".into()),
        since_ms: Some(0),
        ..all()
    };
    assert_eq!(list(both), [1]);
    let after = store.export(&all(), 1).unwrap();
    assert_eq!(after.iter().map(|report| report.entry.id).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn what_a_person_did_stays_when_more_is_recorded_and_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    let attempt = offered(&store, id, "f1");
    store.attempt(attempt.clone());
    store.decided("f1", Decision::Applied);
    store.decided("f1", Decision::Applied);
    store.attempt(attempt);
    store.decided("never seen", Decision::Applied);
    let entry = store.show("f1").unwrap().entry;
    assert!(entry.applied_ms.is_some() && entry.offered_ms.is_some());
    let totals = store.status().totals;
    assert_eq!((totals.attempts, totals.offered, totals.applied), (1, 1, 1));
}

#[test]
fn dismissed_is_what_a_person_said_no_to_last_once_each_and_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let one = search(&store, "/w");
    for fix in ["first", "second", "applied"] {
        store.attempt(offered(&store, one, fix));
        decided(&store, fix, Decision::Dismissed);
    }
    // The same fix of another search, taken this time.
    let other = search(&store, "/w");
    store.attempt(offered(&store, other, "applied"));
    decided(&store, "applied", Decision::Applied);
    store.attempt(offered(&store, other, "second"));
    decided(&store, "second", Decision::Dismissed);
    assert_eq!(store.dismissed(10).unwrap(), ["second", "first"]);
    assert_eq!(store.dismissed(1).unwrap(), ["second"]);
}

#[test]
fn an_applied_fix_that_is_taken_back_counts_as_reverted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let (root, path) = (PathBuf::from("/w"), PathBuf::from("/w/a.py"));
    let id = search(&store, "/w");
    store.attempt(offered(&store, id, "f1"));
    store.settle();
    assert!(!store.watches(&path));
    store.decided("f1", Decision::Applied);
    store.settle();
    assert!(store.watches(&path));
    let look = |text: &str, branch: &str| {
        store.looked(root.clone(), path.clone(), Some(text.into()), Some(branch.into()));
        store.show("f1").unwrap().entry.reverted_ms
    };
    assert_eq!(look(&BEFORE.replace('>', ">="), "main"), None);
    assert_eq!(look(&format!("import os\n{}", BEFORE.replace('>', ">=")), "main"), None);
    assert_eq!(look(BEFORE, "another"), None, "another branch never had it");
    assert!(look(&format!("{BEFORE}\n# more\n"), "main").is_some());
    assert!(!store.watches(&path));
    assert_eq!(store.status().totals.reverted, 1);
    // Watched again after a restart, once it is applied again.
    store.decided("f1", Decision::Applied);
    store.close();
    let store = Store::open(options(dir.path()));
    store.settle();
    assert!(store.watches(&path));
    assert_eq!(store.show("f1").unwrap().entry.reverted_ms, None);
}

/// Every file of the database.
/// Recorded before anything else, and at another time: a person takes longer.
fn decided(store: &Store, fix: &str, decision: Decision) {
    store.decided(fix, decision);
    // Reading settles what was written.
    store.show(fix).unwrap();
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let before = now();
    while now() <= before {}
}

fn bytes(dir: &Path) -> Vec<u8> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.flat_map(|file| fs::read(file).unwrap()).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn what_is_redacted_or_private_is_not_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    let open = asked(&store, id, "hunter2");
    let shares = Attempt {
        id: store.next_attempt(),
        reply: None,
        diff: None,
        failure: None,
        ..open.clone()
    };
    store.attempt(open.clone());
    store.attempt(shares.clone());
    store.attempt(Attempt { private: true, ..asked(&store, id, "topsecret") });
    store.settle();
    let there = bytes(dir.path());
    assert!(contains(&there, "hunter2") && !contains(&there, "topsecret"));
    let private = store.show("3").unwrap();
    assert!(private.private && private.prompt.is_none() && private.diff.is_none());
    assert_eq!(private.call.unwrap().latency_ms, 700);
    assert_eq!(store.redact(&open.id.to_string()).unwrap(), open.id);
    let report = store.show(&open.id.to_string()).unwrap();
    assert!(report.redacted && report.prompt.is_none() && report.reply.is_none());
    assert_eq!(report.call.unwrap().prompt_tokens, 10);
    assert!(store.show(&shares.id.to_string()).unwrap().prompt.is_none());
    // Recorded once more by a search that still runs: it stays redacted.
    store.attempt(open);
    store.close();
    assert!(!contains(&bytes(dir.path()), "hunter2"));
    assert!(matches!(
        store.redact("77"),
        Err(ReadError::Unknown { .. } | ReadError::Sqlite { .. })
    ));
}

#[test]
fn texts_are_kept_once_and_not_at_all_where_nobody_wants_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(50_000).collect();
    for _ in 0..8 {
        store.attempt(asked(&store, id, &noise));
        store.settle();
    }
    store.close();
    // One prompt and one reply; what differs is in each of the 8. Kept apart they took a million.
    let size = bytes(dir.path()).len();
    assert!(size > 50_000 && size < 700_000, "{size}");
    let other = tempfile::tempdir().unwrap();
    let limits = Limits { texts: false, ..Limits::default() };
    let store = Store::open(Options { limits, ..options(other.path()) });
    store.attempt(asked(&store, id, "x"));
    let report = store.show("1").unwrap();
    assert!(report.prompt.is_none() && report.reply.is_none() && report.diff.is_some());
}

#[test]
fn a_damaged_file_is_moved_aside_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.db");
    fs::write(&path, "this is no database, and long enough to be read as one".repeat(100)).unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    store.attempt(offered(&store, id, "f1"));
    assert_eq!(store.list(&all()).unwrap().len(), 1);
    let status = store.status();
    assert_eq!(status.state, "kept");
    assert!(status.notices[0].contains("was damaged"), "{:?}", status.notices);
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let aside: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".damaged-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    let kept = fs::read_to_string(dir.path().join(&aside[0])).unwrap();
    assert!(kept.starts_with("this is no database"));
}

#[test]
fn damage_that_shows_later_is_moved_aside_too_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.db");
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    for _ in 0..2000 {
        store.attempt(offered(&store, id, "f1"));
    }
    store.close();
    let whole = fs::read(&path).unwrap();
    // All but the pages that opening it reads.
    let mut broken = whole.clone();
    broken[40 * 4096..].fill(0x5a);
    fs::write(&path, &broken).unwrap();
    let store = Store::open(options(dir.path()));
    let next = store.next_attempt();
    assert!(next > 2000);
    // Whoever comes first to a broken page, the thread or this reader, it is not taken for a record.
    let seen = store.list(&TraceFilter { limit: 10_000, ..TraceFilter::default() });
    assert!(seen.is_err() || seen.is_ok_and(|list| list.is_empty()));
    store.settle();
    let id = search(&store, "/w");
    store.attempt(Attempt { id: next, ..offered(&store, id, "f2") });
    let list = store.list(&all()).unwrap();
    assert_eq!(list.iter().map(|entry| entry.id).collect::<Vec<_>>(), [next]);
    assert!(store.status().notices[0].contains("was damaged"));
}

#[test]
fn a_file_from_the_future_is_left_alone_and_nothing_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE later (x); PRAGMA user_version = 99").unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    store.attempt(offered(&store, id, "f1"));
    let status = store.status();
    assert_eq!((status.state.as_str(), status.dropped), ("not kept", 2));
    assert!(status.notices[0].contains("newer Greenlit (schema 99"), "{:?}", status.notices);
    assert!(matches!(store.list(&all()), Err(ReadError::NotKept { .. })));
    drop(store);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_full_disk_loses_what_does_not_fit_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options { most_pages: Some(60), ..options(dir.path()) });
    let id = search(&store, "/w");
    store.attempt(offered(&store, id, "f1"));
    store.settle();
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(500_000).collect();
    store.attempt(asked(&store, id, &noise));
    store.settle();
    let status = store.status();
    assert_eq!((status.state.as_str(), status.dropped), ("not kept", 1));
    assert!(status.notices[0].contains("full"), "{:?}", status.notices);
    // What fits is recorded again.
    store.attempt(offered(&store, id, "f2"));
    assert_eq!(store.list(&all()).unwrap().len(), 2);
    assert_eq!(store.status().state, "kept");
}

#[test]
fn numbers_grow_whatever_was_removed_and_whatever_the_clock_says() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    for _ in 0..10 {
        store.attempt(offered(&store, id, "f1"));
    }
    store.close();
    // A clock that was far ahead, and the removal of everything.
    let connection = rusqlite::Connection::open(dir.path().join("evidence.db")).unwrap();
    connection.execute("UPDATE attempt SET at_ms = 9000000000000 WHERE id = 10", []).unwrap();
    connection.execute("DELETE FROM attempt WHERE id < 10", []).unwrap();
    drop(connection);
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    store.attempt(offered(&store, id, "f1"));
    let list = store.list(&all()).unwrap();
    assert_eq!(list.iter().map(|entry| entry.id).collect::<Vec<_>>(), [11, 10]);
    assert!(list[0].at_ms < list[1].at_ms);
    store.close();
    let connection = rusqlite::Connection::open(dir.path().join("evidence.db")).unwrap();
    connection.execute("DELETE FROM attempt", []).unwrap();
    drop(connection);
    assert_eq!(Store::open(options(dir.path())).next_attempt(), 12);
}

#[test]
fn what_is_too_old_or_too_much_leaves_and_sums_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    store.attempt(offered(&store, id, "f1"));
    for _ in 0..40 {
        let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(60_000).collect();
        store.attempt(asked(&store, id, &noise));
        store.settle();
    }
    store.close();
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let store = Store::open(Options { limits, ..options(dir.path()) });
    // It tidies when it begins.
    let list = store.list(&TraceFilter { limit: 1000, ..TraceFilter::default() }).unwrap();
    assert!(!list.is_empty() && list.len() < 41, "{}", list.len());
    assert_eq!(list.last().unwrap().fix.as_deref(), Some("f1"), "what was offered stays longest");
    assert!(store.status().bytes < 3 << 20, "{}", store.status().bytes);
    assert_eq!(store.status().totals.attempts, 41);
    store.close();
    let connection = rusqlite::Connection::open(dir.path().join("evidence.db")).unwrap();
    connection.execute("UPDATE attempt SET at_ms = 0", []).unwrap();
    drop(connection);
    let store = Store::open(options(dir.path()));
    assert!(store.list(&all()).unwrap().is_empty());
    store.close();
    let connection = rusqlite::Connection::open(dir.path().join("evidence.db")).unwrap();
    let left = "SELECT (SELECT count(*) FROM quote) + (SELECT count(*) FROM text)";
    assert_eq!(connection.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn nobody_waits_for_a_queue_that_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    // Somebody else holds the database: the thread waits for them.
    let connection = rusqlite::Connection::open(dir.path().join("evidence.db")).unwrap();
    store.settle();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..10_000 {
        store.attempt(offered(&store, id, "f1"));
    }
    connection.execute_batch("ROLLBACK").unwrap();
    while !store.settle() {}
    let status = store.status();
    let written =
        store.list(&TraceFilter { limit: 10_000, ..TraceFilter::default() }).unwrap().len();
    assert!(status.dropped > 0, "the queue took everything");
    assert_eq!(written as u64 + status.dropped, 10_000);
}

#[test]
fn one_that_is_off_keeps_nothing_and_counts_nothing() {
    let store = Store::off();
    let id = search(&store, "/w");
    store.attempt(offered(&store, id, "f1"));
    store.close();
    let status = store.status();
    assert_eq!((status.state.as_str(), status.dropped), ("off", 0));
    assert!(store.list(&all()).is_err());
}

#[test]
fn accepted_fixes_are_those_that_stayed_and_may_be_shown() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    for fix in ["stays", "offered", "taken-back"] {
        store.attempt(offered(&store, id, fix));
    }
    // What is redacted is gone from all that quote it: here nobody else does.
    let files = vec![("b.py".into(), "other".into())];
    store.attempt(Attempt { files, ..offered(&store, id, "redacted") });
    store.attempt(Attempt { private: true, ..offered(&store, id, "private") });
    store.attempt(Attempt { root: "/v".into(), ..offered(&store, id, "elsewhere") });
    // A fix of a diagnostic is no fix of a test.
    let other = store.next_search();
    let about = TraceSearch { kind: "diagnostics".into(), ..TraceSearch::default() };
    store.begin(Search { id: other, root: "/w".into(), about });
    store.attempt(offered(&store, other, "diagnostic"));
    store.decided("diagnostic", Decision::Applied);
    for fix in ["stays", "taken-back", "redacted", "private", "elsewhere"] {
        store.decided(fix, Decision::Applied);
    }
    store.redact("redacted").unwrap();
    let accepted = |root: &str, after| -> Vec<_> {
        let kept = store.accepted(Path::new(root), after).unwrap();
        kept.into_iter().map(|kept| (kept.entry.id, kept.files["a.py"].clone())).collect()
    };
    let text = BEFORE.to_owned();
    assert_eq!(accepted("/w", 0), [(1, text.clone()), (3, text.clone())]);
    assert_eq!(accepted("/w", 1), [(3, text.clone())]);
    assert_eq!(accepted("/v", 0), [(6, text)]);
    let applied = BEFORE.replace('>', ">=");
    let looked = |text: &str| {
        let (root, branch) = ("/w".into(), Some("main".into()));
        store.looked(root, "/w/a.py".into(), Some(text.into()), branch);
    };
    looked(&applied);
    looked(BEFORE);
    assert_eq!(accepted("/w", 0), [], "all of one file were taken back");
}

#[test]
fn tokens_are_those_of_a_tier_within_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()));
    let id = search(&store, "/w");
    for _ in 0..2 {
        store.attempt(asked(&store, id, "s"));
    }
    store.attempt(Attempt { tier: "large".into(), ..asked(&store, id, "s") });
    store.attempt(offered(&store, id, "f"));
    let day = Duration::from_secs(86_400);
    let tokens = |tier: &str| -> Vec<u64> {
        store.tokens(tier, day).unwrap().into_iter().map(|(_, tokens)| tokens).collect()
    };
    assert_eq!(
        (tokens("small"), tokens("large"), tokens("template")),
        (vec![13, 13], vec![13], vec![])
    );
    assert!(store.tokens("small", day).unwrap().iter().all(|(ago, _)| *ago < day));
}
