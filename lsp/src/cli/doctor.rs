//! `greenlit doctor`: works without a daemon, and says why there is none.

use std::fs;
use std::path::Path;
use std::process::Command;

use greenlit_client::{LockFile, Paths, find_daemon};
use greenlit_protocol::{BUILD_ID, Check, CheckState, Request, Response};
use serde::Serialize;

use super::args::DoctorArgs;
use super::failure::Failure;
use super::output::{self, DIM, GREEN, RED, RESET, YELLOW};
use super::{daemon, logs, root};

/// Log lines shown when the daemon does not start.
const LOG_LINES: usize = 10;

#[derive(Debug, Serialize)]
struct Object {
    checks: Vec<Check>,
}

/// Runs the command.
pub(crate) async fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let root = root::resolve(args.root.as_deref())?;
    let mut checks = programs();
    match Paths::for_user() {
        Ok(paths) => {
            checks.extend(directories(&paths));
            checks.extend(daemon_checks(&paths, &root).await?);
        }
        Err(error) => {
            let failure = Failure::from(error);
            checks.push(failed("directories", failure.message, failure.hint));
        }
    }
    let bad = checks.iter().any(|check| check.state == CheckState::Failed);
    if args.json {
        output::json(&Object { checks });
    } else {
        print(&checks);
    }
    Ok(u8::from(bad))
}

fn ok(name: &str, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), state: CheckState::Ok, detail: detail.into(), remedy: None }
}

fn warning(name: &str, detail: impl Into<String>, remedy: Option<String>) -> Check {
    Check { state: CheckState::Warning, remedy, ..ok(name, detail) }
}

fn failed(name: &str, detail: impl Into<String>, remedy: Option<String>) -> Check {
    Check { state: CheckState::Failed, remedy, ..ok(name, detail) }
}

fn programs() -> Vec<Check> {
    let this = match std::env::current_exe() {
        Ok(path) => path.display().to_string(),
        Err(error) => format!("at an unknown place ({error})"),
    };
    let mut checks = vec![ok("greenlit", format!("{BUILD_ID}, {this}"))];
    checks.push(match find_daemon(None) {
        Ok(program) => match version(&program) {
            Ok(version) if version == BUILD_ID => {
                ok("greenlitd", format!("{version}, {}", program.display()))
            }
            Ok(version) => warning(
                "greenlitd",
                format!("{version}, {}; greenlit is {BUILD_ID}", program.display()),
                Some("install both from the same release".to_owned()),
            ),
            Err(error) => failed("greenlitd", format!("{}: {error}", program.display()), None),
        },
        Err(error) => {
            let failure = Failure::from(error);
            let detail = failure.details.unwrap_or(failure.message);
            failed("greenlitd", format!("not found; {detail}"), failure.hint)
        }
    });
    checks
}

fn version(program: &Path) -> Result<String, String> {
    let output =
        Command::new(program).arg("--version").output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("--version: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().last().unwrap_or_default().to_owned())
}

fn directories(paths: &Paths) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.push(match paths.create() {
        Ok(()) => ok("runtime directory", format!("{}, private", paths.runtime_dir.display())),
        Err(error) => failed("runtime directory", error.to_string(), error.hint()),
    });
    for (name, dir) in
        [("state directory", &paths.state_dir), ("cache directory", &paths.cache_dir)]
    {
        checks.push(match writable(dir) {
            Ok(()) => ok(name, format!("{}, writable", dir.display())),
            Err(error) => failed(name, format!("{}: {error}", dir.display()), None),
        });
    }
    checks
}

fn writable(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    tempfile::Builder::new().prefix(".greenlit-doctor").tempfile_in(dir)?.close()
}

async fn daemon_checks(paths: &Paths, root: &Path) -> Result<Vec<Check>, Failure> {
    let mut checks = Vec::new();
    let ran = LockFile::is_held(&paths.daemon_lock);
    if !ran && let Some(info) = paths.read_info() {
        let detail = format!("process {} ended without a clean exit", info.pid);
        let remedy = format!("see {}", paths.log.display());
        checks.push(warning("last daemon", detail, Some(remedy)));
    }
    let connection = match daemon::open("doctor", vec![root.to_owned()]).await {
        Ok(connection) => connection,
        Err(failure) if failure.exit != super::failure::ERROR => return Err(failure),
        Err(failure) => {
            let mut detail = failure.message;
            if let Ok((lines, _)) = logs::tail(&paths.log, LOG_LINES)
                && !lines.is_empty()
            {
                detail.push_str(&format!("\nthe end of {}:\n", paths.log.display()));
                detail.push_str(&lines.join("\n"));
            }
            checks.push(failed("daemon", detail, failure.hint));
            return Ok(checks);
        }
    };
    let welcome = &connection.welcome;
    checks.push(ok(
        "daemon",
        format!(
            "{} (protocol {}, process {}), {}, socket {}",
            welcome.build,
            welcome.protocol,
            welcome.pid,
            if ran { "ran already" } else { "started now" },
            paths.socket.display(),
        ),
    ));
    match daemon::ask(&connection, Request::Doctor { root: root.to_owned() }).await {
        Ok(Response::Doctor(more)) => checks.extend(more),
        Ok(other) => return Err(daemon::unexpected(&other)),
        Err(failure) if failure.exit != super::failure::ERROR => return Err(failure),
        Err(failure) => checks.push(failed("daemon's own checks", failure.message, failure.hint)),
    }
    Ok(checks)
}

fn print(checks: &[Check]) {
    for check in checks {
        let mark = match check.state {
            CheckState::Ok => format!("{GREEN}✓{RESET}"),
            CheckState::Warning => format!("{YELLOW}!{RESET}"),
            CheckState::Failed => format!("{RED}✗{RESET}"),
        };
        let detail = check.detail.replace('\n', "\n     ");
        output::line(format_args!("{mark}  {}: {detail}", check.name));
        if let Some(remedy) = &check.remedy {
            output::line(format_args!("     {DIM}→ {remedy}{RESET}"));
        }
    }
}
