//! From what a reply asks for to edits of files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlit_repair::{Edit, SourceFile};
use greenlit_syntax::Language;

use super::function::{indentation, may_mean, replace, shifted};
use super::reply::{Change, Draft};
use super::{ContractError, PathFault, path, shown};

/// Bytes that a patch may add.
const ADDED: usize = 64 << 10;

/// What replies may change.
pub struct Scope<'a> {
    /// The checkout, canonical.
    pub root: &'a Path,
    /// The text of a file in the view; `None` for what is no file of it.
    pub text: &'a dyn Fn(&Path) -> Option<Arc<str>>,
    /// Whether a path holds tests.
    pub is_test: &'a dyn Fn(&Path) -> bool,
    /// Whether a path is code of the project itself, and no test.
    pub is_source: &'a dyn Fn(&Path) -> bool,
    /// Whether tests may be changed.
    pub allow_tests: bool,
    /// Where to look for what a reply without a path means.
    pub suspects: &'a [SourceFile],
}

/// The edits of a reply: inside the workspace, sorted, apart, and changing something.
///
/// # Errors
/// When anything about it is wrong: half of a patch is not what was meant.
pub fn edits(drafts: &[Draft], scope: &Scope<'_>) -> Result<Vec<Edit>, ContractError> {
    let mut edits = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let path = match &draft.path {
            Some(name) => path::admit(name, scope)?,
            None => meant(&draft.change, scope)?,
        };
        let text = (scope.text)(&path).ok_or(ContractError::NoPath)?;
        let (range, new_text) = place(&draft.change, &path, &text)?;
        let new_text = with_line_ends(new_text, &text);
        if let Some(edit) = narrowed(&path, &text, range, &new_text) {
            edits.push(edit);
        }
    }
    edits.sort_by(|a, b| (&a.path, a.start, a.end).cmp(&(&b.path, b.start, b.end)));
    edits.dedup();
    let touching = |pair: &[Edit]| {
        let [first, second] = pair else { return false };
        first.path == second.path && (second.start < first.end || second.start == first.start)
    };
    if edits.windows(2).any(touching) {
        return Err(ContractError::Overlap);
    }
    if edits.is_empty() {
        return Err(ContractError::NoChange);
    }
    if edits.iter().map(|edit| edit.new_text.len()).sum::<usize>() > ADDED {
        return Err(ContractError::TooMuch("64 KiB of new text"));
    }
    Ok(edits)
}

/// The only suspect that a change without a path fits.
fn meant(change: &Change, scope: &Scope<'_>) -> Result<PathBuf, ContractError> {
    let fits = |file: &&SourceFile| match change {
        Change::Function { code, .. } => Language::from_path(&file.path)
            .is_some_and(|language| may_mean(language, &file.text, code)),
        Change::Text { search, .. } => find_lines(&file.text, search).is_ok(),
        Change::Lines { .. } | Change::Insert { .. } => false,
    };
    let mut fitting = scope.suspects.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => {
            let inside = only.path.strip_prefix(scope.root).ok();
            let name = inside
                .map(|inside| greenlit_repair::relative(scope.root, &scope.root.join(inside)));
            // It has to pass what every path has to pass.
            path::admit(&name.ok_or(ContractError::NoPath)?, scope)
        }
        _ => Err(ContractError::NoPath),
    }
}

type Placed = (std::ops::Range<usize>, String);

fn place(change: &Change, path: &Path, text: &Arc<str>) -> Result<Placed, ContractError> {
    match change {
        Change::Function { symbol, code } => {
            let language = Language::from_path(path).ok_or_else(|| ContractError::Path {
                path: shown(&path.to_string_lossy()),
                fault: PathFault::Language,
            })?;
            replace(language, text, symbol.as_deref(), code)
        }
        Change::Lines { first, last, code } => {
            let none = || ContractError::NoLines(*first, *last);
            if first > last {
                return Err(none());
            }
            let start =
                line_start(text, first.checked_sub(1).ok_or_else(none)?).ok_or_else(none)?;
            let end = line_start(text, *last).ok_or_else(none)?;
            if start == text.len() {
                return Err(none());
            }
            Ok((start..end, ended(code)))
        }
        Change::Insert { after, code } => {
            let at = line_start(text, *after);
            let at = at.ok_or(ContractError::NoLines(*after, *after))?;
            let open = at > 0 && !text[..at].ends_with('\n');
            Ok((at..at, if open { format!("\n{}", ended(code)) } else { ended(code) }))
        }
        Change::Text { search, replace } => {
            let (range, to) = find_lines(text, search)?;
            let from = first_indentation(search);
            // Empty lines at both ends belong to neither text.
            let replace = ended(&trimmed(replace).join("\n"));
            Ok((range, if from == to { replace } else { reindented(&replace, from, &to) }))
        }
    }
}

