//! `[evidence]` and `[metrics]`: what is kept of attempts, and who may read what is measured.

use serde::{Deserialize, Serialize};

/// `[evidence]`
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// Record attempts in a database of this machine. Default `true`.
    pub keep: bool,
    /// Keep what models were told and what they said. Default `true`.
    pub texts: bool,
    /// Attempts leave the record after so many days. Default 180.
    pub keep_days: u64,
    /// What the record may take on disk. The oldest attempts that were not offered leave first. Default 512.
    pub store_mb: u64,
    /// Paths of which nothing is quoted in the record, by patterns as `.gitignore` has them. What a
    /// workspace or an editor names is added. Default none.
    pub private: Vec<String>,
}

/// `[metrics]`
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// A port on which this machine, and no other, can read `/metrics`. Every user of this machine can.
    /// Absent: none; `greenlit status --metrics` works in any case.
    pub port: Option<u16>,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { keep: true, texts: true, keep_days: 180, store_mb: 512, private: Vec::new() }
    }
}
