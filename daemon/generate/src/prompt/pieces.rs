//! What a prompt may quote, and how useful each piece is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlit_repair::{Fault, relative};
use greenlit_runner::Frame;
use greenlit_syntax::{FunctionItem, Language, parse};

use crate::contract::Plan;

/// Functions that are offered to the choice.
const FUNCTIONS: usize = 40;
/// Lines around a suspected line outside of functions.
const AROUND: u32 = 6;
/// Lines of a test's output: first and last ones.
const OUTPUT: (usize, usize) = (20, 40);
/// Failing tests that are offered.
const TESTS: usize = 6;
/// What a retrieved passage is worth against a function with the same score.
const RETRIEVED: f64 = 0.3;
/// What the plan of the model itself is worth.
const PLANNED: f64 = 2.0;

/// A piece that is quoted whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// Comparable within one fault.
    pub(super) useful: f64,
    /// Where it stands among the chosen ones: code before tests, as suspicion has it.
    pub(super) order: (u8, usize),
    pub(super) text: String,
}

/// Lines of a file, 1-based and inclusive.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    path: PathBuf,
    first: u32,
    last: u32,
    symbol: Option<String>,
    useful: f64,
}

/// The code, most suspicious first.
pub(super) fn code(fault: &Fault<'_>, plan: Option<&Plan>) -> Vec<Piece> {
    let mut places = suspected(fault);
    if let Some(plan) = plan {
        planned(fault, plan, &mut places);
    }
    places.sort_by(|a, b| b.useful.total_cmp(&a.useful));
    places.truncate(FUNCTIONS);
    let suspected = places.len();
    for passage in fault.context.retrieved {
        let place = Place {
            path: passage.path.clone(),
            first: passage.first_line,
            last: passage.last_line,
            symbol: Some(passage.symbol.clone()).filter(|symbol| !symbol.is_empty()),
            useful: passage.score * RETRIEVED,
        };
        let covered = |known: &Place| {
            known.path == place.path && known.first <= place.last && place.first <= known.last
        };
        if !places.iter().any(covered) {
            places.push(place);
        }
    }
    let quoted = places.iter().enumerate().filter_map(|(index, place)| {
        let text = (fault.text)(&place.path)?;
        let lines: Vec<&str> = lines(&text, place.first, place.last);
        let first = place.first;
        let last = first + u32::try_from(lines.len()).ok()?.checked_sub(1)?;
        let symbol = place.symbol.as_ref().map(|s| format!(", `{s}`")).unwrap_or_default();
        let path = relative(fault.root, &place.path);
        let what = if index < suspected { "" } else { " (for comparison)" };
        Some(Piece {
            useful: place.useful,
            order: (u8::from(index >= suspected), index),
            text: format!(
                "\n# {path}, lines {first}-{last}{symbol}{what}\n{}",
                quoted(&lines.join("\n"))
            ),
        })
    });
    quoted.collect()
}

/// The functions with suspected lines; of lines outside of functions the lines around.
fn suspected(fault: &Fault<'_>) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for file in fault.context.files {
        let functions = functions(&file.path, &file.text);
        let own = fault.context.localization.lines.iter().filter(|line| line.path == file.path);
        for line in own {
            let place = match around(&functions, line.line) {
                Some(function) => of_function(&file.path, function, line.score),
                None => Place {
                    path: file.path.clone(),
                    first: line.line.saturating_sub(AROUND).max(1),
                    last: line.line.saturating_add(AROUND),
                    symbol: None,
                    useful: line.score,
                },
            };
            let same = places.iter_mut().find(|known| {
                let inside = known.first <= line.line && line.line <= known.last;
                known.path == place.path && inside && known.symbol == place.symbol
            });
            match same {
                Some(known) => known.useful = known.useful.max(place.useful),
                None => places.push(place),
            }
        }
    }
    places
}

