//! A Go module with the real binaries.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use greenlit_tests::{Installation, Project, binary, tool};
use serde_json::Value;

/// `Total` has its boundary wrong.
fn module() -> Project {
    Project::named("shop")
        .file("go.mod", "module example.com/shop\n\ngo 1.21\n")
        .file(
            "cart/cart.go",
            "package cart\n\n// Item is a line of a cart.\ntype Item struct {\n\tPrice, Amount int\n}\n\n// Total is what the cart costs; from ten pieces of an item on, half.\nfunc Total(items []Item) int {\n\ttotal := 0\n\tfor _, item := range items {\n\t\tif item.Amount > 10 {\n\t\t\ttotal += item.Price * item.Amount / 2\n\t\t\tcontinue\n\t\t}\n\t\ttotal += item.Price * item.Amount\n\t}\n\treturn total\n}\n",
        )
        .file(
            "cart/cart_test.go",
            "package cart\n\nimport \"testing\"\n\nfunc TestNothing(t *testing.T) {\n\tif got := Total(nil); got != 0 {\n\t\tt.Errorf(\"got %d\", got)\n\t}\n}\n\nfunc TestTotal(t *testing.T) {\n\tfor _, c := range []struct {\n\t\tname         string\n\t\tamount, want int\n\t}{{\"nine\", 9, 18}, {\"ten\", 10, 10}, {\"eleven\", 11, 11}} {\n\t\tt.Run(c.name, func(t *testing.T) {\n\t\t\tif got := Total([]Item{{2, c.amount}}); got != c.want {\n\t\t\t\tt.Errorf(\"got %d, want %d\", got, c.want)\n\t\t\t}\n\t\t})\n\t}\n}\n",
        )
}

/// The build cache of a person who has run this module's tests before.
fn cache(project: &Project) -> PathBuf {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache");
    let mut go = Command::new(tool("GREENLIT_TEST_GO", ".tools/venv/bin/go"));
    go.args(["test", "-c", "-o"]).arg(project.outside().join("cart.test")).arg("./cart");
    go.current_dir(project.root()).env("GOCACHE", &cache).env("GOTOOLCHAIN", "local");
    assert!(go.status().unwrap().success());
    cache
}

/// `greenlit` with Go on the path.
fn greenlit(installation: &Installation, cache: &Path, arguments: &[&str]) -> Output {
    let go = tool("GREENLIT_TEST_GO", ".tools/venv/bin/go");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&path);
    let path = std::iter::once(go.parent().unwrap().to_owned()).chain(path);
    let mut command = installation.command(binary("greenlit"));
    command.args(arguments).env("PATH", std::env::join_paths(path).unwrap());
    command.env("GOCACHE", cache);
    command.output().unwrap()
}

#[test]
fn go_tests_are_run() {
    let installation = Installation::new();
    let project = module();
    let cache = cache(&project);
    let root = project.root().to_str().unwrap();
    let output = greenlit(&installation, &cache, &["test", "--json", "--root", root]);
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let doctor = greenlit(&installation, &cache, &["doctor", "--root", root]);
    let text = String::from_utf8_lossy(&doctor.stdout);
    assert!(text.contains("go test (go 1."), "{text}");
}

#[test]
fn go_is_mended() {
    let installation = Installation::new();
    let project = module();
    let cache = cache(&project);
    let root = project.root().to_str().unwrap();
    let output = greenlit(&installation, &cache, &["fix", "--json", "--apply", "--root", root]);
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let failing = report["failing"].as_array().unwrap();
    let mut ids: Vec<&str> = failing.iter().map(|test| test["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["./cart::TestTotal", "./cart::TestTotal/ten"]);
    let evidence = &report["fixes"][0]["evidence"];
    assert_eq!(evidence["newly_failing"], 0, "{report:#}");
    assert_eq!(evidence["unchanged"], 3, "{report:#}");
    assert!(project.read("cart/cart.go").contains(">= 10"), "{report:#}");
    let again = greenlit(&installation, &cache, &["test", "--json", "--root", root]);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stdout));
}
