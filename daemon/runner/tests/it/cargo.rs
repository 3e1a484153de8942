//! cargo, with the toolchain on PATH. The packages have no dependencies: builds are offline.

use std::fs;
use std::time::Duration;

use greenlit_runner::{Failure, FailureKind, Project, RunRequest, RunState, Selection, TestRun};
use greenlit_sandbox::{CacheMode, Sandbox};

use crate::support::{LONG, Workspace, failure, ids, only, outcomes, set, site, trace};

const MANIFEST: &str = "[package]\nname = \"gcd\"\nversion = \"0.3.1\"\nedition = \"2021\"\n";
const LIB: &str = "pub fn gcd(a: u32, b: u32) -> u32 {\n    if b == 0 { a } else { gcd(b, a % b) + 1 }\n}\n\npub fn boom() {\n    let empty: Vec<u32> = Vec::new();\n    let _ = empty[3];\n}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn zero() {\n        assert_eq!(gcd(4, 0), 4);\n    }\n\n    #[test]\n    fn two() {\n        assert_eq!(gcd(4, 2), 2);\n    }\n}\n";

fn gcd(files: &[(&str, &str)]) -> Workspace {
    let mut all = vec![("Cargo.toml", MANIFEST), ("src/lib.rs", LIB)];
    all.extend(files);
    Workspace::new(&all)
}

fn run_in(project: &Project, sandbox: &mut Sandbox, selection: Selection) -> TestRun {
    let request = RunRequest { selection, build_wall: LONG, test_wall: LONG, per_test: None };
    project.run(sandbox, &request).unwrap()
}

#[test]
fn failures_are_located_in_the_test_with_the_way_there() {
    let workspace = gcd(&[
        ("src/main.rs", "fn main() {\n    println!(\"ran\");\n}\n\n#[test]\nfn in_bin() {}\n"),
        (
            "tests/whole.rs",
            "use gcd::{boom, gcd};\n\n#[test]\nfn deep() {\n    boom();\n}\n\n#[test]\nfn fine() {\n    assert_eq!(gcd(3, 0), 3);\n}\n\n#[test]\nfn told() {\n    assert_eq!(std::env::var(\"CARGO_PKG_VERSION_MINOR\").unwrap(), \"3\");\n    assert!(std::path::Path::new(&std::env::var(\"CARGO_MANIFEST_DIR\").unwrap()).join(\"src/lib.rs\").is_file());\n    assert!(std::path::Path::new(\"src/lib.rs\").is_file());\n    let ran = std::process::Command::new(env!(\"CARGO_BIN_EXE_gcd\")).output().unwrap();\n    assert_eq!(ran.stdout, b\"ran\\n\");\n}\n\n#[test]\n#[ignore]\nfn slow() {}\n\n#[test]\n#[should_panic]\nfn no_panic() {}\n\n#[test]\nfn returned() -> Result<(), String> {\n    Err(\"bad\".into())\n}\n",
        ),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    let mut found = outcomes(&run);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("gcd::bin/gcd::in_bin", "passed"),
            ("gcd::tests::two", "failed"),
            ("gcd::tests::zero", "passed"),
            ("gcd::whole::deep", "failed"),
            ("gcd::whole::fine", "passed"),
            ("gcd::whole::no_panic", "failed"),
            ("gcd::whole::returned", "failed"),
            ("gcd::whole::slow", "skipped"),
            ("gcd::whole::told", "passed"),
        ]
    );
    let two = failure(&run, "gcd::tests::two");
    assert_eq!(two.kind, FailureKind::Assertion);
    assert_eq!(two.message, "assertion `left == right` failed (left: 3, right: 2)");
    assert_eq!(site(&workspace, two), "src/lib.rs:21");
    let deep = failure(&run, "gcd::whole::deep");
    assert_eq!(deep.kind, FailureKind::Error);
    assert!(deep.message.starts_with("index out of bounds"), "{}", deep.message);
    assert_eq!(site(&workspace, deep), "tests/whole.rs:5");
    assert_eq!(trace(&workspace, deep), ["tests/whole.rs:5", "src/lib.rs:7"]);
    assert_eq!(failure(&run, "gcd::whole::returned").message, "Error: \"bad\"");
}

