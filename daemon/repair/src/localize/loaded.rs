//! Suspects what suspected lines rest on: code that ran while files were loaded, or at compile time.
//!
//! No spectrum shows it: tables, constants, defaults of parameters, decorators, and functions that only
//! fill tables ran before the first test, or never. So it is found by name: the values that a suspected
//! line uses, what defines and changes them outside of functions, and what that calls. The same in every
//! language.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::outside::{Outside, Statement};
use super::{Localization, Scores, ranked};
use crate::candidate::SourceFile;

/// Suspicion of a definition that a suspected line uses, as a share of that line's.
const USED: f64 = 0.4;
/// What is left with each further step.
const FURTHER: f64 = 0.7;
/// Not worth following below this.
const LEAST: f64 = 0.02;
/// Files read because suspected ones import them.
const IMPORTED: usize = 20;

/// Adds lines of `files` (suspected ones and those that they may import) to a localization, below what is
/// suspected already. The order of the lines that it had stays.
pub(crate) fn with_loaded(localization: Localization, files: &[SourceFile]) -> Localization {
    let mut search = Search::new(&localization, files);
    let suspected = search.files.len();
    for at in 0..suspected {
        search.begin(at, &localization);
    }
    search.follow();
    let mut scores = search.scores;
    if scores.is_empty() {
        return localization;
    }
    let Localization { method, measured_by, changed, lines } = localization;
    for line in lines {
        let score = scores.entry((line.path, line.line)).or_insert(0.0);
        *score = score.max(line.score);
    }
    Localization { measured_by, changed, ..ranked(method, scores) }
}

/// What is still to be followed.
enum Step {
    /// A name that is used in a file.
    Name(usize, String),
    /// A function that is called from a file.
    Call(usize, String),
}

struct Search<'a> {
    /// The suspected files first.
    files: Vec<Outside<'a>>,
    by_path: HashMap<&'a Path, usize>,
    sources: &'a [SourceFile],
    scores: Scores,
    steps: Vec<(f64, Step)>,
    /// The greatest score with which each definition and function was reached.
    reached: HashMap<(usize, usize, bool), f64>,
    imported: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Search<'a> {
    fn new(localization: &Localization, sources: &'a [SourceFile]) -> Self {
        let wanted: HashSet<&Path> = localization.lines.iter().map(|line| &*line.path).collect();
        let mut search = Self {
            files: Vec::new(),
            by_path: HashMap::new(),
            sources,
            scores: Scores::new(),
            steps: Vec::new(),
            reached: HashMap::new(),
            imported: BTreeMap::new(),
        };
        for source in sources.iter().filter(|source| wanted.contains(&*source.path)) {
            search.read(source);
        }
        search
    }

    fn read(&mut self, source: &'a SourceFile) -> Option<usize> {
        if let Some(at) = self.by_path.get(&*source.path) {
            return Some(*at);
        }
        self.files.push(Outside::new(source)?);
        self.by_path.insert(&source.path, self.files.len() - 1);
        Some(self.files.len() - 1)
    }

    /// The names on suspected lines, and the heads of the functions around them.
    fn begin(&mut self, at: usize, localization: &Localization) {
        let file = &self.files[at];
        let of_file = localization.lines.iter().filter(|line| line.path == file.source.path);
        let lines: HashMap<u32, f64> = of_file.map(|line| (line.line, line.score)).collect();
        let mut steps = Vec::new();
        for (line, name) in file.uses(&|line| lines.contains_key(&line)) {
            if let Some(score) = lines.get(&line) {
                steps.push((score * USED, Step::Name(at, name.to_owned())));
            }
        }
        for head in file.heads() {
            let inside = lines.iter().filter(|(line, _)| head.body.contains(line));
            let score = inside.map(|(_, score)| *score).fold(0.0, f64::max) * USED;
            for line in head.lines {
                self.scores
                    .entry((file.source.path.clone(), line))
                    .and_modify(|known| *known = known.max(score))
                    .or_insert(score);
            }
            steps
                .extend(head.names.into_iter().map(|name| (score * FURTHER, Step::Name(at, name))));
        }
        self.scores.retain(|_, score| *score > 0.0);
        self.steps.append(&mut steps);
    }

    fn follow(&mut self) {
        while let Some((score, step)) = self.steps.pop() {
            if score < LEAST {
                continue;
            }
            match step {
                Step::Name(at, name) => self.definitions(at, &name, score),
                Step::Call(at, name) => self.functions(at, &name, score),
            }
        }
    }

    /// What defines a name, and what else outside of functions changes it.
    fn definitions(&mut self, at: usize, name: &str, score: f64) {
        let homes = self.homes(at, |file| file.defines(name));
        for home in homes {
            for (index, statement) in self.files[home].naming(name) {
                self.statement(home, index, &statement, score);
            }
            for function in self.files[home].filling(name) {
                self.function(home, function, score * FURTHER);
            }
        }
    }

    fn functions(&mut self, at: usize, name: &str, score: f64) {
        for home in self.homes(at, |file| !file.named(name).is_empty()) {
            for function in self.files[home].named(name) {
                self.function(home, function, score);
            }
        }
    }

    /// The file itself, else those that it imports, where `has` holds.
    fn homes(&mut self, at: usize, has: impl Fn(&Outside<'_>) -> bool) -> Vec<usize> {
        if has(&self.files[at]) {
            return vec![at];
        }
        let imported = match self.imported.get(&at) {
            Some(known) => known.clone(),
            None => {
                let file = &self.files[at];
                let found = self.sources.iter().filter(|source| file.imports(&source.path));
                let found: Vec<_> = found.take(IMPORTED).collect();
                let found: Vec<_> = found.into_iter().filter_map(|s| self.read(s)).collect();
                self.imported.insert(at, found.clone());
                found
            }
        };
        imported.into_iter().filter(|home| *home != at && has(&self.files[*home])).collect()
    }

    fn statement(&mut self, at: usize, index: usize, statement: &Statement, score: f64) {
        // Of a long table each line is as suspect as the others, and most are right.
        let each = score / (statement.lines.len().max(1) as f64).sqrt();
        self.raise(at, &statement.lines, each);
        if self.is_news((at, index, false), score) {
            let names = statement.names.iter().cloned().map(|name| Step::Name(at, name));
            let calls = statement.calls.iter().cloned().map(|name| Step::Call(at, name));
            self.steps.extend(names.chain(calls).map(|step| (score * FURTHER, step)));
        }
    }

    fn function(&mut self, at: usize, index: usize, score: f64) {
        let function = self.files[at].function(index);
        self.raise(at, &function.lines, score);
        if self.is_news((at, index, true), score) {
            let names = function.names.into_iter().map(|name| Step::Name(at, name));
            let calls = function.calls.into_iter().map(|name| Step::Call(at, name));
            self.steps.extend(names.chain(calls).map(|step| (score * FURTHER, step)));
            for (caller, statement) in self.files[at].loading(index) {
                self.statement(at, caller, &statement, score * FURTHER);
            }
        }
    }

    fn raise(&mut self, at: usize, lines: &[u32], score: f64) {
        for line in lines {
            let place = (self.files[at].source.path.clone(), *line);
            let known = self.scores.entry(place).or_insert(0.0);
            *known = known.max(score);
        }
    }

    /// Whether a place is reached with more than before. Scores shrink with each step, so this ends.
    fn is_news(&mut self, place: (usize, usize, bool), score: f64) -> bool {
        let known = self.reached.entry(place).or_insert(0.0);
        let news = score > *known;
        *known = known.max(score);
        news && score >= LEAST
    }
}
