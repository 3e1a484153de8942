//! Paths by patterns.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Why a pattern cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{pattern}` is no pattern for paths")]
pub struct PatternError {
    pattern: String,
    #[source]
    source: ignore::Error,
}

/// Paths of one workspace, by patterns as `.gitignore` has them. The default has none.
#[derive(Debug, Clone)]
pub struct PathPatterns(Gitignore);

impl Default for PathPatterns {
    fn default() -> Self {
        Self(Gitignore::empty())
    }
}

impl PathPatterns {
    /// # Errors
    /// When a pattern makes no sense.
    pub fn new(root: &Path, patterns: &[String]) -> Result<Self, PatternError> {
        let failed = |pattern: &str| {
            let pattern = pattern.to_owned();
            move |source| PatternError { pattern, source }
        };
        let mut builder = GitignoreBuilder::new(root);
        for pattern in patterns {
            builder.add_line(None, pattern).map_err(failed(pattern))?;
        }
        Ok(Self(builder.build().map_err(failed(""))?))
    }

    /// Everything.
    pub fn everything(root: &Path) -> Self {
        Self::new(root, &["*".to_owned()]).expect("a star is a pattern")
    }

    /// Whether a path, absolute or relative to the root, is one.
    pub fn covers(&self, path: &Path) -> bool {
        let inside = path.strip_prefix(self.0.path()).unwrap_or(path);
        // What lies elsewhere has no name that a pattern could mean.
        !inside.is_absolute() && self.0.matched_path_or_any_parents(inside, false).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_gitignore() {
        let root = Path::new("/w");
        let some =
            PathPatterns::new(root, &["secrets/".into(), "*.key.py".into(), "/top.py".into()]);
        let some = some.unwrap();
        for path in ["/w/secrets/a/b.py", "secrets/a.py", "/w/x/a.key.py", "/w/top.py"] {
            assert!(some.covers(Path::new(path)), "{path}");
        }
        for path in ["/w/a.py", "/w/x/top.py", "/elsewhere/secrets/a.py"] {
            assert!(!some.covers(Path::new(path)), "{path}");
        }
        assert!(!PathPatterns::default().covers(Path::new("/w/a.py")));
        assert!(PathPatterns::everything(root).covers(Path::new("/w/a/b.py")));
        assert!(PathPatterns::new(root, &["[z-a]".into()]).is_err());
    }
}
