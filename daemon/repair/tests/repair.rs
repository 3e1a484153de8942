//! Whole repairs of small Python projects.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Mutex;
use std::time::Duration;

use common::Fixture;
use greenlit_repair::{
    Candidate, Edit, FaultContext, Generator, Method, Repair, RepairEvent, RepairLimits,
    RepairOutcome, SearchEvent, Source, TemplateGenerator, VerifiedFix, WithheldReason,
};
use greenlit_runner::{Selection, TestId};

fn repair(fixture: &Fixture) -> RepairOutcome {
    repair_with(fixture, &TemplateGenerator)
}

fn repair_with(fixture: &Fixture, generator: &(dyn Generator + Sync)) -> RepairOutcome {
    repair_telling(fixture, generator, 2, &|_| {})
}

fn repair_telling(
    fixture: &Fixture,
    generator: &(dyn Generator + Sync),
    jobs: usize,
    on_event: &(dyn Fn(RepairEvent) + Sync),
) -> RepairOutcome {
    let targets: Vec<TestId> = fixture.baseline.failing().map(|(id, _)| id.clone()).collect();
    let repair = Repair {
        bench: &fixture.bench,
        baseline: &fixture.baseline,
        selection: &Selection::All,
        targets: &targets,
        generator,
        authors: &[],
        retriever: None,
        changes: None,
        earlier: &[],
        inputs: Some(blake3::hash(b"the inputs of this test never change")),
        limits: RepairLimits { budget: Duration::from_secs(300), max_fixes: 5, jobs },
        inputs_unchanged: &|| true,
        on_event,
    };
    repair.run().unwrap()
}

fn mended(fix: &VerifiedFix) -> Vec<&str> {
    fix.plausible.red_to_green.iter().map(|id| id.0.as_str()).collect()
}

const TWO_FAULTS: &[(&str, &str)] = &[
    (
        "sums.py",
        "def total(items):\n    result = 1\n    for item in items:\n        result += item\n    return result\n",
    ),
    ("names.py", "def initials(words):\n    return ''.join(word[1] for word in words)\n"),
    (
        "test_sums.py",
        "from sums import total\n\ndef test_total():\n    assert total([1, 2]) == 3\n\ndef test_none():\n    assert total([]) == 0\n",
    ),
    (
        "test_names.py",
        "from names import initials\n\ndef test_initials():\n    assert initials(['ab', 'cd']) == 'ac'\n",
    ),
];

#[test]
fn python_two_causes_are_mended_apart_and_together() {
    let fixture = Fixture::new(TWO_FAULTS);
    let outcome = repair(&fixture);
    let all =
        ["test_names.py::test_initials", "test_sums.py::test_none", "test_sums.py::test_total"];
    let first = &outcome.fixes[0];
    assert_eq!(mended(first), all, "the first fix mends everything");
    assert_eq!(first.files.len(), 2, "in both files: {:?}", first.files);
    let alone = |tests: &[&str]| outcome.fixes.iter().any(|fix| mended(fix) == tests);
    assert!(alone(&all[..1]) && alone(&all[1..]), "and each cause has a fix of its own");
}

