//! Where a Rust test failed: panic messages and backtraces in its captured output.

use std::path::Path;

use crate::cargo::libtest::Ended;
use crate::scope::Scope;
use crate::text::{first_line, tail};
use crate::types::{Failure, FailureKind, Frame};

/// Frames kept of one backtrace.
const FRAMES: usize = 60;

/// Directories that paths in reports are relative to, as seen inside.
pub(super) struct Places<'a> {
    /// The workspace: the compiler ran here, so panic locations are relative to it.
    pub(super) workspace: &'a Path,
    /// The package: the test ran here, so backtraces say `./` for it.
    pub(super) package: &'a Path,
}

/// Describes a failed test. The site is the test function's own frame where the backtrace has it
/// (a panic in code under test is then shown at the call), else the place of the panic.
pub(super) fn failure(scope: &Scope, places: &Places<'_>, ended: &Ended) -> Failure {
    let text = &ended.stdout;
    let trace = backtrace(scope, places, text, &ended.name);
    let panic = panic(text, &ended.name);
    let place = panic
        .as_ref()
        .and_then(|panic| scope.frame(&places.workspace.join(panic.path), panic.line, None));
    let own = trace.iter().rev().find(|frame| is_test(frame, &ended.name));
    let site = own.or(place.as_ref()).or(trace.last()).cloned();
    let trace = if trace.is_empty() { place.into_iter().collect() } else { trace };
    let message = match (&panic, &ended.message) {
        (_, Some(message)) => first_line(message),
        (Some(panic), None) => panic.message.clone(),
        (None, None) => {
            let returned = text.lines().rev().find(|line| line.starts_with("Error: "));
            first_line(returned.unwrap_or(text.as_str()))
        }
    };
    let assertion = message.starts_with("assertion") || ended.message.is_some();
    let kind = if assertion { FailureKind::Assertion } else { FailureKind::Error };
    let message = if message.is_empty() { "the test failed".to_owned() } else { message };
    Failure { kind, message, site, trace, details: tail(text) }
}

struct Panic<'t> {
    path: &'t str,
    line: u32,
    message: String,
}

/// The first panic of the test's own thread, else the first panic.
fn panic<'t>(text: &'t str, test: &str) -> Option<Panic<'t>> {
    let mut first = None;
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("thread '") else { continue };
        let Some((thread, place)) = rest.split_once(" panicked at ") else { continue };
        let place = place.trim_end_matches(':');
        let Some((rest, _column)) = place.rsplit_once(':') else { continue };
        let Some((path, number)) = rest.rsplit_once(':') else { continue };
        let Ok(line) = number.parse() else { continue };
        let said: Vec<&str> = lines[at + 1..]
            .iter()
            .take_while(|line| !line.starts_with("note: ") && !line.starts_with("stack backtrace"))
            .copied()
            .collect();
        let panic = Panic { path, line, message: summary(&said) };
        // "thread 'tests::a' (7884)" since Rust 1.91, "thread 'tests::a'" before.
        if thread.rsplit_once('\'').is_some_and(|(name, _)| name == test) {
            return Some(panic);
        }
        first = first.or(Some(panic));
    }
    first
}

/// The message, with both sides of a comparison in the same line.
fn summary(lines: &[&str]) -> String {
    let first = lines.iter().map(|line| line.trim()).find(|line| !line.is_empty()).unwrap_or("");
    let side = |name: &str| {
        lines.iter().find_map(|line| line.trim_start().strip_prefix(name)).map(str::trim)
    };
    match (side("left:"), side("right:")) {
        (Some(left), Some(right)) if first.starts_with("assertion") => {
            first_line(&format!("{first} (left: {left}, right: {right})"))
        }
        _ => first_line(first),
    }
}

