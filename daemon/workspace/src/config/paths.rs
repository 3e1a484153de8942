//! `[paths]`: files that are treated with more care.

use ignore::gitignore::GitignoreBuilder;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, FILE_NAME};

/// `[paths]`
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Paths {
    /// Files that no fix changes, by patterns as `.gitignore` has them. What a workspace or an editor
    /// names is added. Default none.
    pub never: Vec<String>,
    /// Files whose text is sent to no other machine: no model elsewhere is asked about what fails in
    /// them, nor shown them, by the same patterns. What a workspace or an editor names is added.
    /// Default none.
    pub local: Vec<String>,
}

/// Adds patterns of a layer that takes none back.
pub(super) fn add(
    merged: &mut toml::Table,
    section: &str,
    keys: &[&str],
    layer: Option<toml::Value>,
) {
    let Some(toml::Value::Table(mut layer)) = layer else { return };
    for key in keys {
        let Some(toml::Value::Array(more)) = layer.remove(*key) else { continue };
        let known = merged.entry(section).or_insert_with(|| toml::Table::new().into());
        let Some(known) = known.as_table_mut() else { return };
        let known = known.entry(*key).or_insert_with(|| toml::Value::Array(Vec::new()));
        if let Some(known) = known.as_array_mut() {
            known.extend(more);
        }
    }
}

/// Whether all patterns are some.
///
/// # Errors
/// For what is no pattern, and for exceptions: a repository must not take back what a person asked for.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let lists = [
        ("paths.never", &config.paths.never),
        ("paths.local", &config.paths.local),
        ("evidence.private", &config.evidence.private),
    ];
    for (key, patterns) in lists {
        for pattern in patterns {
            let wrong = if pattern.starts_with('!') {
                Some("makes an exception, and there are none here".to_owned())
            } else {
                let mut builder = GitignoreBuilder::new("");
                let added = builder.add_line(None, pattern).map(|_| ()).err();
                added.map(|error| format!("is no pattern for paths: {error}"))
            };
            if let Some(wrong) = wrong {
                let message = format!("in `{key}`: `{pattern}` {wrong}");
                return Err(ConfigError::Invalid { place: FILE_NAME.to_owned(), message });
            }
        }
    }
    Ok(())
}
