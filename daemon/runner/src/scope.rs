//! Paths as the person sees them and as the sandboxed processes see them.

use std::path::{Component, Path, PathBuf};

use greenlit_sandbox::Sandbox;

use crate::types::Frame;

/// Directories whose code the person did not write. A frame in them is of no use for a diagnostic.
const FOREIGN: &[&str] = &["node_modules", "site-packages", "dist-packages"];

/// Translates paths of one workspace.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    person: PathBuf,
    inside: PathBuf,
}

impl Scope {
    pub(crate) fn new(sandbox: &Sandbox, root: &Path) -> Self {
        Self { person: root.to_owned(), inside: sandbox.inside(root) }
    }

    /// A scope without a sandbox, where both sides see the same paths.
    #[cfg(test)]
    pub(crate) fn identity(root: &str) -> Self {
        Self { person: root.into(), inside: root.into() }
    }

    /// The path as a sandboxed process must be given it.
    pub(crate) fn inside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.person) {
            Ok(rest) if rest.as_os_str().is_empty() => self.inside.clone(),
            Ok(rest) => self.inside.join(rest),
            Err(_) => path.to_owned(),
        }
    }

    /// The person's path for one that a sandboxed process reported, normalized. `None` when it
    /// lies outside the workspace or in somebody else's code.
    pub(crate) fn person(&self, reported: &Path) -> Option<PathBuf> {
        let rest = normalize(reported);
        let rest = rest.strip_prefix(normalize(&self.inside)).ok()?;
        let foreign = rest.components().any(
            |part| matches!(part, Component::Normal(name) if FOREIGN.iter().any(|f| name == *f)),
        );
        (!foreign && !rest.as_os_str().is_empty()).then(|| self.person.join(rest))
    }

    /// A frame, if it lies in the workspace.
    pub(crate) fn frame(
        &self,
        reported: &Path,
        line: u32,
        function: Option<String>,
    ) -> Option<Frame> {
        Some(Frame { path: self.person(reported)?, line, function })
    }
}

/// Removes `.` and `..` by name only; nothing is looked up.
pub(crate) fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// `path` relative to `root`, with `/` between components; empty for the root itself.
pub(crate) fn relative(root: &Path, path: &Path) -> Option<String> {
    let rest = path.strip_prefix(root).ok()?;
    let parts: Option<Vec<&str>> =
        rest.components().map(|part| part.as_os_str().to_str()).collect();
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_persons_own_code_is_in_scope() {
        let scope = Scope { person: "/home/me/w".into(), inside: "/tmp/copy".into() };
        let person = |path: &str| scope.person(Path::new(path)).map(|p| p.display().to_string());
        assert_eq!(person("/tmp/copy/./a/../src/x.rs").as_deref(), Some("/home/me/w/src/x.rs"));
        assert_eq!(person("/tmp/copy/../other/x.rs"), None);
        assert_eq!(person("/tmp/copy/node_modules/x/i.js"), None);
        assert_eq!(person("/usr/lib/python3/x.py"), None);
        assert_eq!(person("/tmp/copy"), None);
        assert_eq!(scope.inside(Path::new("/home/me/w/a")), Path::new("/tmp/copy/a"));
    }
}
