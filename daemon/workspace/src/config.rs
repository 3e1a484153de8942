//! `greenlit.toml`: the workspace's file, the person's file and the editor's settings, one schema.
//!
//! Later layers win key by key: defaults, the person's file, the workspace's file, the editor.
//! An unknown key is an error that names the nearest key; nothing is ignored in silence.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

mod embedding;
mod engine;
mod evidence;
mod paths;
mod tier;

pub use embedding::Embedding;
pub use engine::{Engine, Precision};
pub use evidence::{Evidence, Metrics};
pub use paths::Paths;
pub use tier::{Provider, TierModel, Tiers};

/// Name of the workspace's file, directly under the root.
pub const FILE_NAME: &str = "greenlit.toml";

/// Everything that can be configured. Every key has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Config {
    /// When and how tests run.
    pub run: Run,
    /// Looking for fixes.
    pub fix: Fix,
    /// Models that are asked where templates find nothing. Read from the person's file only.
    pub tier: Tiers,
    /// The process that runs local language models. Read from the person's file only.
    pub engine: Engine,
    /// Files that are treated with more care. Workspaces and editors add to them.
    pub paths: Paths,
    /// Isolation of everything that runs.
    pub sandbox: Sandbox,
    /// The daemon itself. Read from the person's file only.
    pub daemon: Daemon,
    /// Search by words and names. Read from the person's file only.
    pub index: Index,
    /// Search by meaning. Read from the person's file only.
    pub embedding: Embedding,
    /// What may leave this machine. Read from the person's file only.
    pub network: Network,
    /// The record of attempts. Read from the person's file only, but for `private`, to which workspaces
    /// and editors add.
    pub evidence: Evidence,
    /// What is measured. Read from the person's file only.
    pub metrics: Metrics,
}

/// `[run]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Run {
    /// Run the tests when a file is saved or changes on disk. Default `true`. A run that an edit ended
    /// is made up for either way once the edit is undone or its document closed.
    pub on_save: bool,
    /// Run the tests when a workspace is opened. Default `true`.
    pub on_open: bool,
    /// Wait this long after the last save. Default 300.
    pub debounce_ms: u64,
    /// Limit for one run of the tests. Default 120.
    pub timeout_secs: u64,
    /// Limit for one test, where the runner can interrupt one (pytest): it counts as hanging.
    /// Default 10.
    pub test_timeout_secs: u64,
    /// Limit for one build. Default 600.
    pub build_timeout_secs: u64,
    /// More environment variables (names) that tests may see. Default none.
    pub env: Vec<String>,
}

/// `[fix]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Fix {
    /// Look for fixes whenever a test fails. Default `true`.
    pub automatic: bool,
    /// Look for fixes of what compilers and linters report at the cursor. Default `true`.
    pub diagnostics: bool,
    /// Offer a fix of a diagnostic although there was no test to run on it; its title says so.
    /// Default `false`.
    pub without_tests: bool,
    /// Time for candidates, after the baseline run. Default 60.
    pub budget_secs: u64,
    /// Stop looking after this many verified fixes. Default 5.
    pub max_fixes: u32,
    /// Candidates verified at once; 0 means half the cores, at least 1. Default 0.
    pub jobs: u32,
    /// Highest tier to use. Default `"auto"`.
    pub tier: Tier,
}

/// `[fix] tier`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Deterministic templates only.
    Template,
    /// Up to a small local model.
    Small,
    /// Up to a bigger or remote model.
    Large,
    /// Whatever is there, cheapest first.
    #[default]
    Auto,
}

/// `[sandbox]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Sandbox {
    /// Isolation layer. Default `"auto"`: the strongest that works, never none.
    pub layer: Layer,
    /// More files and directories (absolute, or relative to the root) shown read-only.
    pub readable: Vec<PathBuf>,
    /// Memory of everything in one sandbox. Absent: the sandbox's own default.
    pub memory_mb: Option<u64>,
    /// Processes and threads alive at once. Absent: the sandbox's own default.
    pub processes: Option<u64>,
    /// What may be written. Absent: the sandbox's own default.
    pub disk_mb: Option<u64>,
    /// Output kept per command. Absent: the sandbox's own default.
    pub output_mb: Option<u64>,
}

