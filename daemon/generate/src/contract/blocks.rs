//! Search and replace blocks and unified diffs: both say which lines become which.

use super::ContractError;
use super::reply::{Change, Draft};

/// The blocks of a text; none where it has neither form. `path` is what is known of the file.
pub(super) fn read(text: &str, path: Option<&str>) -> Result<Vec<Draft>, ContractError> {
    let found = search_replace(text, path)?;
    Ok(if found.is_empty() { diff(text, path) } else { found })
}

enum State {
    Outside,
    Search(String),
    Replace(String, String),
}

/// `<<<<<<< SEARCH`, `=======`, `>>>>>>> REPLACE`, with the file's name in the line above, if any.
fn search_replace(text: &str, path: Option<&str>) -> Result<Vec<Draft>, ContractError> {
    let mut found = Vec::new();
    let mut state = State::Outside;
    let mut above = None;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        let mark = |sign: &str| bare.starts_with(&sign.repeat(5));
        state = match state {
            State::Outside if mark("<") => State::Search(String::new()),
            State::Outside => {
                let name = bare.trim();
                if !name.is_empty() && !name.starts_with("```") {
                    above = Some(name.trim_matches(|c: char| "`*\"':".contains(c)));
                }
                State::Outside
            }
            State::Search(search) if mark("=") => State::Replace(search, String::new()),
            State::Search(search) => State::Search(search + line),
            State::Replace(search, replace) if mark(">") => {
                let is_file = |name: &&str| {
                    greenlit_syntax::Language::from_path(std::path::Path::new(name)).is_some()
                };
                let path = above.filter(is_file).or(path).map(str::to_owned);
                found.push(Draft { path, change: Change::Text { search, replace } });
                State::Outside
            }
            State::Replace(search, replace) => State::Replace(search, replace + line),
        };
    }
    match state {
        State::Outside => Ok(found),
        State::Search(_) | State::Replace(..) => Err(ContractError::Unfinished),
    }
}

/// The hunks of a unified diff. Their line numbers are not believed: models cannot count.
fn diff(text: &str, path: Option<&str>) -> Vec<Draft> {
    let mut found = Vec::new();
    let mut path = path.map(str::to_owned);
    let mut hunk: Option<(String, String)> = None;
    let mut lines = text.split_inclusive('\n').peekable();
    let mut close = |hunk: &mut Option<(String, String)>, path: &Option<String>| {
        if let Some((search, replace)) = hunk.take()
            && search != replace
        {
            found.push(Draft { path: path.clone(), change: Change::Text { search, replace } });
        }
    };
    while let Some(line) = lines.next() {
        let header =
            line.starts_with("--- ") && lines.peek().is_some_and(|l| l.starts_with("+++ "));
        if header {
            close(&mut hunk, &path);
            let old = name_of(line);
            let new = lines.next().map(name_of).unwrap_or_default();
            path = Some(if new == "/dev/null" { old } else { new });
        } else if line.starts_with("@@") {
            close(&mut hunk, &path);
            hunk = Some(Default::default());
        } else if let Some((search, replace)) = &mut hunk {
            match line.split_at_checked(1) {
                Some(("-", rest)) => search.push_str(rest),
                Some(("+", rest)) => replace.push_str(rest),
                Some(("\\", _)) => {}
                Some((" ", rest)) => {
                    search.push_str(rest);
                    replace.push_str(rest);
                }
                // An empty line that lost its blank.
                _ if line.trim().is_empty() => {
                    search.push_str(line);
                    replace.push_str(line);
                }
                _ => close(&mut hunk, &path),
            }
        }
    }
    close(&mut hunk, &path);
    found
}

/// The file in a line of a diff's head, without the prefix that git gives it.
fn name_of(line: &str) -> String {
    let name = line[4..].split('\t').next().unwrap_or_default().trim();
    let name = name.strip_prefix("a/").or(name.strip_prefix("b/")).unwrap_or(name);
    name.to_owned()
}
