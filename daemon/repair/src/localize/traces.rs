//! Localization without spectra: stack frames, and what the failing tests call.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};

use greenlit_runner::{Failure, FailureKind, TestId};
use greenlit_syntax::{FunctionItem, Language, Parsed, Role, parse};

use super::sources::{Imports, row, statement_starts};
use super::{Localization, Method, Scores, ranked};
use crate::candidate::SourceFile;
use crate::reject::test_regions;

/// Suspicion of functions called directly by a test; each further call multiplies by `FURTHER`.
const CALLED: f64 = 0.7;
/// See `CALLED`.
const FURTHER: f64 = 0.75;
/// Calls followed at most.
const DEPTH: u32 = 6;
/// What is left where the called file is not imported by the test's file.
const NOT_IMPORTED: f64 = 0.6;
/// Suspicion of the rest of a function one of whose lines is on the stack.
const SAME_FUNCTION: f64 = 0.6;
/// Suspicion of everything in imported files, where nothing better is known.
const IMPORTED: f64 = 0.2;

struct Source<'a> {
    path: &'a Path,
    parsed: Parsed,
    functions: Vec<FunctionItem>,
    tests: Vec<Range<usize>>,
    is_test: bool,
    // Hundreds of failures ask for these.
    /// Where statements outside of tests begin.
    starts: OnceCell<BTreeMap<usize, u32>>,
    /// Where the text of each line begins, behind its indentation.
    lines: OnceCell<Vec<usize>>,
    imports: OnceCell<Imports>,
}

impl Source<'_> {
    fn in_test(&self, at: usize) -> bool {
        self.is_test || self.tests.iter().any(|r| r.contains(&at))
    }

    /// The first lines of the statements in a byte range, tests left out.
    fn statement_lines(&self, range: &Range<usize>) -> BTreeSet<u32> {
        let starts =
            self.starts.get_or_init(|| statement_starts(&self.parsed, &|at| self.in_test(at)));
        starts.range(range.clone()).map(|(_, line)| *line).collect()
    }

    /// Where the text of a 1-based line begins; the end of the file where it has no such line.
    fn offset_of(&self, line: u32) -> usize {
        let text = self.parsed.text();
        let lines = self.lines.get_or_init(|| line_offsets(text));
        let index = line.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| lines.get(index)).copied().unwrap_or(text.len())
    }

    fn imports(&self, path: &Path) -> bool {
        self.imports.get_or_init(|| Imports::of(&self.parsed)).include(path)
    }

    /// The innermost function around a line.
    fn function_at(&self, line: u32) -> Option<&FunctionItem> {
        self.functions
            .iter()
            .filter(|f| (f.start_line..=f.end_line).contains(&line))
            .min_by_key(|f| f.range.len())
    }

    /// Names called in the anonymous test function around a line, innermost call with a body.
    fn calls_around(&self, line: u32) -> Vec<String> {
        let mut best: Option<(usize, Vec<String>)> = None;
        for node in self.parsed.descendants(self.parsed.root(), Role::is_function_like) {
            let lines = row(node.start_position().row)..=row(node.end_position().row);
            let length = node.byte_range().len();
            if lines.contains(&line) && best.as_ref().is_none_or(|(l, _)| length < *l) {
                best = Some((length, self.parsed.calls_in(node)));
            }
        }
        best.map(|(_, calls)| calls).unwrap_or_default()
    }
}

/// Suspects lines on the stack outside of tests, deepest first, and the functions that the failing
/// tests call, directly and further on, by name over `files` (which may include test files; those,
/// and tests inside source files, are never suspected). Files of unknown languages are passed over.
pub fn from_traces(
    failures: &[(TestId, &Failure)],
    files: &[SourceFile],
    is_test: &dyn Fn(&Path) -> bool,
) -> Localization {
    let sources: Vec<Source<'_>> = files
        .iter()
        .filter_map(|file| {
            let language = Language::from_path(&file.path)?;
            let parsed = parse(language, file.text.clone()).ok()?;
            let functions = parsed.functions();
            let tests = test_regions(&parsed);
            let is_test = is_test(&file.path);
            let (starts, lines, imports) = Default::default();
            let path = &file.path;
            Some(Source { path, parsed, functions, tests, is_test, starts, lines, imports })
        })
        .collect();
    let mut definitions: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
    for (s, source) in sources.iter().enumerate() {
        for (f, function) in source.functions.iter().enumerate() {
            if !source.in_test(function.range.start) {
                definitions.entry(&function.name).or_default().push((s, f));
            }
        }
    }
    let mut scores = Scores::new();
    for (id, failure) in failures {
        let mut own = Scores::new();
        frames(failure, &sources, &mut own);
        called(id, failure, &sources, &definitions, &mut own);
        for (line, score) in own {
            *scores.entry(line).or_insert(0.0) += score / failures.len() as f64;
        }
    }
    ranked(Method::Trace, scores)
}

