//! Code that a search found near the suspected functions, and how it is asked for.
//!
//! Who searches is not known here. The question is asked while spectra are measured, so it comes from
//! what the failures and the calls of the failing tests say; nobody ever waits for the answer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use greenlit_runner::Project;
use greenlit_syntax::{FunctionItem, Language, parse};

use crate::SourceFile;
use crate::causes::Failures;
use crate::localize::{Imports, from_traces};
use crate::neighbours::lenders;
use crate::workbench::Workbench;

/// Functions that are asked about.
const QUESTIONS: usize = 3;
/// Files read to find these functions.
const FILES: usize = 24;
/// Bytes of one question.
const LONGEST: usize = 2000;

/// Finds code that is like some code.
pub trait Retriever: Send + Sync {
    /// Passages near these functions, best first.
    fn retrieve(&self, near: &[Question]) -> Retrieved;
}

/// A function whose likes are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its text, cut where it is long.
    pub text: String,
    /// Absolute path of its file.
    pub path: PathBuf,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retrieved {
    /// Best first.
    pub passages: Vec<Passage>,
    /// Why there may be more or better ones.
    pub degraded: Option<String>,
}

/// A found piece of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// Absolute.
    pub path: PathBuf,
    /// 1-based first line.
    pub first_line: u32,
    /// 1-based last line, inclusive.
    pub last_line: u32,
    /// The definition that it is or belongs to; empty between definitions.
    pub symbol: String,
    /// Comparable within one answer.
    pub score: f64,
}

/// The files that may lend code, and a search that is under way.
pub(crate) struct Gathered {
    pub(crate) lenders: Vec<SourceFile>,
    answer: Option<Receiver<Retrieved>>,
}

impl Gathered {
    /// What was found until now; `None` where nobody was asked.
    pub(crate) fn retrieved(&self) -> Option<Retrieved> {
        let late = || Retrieved {
            passages: Vec::new(),
            degraded: Some("the index did not answer before the first candidates".to_owned()),
        };
        self.answer.as_ref().map(|answer| answer.try_recv().unwrap_or_else(|_| late()))
    }
}

/// Reads the files that may lend code, and asks for what is near the functions behind the failures.
pub(crate) fn gather(
    bench: &Workbench,
    project: &Project,
    failures: &Failures,
    retriever: Option<&Arc<dyn Retriever>>,
) -> Gathered {
    let lenders = lenders(bench, project);
    let answer = retriever.map(|retriever| {
        let (sender, answer) = mpsc::channel();
        let questions = questions(bench, project, failures, &lenders);
        let retriever = retriever.clone();
        // Not waited for, so not in a scope.
        std::thread::spawn(move || {
            // Nobody may be interested any more.
            let _ = sender.send(retriever.retrieve(&questions));
        });
        answer
    });
    Gathered { lenders, answer }
}

/// The functions that failing tests call, or that are on their stacks.
fn questions(
    bench: &Workbench,
    project: &Project,
    failures: &Failures,
    lenders: &[SourceFile],
) -> Vec<Question> {
    let sites = failures.iter().flat_map(|(_, failure)| failure.site.iter().chain(&failure.trace));
    let mut paths: Vec<PathBuf> = Vec::new();
    for frame in sites {
        if !paths.contains(&frame.path) {
            paths.push(frame.path.clone());
        }
    }
    let mut files: Vec<SourceFile> =
        paths.iter().take(FILES).filter_map(|path| crate::locate::source(bench, path)).collect();
    let seen: Vec<_> = files.iter().filter_map(parsed).map(|p| Imports::of(&p)).collect();
    let called = lenders.iter().filter(|lender| {
        !paths.contains(&lender.path) && seen.iter().any(|seen| seen.include(&lender.path))
    });
    files.extend(called.take(FILES).cloned());
    let traces: Vec<_> = failures.iter().map(|(id, failure)| (id.clone(), failure)).collect();
    let suspected = from_traces(&traces, &files, &|path| project.is_test_file(path));
    let mut functions: HashMap<&Path, Vec<FunctionItem>> = HashMap::new();
    let mut questions: Vec<Question> = Vec::new();
    for line in &suspected.lines {
        let Some(file) = files.iter().find(|file| file.path == line.path) else { continue };
        let functions = functions
            .entry(&file.path)
            .or_insert_with(|| parsed(file).map(|p| p.functions()).unwrap_or_default());
        let around = functions.iter();
        let around = around.filter(|f| (f.start_line..=f.end_line).contains(&line.line));
        let text = around.min_by_key(|function| function.range.len()).and_then(|function| {
            let end = file
                .text
                .floor_char_boundary(function.range.end.min(function.range.start + LONGEST));
            file.text.get(function.range.start..end).map(str::to_owned)
        });
        let question = text.map(|text| Question { text, path: file.path.clone() });
        questions.extend(question.filter(|question| !questions.contains(question)));
        if questions.len() >= QUESTIONS {
            break;
        }
    }
    questions
}

fn parsed(file: &SourceFile) -> Option<greenlit_syntax::Parsed> {
    parse(Language::from_path(&file.path)?, file.text.clone()).ok()
}
