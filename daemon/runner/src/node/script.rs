//! Finds the one `node --test` command in a package's test script.
//!
//! A script may check other things as well (linters, types) and may go through other scripts of the
//! package; none of that changes what the tests are. A step before the tests that could write files
//! (a build) does, and a script with one is not understood.

use serde_json::Value;

use super::plan::Arguments;

/// Programs that only look. Coverage wrappers are looked through.
const LOOKERS: &[&str] = &[
    "eslint", "standard", "xo", "prettier", "biome", "oxlint", "tsd", "jshint", "attw", "publint",
];
/// Run a command and count what it executes.
const WRAPPERS: &[&str] = &["c8", "nyc"];
/// Run a script of the package.
const MANAGERS: &[&str] = &["npm", "pnpm", "yarn"];
/// Scripts that call scripts, followed at most so far.
const DEPTH: u32 = 5;

/// node's options that take their value from the next argument.
const WITH_VALUE: &[&str] = &[
    "-C",
    "-r",
    "--conditions",
    "--env-file",
    "--experimental-loader",
    "--import",
    "--loader",
    "--require",
    "--test-concurrency",
    "--test-timeout",
];

/// Options of the script that would change which tests run or where the report goes.
const DROPPED: &[&str] = &["--test", "--watch", "--test-only", "--experimental-test-coverage"];

enum Step {
    Tests(Arguments),
    /// It changes nothing.
    Looks,
    Unknown,
}

/// The arguments of the first `node … --test …` of `script`, if nothing before it can change files.
/// `scripts` are those of the package.
pub(super) fn node_test(scripts: &Value, script: &str) -> Option<Arguments> {
    match chain(scripts, script, 0) {
        Step::Tests(arguments) => Some(arguments),
        Step::Looks | Step::Unknown => None,
    }
}

fn chain(scripts: &Value, script: &str, depth: u32) -> Step {
    for command in script.split("&&") {
        match step(scripts, command, depth) {
            Step::Looks => {}
            found => return found,
        }
    }
    Step::Looks
}

fn step(scripts: &Value, command: &str, depth: u32) -> Step {
    let Some(words) = split(command) else { return Step::Unknown };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["node", rest @ ..] => match arguments(rest) {
            Some(arguments) => Step::Tests(arguments),
            None => Step::Unknown,
        },
        ["tsc", rest @ ..] if rest.contains(&"--noEmit") => Step::Looks,
        [first, ..] if LOOKERS.contains(first) => Step::Looks,
        [first, rest @ ..] if WRAPPERS.contains(first) => {
            match rest.iter().position(|word| *word == "node") {
                Some(at) => match arguments(&rest[at + 1..]) {
                    Some(arguments) => Step::Tests(arguments),
                    None => Step::Unknown,
                },
                None => Step::Unknown,
            }
        }
        [first, rest @ ..] if MANAGERS.contains(first) && depth < DEPTH => {
            let mut names = rest.iter().filter(|word| !word.starts_with('-'));
            let name = match names.next() {
                Some(&("run" | "run-script")) => names.next(),
                other => other,
            };
            // What follows a name is passed on to the script: it may mean anything.
            match (name.and_then(|name| scripts[*name].as_str()), names.next()) {
                (Some(script), None) => chain(scripts, script, depth + 1),
                _ => Step::Unknown,
            }
        }
        _ => Step::Unknown,
    }
}

/// What node is given, if it is to run tests.
fn arguments(words: &[&str]) -> Option<Arguments> {
    if !words.contains(&"--test") {
        return None;
    }
    let mut arguments = Arguments::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if DROPPED.contains(word) {
            continue;
        }
        if word.starts_with("--test-reporter") {
            if !word.contains('=') {
                words.next();
            }
            continue;
        }
        if word.starts_with('-') {
            arguments.flags.push((*word).to_owned());
            if WITH_VALUE.contains(word) {
                arguments.flags.push((*words.next()?).to_owned());
            }
        } else {
            arguments.patterns.push((*word).to_owned());
        }
    }
    Some(arguments)
}

/// Splits like a shell; `None` when the shell would do more than that.
fn split(script: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = script.chars();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        end if end == c => break,
                        '$' | '`' | '\\' if c == '"' => return None,
                        inner => word.push(inner),
                    }
                }
            }
            '&' | ';' | '|' | '$' | '`' | '<' | '>' | '(' | ')' | '\\' | '#' | '~' => return None,
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patterns(scripts: Value) -> Option<Vec<String>> {
        let script = scripts["test"].as_str().unwrap().to_owned();
        node_test(&scripts, &script).map(|arguments| arguments.patterns)
    }

    #[test]
    fn linters_wrappers_and_other_scripts_are_looked_through() {
        for test in [
            "node --test test.js",
            "eslint . && node --test test.js",
            "c8 --check-coverage node --test test.js",
            "npm run -s unit && tsd",
            "yarn lint && pnpm unit",
            "tsc --noEmit && npm run unit",
        ] {
            let scripts =
                json!({ "test": test, "lint": "standard", "unit": "node --test test.js" });
            assert_eq!(patterns(scripts), Some(vec!["test.js".to_owned()]), "{test}");
        }
    }

    #[test]
    fn what_could_change_the_code_or_is_not_known_is_declined() {
        for test in [
            "tsc && node --test",
            "npm run build && node --test",
            "node build.js && node --test",
            "npm run unit -- --test-name-pattern x",
            "npm run missing && node --test",
            "npm run test",
            "eslint .",
            "node --test $(ls)",
            "node --test || true",
        ] {
            let scripts = json!({ "test": test, "build": "tsc", "unit": "node --test" });
            assert_eq!(patterns(scripts), None, "{test}");
        }
    }
}