fn raise(scores: &mut Scores, path: &Path, line: u32, score: f64) {
    let slot = scores.entry((path.to_owned(), line)).or_insert(0.0);
    *slot = slot.max(score);
}

fn frames(failure: &Failure, sources: &[Source<'_>], scores: &mut Scores) {
    // The stack of a failed assertion ends in the test; what is below it in the source raised it.
    let base = if failure.kind == FailureKind::Error { 1.0 } else { 0.9 };
    let mut seen = BTreeSet::new();
    let mut depth = 0;
    for frame in failure.trace.iter().rev() {
        let Some(source) = sources.iter().find(|s| s.path == frame.path) else { continue };
        let at = source.offset_of(frame.line);
        if source.in_test(at) || !seen.insert((&frame.path, frame.line)) {
            continue;
        }
        let score = base * 0.9_f64.powi(depth);
        depth += 1;
        raise(scores, &frame.path, frame.line, score);
        if let Some(function) = source.function_at(frame.line) {
            for line in source.statement_lines(&function.range) {
                raise(scores, &frame.path, line, score * SAME_FUNCTION);
            }
        }
    }
}

fn line_offsets(text: &str) -> Vec<usize> {
    let mut at = 0;
    let offset = |content: &str| {
        let begin = at + (content.len() - content.trim_start().len());
        at += content.len();
        begin
    };
    text.split_inclusive('\n').map(offset).collect()
}

fn called(
    id: &TestId,
    failure: &Failure,
    sources: &[Source<'_>],
    definitions: &HashMap<&str, Vec<(usize, usize)>>,
    scores: &mut Scores,
) {
    let Some((start, test)) = test_calls(id, failure, sources) else { return };
    let imported = imported(&sources[test], sources);
    let mut queue: VecDeque<(String, u32)> = start.into_iter().map(|name| (name, 0)).collect();
    let mut visited: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    while let Some((name, depth)) = queue.pop_front() {
        let Some(found) = definitions.get(name.as_str()) else { continue };
        for (s, f) in found {
            if visited.contains_key(&(*s, *f)) {
                continue;
            }
            visited.insert((*s, *f), depth);
            let source = &sources[*s];
            let function = &source.functions[*f];
            let near =
                if imported.contains(source.path) || *s == test { 1.0 } else { NOT_IMPORTED };
            let shared = (found.len() as f64).sqrt();
            let score = CALLED * FURTHER.powi(depth.cast_signed()) * near / shared;
            for line in source.statement_lines(&function.range) {
                raise(scores, source.path, line, score);
            }
            if depth < DEPTH {
                queue.extend(function.calls.iter().map(|call| (call.clone(), depth + 1)));
            }
        }
    }
    if visited.is_empty() && scores.is_empty() {
        for source in sources.iter().filter(|s| imported.contains(s.path) && !s.is_test) {
            for line in source.statement_lines(&(0..source.parsed.text().len())) {
                raise(scores, source.path, line, IMPORTED);
            }
        }
    }
}

/// The names that the failing test calls, and the index of its file: the function around the
/// failing line, else the function named by the test's id, else the whole file.
fn test_calls(
    id: &TestId,
    failure: &Failure,
    sources: &[Source<'_>],
) -> Option<(Vec<String>, usize)> {
    for frame in failure.site.iter().chain(&failure.trace) {
        let found = sources.iter().position(|s| s.path == frame.path);
        let Some(at) = found else { continue };
        let source = &sources[at];
        if !source.in_test(source.offset_of(frame.line)) {
            continue;
        }
        let named = source.function_at(frame.line).map(|f| f.calls.clone());
        let calls = named.unwrap_or_else(|| source.calls_around(frame.line));
        if !calls.is_empty() {
            return Some((calls, at));
        }
    }
    let text = id.0.as_str();
    let leaf = text.rsplit("::").next().unwrap_or(text);
    let leaf = leaf.split('[').next().unwrap_or(leaf);
    let mut whole = None;
    for (at, source) in sources.iter().enumerate() {
        for function in &source.functions {
            if function.name == leaf && source.in_test(function.range.start) {
                return Some((function.calls.clone(), at));
            }
        }
        let path = source.path.to_string_lossy().replace('\\', "/");
        let file = text.split("::").next().unwrap_or(text);
        if source.is_test && path.ends_with(file) {
            whole = Some((source.parsed.calls_in(source.parsed.root()), at));
        }
    }
    whole
}

/// Files that a file imports.
fn imported(source: &Source<'_>, sources: &[Source<'_>]) -> BTreeSet<PathBuf> {
    let imported = sources.iter().filter(|other| source.imports(other.path));
    imported.map(|other| other.path.to_owned()).collect()
}
