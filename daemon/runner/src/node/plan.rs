//! Whether and how a package runs its tests with `node --test`, from its `package.json`.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;
use serde_json::Value;

use super::script::node_test;
use crate::detect::configuration;
use crate::patterns::{FOREIGN_DIRECTORIES, is_node_test_module};

/// Other test runners, by the command of their script or the name of their package.
const OTHERS: &[&str] = &[
    "jest",
    "vitest",
    "mocha",
    "ava",
    "tap",
    "jasmine",
    "karma",
    "uvu",
    "tape",
    "playwright",
    "cypress",
    "bun",
    "deno",
    "react-scripts",
];

/// How a package is to be tested.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It has no tests that node would run.
    None,
    /// It uses something else.
    Unsupported(String),
    /// `node --test` with these arguments.
    Test {
        /// From the package's own script.
        arguments: Arguments,
    },
}

/// What a package's test script passes to node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Options, with their values.
    pub(crate) flags: Vec<String>,
    /// Files and patterns.
    pub(crate) patterns: Vec<String>,
}

/// Decides from the text of `package.json` and the package's test files.
pub(crate) fn plan(package: &str, tests: &[&PathBuf]) -> Plan {
    let package: Value = serde_json::from_str(package).unwrap_or_default();
    let script = package["scripts"]["test"].as_str().unwrap_or_default().trim();
    if script.is_empty() || script.contains("no test specified") {
        if tests.iter().any(|test| mentions_node_test(test)) {
            return Plan::Test { arguments: Arguments::default() };
        }
        let other = OTHERS.iter().find(|name| {
            ["dependencies", "devDependencies"].iter().any(|kind| !package[kind][name].is_null())
        });
        return match other {
            Some(name) if !tests.is_empty() => Plan::Unsupported(format!(
                "the package depends on {name}, which is not supported; only `node --test` is"
            )),
            _ => Plan::None,
        };
    }
    if let Some(arguments) = node_test(&package["scripts"], script) {
        return Plan::Test { arguments };
    }
    let words: Vec<&str> = script.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
    Plan::Unsupported(match OTHERS.iter().find(|name| words.contains(name)) {
        Some(name) => format!(
            "the test script runs {name} (`{script}`), which is not supported; only `node --test` is"
        ),
        None => format!(
            "the test script is no plain `node --test` command, linters and coverage aside: \
             `{script}`; only that is supported"
        ),
    })
}

fn mentions_node_test(test: &Path) -> bool {
    let text = configuration(test);
    text.contains("node:test")
}

/// The files that patterns name: a file itself, the test files in a directory, a glob. Without
/// patterns: every test file below `dir`. Files of `nested` packages are left out.
pub(crate) fn expand(dir: &Path, patterns: &[String], nested: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let searched = if patterns.is_empty() { &[".".to_owned()][..] } else { patterns };
    for pattern in searched {
        let path = dir.join(pattern.trim_start_matches("./"));
        if path.is_file() {
            files.push(path);
        } else if pattern == "." || path.is_dir() {
            let start = if pattern == "." { dir } else { &path };
            files.extend(
                walk(start, None)
                    .filter(|file| file.strip_prefix(dir).is_ok_and(is_node_test_module)),
            );
        } else {
            let mut glob = OverrideBuilder::new(dir);
            // A leading slash anchors the pattern to the directory, as a shell does.
            let anchored = format!("/{}", pattern.trim_start_matches("./"));
            if glob.add(&anchored).is_ok()
                && let Ok(glob) = glob.build()
            {
                files.extend(walk(dir, Some(glob)));
            }
        }
    }
    files.retain(|file| !nested.iter().any(|nested| file.starts_with(nested)));
    files.dedup();
    files
}

fn walk(start: &Path, glob: Option<ignore::overrides::Override>) -> impl Iterator<Item = PathBuf> {
    let mut walk = WalkBuilder::new(start);
    walk.standard_filters(false).sort_by_file_name(|a, b| a.cmp(b)).filter_entry(|entry| {
        let name = entry.file_name().to_str().unwrap_or_default();
        entry.depth() == 0 || !FOREIGN_DIRECTORIES.contains(&name)
    });
    if let Some(glob) = glob {
        walk.overrides(glob);
    }
    walk.build()
        .flatten()
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .map(ignore::DirEntry::into_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(script: &str) -> Plan {
        plan(&serde_json::json!({ "scripts": { "test": script } }).to_string(), &[])
    }

    #[test]
    fn plain_scripts_keep_their_options() {
        assert_eq!(
            of("node --import tsx --test --test-reporter spec 'test/**/*.ts' unit.js"),
            Plan::Test {
                arguments: Arguments {
                    flags: vec!["--import".into(), "tsx".into()],
                    patterns: vec!["test/**/*.ts".into(), "unit.js".into()],
                }
            }
        );
    }

    #[test]
    fn other_runners_are_named() {
        for (script, named) in [
            ("jest --ci", "jest"),
            ("vitest run", "vitest"),
            ("NODE_ENV=test mocha", "mocha"),
            ("tsc && node --test", "no plain"),
            ("node test.js", "no plain"),
            ("node --test $(ls)", "no plain"),
        ] {
            let Plan::Unsupported(message) = of(script) else { panic!("{script}") };
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn no_script_and_no_tests_is_no_project() {
        assert_eq!(plan("{}", &[]), Plan::None);
        assert_eq!(plan("not json", &[]), Plan::None);
    }
}
