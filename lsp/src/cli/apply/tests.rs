use greenlit_protocol::{CandidateCounts, FailingTest, FixEvidence, FixSource, FixStats};

use super::*;

fn edit(path: &str, start: usize, end: usize, new_text: &str) -> FileEdit {
    FileEdit { path: path.to_owned(), start, end, new_text: new_text.to_owned() }
}

fn fix(tests: &[&str], rank: u32, edits: Vec<FileEdit>, hashes: &[(&str, &str)]) -> FixEntry {
    let hash = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    FixEntry {
        tests: tests.iter().map(ToString::to_string).collect(),
        rank,
        diff: String::new(),
        edits,
        source: FixSource { tier: "template".to_owned(), rule: None, model: None, adapter: None },
        evidence: FixEvidence {
            red_to_green: Vec::new(),
            unchanged: 0,
            newly_failing: 0,
            runs: 2,
            scope: "all".to_owned(),
            layer: "none".to_owned(),
            duration_ms: 1,
            diagnostic: None,
            content_hashes: hashes
                .iter()
                .map(|(path, content)| ((*path).to_owned(), hash(content)))
                .collect(),
            agreement: None,
            test_strength: None,
            retrieved: None,
            generation: None,
            merit: None,
            rebased: false,
        },
    }
}

fn report(failing: &[&str], fixes: Vec<FixEntry>) -> FixReport {
    let failing = failing.iter().map(|id| FailingTest {
        id: (*id).to_owned(),
        file: None,
        line: None,
        message: String::new(),
    });
    FixReport {
        root: PathBuf::new(),
        revision: 1,
        failing: failing.collect(),
        fixes,
        localization: None,
        stats: FixStats { candidates: CandidateCounts::default(), ..FixStats::default() },
    }
}

fn root_with(path: &str, content: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(path), content).unwrap();
    dir
}

#[test]
fn edits_of_several_fixes_apply_to_the_verified_content() {
    let before = "return a - b\nreturn c - d\n";
    let dir = root_with("m.py", before);
    let report = report(
        &["t1", "t2"],
        vec![
            fix(&["t2"], 2, vec![edit("m.py", 22, 23, "+")], &[("m.py", before)]),
            fix(&["t1"], 1, vec![edit("m.py", 9, 10, "plus")], &[("m.py", before)]),
        ],
    );
    let outcome = apply(dir.path(), &report, &[]).unwrap();
    assert_eq!(outcome.applied.len(), 2);
    assert_eq!(outcome.applied[0].files, ["m.py"]);
    let after = fs::read_to_string(dir.path().join("m.py")).unwrap();
    assert_eq!(after, "return a plus b\nreturn c + d\n");
}

#[test]
fn of_overlapping_fixes_the_next_best_is_taken_or_none() {
    let text = "0123456789";
    let hashes = [("f", text)];
    let fixes = vec![
        fix(&["t1"], 1, vec![edit("f", 1, 3, "")], &hashes),
        fix(&["t2"], 2, vec![edit("f", 2, 4, "")], &hashes),
        fix(&["t2"], 3, vec![edit("f", 6, 7, "")], &hashes),
        fix(&["t3"], 4, vec![edit("f", 3, 3, "x")], &hashes),
    ];
    let (chosen, skipped) = choose(&report(&["t1", "t2", "t3", "t4"], fixes));
    assert_eq!(chosen, [0, 2]);
    assert_eq!(skipped, [(3, "overlaps the fix of t1; run it again".to_owned())]);
}

#[test]
fn a_file_that_changed_stops_everything() {
    let dir = root_with("a", "changed");
    fs::write(dir.path().join("b"), "same").unwrap();
    let edits = vec![edit("b", 0, 4, "new")];
    let report = report(&["t"], vec![fix(&["t"], 1, edits, &[("a", "old"), ("b", "same")])]);
    let failure = apply(dir.path(), &report, &[]).unwrap_err();
    assert_eq!(failure.kind, "inputs-changed");
    assert_eq!(fs::read_to_string(dir.path().join("b")).unwrap(), "same");
}

#[test]
fn an_edit_without_evidence_for_its_file_is_refused() {
    let dir = root_with("a", "text");
    let report = report(&["t"], vec![fix(&["t"], 1, vec![edit("a", 0, 1, "x")], &[])]);
    assert_eq!(apply(dir.path(), &report, &[]).unwrap_err().kind, "internal");
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "text");
}

#[test]
fn edits_that_do_not_fit_are_refused() {
    assert_eq!(patch(b"abc", vec![&edit("f", 2, 4, "")]), None);
    assert_eq!(patch(b"abc", vec![&edit("f", 2, 1, "")]), None);
    assert_eq!(patch(b"abc", vec![&edit("f", 0, 2, ""), &edit("f", 1, 3, "")]), None);
    assert_eq!(patch(b"abc", vec![&edit("f", 3, 3, "d")]), Some(b"abcd".to_vec()));
}

#[cfg(unix)]
#[test]
fn nothing_outside_the_root_is_written() {
    let outside = root_with("secret", "text");
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), dir.path().join("link")).unwrap();
    let up = format!("../{}/secret", outside.path().file_name().unwrap().to_str().unwrap());
    let absolute = outside.path().join("secret").to_str().unwrap().to_owned();
    for path in ["link", &up, &absolute] {
        let edits = vec![edit(path, 0, 1, "x")];
        let report = report(&["t"], vec![fix(&["t"], 1, edits, &[(path, "text")])]);
        assert_eq!(apply(dir.path(), &report, &[]).unwrap_err().kind, "bad-request", "{path}");
    }
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "text");
}

#[cfg(unix)]
#[test]
fn permissions_and_links_inside_the_root_are_kept() {
    use std::os::unix::fs::PermissionsExt;

    let dir = root_with("real", "text");
    let real = dir.path().join("real");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o751)).unwrap();
    std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
    let edits = vec![edit("link", 0, 1, "T")];
    let report = report(&["t"], vec![fix(&["t"], 1, edits, &[("link", "text")])]);
    apply(dir.path(), &report, &[]).unwrap();
    assert_eq!(fs::read_to_string(&real).unwrap(), "Text");
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o751);
    assert!(dir.path().join("link").is_symlink());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
}
