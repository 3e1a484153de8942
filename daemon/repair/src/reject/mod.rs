//! Refuses candidates that could make tests pass without mending anything, before they are run.
//!
//! What is compared is what the patch *adds* to the text: code that has always exited, opened files
//! or overridden equality may go on doing so. The rules are deliberately stricter than needed: a
//! refused honest patch costs one candidate, an accepted dishonest one costs trust.
//!
//! Left to the verifier on purpose, because no static rule tells them from honest code: answers
//! written out for the tested inputs, exceptions swallowed, work skipped, results that depend on
//! time or chance (targets run twice, the whole suite runs, held-out tests judge).

mod compiled;
mod features;
mod regions;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlit_syntax::{Language, Parsed, parse};
use serde::{Deserialize, Serialize};

pub(crate) use self::regions::test_regions;

use self::features::Inventory;
use crate::candidate::Edit;
use crate::patch::PatchedFile;
use crate::workbench::Subject;

/// Why a candidate is not even run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason", content = "detail")]
pub enum RejectReason {
    /// An edit does not fit the text that it is for.
    BadEdit,
    /// The patched text is the original.
    NoChange,
    /// A syntax error that the original does not have.
    ParseError,
    /// Ends the process, which can look like success.
    Exit(String),
    /// Changes what equality, truth or conversion mean.
    Equality(String),
    /// Reaches for the test framework or asks whether it is being tested.
    TestAwareness(String),
    /// Changes names of the runtime or of other modules.
    MonkeyPatch(String),
    /// Runs text as code.
    DynamicCode(String),
    /// New access to files, network, processes, threads or the environment.
    OutsideAccess(String),
    /// New unsafe code.
    Unsafe(String),
    /// Silences a tool instead of mending what it reports.
    Suppression(String),
    /// Removes or changes an assertion in the source.
    Assertion(String),
    /// Touches a test or an example that is run as one.
    TestTouched,
    /// Touches a file that says how tests are built or run.
    ConfigurationTouched,
    /// Changes a file that a program writes: the next time it is written, the change is gone.
    Generated,
    /// Changes a file that somebody wants to stay as it is.
    Protected,
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejectReason::BadEdit => f.write_str("an edit does not fit the text"),
            RejectReason::NoChange => f.write_str("nothing changes"),
            RejectReason::ParseError => f.write_str("introduces a syntax error"),
            RejectReason::Exit(what) => write!(f, "ends the process: `{what}`"),
            RejectReason::Equality(what) => write!(f, "changes what equality means: `{what}`"),
            RejectReason::TestAwareness(what) => write!(f, "knows about tests: `{what}`"),
            RejectReason::MonkeyPatch(what) => write!(f, "changes the runtime: `{what}`"),
            RejectReason::DynamicCode(what) => write!(f, "runs text as code: `{what}`"),
            RejectReason::OutsideAccess(what) => write!(f, "reaches outside: `{what}`"),
            RejectReason::Unsafe(what) => write!(f, "introduces unsafe code: `{what}`"),
            RejectReason::Suppression(what) => write!(f, "silences a tool: `{what}`"),
            RejectReason::Assertion(what) => write!(f, "removes or changes `{what}`"),
            RejectReason::TestTouched => f.write_str("touches a test"),
            RejectReason::Generated => f.write_str("changes a generated file"),
            RejectReason::Protected => f.write_str("changes a file that `paths.never` names"),
            RejectReason::ConfigurationTouched => f.write_str("touches test configuration"),
        }
    }
}

/// Who wrote a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// A search that keeps what turns tests green.
    Search,
    /// A compiler or linter, for what it reports itself.
    Checker,
}

/// Judges one file of a candidate. `edits` are the edits that lead from `original` to `patched`,
/// all of one file; `is_test` says which paths hold tests.
///
/// A candidate with several files is judged file by file. For many candidates of the same file use
/// a `Rejector`, which looks at the original once.
pub fn reject(
    language: Language,
    original: &str,
    patched: &str,
    edits: &[Edit],
    is_test: &dyn Fn(&Path) -> bool,
) -> Option<RejectReason> {
    for edit in edits {
        if is_test(&edit.path) {
            return Some(RejectReason::TestTouched);
        }
        if is_test_configuration(&edit.path) {
            return Some(RejectReason::ConfigurationTouched);
        }
        if edit.start > edit.end || original.get(edit.start..edit.end).is_none() {
            return Some(RejectReason::BadEdit);
        }
    }
    match Original::new(language, Arc::from(original)) {
        Some(original) => original.reject(patched, Author::Search),
        None => Some(RejectReason::ParseError),
    }
}

