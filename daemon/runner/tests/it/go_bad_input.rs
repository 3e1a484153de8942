//! Suites that are hard on Go's adapter: huge, stateful, partly not built.

use std::fs;

use greenlit_runner::{RunState, Selection, TestId};

use crate::support::{Workspace, only, outcomes};

const MODULE: &str = "module example.com/m\n\ngo 1.21\n";

#[test]
fn go_suites_of_5000_tests_are_run_and_selected() {
    let mut suite = "package m\n\nimport (\n\t\"strconv\"\n\t\"testing\"\n)\n".to_owned();
    for part in 0..5 {
        suite.push_str(&format!(
            "\nfunc Test{part}(t *testing.T) {{\n\tfor n := 0; n < 1000; n++ {{\n\t\tt.Run(strconv.Itoa(n), func(t *testing.T) {{\n\t\t\tif F(n) != n {{\n\t\t\t\tt.Fatal(n)\n\t\t\t}}\n\t\t}})\n\t}}\n}}\n"
        ));
    }
    let workspace = Workspace::go(&[
        ("go.mod", MODULE),
        (
            "m.go",
            "package m\n\nfunc F(n int) int {\n\tif n == 500 {\n\t\treturn 0\n\t}\n\treturn n\n}\n",
        ),
        ("m_test.go", &suite),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed);
    // The cases and the functions around them.
    assert_eq!(run.results.len(), 5005);
    let failed = outcomes(&run).into_iter().filter(|(_, word)| *word == "failed");
    let failed: Vec<_> = failed.map(|(id, _)| id.to_owned()).collect();
    assert_eq!(failed.len(), 10, "{failed:?}");
    assert!(failed.contains(&".::Test3/500".to_owned()), "{failed:?}");
    let all: Vec<TestId> = run.results.iter().map(|result| result.id.clone()).collect();
    let again = workspace.run_with(&[], Selection::Only(all));
    assert_eq!(again.results.len(), 5005, "{:?}", again.state);
}

const IO: &str = "package m

import (
	\"io\"
	\"net\"
	\"os\"
	\"testing\"
)

var seen []int

func TestFirst(t *testing.T) { seen = append(seen, 1) }

func TestSecond(t *testing.T) {
	if len(seen) != 1 {
		t.Fatal(seen)
	}
}

func TestWrites(t *testing.T) {
	if err := os.WriteFile(\"made.txt\", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(\"kept.txt\"); err != nil {
		t.Fatal(err)
	}
}

func TestBinds(t *testing.T) {
	server, err := net.Listen(\"tcp\", \"127.0.0.1:0\")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		client, _ := server.Accept()
		client.Write([]byte(\"hi\"))
		client.Close()
	}()
	client, err := net.Dial(\"tcp\", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if said, _ := io.ReadAll(client); string(said) != \"hi\" {
		t.Fatal(said)
	}
}
";

#[test]
fn go_tests_may_write_files_bind_ports_and_share_state() {
    let workspace = Workspace::go(&[
        ("go.mod", MODULE),
        ("m.go", "package m\n"),
        ("m_test.go", IO),
        ("away_test.go", "//go:build other\n\npackage m\n\nfunc TestAway(t *testing.T) {}\n"),
        ("kept.txt", "kept"),
    ]);
    let run = workspace.run();
    let names = ["First", "Second", "Writes", "Binds"].map(|name| format!(".::Test{name}"));
    assert_eq!(outcomes(&run), names.each_ref().map(|id| (id.as_str(), "passed")), "{run:?}");
    assert!(!workspace.path("made.txt").exists());
    assert_eq!(fs::read_to_string(workspace.path("kept.txt")).unwrap(), "kept");
    // Alone it depends on what is not there, and says so.
    let run = workspace.run_with(&[], only(&[".::TestSecond"]));
    assert_eq!(outcomes(&run), [(".::TestSecond", "failed")], "{run:?}");
}
