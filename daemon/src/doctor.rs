//! The daemon's part of `greenlit doctor`: sandbox layers, runners, configuration, file events.

use std::path::Path;

use greenlit_protocol::{Check, CheckState, EvidenceStatus};
use greenlit_runner::{Environment, detect};
use greenlit_sandbox::{Helper, probe};
use greenlit_workspace::{Config, chain, git_branch};

use crate::jobs::layer_name;

/// Looks at everything that a test run in `root` needs.
pub(crate) fn checks(
    root: &Path,
    environment: &Environment,
    config: &Config,
    config_problem: Option<String>,
    watch_problem: Option<String>,
) -> Vec<Check> {
    let mut checks = sandbox();
    checks.extend(runners(root, environment));
    checks.push(configuration(config, config_problem));
    checks.push(match watch_problem {
        None => check("file events", CheckState::Ok, "followed".to_owned(), None),
        Some(why) => check(
            "file events",
            CheckState::Warning,
            why,
            Some("saving in the editor still starts a run"),
        ),
    });
    checks.push(match git_branch(root) {
        Some(head) => check("git", CheckState::Ok, format!("on {}", head.name()), None),
        None => check(
            "git",
            CheckState::Warning,
            "not a git repository".to_owned(),
            Some("everything works but following branches; `git init` adds that"),
        ),
    });
    checks
}

fn sandbox() -> Vec<Check> {
    let helper = match Helper::locate() {
        Ok(helper) => helper,
        Err(error) => {
            let remedy = "reinstall Greenlit: `greenlit-sandbox` belongs next to `greenlitd`";
            return vec![check("sandbox", CheckState::Failed, chain(&error), Some(remedy))];
        }
    };
    let report = probe(&helper);
    let best = report.best();
    let mut checks = vec![match best {
        Some(layer) => {
            check("sandbox", CheckState::Ok, format!("layer in use: {}", layer_name(layer)), None)
        }
        None => check(
            "sandbox",
            CheckState::Failed,
            "no layer works on this machine: tests do not run".to_owned(),
            Some("see the layers below for what would enable them"),
        ),
    }];
    for layer in report.layers {
        let name = format!("sandbox layer {}", layer_name(layer.layer));
        checks.push(match layer.state {
            Ok(notes) if notes.is_empty() => check(&name, CheckState::Ok, "works".to_owned(), None),
            Ok(notes) => check(&name, CheckState::Ok, format!("works; {}", notes.join("; ")), None),
            Err(refusal) => {
                // A missing lower layer matters only when nothing better works.
                let state = if best.is_some() { CheckState::Ok } else { CheckState::Failed };
                let detail = format!("not available: {}", refusal.reason);
                check(&name, state, detail, refusal.remedy.as_deref())
            }
        });
    }
    checks
}

fn runners(root: &Path, environment: &Environment) -> Vec<Check> {
    let found = detect(root, environment);
    let mut checks: Vec<_> = found
        .projects
        .iter()
        .map(|project| check("test runner", CheckState::Ok, project.label(), None))
        .collect();
    checks.extend(
        found
            .problems
            .iter()
            .map(|problem| check("test runner", CheckState::Failed, problem.message.clone(), None)),
    );
    if checks.is_empty() {
        checks.push(check(
            "test runner",
            CheckState::Failed,
            format!("none found in {}", root.display()),
            Some("Greenlit runs cargo test, pytest, node --test and go test; name the project's root"),
        ));
    }
    checks
}

fn configuration(config: &Config, problem: Option<String>) -> Check {
    match problem {
        Some(problem) => {
            check("configuration", CheckState::Failed, problem, Some("correct the file"))
        }
        None => {
            let automatic = if config.fix.automatic { "automatic" } else { "on demand" };
            let detail = format!("valid; fixes are looked for {automatic}");
            check("configuration", CheckState::Ok, detail, None)
        }
    }
}

/// The record of attempts.
pub(crate) fn record(status: &EvidenceStatus) -> Check {
    let EvidenceStatus { state, path, bytes, dropped, notices, totals } = status;
    let mut detail = match state.as_str() {
        "kept" => {
            let attempts = totals.attempts;
            format!("{attempts} attempts so far, {} MiB in {}", bytes >> 20, path.display())
        }
        "off" => "off, as configured".to_owned(),
        _ => format!("not kept, in {}", path.display()),
    };
    if *dropped > 0 {
        detail = format!("{detail}; {dropped} records were not written");
    }
    detail = notices.iter().fold(detail, |all, notice| format!("{all}; {notice}"));
    let whole = state != "not kept" && *dropped == 0 && notices.is_empty();
    let (state, remedy) = match (whole, state.as_str()) {
        (true, _) => (CheckState::Ok, None),
        (false, "not kept") => (
            CheckState::Warning,
            Some(
                "make room, or move the file away and run `greenlit restart`; fixes work without it",
            ),
        ),
        (false, _) => (CheckState::Warning, None),
    };
    check("record of attempts", state, detail, remedy)
}

fn check(name: &str, state: CheckState, detail: String, remedy: Option<&str>) -> Check {
    Check { name: name.to_owned(), state, detail, remedy: remedy.map(str::to_owned) }
}