/// `[sandbox] layer`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The strongest layer that works on this machine.
    #[default]
    Auto,
    /// Namespaces and an overlay, or nothing runs.
    Namespaces,
    /// bubblewrap, or nothing runs.
    Bubblewrap,
    /// A copy of the checkout with Landlock, or nothing runs.
    Copy,
    /// No isolation. A workspace's file cannot ask for it: see
    /// [`ConfigError::WaivedByWorkspace`].
    None,
}

/// `[daemon]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Daemon {
    /// Exit after this long without a session; 0 means never. Default 1800.
    pub idle_exit_secs: u64,
}

/// `[index]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Index {
    /// What the word indexes of all workspaces may take on disk. Those used longest ago go first; one
    /// that is open stays. Default 2048.
    pub store_mb: u64,
}

impl Default for Index {
    fn default() -> Self {
        Self { store_mb: 2048 }
    }
}

/// `[network]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Network {
    /// Ask no other machine for anything, whoever wants it. Default `false`.
    pub offline: bool,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            on_save: true,
            on_open: true,
            debounce_ms: 300,
            timeout_secs: 120,
            test_timeout_secs: 10,
            build_timeout_secs: 600,
            env: Vec::new(),
        }
    }
}

impl Default for Fix {
    fn default() -> Self {
        Self {
            automatic: true,
            diagnostics: true,
            without_tests: false,
            budget_secs: 60,
            max_fixes: 5,
            jobs: 0,
            tier: Tier::Auto,
        }
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self { idle_exit_secs: 1800 }
    }
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file exists and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not TOML, not JSON, or a value of the wrong type.
    #[error("{place}: {message}")]
    Invalid {
        /// `path:line`, or `editor settings`.
        place: String,
        /// What is wrong, on one line.
        message: String,
    },
    /// A key that does not exist.
    #[error(
        "{place}: unknown key `{key}`{}",
        nearest.as_ref().map(|n| format!(", did you mean `{n}`?")).unwrap_or_default()
    )]
    UnknownKey {
        /// `path:line`, or `editor settings`.
        place: String,
        /// The whole key, `run.on_sav`.
        key: String,
        /// The nearest key that exists.
        nearest: Option<String>,
    },
    /// A workspace asks to run its own code without isolation. Whoever wrote a repository must not
    /// be able to decide that for the person who opens it.
    #[error(
        "{place}: `sandbox.layer = \"none\"` is not taken from a workspace; \
         set it in your own configuration file or in the editor's settings"
    )]
    WaivedByWorkspace {
        /// `path:line`.
        place: String,
    },
}

impl Config {
    /// The configuration of the workspace at `root`.
    ///
    /// `user_file` is the person's own file, `settings` the editor's as JSON text. Files that do
    /// not exist count as empty.
    pub fn load(
        root: &Path,
        user_file: Option<&Path>,
        settings: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let mut merged = toml::Table::new();
        if let Some(path) = user_file {
            merge(&mut merged, from_file(path, Trust::Person)?);
        }
        let mut workspace = from_file(&root.join(FILE_NAME), Trust::Workspace)?;
        // One daemon serves many workspaces: none of them decides how long it lives, what others may
        // keep, which library or program it runs, or where source code is sent.
        for section in ["daemon", "index", "embedding", "network", "engine", "tier", "metrics"] {
            workspace.remove(section);
        }
        paths::add(&mut merged, "evidence", &["private"], workspace.remove("evidence"));
        paths::add(&mut merged, "paths", &["never", "local"], workspace.remove("paths"));
        merge(&mut merged, workspace);
        if let Some(text) = settings {
            let mut settings = from_settings(text)?;
            // An editor's settings may come with a repository as well.
            for section in ["engine", "tier", "metrics"] {
                settings.remove(section);
            }
            paths::add(&mut merged, "evidence", &["private"], settings.remove("evidence"));
            paths::add(&mut merged, "paths", &["never", "local"], settings.remove("paths"));
            merge(&mut merged, settings);
        }
        let config = typed(merged).map_err(|e| ConfigError::Invalid {
            place: FILE_NAME.to_owned(),
            message: one_line(&e),
        })?;
        paths::check(&config)?;
        Ok(config)
    }

