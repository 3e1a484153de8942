//! The real command line where no daemon is needed, or none can be had.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("project")).expect("a new directory");
        Self { dir }
    }

    fn greenlit(&self, arguments: &[&str]) -> Output {
        let at = |name: &str| self.dir.path().join(name);
        Command::new(env!("CARGO_BIN_EXE_greenlit"))
            .args(arguments)
            .current_dir(at("project"))
            .env("GREENLIT_RUNTIME_DIR", at("run"))
            .env("GREENLIT_STATE_DIR", at("state"))
            .env("GREENLIT_CACHE_DIR", at("cache"))
            .env("GREENLIT_DATA_DIR", at("data"))
            .env("GREENLIT_DAEMON", at("no-such-greenlitd"))
            .output()
            .expect("greenlit runs")
    }
}

/// Standard output is exactly one object.
fn object(output: &Output) -> Value {
    let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    assert!(value.is_object());
    value
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn status_without_a_daemon_says_so_and_starts_none() {
    let home = Home::new();
    let output = home.greenlit(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(object(&output)["running"], false);
    assert!(!home.dir.path().join("run").exists());
    let output = home.greenlit(&["status"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).starts_with("greenlitd is not running"));
}

#[test]
fn a_missing_daemon_program_is_an_error_with_a_hint() {
    let home = Home::new();
    for command in ["fix", "test", "restart"] {
        let output = home.greenlit(&[command, "--json"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let error = &object(&output)["error"];
        assert_eq!(error["kind"], "daemon-unavailable");
        assert_eq!(error["message"], "greenlitd was not found");
        assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("GREENLIT_DAEMON")));
        assert!(error["details"].as_str().is_some_and(|text| text.contains("no-such-greenlitd")));
        assert_eq!(text(&output.stderr), "", "a pipe gets no progress");
    }
    let output = home.greenlit(&["test"]);
    assert_eq!(text(&output.stdout), "");
    let errors = text(&output.stderr);
    assert!(errors.starts_with("error: greenlitd was not found\n"), "{errors}");
    assert!(!errors.contains('\x1b'), "no colour in a pipe");
}

#[test]
fn a_root_that_does_not_exist_is_an_error() {
    let home = Home::new();
    let output = home.greenlit(&["fix", "--root", "missing", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let error = &object(&output)["error"];
    assert_eq!(error["kind"], "bad-request");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("no workspace at missing")));
}

#[test]
fn wrong_usage_is_an_error_in_the_form_that_was_asked_for() {
    let home = Home::new();
    let output = home.greenlit(&["fix", "--bogus", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(object(&output)["error"]["kind"], "bad-request");
    let output = home.greenlit(&["search", "query"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let output = home.greenlit(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("greenlit "));
}

#[test]
fn doctor_works_without_a_daemon_and_names_what_is_wrong() {
    let home = Home::new();
    let output = home.greenlit(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let object = object(&output);
    let state = |name: &str| {
        let checks = object["checks"].as_array().expect("an array");
        let check = checks.iter().find(|check| check["name"] == name);
        check.map(|check| check["state"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(state("greenlit").as_deref(), Some("ok"));
    assert_eq!(state("greenlitd").as_deref(), Some("failed"));
    assert_eq!(state("runtime directory").as_deref(), Some("ok"));
    assert_eq!(state("daemon").as_deref(), Some("failed"));
}

#[test]
fn stop_and_logs_without_a_daemon_are_no_errors() {
    let home = Home::new();
    let output = home.greenlit(&["stop", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(object(&output)["stopped"], false);
    let output = home.greenlit(&["logs", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let path = object(&output)["path"].as_str().map(ToOwned::to_owned).expect("a path");
    assert!(Path::new(&path).ends_with("state/daemon.log"));
    fs::create_dir_all(home.dir.path().join("state")).expect("a new directory");
    fs::write(&path, "one\ntwo\nthree\n").expect("a new file");
    let output = home.greenlit(&["logs", "-n", "2"]);
    assert_eq!(text(&output.stdout), "two\nthree\n");
}