#[test]
fn members_of_a_workspace_survive_the_round_trip() {
    let test = "#[test]\nfn same() {}\n\nmod inner {\n    #[test]\n    fn same() {}\n}\n";
    let workspace = Workspace::new(&[
        ("Cargo.toml", "[workspace]\nmembers = ['one', 'two']\nresolver = '2'\n"),
        ("one/Cargo.toml", "[package]\nname = \"one-x\"\nversion = \"0.1.0\"\n"),
        ("one/src/lib.rs", test),
        ("one/tests/inner.rs", test),
        ("two/Cargo.toml", "[package]\nname = \"two\"\nversion = \"0.1.0\"\n"),
        ("two/src/lib.rs", test),
    ]);
    let mut ids = workspace.round_trip_of(2);
    ids.sort_unstable();
    assert_eq!(
        ids,
        [
            "one-x::inner::inner::same",
            "one-x::inner::same",
            "one-x::inner::same",
            "one-x::same",
            "two::inner::same",
            "two::same",
        ]
    );
}

#[test]
fn compiler_errors_are_a_broken_build() {
    let workspace = gcd(&[]);
    let broken = LIB.replace("a % b) + 1", "\"no\") + 1");
    let run = workspace.run_with(&[("src/lib.rs", &broken)], Selection::All);
    let RunState::BuildFailed { diagnostics, details } = run.state else { panic!("{run:?}") };
    assert_eq!((&diagnostics[0].path, diagnostics[0].line), (&workspace.path("src/lib.rs"), 2));
    assert!(diagnostics[0].message.contains("mismatched types"), "{diagnostics:#?}");
    assert!(details.contains("expected `u32`"), "{details}");
}

#[test]
fn a_missing_dependency_names_the_remedy() {
    let manifest = format!("{MANIFEST}[dependencies]\nno-such-crate-anywhere = \"7\"\n");
    let workspace = Workspace::new(&[("Cargo.toml", &manifest), ("src/lib.rs", LIB)]);
    let run = workspace.run();
    let RunState::BuildFailed { details, .. } = run.state else { panic!("{run:?}") };
    assert!(details.contains("cargo fetch"), "{details}");
}

#[test]
fn a_crash_is_a_failure_of_its_own_test_only() {
    let workspace = gcd(&[(
        "tests/crash.rs",
        "#[allow(unconditional_recursion)]\nfn deep(n: u64) -> u64 {\n    let pad = [n; 64];\n    deep(n + 1) + std::hint::black_box(pad)[3]\n}\n\n#[test]\nfn overflows() {\n    assert_eq!(deep(0), 1);\n}\n\n#[test]\nfn fine() {}\n",
    )]);
    let run = workspace.run_with(&[], only(&["gcd::crash::overflows", "gcd::crash::fine"]));
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    let mut found = outcomes(&run);
    found.sort_unstable();
    assert_eq!(found, [("gcd::crash::fine", "passed"), ("gcd::crash::overflows", "failed")]);
    let message = &failure(&run, "gcd::crash::overflows").message;
    assert!(message.contains("overflowed its stack"), "{message}");
}

#[test]
fn an_early_exit_is_no_report() {
    let workspace = gcd(&[]);
    let exits = LIB.replace("gcd(b, a % b) + 1", "std::process::exit(0)");
    let run = workspace.run_with(&[("src/lib.rs", &exits)], Selection::All);
    assert!(matches!(run.state, RunState::NoReport { .. }), "{run:?}");
}

#[test]
fn a_hanging_test_is_named() {
    let workspace = gcd(&[]);
    let endless = LIB.replace("gcd(b, a % b) + 1", "loop { std::hint::black_box(()) }");
    workspace.save("src/lib.rs", &endless);
    let run = workspace.run_within(Duration::from_secs(3));
    assert_eq!(run.state, RunState::Hung { running: ids(&["gcd::tests::two"]) });
    assert_eq!(outcomes(&run), [("gcd::tests::zero", "passed")]);
}

#[test]
fn no_tests_is_a_state_of_its_own() {
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "pub fn x() {}\n")]);
    assert_eq!(workspace.run().state, RunState::NoTests);
}

