//! Go, with the `go` of `GREENLIT_TEST_GO`. The modules have no dependencies: builds are offline.

use std::fs;
use std::time::Duration;

use greenlit_runner::{
    FailureKind, Outcome, ProblemKind, Project, RunRequest, RunState, Selection, TestRun, detect,
};
use greenlit_sandbox::{CacheMode, Sandbox};

use crate::support::{LONG, Workspace, failure, ids, only, outcomes, site, trace};

const MODULE: &str = "module example.com/m\n\ngo 1.21\n";
const GCD: &str = "package gcd\n\nfunc Gcd(a, b int) int {\n\tif b == 0 {\n\t\treturn a\n\t}\n\treturn Gcd(b, a%b) + 1\n}\n\nfunc At(xs []int, i int) int {\n\treturn xs[i]\n}\n";
const GCD_TEST: &str = "package gcd\n\nimport \"testing\"\n\nfunc TestZero(t *testing.T) {\n\tif got := Gcd(4, 0); got != 4 {\n\t\tt.Errorf(\"got %d\", got)\n\t}\n}\n\nfunc TestTwo(t *testing.T) {\n\tt.Log(\"only a log\")\n\tif got := Gcd(4, 2); got != 2 {\n\t\tt.Errorf(\"Gcd(4, 2) = %d, want 2\", got)\n\t}\n}\n";

fn gcd(files: &[(&str, &str)]) -> Workspace {
    let mut all = vec![("go.mod", MODULE), ("gcd/gcd.go", GCD), ("gcd/gcd_test.go", GCD_TEST)];
    all.extend(files);
    Workspace::go(&all)
}

/// The body of a test file in package `gcd`.
fn tests(body: &str) -> String {
    format!("package gcd\n\nimport \"testing\"\n\n{body}")
}

fn run_in(project: &Project, sandbox: &mut Sandbox, selection: Selection) -> TestRun {
    let request = RunRequest { selection, build_wall: LONG, test_wall: LONG, per_test: None };
    project.run(sandbox, &request).unwrap()
}

fn sorted(run: &TestRun) -> Vec<(&str, &'static str)> {
    let mut found = outcomes(run);
    found.sort_unstable();
    found
}

