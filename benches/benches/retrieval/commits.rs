//! The subject of a commit asks for the functions that it changed, as they are today.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use greenlit_benches::manifest::Role;
use greenlit_benches::process;
use greenlit_syntax::chunk::Symbol;

use crate::corpus::{Corpus, Place, Question, definitions, innermost, is_function};

/// A commit that changed more is about something larger.
const MAX_RIGHT: usize = 10;
const PATIENCE: Duration = Duration::from_secs(60);

/// The room of this repository whose history asks.
fn room(role: Role) -> &'static str {
    match role {
        Role::Development => "daemon/repair",
        Role::Evaluation => "daemon/runner",
    }
}

pub(crate) fn corpus(role: Role) -> Result<Corpus> {
    let mut corpus = Corpus::new()?;
    let room = room(role);
    let mut now: BTreeMap<String, Vec<Symbol>> = BTreeMap::new();
    for path in git(&["ls-tree", "-r", "--name-only", "HEAD", "--", room])?.lines() {
        if !path.ends_with(".rs") || is_test(path) {
            continue;
        }
        let text: Arc<str> = git(&["show", &format!("HEAD:{path}")])?.into();
        now.insert(path.to_owned(), definitions(Path::new(path), &text));
        corpus.write(path, &text)?;
    }
    let log = git(&["log", "--no-merges", "--format=%H %s", "--", room])?;
    for (commit, subject) in log.lines().filter_map(|line| line.split_once(' ')) {
        let mut right = BTreeSet::new();
        for (path, name) in changed(commit, room)? {
            let known = now.get(&path).and_then(|all| all.iter().find(|s| s.path == name));
            right.extend(known.map(|symbol| Place::new(&path, &symbol.lines)));
        }
        match right.len() {
            0 => corpus.leave_out("commits whose functions are gone"),
            n if n > MAX_RIGHT => corpus.leave_out("commits of more than ten functions"),
            _ => corpus.questions.push(Question {
                kind: "commit",
                package: room.to_owned(),
                text: subject.to_owned(),
                right: right.into_iter().collect(),
                near: Vec::new(),
            }),
        }
    }
    Ok(corpus)
}

/// Functions that a commit changed, by file and name.
fn changed(commit: &str, room: &str) -> Result<BTreeSet<(String, Vec<String>)>> {
    let diff =
        git(&["show", "--format=", "-U0", "--no-renames", "--no-ext-diff", commit, "--", room])?;
    let mut lines: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let mut file = None;
    for line in diff.lines() {
        if let Some(path) = line.strip_prefix("+++ ") {
            file = path.strip_prefix("b/").filter(|path| path.ends_with(".rs") && !is_test(path));
        } else if let (Some(file), Some((first, count))) = (file, hunk(line)) {
            // Where lines went, the one before them stands for them.
            let range = first..first + count.max(1);
            lines.entry(file).or_default().extend(range.map(|line| line.saturating_sub(1)));
        }
    }
    let mut found = BTreeSet::new();
    for (path, lines) in lines {
        let text: Arc<str> = git(&["show", &format!("{commit}:{path}")])?.into();
        let symbols = definitions(Path::new(path), &text);
        let functions = lines.iter().filter_map(|line| innermost(&symbols, *line));
        let functions =
            functions.filter(|s| is_function(s) && !s.path.iter().any(|n| n == "tests"));
        found.extend(functions.map(|symbol| (path.to_owned(), symbol.path.clone())));
    }
    Ok(found)
}

/// First line and count of the new side of `@@ -a,b +c,d @@`.
fn hunk(line: &str) -> Option<(u32, u32)> {
    let new = line.strip_prefix("@@ -")?.split(" +").nth(1)?.split(' ').next()?;
    let (first, count) = new.split_once(',').unwrap_or((new, "1"));
    Some((first.parse().ok()?, count.parse().ok()?))
}

fn is_test(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| matches!(part, "tests" | "tests.rs" | "fixtures" | "fixtures.rs"))
}

fn git(words: &[&str]) -> Result<String> {
    let mut git = process::command("git");
    git.args(words).current_dir(greenlit_benches::repository());
    let finished = process::run(&mut git, PATIENCE)?;
    if !finished.success() {
        bail!("git {} failed: {}", words.join(" "), finished.tail());
    }
    Ok(finished.stdout)
}