#[test]
fn targets_without_libtest_are_not_run() {
    let manifest =
        format!("{MANIFEST}[[test]]\nname = \"own\"\npath = \"tests/own.rs\"\nharness = false\n");
    let workspace = Workspace::new(&[
        ("Cargo.toml", &manifest),
        ("src/lib.rs", LIB),
        ("tests/own.rs", "fn main() {\n    std::process::exit(0);\n}\n"),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    assert_eq!(run.results.len(), 2);
}

#[test]
fn procedural_macros_find_the_compilers_libraries() {
    let manifest = format!("{MANIFEST}[lib]\nproc-macro = true\n");
    let workspace = Workspace::new(&[
        ("Cargo.toml", &manifest),
        (
            "src/lib.rs",
            "use proc_macro::TokenStream;\n\n#[proc_macro]\npub fn nothing(_: TokenStream) -> TokenStream {\n    TokenStream::new()\n}\n\n#[test]\nfn runs() {}\n",
        ),
    ]);
    let run = workspace.run();
    assert_eq!(outcomes(&run), [("gcd::runs", "passed")], "{run:?}");
}

#[test]
fn artifacts_of_a_closed_buffer_are_not_taken_for_the_file_on_disk() {
    let workspace = gcd(&[]);
    let project = workspace.project();
    let two = only(&["gcd::tests::two"]);
    let word = |run: &TestRun| outcomes(run).first().map(|(_, word)| *word);
    let fixed = LIB.replace(" + 1", "");
    // The unsaved buffer holds a fix; its artifacts are kept.
    let mut sandbox = workspace.sandbox_with(&project, CacheMode::Keep, &[("src/lib.rs", &fixed)]);
    assert_eq!(word(&run_in(&project, &mut sandbox, two.clone())), Some("passed"));
    drop(sandbox);
    // The buffer is closed without saving: the file on disk is older than those artifacts.
    let mut sandbox = workspace.sandbox_with(&project, CacheMode::Discard, &[]);
    let run = run_in(&project, &mut sandbox, two.clone());
    assert_eq!(word(&run), Some("failed"), "{run:?}");
    drop(sandbox);
    // And nothing was written to the checkout by any of it.
    let mut names: Vec<_> = fs::read_dir(&workspace.root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["Cargo.toml", "src"]);
}

#[test]
fn an_interrupted_build_leaves_nothing_that_looks_fresh() {
    let workspace = gcd(&[]);
    let project = workspace.project();
    let mut sandbox = workspace.sandbox_with(&project, CacheMode::Keep, &[]);
    assert_eq!(run_in(&project, &mut sandbox, Selection::All).state, RunState::Completed);
    drop(sandbox);
    // A second target breaks the build after the library with the unsaved fix was compiled.
    let fixed = LIB.replace(" + 1", "");
    let mut sandbox = workspace.sandbox_with(
        &project,
        CacheMode::Keep,
        &[("src/lib.rs", &fixed), ("tests/broken.rs", "fn broken( {}\n")],
    );
    let run = run_in(&project, &mut sandbox, Selection::All);
    assert!(matches!(run.state, RunState::BuildFailed { .. }), "{run:?}");
    drop(sandbox);
    let mut sandbox = workspace.sandbox_with(&project, CacheMode::Discard, &[]);
    let run = run_in(&project, &mut sandbox, only(&["gcd::tests::two"]));
    assert_eq!(outcomes(&run), [("gcd::tests::two", "failed")], "{run:?}");
}

#[test]
fn trials_see_each_candidate_and_only_that() {
    let workspace = gcd(&[("tests/other.rs", "#[test]\nfn other() {}\n")]);
    let project = workspace.project();
    let sandbox = workspace.sandbox(&project);
    let tests = ids(&["gcd::tests::two"]);
    let mut trials = project.trials(sandbox, &tests, LONG).unwrap();
    let mut attempt = |text: Option<&str>, wall| {
        let files: Vec<(&str, &str)> = text.into_iter().map(|text| ("src/lib.rs", text)).collect();
        trials.attempt(&workspace.writes(&files), &tests, wall).unwrap()
    };
    let run = attempt(None, LONG);
    assert_eq!(outcomes(&run), [("gcd::tests::two", "failed")], "{run:?}");
    for round in 0..3 {
        let fixed = LIB.replace(" + 1", "");
        let run = attempt(Some(&fixed), LONG);
        assert_eq!(outcomes(&run), [("gcd::tests::two", "passed")], "{round}: {run:?}");
        let wrong = LIB.replace(" + 1", " + 2");
        let run = attempt(Some(&wrong), LONG);
        assert_eq!(outcomes(&run), [("gcd::tests::two", "failed")], "{round}: {run:?}");
    }
    let run = attempt(Some("syntax error"), LONG);
    assert!(matches!(run.state, RunState::BuildFailed { .. }), "{run:?}");
    let endless = LIB.replace("gcd(b, a % b) + 1", "loop { std::hint::black_box(()) }");
    let run = attempt(Some(&endless), Duration::from_secs(6));
    assert_eq!(run.state, RunState::Hung { running: tests.clone() });
    assert_eq!(outcomes(&attempt(None, LONG)), [("gcd::tests::two", "failed")]);
}

/// Fails with the time when its executable was made.
const DATED: &str = r#"
#[test]
fn dated() {
    let made = std::env::current_exe().unwrap().metadata().unwrap().modified().unwrap();
    panic!("made at {:?}", made.duration_since(std::time::UNIX_EPOCH).unwrap());
}
"#;

#[test]
fn the_unpatched_tests_run_without_another_build_between_candidates() {
    let lib = format!("{LIB}{DATED}");
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", &lib)]);
    let project = workspace.project();
    let tests = ids(&["gcd::dated"]);
    let mut trials = project.trials(workspace.sandbox(&project), &tests, LONG).unwrap();
    let message = |run: &TestRun| failure(run, "gcd::dated").message.clone();
    let first = trials.attempt(&[], &tests, LONG).unwrap();
    let patched = workspace.writes(&[("src/lib.rs", &lib.replace(" + 1", ""))]);
    let other = trials.attempt(&patched, &tests, LONG).unwrap();
    assert_ne!(message(&other), message(&first), "a candidate is built");
    let again = trials.attempt(&[], &tests, LONG).unwrap();
    assert_eq!(message(&again), message(&first));
}

#[test]
fn the_second_of_two_runs_uses_what_the_first_one_built_and_has_the_traces() {
    let lib = format!("{LIB}{DATED}");
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", &lib)]);
    let project = workspace.project();
    let mut sandbox = workspace.sandbox(&project);
    let request =
        |selection| RunRequest { selection, build_wall: LONG, test_wall: LONG, per_test: None };
    let mut asked = 0;
    let (first, second) = project
        .run_twice(&mut sandbox, &request(Selection::All), &mut |first| {
            asked += 1;
            assert_eq!(first.state, RunState::Completed);
            // Any later build would leave another executable.
            workspace.save("src/lib.rs", "syntax error");
            Some(request(only(&["gcd::dated"])))
        })
        .unwrap();
    assert_eq!(asked, 1);
    let second = second.unwrap();
    assert_eq!(second.results.len(), 1);
    let (untraced, traced) = (failure(&first, "gcd::dated"), failure(&second, "gcd::dated"));
    assert_eq!(untraced.message, traced.message);
    assert_eq!(site(&workspace, untraced), site(&workspace, traced));
    let frames = |failure: &Failure| failure.details.contains("stack backtrace");
    assert_eq!((frames(untraced), frames(traced)), (false, true));
    let (first, second) =
        project.run_twice(&mut sandbox, &request(Selection::All), &mut |_| None).unwrap();
    assert!(second.is_none());
    assert!(matches!(first.state, RunState::BuildFailed { .. }), "{first:?}");
}

#[test]
fn trials_find_a_test_target_that_is_newer_than_the_last_run() {
    let workspace = gcd(&[]);
    let project = workspace.project();
    let mut sandbox = workspace.sandbox_with(&project, CacheMode::Keep, &[]);
    assert_eq!(run_in(&project, &mut sandbox, Selection::All).state, RunState::Completed);
    drop(sandbox);
    workspace.save("tests/late.rs", "#[test]\nfn late() {}\n");
    let tests = ids(&["gcd::late::late"]);
    let mut trials = project.trials(workspace.sandbox(&project), &tests, LONG).unwrap();
    let run = trials.attempt(&[], &tests, LONG).unwrap();
    assert_eq!(outcomes(&run), [("gcd::late::late", "passed")], "{run:?}");
}

#[test]
fn a_dependency_of_the_same_name_does_not_get_in_the_way_of_trials() {
    let manifest = format!(
        "{MANIFEST}[dev-dependencies]\nold = {{ path = \"tests/old\", package = \"gcd\" }}\n"
    );
    let workspace = Workspace::new(&[
        ("Cargo.toml", &manifest),
        ("src/lib.rs", LIB),
        ("tests/old/Cargo.toml", "[package]\nname = \"gcd\"\nversion = \"0.1.0\"\n"),
        ("tests/old/src/lib.rs", ""),
    ]);
    let project = workspace.project();
    let tests = ids(&["gcd::tests::two"]);
    let mut trials = project.trials(workspace.sandbox(&project), &tests, LONG).unwrap();
    let run = trials.attempt(&[], &tests, LONG).unwrap();
    assert_eq!(outcomes(&run), [("gcd::tests::two", "failed")], "{run:?}");
}

#[test]
fn a_target_directory_of_the_persons_own_is_honoured() {
    let mut workspace = gcd(&[]);
    let target = workspace.path("out/build");
    set(&mut workspace, "CARGO_TARGET_DIR", &target);
    let needs = workspace.project().needs(&workspace.store(), CacheMode::Keep);
    assert_eq!(needs.caches[0].path, workspace.path("out/build"));
    assert!(needs.readable.iter().all(|path| !path.ends_with("credentials.toml")));
    assert_eq!(workspace.run().results.len(), 2);
}