#[test]
fn go_failures_are_located_in_the_test_with_the_way_there() {
    let more = tests(
        "func TestBoom(t *testing.T) {\n\tAt(nil, 3)\n}\n\nfunc TestSkipped(t *testing.T) {\n\tt.Skip(\"later\")\n}\n\nfunc TestTable(t *testing.T) {\n\tfor _, name := range []string{\"no items\", \"a/b\", \"a/b\"} {\n\t\tt.Run(name, func(t *testing.T) {\n\t\t\tif name == \"no items\" {\n\t\t\t\tt.Fatal(\"empty\")\n\t\t\t}\n\t\t})\n\t}\n}\n\nfunc TestAfter(t *testing.T) { t.Parallel() }\n\nfunc BenchmarkX(b *testing.B) {}\n\nfunc FuzzX(f *testing.F) {\n\tf.Add(1)\n\tf.Fuzz(func(t *testing.T, n int) {})\n}\n",
    );
    let workspace = gcd(&[
        ("gcd/more_test.go", &more),
        ("root.go", "package m\n\nfunc One() int { return 1 }\n"),
        (
            "root_test.go",
            "package m_test\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"testing\"\n\n\t\"example.com/m\"\n)\n\nfunc ExampleOne() {\n\tfmt.Println(m.One())\n\t// Output: 2\n}\n\nfunc TestDirectory(t *testing.T) {\n\tif _, err := os.Stat(\"root_test.go\"); err != nil {\n\t\tt.Fatal(err)\n\t}\n}\n",
        ),
        ("nothing/nothing.go", "package nothing\n"),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    assert_eq!(
        sorted(&run),
        [
            ("./gcd::FuzzX", "passed"),
            ("./gcd::FuzzX/seed#0", "passed"),
            ("./gcd::TestAfter", "passed"),
            ("./gcd::TestBoom", "failed"),
            ("./gcd::TestSkipped", "skipped"),
            ("./gcd::TestTable", "failed"),
            ("./gcd::TestTable/a/b", "passed"),
            ("./gcd::TestTable/a/b#01", "passed"),
            ("./gcd::TestTable/no_items", "failed"),
            ("./gcd::TestTwo", "failed"),
            ("./gcd::TestZero", "passed"),
            (".::ExampleOne", "failed"),
            (".::TestDirectory", "passed"),
        ]
    );
    let two = failure(&run, "./gcd::TestTwo");
    assert_eq!(two.kind, FailureKind::Assertion);
    assert_eq!(two.message, "Gcd(4, 2) = 3, want 2");
    assert_eq!(site(&workspace, two), "gcd/gcd_test.go:14");
    let boom = failure(&run, "./gcd::TestBoom");
    assert_eq!(boom.kind, FailureKind::Error);
    assert!(boom.message.starts_with("panic: runtime error: index out of range"), "{boom:?}");
    assert_eq!(site(&workspace, boom), "gcd/more_test.go:6");
    assert_eq!(trace(&workspace, boom), ["gcd/more_test.go:6", "gcd/gcd.go:11"]);
    let table = failure(&run, "./gcd::TestTable");
    assert_eq!(table.message, "no_items: empty");
    assert_eq!(site(&workspace, table), "gcd/more_test.go:17");
    assert_eq!(failure(&run, ".::ExampleOne").message, "got 1, want 2");
}

#[test]
fn go_ids_survive_the_round_trip() {
    let same = tests("func TestSame(t *testing.T) {}\n\nfunc TestSame2(t *testing.T) {}\n");
    let workspace = gcd(&[
        ("a/util/x_test.go", &same),
        ("b/util/x_test.go", &same),
        ("api/v2/x_test.go", &same),
        ("inner/go.mod", "module example.com/inner\n"),
        ("inner/x_test.go", &same),
    ]);
    let detection = detect(&workspace.root, &workspace.environment);
    let owners = |id: &str| {
        let id = &ids(&[id])[0];
        let owners = detection.projects.iter().filter(|project| project.owns(id));
        owners.map(|p| p.dir().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(owners("./a/util::TestSame"), std::slice::from_ref(&workspace.root));
    assert_eq!(owners("./inner::TestSame"), [workspace.path("inner")]);
    assert!(owners("gcd::TestTwo").is_empty() && owners("gcd.test.js::x").is_empty());
    fs::remove_dir_all(workspace.path("inner")).unwrap();
    assert_eq!(
        workspace.round_trip(),
        [
            "./a/util::TestSame",
            "./a/util::TestSame2",
            "./api/v2::TestSame",
            "./api/v2::TestSame2",
            "./b/util::TestSame",
            "./b/util::TestSame2",
            "./gcd::TestZero",
            "./gcd::TestTwo",
        ]
    );
}

#[test]
fn go_modules_of_a_workspace_find_each_other() {
    let workspace = Workspace::go(&[
        ("go.work", "go 1.21\n\nuse (\n\t./one\n\t./two\n)\n"),
        ("one/go.mod", "module example.com/one\n\ngo 1.21\n"),
        ("one/one.go", "package one\n\nconst One = 1\n"),
        ("two/go.mod", "module example.com/two\n\ngo 1.21\n"),
        (
            "two/two_test.go",
            "package two\n\nimport (\n\t\"testing\"\n\n\t\"example.com/one\"\n)\n\nfunc TestTwo(t *testing.T) {\n\tif one.One != 1 {\n\t\tt.Fatal()\n\t}\n}\n",
        ),
        ("three/go.mod", "module example.com/three\n\ngo 1.21\n"),
    ]);
    let detection = detect(&workspace.root, &workspace.environment);
    assert_eq!(detection.projects.len(), 2);
    assert_eq!(detection.problems.len(), 1);
    assert_eq!(detection.problems[0].kind, ProblemKind::Unsupported);
    assert!(detection.problems[0].message.contains("go work use"));
    let two = detection.projects.iter().find(|p| p.dir().ends_with("two")).unwrap();
    assert!(two.label().starts_with("go test (go 1."), "{}", two.label());
    let mut sandbox = workspace.sandbox(two);
    let run = run_in(two, &mut sandbox, Selection::All);
    assert_eq!(outcomes(&run), [("./two::TestTwo", "passed")], "{run:?}");
}

#[test]
fn go_compiler_errors_are_a_broken_build() {
    let workspace = gcd(&[]);
    let broken = GCD.replace("+ 1", "+ \"no\"");
    let run = workspace.run_with(&[("gcd/gcd.go", &broken)], Selection::All);
    let RunState::BuildFailed { diagnostics, details } = run.state else { panic!("{run:?}") };
    assert_eq!((&diagnostics[0].path, diagnostics[0].line), (&workspace.path("gcd/gcd.go"), 7));
    assert!(diagnostics[0].message.contains("mismatched types"), "{diagnostics:#?}");
    assert!(details.contains("gcd.go:7"), "{details}");
    let run =
        workspace.run_with(&[("gcd/gcd.go", "package gcd\n\nfunc F() { x := }\n")], Selection::All);
    let RunState::BuildFailed { diagnostics, .. } = run.state else { panic!("{run:?}") };
    assert_eq!(diagnostics[0].line, 3, "{diagnostics:#?}");
}

#[test]
fn go_a_missing_dependency_or_version_names_the_remedy() {
    let workspace = gcd(&[]);
    let imports = GCD.replace("package gcd\n", "package gcd\n\nimport _ \"example.com/other\"\n");
    let run = workspace.run_with(&[("gcd/gcd.go", &imports)], Selection::All);
    let RunState::BuildFailed { details, .. } = run.state else { panic!("{run:?}") };
    assert!(details.contains("go mod download"), "{details}");
    workspace.save("go.mod", "module example.com/m\n\ngo 1.999\n");
    let run = workspace.run();
    let RunState::ToolMissing { message } = run.state else { panic!("{run:?}") };
    assert!(message.contains("go.dev/dl"), "{message}");
}

#[test]
fn go_a_crash_is_a_failure_of_its_own_test_only() {
    let crash = tests(
        "func TestFirst(t *testing.T) {}\n\nfunc TestParallel(t *testing.T) { t.Parallel() }\n\nfunc TestElsewhere(t *testing.T) {\n\tdone := make(chan int)\n\tgo func() {\n\t\tAt(nil, 1)\n\t\tclose(done)\n\t}()\n\t<-done\n}\n\nfunc deep(n int) int { return deep(n+1) + 1 }\n\nfunc TestOverflow(t *testing.T) {\n\tt.Run(\"sub\", func(t *testing.T) { deep(0) })\n}\n\nfunc TestLast(t *testing.T) {}\n",
    );
    let workspace = gcd(&[("gcd/gcd_test.go", &crash)]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    assert_eq!(
        sorted(&run),
        [
            ("./gcd::TestElsewhere", "failed"),
            ("./gcd::TestFirst", "passed"),
            ("./gcd::TestLast", "passed"),
            ("./gcd::TestOverflow", "failed"),
            ("./gcd::TestOverflow/sub", "failed"),
            ("./gcd::TestParallel", "passed"),
        ]
    );
    let elsewhere = failure(&run, "./gcd::TestElsewhere");
    assert!(elsewhere.message.contains("index out of range"), "{elsewhere:?}");
    assert_eq!(site(&workspace, elsewhere), "gcd/gcd_test.go:12");
    let overflow = failure(&run, "./gcd::TestOverflow/sub");
    assert_eq!(overflow.message, "fatal error: stack overflow");
}

#[test]
fn go_an_early_exit_is_no_report() {
    let workspace = gcd(&[]);
    let main = "\nfunc TestMain(m *testing.M) {\n\tfmt.Println(\"--- PASS: TestTwo (0.00s)\")\n\tfmt.Println(\"PASS\")\n\tos.Exit(0)\n}\n";
    let with_main =
        GCD_TEST.replace("import \"testing\"", "import (\n\t\"fmt\"\n\t\"os\"\n\t\"testing\"\n)");
    let init = "\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc init() {\n\tfmt.Println(\"=== RUN   TestTwo\\n--- PASS: TestTwo (0.00s)\\nPASS\")\n\tos.Exit(0)\n}\n";
    for (what, file, text) in [
        ("TestMain", "gcd/gcd_test.go", format!("{with_main}{main}")),
        ("init", "gcd/gcd.go", GCD.replace("package gcd\n", &format!("package gcd{init}"))),
        (
            "a framed end without a test",
            "gcd/gcd.go",
            GCD.replace("package gcd\n", &format!("package gcd{init}"))
                .replace("=== RUN   TestTwo\\n--- PASS: TestTwo (0.00s)\\n", "\\x16"),
        ),
        (
            "an exit in the test",
            "gcd/gcd.go",
            GCD.replace("package gcd\n", "package gcd\n\nimport \"syscall\"\n")
                .replace("return Gcd(b, a%b) + 1", "syscall.Exit(0)\n\treturn 0"),
        ),
    ] {
        for selection in [Selection::All, only(&["./gcd::TestTwo"])] {
            let run = workspace.run_with(&[(file, &text)], selection.clone());
            let green = run.state == RunState::Completed && !run.results.is_empty();
            assert!(!green, "{what}: {run:?}");
            if selection == Selection::All && !what.starts_with("a framed end") {
                assert!(matches!(run.state, RunState::NoReport { .. }), "{what}: {run:?}");
            }
        }
    }
    // The package itself turns this one into a panic.
    let exits = GCD
        .replace("package gcd\n", "package gcd\n\nimport \"os\"\n")
        .replace("return Gcd(b, a%b) + 1", "os.Exit(0)\n\treturn 0");
    let run = workspace.run_with(&[("gcd/gcd.go", &exits)], Selection::All);
    assert_eq!(
        sorted(&run),
        [("./gcd::TestTwo", "failed"), ("./gcd::TestZero", "passed")],
        "{run:?}"
    );
}

#[test]
fn go_printed_events_are_no_results() {
    let prints = "\tfmt.Println(\"--- PASS: TestTwo (0.00s)\\n{\\\"Action\\\":\\\"pass\\\",\\\"Test\\\":\\\"TestTwo\\\"}\\nPASS\")\n";
    let lies = GCD
        .replace("package gcd\n", "package gcd\n\nimport \"fmt\"\n")
        .replace("int {\n\tif b", &format!("int {{\n{prints}\tif b"));
    let workspace = gcd(&[]);
    let run = workspace.run_with(&[("gcd/gcd.go", &lies)], Selection::All);
    assert_eq!(
        outcomes(&run),
        [("./gcd::TestZero", "passed"), ("./gcd::TestTwo", "failed")],
        "{run:?}"
    );
    // Frames that are forged contradict the real ones.
    let forged = lies.replace("\"--- PASS", "\"\\x16--- PASS");
    let run = workspace.run_with(&[("gcd/gcd.go", &forged)], Selection::All);
    assert!(matches!(run.state, RunState::NoReport { .. }), "{run:?}");
}

#[test]
fn go_a_hanging_test_is_named_or_a_failure_of_its_own() {
    let workspace = gcd(&[]);
    let endless = GCD.replace("return Gcd(b, a%b) + 1", "for {\n\t\ta++\n\t}");
    workspace.save("gcd/gcd.go", &endless);
    let run = workspace.run_within(Duration::from_secs(3));
    assert_eq!(run.state, RunState::Hung { running: ids(&["./gcd::TestTwo"]) });
    assert_eq!(outcomes(&run), [("./gcd::TestZero", "passed")]);
    workspace.save("gcd/later_test.go", &tests("func TestLater(t *testing.T) {}\n"));
    let project = workspace.project();
    let mut sandbox = workspace.sandbox(&project);
    let request = RunRequest {
        selection: Selection::All,
        build_wall: LONG,
        test_wall: LONG,
        per_test: Some(Duration::from_secs(2)),
    };
    let run = project.run(&mut sandbox, &request).unwrap();
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    assert_eq!(
        sorted(&run),
        [
            ("./gcd::TestLater", "passed"),
            ("./gcd::TestTwo", "failed"),
            ("./gcd::TestZero", "passed"),
        ]
    );
    let two = failure(&run, "./gcd::TestTwo");
    assert_eq!(two.kind, FailureKind::Timeout);
    assert_eq!(site(&workspace, two), "gcd/gcd_test.go:13", "{two:?}");
    let way = trace(&workspace, two);
    assert!(way.last().unwrap().starts_with("gcd/gcd.go:"), "{way:?}");
}

#[test]
fn go_no_tests_is_a_state_of_its_own() {
    let workspace = Workspace::go(&[("go.mod", MODULE), ("gcd/gcd.go", GCD)]);
    assert_eq!(workspace.run().state, RunState::NoTests);
    let without = tests("func help(t *testing.T) {}\n");
    workspace.save("gcd/gcd_test.go", &without);
    assert_eq!(workspace.run().state, RunState::NoTests);
}

#[test]
fn go_products_of_a_closed_buffer_are_not_taken_for_the_file_on_disk() {
    let workspace = gcd(&[]);
    let project = workspace.project();
    let two = only(&["./gcd::TestTwo"]);
    // Of the same length as what is on disk.
    let fixed = GCD.replace(" + 1", " + 0");
    let mut sandbox = workspace.sandbox_with(&project, CacheMode::Keep, &[("gcd/gcd.go", &fixed)]);
    let run = run_in(&project, &mut sandbox, two.clone());
    assert_eq!(outcomes(&run), [("./gcd::TestTwo", "passed")], "{run:?}");
    drop(sandbox);
    let mut sandbox = workspace.sandbox_with(&project, CacheMode::Discard, &[]);
    let run = run_in(&project, &mut sandbox, two);
    assert_eq!(outcomes(&run), [("./gcd::TestTwo", "failed")], "{run:?}");
    drop(sandbox);
    // The products were kept in the store, and nothing was written to the checkout.
    assert!(workspace.store().join("go/upper/greenlit-bin").is_dir());
    let mut names: Vec<_> = fs::read_dir(&workspace.root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["gcd", "go.mod"]);
}

#[test]
fn go_trials_see_each_candidate_and_only_that() {
    let workspace = gcd(&[("other/other_test.go", "package other\n\nbroken\n")]);
    fs::remove_file(workspace.path("other/other_test.go")).unwrap();
    let project = workspace.project();
    let sandbox = workspace.sandbox(&project);
    let tests = ids(&["./gcd::TestTwo"]);
    let mut trials = project.trials(sandbox, &tests, LONG).unwrap();
    let mut attempt = |text: Option<&str>, wall| {
        let files: Vec<(&str, &str)> = text.into_iter().map(|text| ("gcd/gcd.go", text)).collect();
        trials.attempt(&workspace.writes(&files), &tests, wall).unwrap()
    };
    let run = attempt(None, LONG);
    assert_eq!(outcomes(&run), [("./gcd::TestTwo", "failed")], "{run:?}");
    for round in 0..3 {
        let run = attempt(Some(&GCD.replace(" + 1", " + 0")), LONG);
        assert_eq!(outcomes(&run), [("./gcd::TestTwo", "passed")], "{round}: {run:?}");
        let run = attempt(Some(&GCD.replace(" + 1", " + 2")), LONG);
        assert_eq!(outcomes(&run), [("./gcd::TestTwo", "failed")], "{round}: {run:?}");
    }
    let run = attempt(Some("syntax error"), LONG);
    assert!(matches!(run.state, RunState::BuildFailed { .. }), "{run:?}");
    let panics = GCD.replace("return Gcd(b, a%b) + 1", "panic(1)");
    let run = attempt(Some(&panics), LONG);
    assert!(!matches!(run.results.first().map(|r| &r.outcome), Some(Outcome::Passed)), "{run:?}");
    let endless = GCD.replace("return Gcd(b, a%b) + 1", "for {\n\t\ta++\n\t}");
    let run = attempt(Some(&endless), Duration::from_secs(3));
    assert_eq!(run.state, RunState::Hung { running: tests.clone() });
    assert_eq!(outcomes(&attempt(None, LONG)), [("./gcd::TestTwo", "failed")]);
}

#[test]
fn go_spectra_tell_lines_of_each_test() {
    let more = tests(
        "func TestBoom(t *testing.T) {\n\tfor _, i := range []int{0, 9} {\n\t\tt.Run(\"at\", func(t *testing.T) {\n\t\t\tAt([]int{1}, i)\n\t\t})\n\t}\n}\n\nfunc TestLoop(t *testing.T) {\n\tLoop()\n}\n",
    );
    let looping = format!("{GCD}\nfunc Loop() {{\n\tfor {{\n\t\tGcd(1, 0)\n\t}}\n}}\n");
    let workspace = gcd(&[("gcd/gcd.go", &looping), ("gcd/more_test.go", &more)]);
    let project = workspace.project();
    let mut sandbox = workspace.sandbox(&project);
    let wanted = [
        "./gcd::TestZero",
        "./gcd::TestTwo",
        "./gcd::TestBoom",
        "./gcd::TestBoom/at",
        "./gcd::TestBoom/at#01",
        "./gcd::TestLoop",
        "./gcd::TestNowhere",
    ];
    let wall = Duration::from_secs(60);
    let spectrum = project.spectrum(&mut sandbox, &ids(&wanted), wall).unwrap().unwrap();
    assert_eq!(spectrum.measured_by, "go coverprofile");
    let tests: Vec<(&str, bool)> =
        spectrum.tests.iter().map(|(id, passed)| (id.0.as_str(), *passed)).collect();
    assert_eq!(
        tests[..6],
        [
            (wanted[0], true),
            (wanted[1], false),
            (wanted[2], false),
            (wanted[3], true),
            (wanted[4], false),
            (wanted[5], false),
        ]
    );
    let lines = &spectrum.lines[&workspace.path("gcd/gcd.go")];
    let of = |line: u32| lines.get(&line).cloned().unwrap_or_default();
    assert_eq!(of(4), [0, 1, 5]);
    assert_eq!(of(5), [0, 1, 5]);
    assert_eq!(of(7), [1]);
    assert_eq!(of(11), [2, 3, 4], "a panic does not lose its lines");
    assert_eq!(of(16), [5], "a loop does not lose its lines");
    assert!(of(3).is_empty());
}

#[test]
fn go_missing_is_a_problem_with_a_remedy() {
    let mut workspace = gcd(&[]);
    workspace.environment.vars.insert("PATH".into(), "/nowhere".into());
    let detection = detect(&workspace.root, &workspace.environment);
    assert!(detection.projects.is_empty());
    assert_eq!(detection.problems[0].kind, ProblemKind::ToolMissing);
    assert!(detection.problems[0].message.contains("https://go.dev/dl"));
}

#[test]
fn go_sources_are_what_candidates_may_change() {
    let project = gcd(&[]).project();
    let dir = project.dir().to_owned();
    let source = |path: &str| project.is_source_file(&dir.join(path));
    assert!(source("gcd/gcd.go") && source("main.go"));
    for path in ["gcd/gcd_test.go", "go.mod", "vendor/x/x.go", "gcd/testdata/x.go", "README.md"] {
        assert!(!source(path), "{path}");
    }
}