/// What the model itself wants to see.
fn planned(fault: &Fault<'_>, plan: &Plan, places: &mut Vec<Place>) {
    for name in &plan.files {
        let path = fault.root.join(name);
        let Some(text) = (fault.text)(&path) else { continue };
        for function in functions(&path, &text) {
            let named = |symbol: &String| symbol.rsplit(['.', ':']).next() == Some(&function.name);
            if !plan.symbols.iter().any(named) {
                continue;
            }
            let place = of_function(&path, &function, PLANNED);
            let known = |known: &&mut Place| known.path == path && known.first == place.first;
            match places.iter_mut().find(known) {
                Some(known) => known.useful += PLANNED,
                None => places.push(place),
            }
        }
    }
}

/// The failing tests: their own code and what they say.
pub(super) fn outputs(fault: &Fault<'_>) -> Vec<Piece> {
    let tests = fault.failures.iter().take(TESTS).enumerate();
    let piece =
        |(index, (id, failure)): (usize, &(greenlit_runner::TestId, greenlit_runner::Failure))| {
            let mut text = format!("\n# Failing test\n{}", quoted(&id.0));
            if let Some(code) = test_code(fault, failure.site.iter().chain(&failure.trace)) {
                text.push_str(&format!("its code:\n{}", quoted(&code)));
            }
            let said =
                if failure.details.trim().is_empty() { &failure.message } else { &failure.details };
            text.push_str(&format!("its output:\n{}", quoted(&ends(said))));
            // Further tests sharpen what the first one shows.
            let useful = 1.0 / (1.0 + f64::from(u32::try_from(index).unwrap_or(u32::MAX)));
            Piece { useful, order: (2, index), text }
        };
    tests.map(piece).collect()
}

/// The function of a test file that a failure went through.
fn test_code<'f>(fault: &Fault<'_>, frames: impl Iterator<Item = &'f Frame>) -> Option<String> {
    frames.filter(|frame| (fault.is_test)(&frame.path)).find_map(|frame| {
        let text = (fault.text)(&frame.path)?;
        let functions = functions(&frame.path, &text);
        let function = around(&functions, frame.line)?;
        Some(lines(&text, function.start_line, function.end_line).join("\n"))
    })
}

fn functions(path: &Path, text: &Arc<str>) -> Vec<FunctionItem> {
    let parsed = Language::from_path(path).and_then(|language| parse(language, text.clone()).ok());
    parsed.map(|parsed| parsed.functions()).unwrap_or_default()
}

/// The outermost function around a line: what is inside of it cannot be replaced alone by its name.
fn around(functions: &[FunctionItem], line: u32) -> Option<&FunctionItem> {
    let holds = |f: &&FunctionItem| (f.start_line..=f.end_line).contains(&line);
    functions.iter().filter(holds).max_by_key(|function| function.range.len())
}

fn of_function(path: &Path, function: &FunctionItem, useful: f64) -> Place {
    let name = &function.name;
    Place {
        path: path.to_owned(),
        first: function.start_line,
        last: function.end_line,
        symbol: Some(match &function.class {
            Some(class) => format!("{class}.{name}"),
            None => name.clone(),
        }),
        useful,
    }
}

fn lines(text: &str, first: u32, last: u32) -> Vec<&str> {
    let skipped = first.saturating_sub(1) as usize;
    text.lines().skip(skipped).take((last as usize).saturating_sub(skipped)).collect()
}

/// The first and last lines of what a test says. It is no code: what is left out is named.
fn ends(text: &str) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    let (front, back) = OUTPUT;
    match all.len().checked_sub(front + back) {
        None | Some(0) => all.join("\n"),
        Some(left) => {
            let (head, tail) = (&all[..front], &all[all.len() - back..]);
            format!("{}\n({left} lines left out)\n{}", head.join("\n"), tail.join("\n"))
        }
    }
}

/// A text in a fence that nothing in it can close.
pub(super) fn quoted(text: &str) -> String {
    let mut longest = 2;
    let mut run = 0;
    for sign in text.chars() {
        run = if sign == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence}\n{text}\n{fence}\n")
}
