//! Bad input gives a clear error, each its own, and nothing is lost.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use greenlit_tests::{Installation, Project, Ran, node_project, python_project};

fn fix(project: &Project) -> Ran {
    let root = project.root().to_str().unwrap();
    Installation::new().greenlit(["fix", "--json", "--budget", "20", "--root", root])
}

/// The run is an error of this kind, on standard output as JSON, with exit code 2.
fn assert_error(ran: &Ran, kind: &str) {
    let object = ran.json();
    assert_eq!(object["error"]["kind"], kind, "{object:#}\n{}", ran.stderr);
    assert!(!object["error"]["message"].as_str().unwrap().is_empty());
    assert_eq!(ran.code, Some(2));
}

#[test]
fn no_test_runner() {
    assert_error(&fix(&Project::named("empty").file("notes.txt", "hello")), "no-runner");
}

#[test]
fn no_such_directory() {
    let ran = Installation::new().greenlit(["fix", "--json", "--root", "/no/such/directory"]);
    assert_error(&ran, "bad-request");
}

#[test]
fn python_without_tests() {
    let project = Project::named("untested")
        .file("pyproject.toml", "[tool.pytest.ini_options]\n")
        .file("x.py", "x = 1\n");
    assert_error(&fix(&project), "no-tests");
}

#[test]
fn python_that_does_not_load() {
    let project = Project::named("broken").file("test_x.py", "def test_x(:\n    pass\n");
    assert_error(&fix(&project), "build-failed");
}

#[test]
fn rust_that_does_not_build() {
    let project = Project::named("broken")
        .file(
            "Cargo.toml",
            "[package]\nname = \"broken\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        )
        .file("src/lib.rs", "pub fn f() -> u32 { \"text\" }\n");
    assert_error(&fix(&project), "build-failed");
}

#[test]
fn node_that_does_not_load() {
    let project = node_project("broken").file("clamp.js", "export function clamp( {\n");
    assert_error(&fix(&project), "build-failed");
}

#[test]
fn rust_examples_in_documentation_are_said_not_to_run() {
    let documented = "//! Doubles.\n\n/// ```\n/// assert_eq!(demo::double(2), 5);\n/// ```\npub fn double(n: u32) -> u32 {\n    n + n\n}\n\n#[test]\nfn two() {\n    assert_eq!(double(1), 2);\n}\n";
    let project = Project::named("demo")
        .file("Cargo.toml", "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n")
        .file("src/lib.rs", documented);
    let root = project.root().to_str().unwrap();
    let installation = Installation::new();
    let ran = installation.greenlit(["test", "--json", "--root", root]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let notices = ran.json()["notices"].clone();
    assert_eq!(notices[0]["kind"], "doctests", "{notices:#}");
    assert!(notices[0]["message"].as_str().unwrap().contains("1 in 1 files"), "{notices:#}");
    project.write("src/lib.rs", documented.replace("///", "//"));
    let ran = installation.greenlit(["test", "--json", "--root", root]);
    assert_eq!(ran.json()["notices"], serde_json::json!([]), "{}", ran.stdout);
}

#[test]
fn python_that_exits_early() {
    let project = Project::named("exits").file("test_x.py", "import os\nos._exit(0)\n");
    assert_error(&fix(&project), "no-report");
}

#[test]
fn python_that_hangs() {
    let project = Project::named("hangs")
        .file("greenlit.toml", "[run]\ntimeout_secs = 3\n")
        .file("test_x.py", "import signal\n\ndef test_x():\n    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n    while True:\n        pass\n");
    assert_error(&fix(&project), "hung");
}

#[test]
fn python_flaky_tests_are_named_and_never_fixed() {
    // A file in the sandbox's own /tmp makes only the first run of each sandbox fail.
    let project = Project::named("flaky").file(
        "test_x.py",
        "import pathlib\n\ndef test_x():\n    seen = pathlib.Path('/tmp/seen')\n    first = not seen.exists()\n    seen.touch()\n    assert not first\n",
    );
    let ran = fix(&project);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["failing"], serde_json::json!([]));
    assert_eq!(ran.json()["fixes"], serde_json::json!([]));
    assert!(ran.stderr.contains("test_x is flaky"), "{}", ran.stderr);
}

#[test]
fn python_a_configuration_with_an_unknown_key() {
    let project = python_project("people").file("greenlit.toml", "[run]\non_sav = true\n");
    let ran = fix(&project);
    assert_error(&ran, "bad-configuration");
    assert!(ran.stdout.contains("on_save"), "{}", ran.stdout);
}

#[test]
fn python_a_workspace_cannot_waive_the_sandbox() {
    let project = python_project("people").file("greenlit.toml", "[sandbox]\nlayer = \"none\"\n");
    assert_error(&fix(&project), "bad-configuration");
}

#[test]
fn python_invalid_utf8_binaries_and_large_files_are_left_alone() {
    let project = python_project("people")
        .file("data.bin", [0u8, 159, 146, 150])
        .file("latin.py", b"# caf\xe9\nx = 1\n".as_slice())
        .file("big.txt", vec![b'x'; 100 << 20]);
    let ran = fix(&project);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn python_a_symlinked_root_works() {
    let project = python_project("people");
    let link = project.outside().join("link");
    std::os::unix::fs::symlink(project.root(), &link).unwrap();
    let installation = Installation::new();
    let ran = installation.greenlit(["fix", "--json", "--root", link.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn python_a_read_only_checkout_works() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = python_project("people");
    let set = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(project.root(), permissions).unwrap();
    };
    set(0o555);
    let ran = fix(&project);
    set(0o755);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn python_unknown_tests_are_named() {
    let project = python_project("people");
    let root = project.root().to_str().unwrap();
    let ran =
        Installation::new().greenlit(["fix", "--json", "--root", root, "--test", "no_such_test"]);
    assert_error(&ran, "bad-request");
    assert!(ran.stdout.contains("no_such_test"));
}

#[test]
fn python_what_paths_never_names_is_not_changed() {
    let installation = Installation::new();
    let project =
        python_project("people").file("greenlit.toml", "[paths]\nnever = ['people.py']\n");
    let fix = |project: &Project| {
        let root = project.root().to_str().unwrap();
        installation.greenlit(["fix", "--json", "--root", root])
    };
    let ran = fix(&project);
    assert_eq!((ran.code, ran.json()["fixes"].clone()), (Some(1), serde_json::json!([])));
    let said =
        "protected: people.py is suspected and named by `paths.never`: no fix is looked for in it";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);

    project.write("greenlit.toml", "[paths]\nnever = ['!people.py']\n");
    let ran = fix(&project);
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    assert!(ran.stdout.contains("makes an exception"), "{}", ran.stdout);
    project.write("greenlit.toml", "[paths]\nnever = ['other.py']\n");
    assert_eq!(fix(&project).code, Some(0));
}