/// What is known of a file before it is patched.
struct Original {
    text: Arc<str>,
    before: Parsed,
    errors: usize,
    generated: bool,
    tests: Vec<String>,
    examples: BTreeMap<String, usize>,
    inventory: Inventory,
}

impl Original {
    fn new(language: Language, text: Arc<str>) -> Option<Original> {
        let before = parse(language, text.clone()).ok()?;
        Some(Original {
            text,
            errors: before.error_offsets().len(),
            generated: regions::is_generated(&before),
            tests: regions::texts(&before),
            examples: regions::examples(&before),
            inventory: Inventory::new(&before),
            before,
        })
    }

    fn reject(&self, patched: &str, author: Author) -> Option<RejectReason> {
        if *self.text == *patched {
            return Some(RejectReason::NoChange);
        }
        if self.generated {
            return Some(RejectReason::Generated);
        }
        let Ok(after) = self.before.reparse(Arc::from(patched)) else {
            return Some(RejectReason::ParseError);
        };
        if after.error_offsets().len() > self.errors {
            return Some(RejectReason::ParseError);
        }
        if self.tests != regions::texts(&after) || self.examples != regions::examples(&after) {
            return Some(RejectReason::TestTouched);
        }
        self.inventory.added(&after, author)
    }
}

/// Files that decide what is built or run as a test, whatever the ecosystem.
pub fn is_test_configuration(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let parent = path.parent().and_then(Path::file_name).and_then(|n| n.to_str());
    matches!(
        name,
        "conftest.py"
            | "pytest.ini"
            | ".pytest.ini"
            | "tox.ini"
            | "setup.cfg"
            | "setup.py"
            | "pyproject.toml"
            | "noxfile.py"
            | "sitecustomize.py"
            | "usercustomize.py"
            | "package.json"
            | "package-lock.json"
            | ".mocharc.js"
            | ".mocharc.cjs"
            | "Cargo.toml"
            | "Cargo.lock"
            | "build.rs"
            | "rust-toolchain.toml"
            | "greenlit.toml"
    ) || ["jest.config.", "vitest.config.", "babel.config.", "vite.config."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || parent == Some(".cargo") && name.starts_with("config")
        || path.extension().is_some_and(|e| e == "pth")
}

/// Judges patches of the same files one after another.
#[derive(Default)]
pub(crate) struct Rejector {
    originals: HashMap<PathBuf, Option<Original>>,
}

impl Rejector {
    /// Judges all files of a patch: the first reason found. Files of unknown languages are refused
    /// as configuration, since nothing is known of what they do.
    pub(crate) fn reject(
        &mut self,
        subject: &Subject,
        files: &[PatchedFile],
        is_test: &dyn Fn(&Path) -> bool,
        author: Author,
    ) -> Option<RejectReason> {
        if files.iter().all(|f| *f.before == *f.after) {
            return Some(RejectReason::NoChange);
        }
        files.iter().find_map(|file| {
            if !file.path.starts_with(&subject.root) {
                return Some(RejectReason::OutsideAccess(file.path.display().to_string()));
            }
            if subject.protected.covers(&file.path) {
                return Some(RejectReason::Protected);
            }
            if is_test(&file.path) {
                return Some(RejectReason::TestTouched);
            }
            if is_test_configuration(&file.path) {
                return Some(RejectReason::ConfigurationTouched);
            }
            let Some(language) = Language::from_path(&file.path) else {
                return Some(RejectReason::ConfigurationTouched);
            };
            let known = self.originals.get(&file.path);
            let stale = known.is_none_or(|o| o.as_ref().is_none_or(|o| *o.text != *file.before));
            if stale {
                let original = Original::new(language, file.before.clone());
                self.originals.insert(file.path.clone(), original);
            }
            match self.originals.get(&file.path) {
                Some(Some(original)) => original.reject(&file.after, author),
                _ => Some(RejectReason::ParseError),
            }
        })
    }
}