/// Where the line after so many begins; the end of the text is one as well.
fn line_start(text: &str, lines: u64) -> Option<usize> {
    if lines == 0 {
        return Some(0);
    }
    let mut count = 0;
    for (at, _) in text.match_indices('\n') {
        count += 1;
        if count == lines {
            return Some(at + 1);
        }
    }
    (!text.ends_with('\n') && !text.is_empty() && count + 1 == lines).then_some(text.len())
}

fn ended(code: &str) -> String {
    if code.is_empty() || code.ends_with('\n') { code.to_owned() } else { format!("{code}\n") }
}

/// Where a text has these lines, and how the first one is indented there. Where they are not there
/// to the letter, blanks at the ends of lines and the same indentation of all do not count.
fn find_lines(text: &str, search: &str) -> Result<(std::ops::Range<usize>, String), ContractError> {
    if search.trim().is_empty() {
        return Err(ContractError::NotOnce(0));
    }
    let wanted: Vec<&str> = trimmed(search);
    let mut starts = vec![0];
    starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
    starts.push(text.len());
    starts.dedup();
    let lines: Vec<&str> = starts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
    let alike: [fn(&str, &str) -> bool; 2] =
        [|a, b| a.trim_end() == b.trim_end(), |a, b| a.trim() == b.trim()];
    for same in alike {
        let at = |index: &usize| {
            lines[*index..].iter().zip(&wanted).all(|(line, wanted)| same(line, wanted))
        };
        let last = lines.len().checked_sub(wanted.len());
        let Some(last) = last else { return Err(ContractError::NotOnce(0)) };
        let found: Vec<usize> = (0..=last).filter(at).collect();
        match found[..] {
            [] => {}
            [only] => {
                let range = starts[only]..starts[only + wanted.len()];
                let first = lines[only..].iter().find(|line| !line.trim().is_empty());
                let to = first.map(|line| indentation(line, 0).to_owned()).unwrap_or_default();
                return Ok((range, to));
            }
            _ => return Err(ContractError::NotOnce(found.len())),
        }
    }
    Err(ContractError::NotOnce(0))
}

/// Lines without empty ones at both ends.
fn trimmed(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let full = |line: &str| !line.trim().is_empty();
    let first = lines.iter().position(|line| full(line)).unwrap_or(0);
    let last = lines.iter().rposition(|line| full(line)).map_or(0, |last| last + 1);
    lines[first..last.max(first)].to_vec()
}

fn first_indentation(text: &str) -> &str {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    indentation(first, 0)
}

fn reindented(text: &str, from: &str, to: &str) -> String {
    // A line in front that is not shifted: all others are.
    shifted(&format!("\n{text}"), from, to).split_off(1)
}

/// With the line ends of the file.
fn with_line_ends(new: String, text: &str) -> String {
    let plain = new.replace("\r\n", "\n");
    if text.contains("\r\n") { plain.replace('\n', "\r\n") } else { plain }
}

/// The edit without the lines that stay; `None` when all do.
fn narrowed(path: &Path, text: &str, range: std::ops::Range<usize>, new: &str) -> Option<Edit> {
    let old = &text[range.clone()];
    let ends_alike = old.ends_with('\n') == new.ends_with('\n');
    let new = match ends_alike {
        true => new,
        // A function ends where its last sign ends; a fence with its line.
        false if new.ends_with('\n') && !old.is_empty() => new.trim_end_matches(['\r', '\n']),
        false => new,
    };
    let whole = || new.to_owned();
    let same_front = old.split_inclusive('\n').zip(new.split_inclusive('\n'));
    let front: usize = same_front.take_while(|(a, b)| a == b).map(|(a, _)| a.len()).sum();
    let (old_rest, new_rest) = (&old[front..], &new[front..]);
    if old_rest.is_empty() && new_rest.is_empty() {
        return None;
    }
    let behind =
        |text: &'_ str| -> Vec<usize> { text.split_inclusive('\n').rev().map(str::len).collect() };
    let (mut back, (mut a, mut b)) = (0, (old_rest.len(), new_rest.len()));
    for (one, other) in behind(old_rest).into_iter().zip(behind(new_rest)) {
        if old_rest[a - one..a] != new_rest[b - other..b] {
            break;
        }
        (a, b) = (a - one, b - other);
        back += one;
    }
    let kept = front + back <= old.len() && front + back <= new.len();
    let (start, end, new_text) = match kept {
        true => (front, old.len() - back, new[front..new.len() - back].to_owned()),
        false => (0, old.len(), whole()),
    };
    Some(Edit {
        path: path.to_owned(),
        start: range.start + start,
        end: range.start + end,
        new_text,
    })
}