    /// The person's own file alone, for what concerns the daemon.
    pub fn load_user(user_file: &Path) -> Result<Self, ConfigError> {
        let table = from_file(user_file, Trust::Person)?;
        typed(table).map_err(|e| ConfigError::Invalid {
            place: user_file.display().to_string(),
            message: one_line(&e),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Person,
    Workspace,
}

fn typed(table: toml::Table) -> Result<Config, toml::de::Error> {
    toml::Value::Table(table).try_into()
}

fn from_file(path: &Path, trust: Trust) -> Result<toml::Table, ConfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(toml::Table::new()),
        Err(source) => {
            return Err(ConfigError::Read { path: path.to_owned(), source });
        }
    };
    let place = |at: Option<usize>| match at {
        Some(at) => format!("{}:{}", path.display(), line_of(&text, at)),
        None => path.display().to_string(),
    };
    let invalid = |error: toml::de::Error| ConfigError::Invalid {
        place: place(error.span().map(|span| span.start)),
        message: one_line(&error),
    };
    let document = toml::de::DeTable::parse(&text).map_err(invalid)?;
    for (section, value) in document.get_ref() {
        let keys = value.get_ref().as_table().into_iter().flatten();
        let keys = keys.map(|(key, _)| (key.get_ref().as_ref(), key.span().start));
        check_keys(section.get_ref(), keys, |at| place(Some(at.unwrap_or(section.span().start))))?;
    }
    let config: Config = toml::from_str(&text).map_err(invalid)?;
    if trust == Trust::Workspace && config.sandbox.layer == Layer::None {
        let at = document
            .get_ref()
            .get("sandbox")
            .and_then(|sandbox| sandbox.get_ref().as_table()?.get("layer"))
            .map(|value| value.span().start);
        return Err(ConfigError::WaivedByWorkspace { place: place(at) });
    }
    toml::from_str(&text).map_err(invalid)
}

fn from_settings(text: &str) -> Result<toml::Table, ConfigError> {
    let place = || "editor settings".to_owned();
    let invalid = |message: String| ConfigError::Invalid { place: place(), message };
    let mut value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    // Editors send `null` for what was never set.
    strip_nulls(&mut value);
    let sections = match &value {
        serde_json::Value::Null => return Ok(toml::Table::new()),
        serde_json::Value::Object(sections) => sections,
        other => return Err(invalid(format!("expected an object, found `{other}`"))),
    };
    for (section, keys) in sections {
        let keys = keys.as_object().into_iter().flatten().map(|(key, _)| (key.as_str(), 0));
        check_keys(section, keys, |_| place())?;
    }
    let table = toml::Table::deserialize(value).map_err(|error| invalid(error.to_string()))?;
    for (section, value) in &table {
        let mut alone = toml::Table::new();
        alone.insert(section.clone(), value.clone());
        typed(alone).map_err(|error| invalid(format!("in `{section}`: {}", one_line(&error))))?;
    }
    Ok(table)
}

/// `place` gets the offset of the unknown key, or `None` for the section itself.
fn check_keys<'a>(
    section: &str,
    keys: impl Iterator<Item = (&'a str, usize)>,
    place: impl Fn(Option<usize>) -> String,
) -> Result<(), ConfigError> {
    let schema = serde_json::to_value(Config::default()).expect("plain data always serializes");
    let names = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let Some(known) = schema.get(section) else {
        let mut all = names(&schema);
        // A key written at the top level belongs to a section.
        for section in names(&schema) {
            all.extend(names(&schema[&section]).iter().map(|key| format!("{section}.{key}")));
        }
        let by_name = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or(name);
            strsim::jaro_winkler(section, name).max(strsim::jaro_winkler(section, last))
        };
        let nearest = nearest(all, by_name);
        return Err(ConfigError::UnknownKey {
            place: place(None),
            key: section.to_owned(),
            nearest,
        });
    };
    let known = names(known);
    for (key, at) in keys {
        if known.iter().any(|name| name == key) {
            continue;
        }
        let nearest = nearest(known.clone(), |name| strsim::jaro_winkler(key, name))
            .map(|name| format!("{section}.{name}"));
        return Err(ConfigError::UnknownKey {
            place: place(Some(at)),
            key: format!("{section}.{key}"),
            nearest,
        });
    }
    Ok(())
}

fn nearest(names: Vec<String>, similarity: impl Fn(&str) -> f64) -> Option<String> {
    names
        .into_iter()
        .map(|name| (similarity(&name), name))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn strip_nulls(value: &mut serde_json::Value) {
    if let serde_json::Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(strip_nulls);
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().lines().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
