//! Paths of which nothing is quoted in the record.

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

/// Private paths of one workspace, by patterns as `.gitignore` has them.
#[derive(Debug, Clone)]
pub struct Private(Gitignore);

impl Private {
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
        let private = Private::new(root, &["secrets/".into(), "*.key.py".into(), "/top.py".into()]);
        let private = private.unwrap();
        for path in ["/w/secrets/a/b.py", "secrets/a.py", "/w/x/a.key.py", "/w/top.py"] {
            assert!(private.covers(Path::new(path)), "{path}");
        }
        for path in ["/w/a.py", "/w/x/top.py", "/elsewhere/secrets/a.py"] {
            assert!(!private.covers(Path::new(path)), "{path}");
        }
        assert!(Private::everything(root).covers(Path::new("/w/a/b.py")));
        assert!(Private::new(root, &["[z-a]".into()]).is_err());
    }
}