/// Frames in the workspace, outermost first, from the test function on.
fn backtrace(scope: &Scope, places: &Places<'_>, text: &str, test: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut function: Option<String> = None;
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("stack backtrace:") {
            if !frames.is_empty() {
                break;
            }
            inside = true;
            continue;
        }
        if !inside {
            continue;
        }
        let line = line.trim_start();
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(frame) = frame(scope, places, place, function.take()) {
                frames.push(frame);
            }
            if frames.len() >= FRAMES {
                break;
            }
        } else if let Some((number, name)) = line.split_once(": ")
            && number.parse::<u32>().is_ok()
        {
            function = Some(name.to_owned());
        }
    }
    // The closure that libtest calls is at the `#[test]` line and says nothing.
    let wrapper = format!("::{test}::{{{{closure}}}}");
    while frames
        .last()
        .is_some_and(|frame| frame.function.as_deref().is_some_and(|name| name.ends_with(&wrapper)))
        && frames.iter().any(|frame| is_test(frame, test))
    {
        frames.pop();
    }
    frames.reverse();
    frames
}

fn frame(
    scope: &Scope,
    places: &Places<'_>,
    place: &str,
    function: Option<String>,
) -> Option<Frame> {
    let (rest, _column) = place.rsplit_once(':')?;
    let (path, line) = rest.rsplit_once(':')?;
    let path = Path::new(path);
    let path = match path.strip_prefix("./") {
        Ok(inner) => places.package.join(inner),
        Err(_) => path.to_owned(),
    };
    scope.frame(&path, line.parse().ok()?, function)
}

fn is_test(frame: &Frame, test: &str) -> bool {
    frame.function.as_deref().is_some_and(|name| {
        name.strip_suffix(test).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::cargo::libtest::Status;

    const TEXT: &str = "hi\n\nthread 'tests::t' (7884) panicked at src/lib.rs:2:72:\nassertion `left == right` failed: x\n  left: 3\n right: 2\nstack backtrace:\n   0: __rustc::rust_begin_unwind\n             at /rustc/5980/library/std/src/panicking.rs:689:5\n   3: c::gcd\n             at ./src/math.rs:7:1\n   4: c::tests::t\n             at ./src/lib.rs:20:72\n   5: c::tests::t::{{closure}}\n             at ./src/lib.rs:19:54\nnote: Some details are omitted\n";

    fn of(stdout: &str, message: Option<&str>) -> Failure {
        let ended = Ended {
            name: "tests::t".into(),
            status: Status::Failed,
            duration: Duration::ZERO,
            stdout: stdout.into(),
            message: message.map(str::to_owned),
        };
        let places = Places { workspace: Path::new("/w"), package: Path::new("/w") };
        failure(&Scope::identity("/w"), &places, &ended)
    }

    fn at(frame: &Frame) -> (String, u32) {
        (frame.path.display().to_string(), frame.line)
    }

    #[test]
    fn the_site_is_in_the_test() {
        let failure = of(TEXT, None);
        assert_eq!(failure.kind, FailureKind::Assertion);
        assert_eq!(failure.message, "assertion `left == right` failed: x (left: 3, right: 2)");
        assert_eq!(at(failure.site.as_ref().unwrap()), ("/w/src/lib.rs".into(), 20));
        let trace: Vec<_> = failure.trace.iter().map(at).collect();
        assert_eq!(trace, [("/w/src/lib.rs".into(), 20), ("/w/src/math.rs".into(), 7)]);
    }

    #[test]
    fn without_a_backtrace_the_panic_is_the_site() {
        let failure = of(&TEXT[..TEXT.find("stack").unwrap()], None);
        assert_eq!(at(failure.site.as_ref().unwrap()), ("/w/src/lib.rs".into(), 2));
    }

    #[test]
    fn returned_errors_and_missing_panics_have_messages() {
        let returned = of("Error: \"bad\"\n", None);
        assert_eq!(
            (returned.message.as_str(), returned.kind),
            ("Error: \"bad\"", FailureKind::Error)
        );
        assert_eq!(of("", Some("test did not panic as expected")).kind, FailureKind::Assertion);
        assert_eq!(of("", None).message, "the test failed");
    }

    proptest! {
        #[test]
        fn mangled_text_never_panics(at in 0..TEXT.len(), length in 0usize..60, insert in "\\PC{0,12}") {
            let mut text = TEXT.as_bytes().to_vec();
            let end = (at + length).min(text.len());
            text.splice(at..end, insert.bytes());
            let _ = of(&String::from_utf8_lossy(&text), None);
        }
    }
}
