//! Which files a reply may change. The one place that says so.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use greenlit_repair::is_test_configuration;
use greenlit_syntax::Language;

use super::{ContractError, Scope, shown};

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// Not a relative path of plain names with forward slashes.
    Shape,
    /// It leads outside, or the file has another name.
    Outside,
    /// Not a file of the workspace whose text is known.
    Missing,
    /// It holds tests.
    Test,
    /// It says how tests are built or run.
    Configuration,
    /// Not code of the project: a dependency, a tool, an environment.
    Foreign,
    /// Not source code of a language that is understood.
    Language,
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "not a relative path inside the workspace",
            Self::Outside => "the path leads elsewhere",
            Self::Missing => "no file of the workspace",
            Self::Test => "a test must not be changed",
            Self::Configuration => "test configuration must not be changed",
            Self::Foreign => "not code of the project",
            Self::Language => "not source code",
        })
    }
}

/// The absolute path of what a model named, if that may be changed.
pub(super) fn admit(name: &str, scope: &Scope<'_>) -> Result<PathBuf, ContractError> {
    check(name, scope).map_err(|fault| ContractError::Path { path: shown(name), fault })
}

fn check(name: &str, scope: &Scope<'_>) -> Result<PathBuf, PathFault> {
    // The prefixes that diffs give names are not stripped here: whoever reads diffs does that.
    let relative = Path::new(name);
    let odd =
        |c: char| c.is_control() || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.starts_with('~');
    if name.len() > 1000 || name.contains(odd) || !name.split('/').all(plain) {
        return Err(PathFault::Shape);
    }
    // The platform's own view of it, which knows drives and more.
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(PathFault::Shape);
    }
    let path = scope.root.join(relative);
    if !path.starts_with(scope.root) {
        return Err(PathFault::Outside);
    }
    if is_test_configuration(&path) {
        return Err(PathFault::Configuration);
    }
    let is_test = (scope.is_test)(&path);
    if is_test && !scope.allow_tests {
        return Err(PathFault::Test);
    }
    if Language::from_path(&path).is_none() {
        return Err(PathFault::Language);
    }
    if !is_test && !(scope.is_source)(&path) {
        return Err(PathFault::Foreign);
    }
    if (scope.text)(&path).is_none() {
        return Err(PathFault::Missing);
    }
    // Links, and other spellings where the file system does not mind: the rules above saw a name that
    // is not the file's. What is in no file yet (an unsaved buffer) has no other name.
    match (path.canonicalize(), scope.root.canonicalize()) {
        (Ok(real), Ok(root)) if real != root.join(relative) => Err(PathFault::Outside),
        (Ok(_), Err(_)) => Err(PathFault::Outside),
        _ => Ok(path),
    }
}