/// Proposes these replacements, and thinks more of them where spectra were measured.
struct Proposing(&'static [(&'static str, &'static str)]);

impl Generator for Proposing {
    fn candidates(&self, context: &FaultContext<'_>) -> Vec<Candidate> {
        let measured = context.localization.method == Method::Spectrum;
        let mut candidates = Vec::new();
        for (from, to) in self.0 {
            let Some(file) = context.files.iter().find(|file| file.text.contains(from)) else {
                continue;
            };
            let start = file.text.find(from).unwrap();
            let (end, new_text) = (start + from.len(), (*to).to_owned());
            candidates.push(Candidate {
                edits: vec![Edit { path: file.path.clone(), start, end, new_text }],
                source: Source { tier: "template".into(), rule: "test".into(), adapter: None },
                summary: format!("{from} -> {to}"),
                score: if measured { 0.75 } else { 0.25 },
            });
        }
        candidates
    }
}

#[test]
fn python_what_was_found_before_the_spectra_takes_its_place_among_what_they_rank() {
    let fixture = Fixture::new(&[TWO_FAULTS[1], TWO_FAULTS[3]]);
    let outcome = repair_with(&fixture, &Proposing(&[("word[1]", "word[0]")]));
    assert_eq!(outcome.counts.verified, 1, "one patch is verified once: {:?}", outcome.counts);
    assert_eq!(outcome.counts.generated, 1);
    let scores: Vec<_> = outcome.fixes.iter().map(|fix| fix.candidate.score).collect();
    assert_eq!(scores, [0.75]);
}

#[test]
fn python_a_fix_that_leaves_tests_red_which_run_it_is_withheld() {
    let fixture = Fixture::new(&[
        ("one.py", "def f(n):\n    return n\n\n\ndef g(n):\n    return n\n"),
        (
            "test_one.py",
            "from one import f, g\n\ndef test_one():\n    assert f(1) == 2\n\ndef test_two():\n    assert f(2) == 9\n\ndef test_g():\n    assert g(1) == 5\n",
        ),
    ]);
    let generator = Proposing(&[("f(n):\n    return n", "f(n):\n    return n + 1")]);
    let outcome = repair_with(&fixture, &generator);
    assert!(outcome.fixes.is_empty(), "{:?}", outcome.fixes);
    let reasons: Vec<_> = outcome.withheld.iter().map(|withheld| withheld.reason).collect();
    let expected = WithheldReason::LeavesRed { mended: 1, red: 1 };
    assert_eq!(reasons, [expected], "`test_g` does not run it and says nothing against it");
}

#[test]
fn python_a_fault_that_needs_two_edits_is_mended() {
    let fixture = Fixture::new(&[
        (
            "price.py",
            "def price(kind, count):\n    if kind == 'double':\n        return count + 2\n    return count - 3\n",
        ),
        (
            "test_price.py",
            "import pytest\nfrom price import price\n\n@pytest.mark.parametrize('kind, count, expected', [('double', 5, 10), ('double', 7, 14), ('more', 1, 4), ('more', 6, 9)])\ndef test_price(kind, count, expected):\n    assert price(kind, count) == expected\n",
        ),
    ]);
    let outcome = repair(&fixture);
    let fix = outcome.fixes.first();
    let fix = fix.unwrap_or_else(|| panic!("two edits mend it: {:?}", outcome.counts));
    assert_eq!(mended(fix).len(), 4);
    assert!(fix.candidate.source.rule.contains(" + "), "{}", fix.candidate.source.rule);
}

/// Its failures come in a fixed order, so that the test does not depend on chance: red when the
/// baseline runs it, green in its third run in one sandbox.
const COUNTING: &str = "import pathlib\n\ndef test_counting():\n    runs = pathlib.Path('runs')\n    count = int(runs.read_text()) if runs.exists() else 0\n    runs.write_text(str(count + 1))\n    assert count >= 2\n";

#[test]
fn python_a_flaky_target_does_not_keep_the_others_from_a_fix() {
    let fixture = Fixture::new(&[
        ("names.py", TWO_FAULTS[1].1),
        ("test_names.py", TWO_FAULTS[3].1),
        ("test_counting.py", COUNTING),
    ]);
    assert_eq!(fixture.baseline.failing().count(), 2, "{:?}", fixture.baseline.tests);
    let outcome = repair(&fixture);
    let fix = outcome.fixes.first().expect("the other test has a fix");
    assert_eq!(mended(fix), ["test_names.py::test_initials"]);
    assert!(outcome.fixes.iter().all(|fix| mended(fix) == ["test_names.py::test_initials"]));
}

#[test]
fn python_a_test_that_one_candidate_broke_keeps_the_next_ones_from_a_verification() {
    let source = "def total(a, b):\n    return a - b\n";
    let tests = "from sums import total\n\ndef test_sum():\n    assert total(2, 3) == 5\n\ndef test_zero():\n    assert total(0, 0) == 0\n";
    let fixture = Fixture::new(&[("sums.py", source), ("test_sums.py", tests)]);
    let reasons = Mutex::new(Vec::new());
    let hear = |event| {
        if let RepairEvent::Search(SearchEvent::Judged { reason, .. }) = event {
            reasons.lock().unwrap().push(reason);
        }
    };
    let proposing = Proposing(&[
        ("a - b", "a * b - 1"),
        ("a - b", "2 * b - 1"),
        ("a - b", "b + 2"),
        ("a - b", "a + 3"),
        ("a - b", "a + b"),
    ]);
    let outcome = repair_telling(&fixture, &proposing, 1, &hear);
    assert_eq!(outcome.fixes.len(), 1);
    let reasons = reasons.into_inner().unwrap();
    let count = |wanted: &str| reasons.iter().filter(|reason| *reason == wanted).count();
    assert_eq!(count("verification: breaks another test"), 1, "{reasons:?}");
    // What is tried before spectra are known may be tried again after.
    assert!(count("screening: breaks another test") >= 3, "{reasons:?}");
}

#[test]
fn python_what_fell_is_not_run_again_on_the_same_inputs() {
    let fixture = Fixture::new(&[TWO_FAULTS[1], TWO_FAULTS[3]]);
    let first = repair(&fixture);
    assert_eq!(first.counts.known, 0);
    let second = repair(&fixture);
    assert!(second.counts.known > 0, "{:?}", second.counts);
    assert_eq!(first.fixes[0].files, second.fixes[0].files);
}

#[test]
fn python_the_strength_of_the_tests_is_told() {
    let weak = "from names import initials\n\ndef test_initials():\n    assert initials(['ab', 'cd']) == 'ac'\n    assert initials([]) == ''\n";
    let fixture = Fixture::new(&[
        (
            "names.py",
            "def initials(words):\n    if len(words) > 3:\n        return '-'.join(words)\n    return ''.join(word[1] for word in words)\n",
        ),
        ("test_names.py", weak),
    ]);
    let outcome = repair(&fixture);
    let strength = outcome.fixes[0].standing.strength.expect("mutants were run");
    assert!(strength.survived > 0, "no test reaches the first return: {strength:?}");
    assert!(strength.survived < strength.mutants, "the tests do see some: {strength:?}");
}

#[test]
fn python_shortcuts_past_weak_tests_are_withheld() {
    let text = |end: &str| {
        format!(
            "def price(kind, amount, count):\n    if kind == 'many':\n        amount = amount * 0.9\n        count = count - 10\n    elif kind == 'member':\n        amount = amount - 5\n        count = count + 1\n    elif kind == 'staff':\n        amount = amount / 2\n        count = count + 3\n    return amount * count{end}\n"
        )
    };
    let test =
        |calls: &str| format!("from price import price\n\ndef test_price():\n    assert {calls}\n");
    let weak = test("price('', 4, 3) == 12");
    let outcome =
        repair(&Fixture::new(&[("price.py", &text(" + count")), ("test_price.py", &weak)]));
    let shortcuts = |outcome: &RepairOutcome| {
        outcome.fixes.iter().filter(|fix| fix.standing.change.shortcut).count()
    };
    assert!(!outcome.withheld.is_empty(), "`+ count` can be dropped: {:?}", outcome.counts);
    assert_eq!(shortcuts(&outcome), 0, "{:?}", outcome.withheld);
    for withheld in &outcome.withheld {
        let WithheldReason::WeakTests(strength) = withheld.reason else {
            panic!("{withheld:?}");
        };
        assert!(strength.survived * 2 > strength.mutants, "{withheld:?}");
    }
    let strong = test(
        "[price(k, 4, 12) for k in ('', 'many', 'member', 'staff')] == [48, 3.6 * 2, -13, 30]",
    );
    let outcome =
        repair(&Fixture::new(&[("price.py", &text(" + count")), ("test_price.py", &strong)]));
    assert_eq!(outcome.withheld, [], "every line is looked at");
    assert!(shortcuts(&outcome) > 0, "{:?}", outcome.counts);
}

#[test]
fn python_fixes_that_behave_alike_are_one_entry_where_enough_was_compared() {
    let fixture = Fixture::new(&[
        ("sizes.py", "def is_small(n):\n    return n <= 10\n"),
        (
            "test_sizes.py",
            "from sizes import is_small\n\ndef test_small():\n    assert [is_small(n) for n in (3, 9, 10, 12, -4)] == [True, True, False, False, True]\n",
        ),
    ]);
    let outcome = repair(&fixture);
    let standing = &outcome.fixes[0].standing;
    assert!(standing.probes >= 20, "numbers can be varied: {standing:?}");
    assert!(standing.agreement >= 2, "`n < 10` and `n <= 9` agree: {standing:?}");
    let has = |text: &str| outcome.fixes.iter().any(|fix| fix.files[0].after.contains(text));
    assert!(has("n < 10") != has("n <= 9"), "one of them stands for both");
}

#[test]
fn python_a_fault_in_what_fills_a_table_at_import_is_mended() {
    let fixture = Fixture::new(&[
        (
            "plurals.py",
            "RULES = []\n\n\ndef irregular(one, many):\n    RULES.insert(0, (one[1:], many[2:]))\n\n\ndef plural(word):\n    for one, many in RULES:\n        if word.endswith(one):\n            return word[: len(word) - len(one)] + many\n    return word + 's'\n\n\nirregular('man', 'men')\n",
        ),
        (
            "test_plurals.py",
            "from plurals import plural\n\ndef test_regular():\n    assert plural('dog') == 'dogs'\n\ndef test_irregular():\n    assert [plural('woman'), plural('man')] == ['women', 'men']\n",
        ),
    ]);
    let outcome = repair(&fixture);
    let lines = &outcome.localization.as_ref().unwrap().lines;
    assert!(lines.iter().any(|line| line.line == 5), "it ran before the first test: {lines:?}");
    let first = &outcome.fixes[0];
    assert!(first.files[0].after.contains("(one[1:], many[1:])"), "{:?}", first.candidate);
}
