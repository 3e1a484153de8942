//! Diagnostics of other tools, as an editor shows them.

use serde::{Deserialize, Serialize};

/// Tools whose diagnostics can be checked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiagnosticTool {
    /// `cargo check`
    Rustc,
    /// `cargo clippy`
    Clippy,
    /// `ruff check`
    Ruff,
    /// `tsc`
    Tsc,
}

impl DiagnosticTool {
    /// The tool behind what a language server calls the source of a diagnostic. `None` for sources
    /// that nothing is known about.
    pub fn of_source(source: &str) -> Option<Self> {
        Some(match source.to_ascii_lowercase().as_str() {
            // rust-analyzer's own diagnostics carry rustc's codes where rustc has them.
            "rustc" | "rust-analyzer" => Self::Rustc,
            "clippy" => Self::Clippy,
            "ruff" => Self::Ruff,
            "ts" | "tsc" | "typescript" => Self::Tsc,
            _ => return None,
        })
    }
}

/// A diagnostic that a session saw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeenDiagnostic {
    /// Who reports it.
    pub tool: DiagnosticTool,
    /// As its server spells it: `F841`, `2322`, `needless_return`.
    pub code: Option<String>,
    /// Its message, bounded.
    pub message: String,
    /// Start in UTF-8 bytes of the document.
    pub start: usize,
    /// End (exclusive) in UTF-8 bytes.
    pub end: usize,
}

/// Evidence that a fix makes a diagnostic go away: the checker was run on the patched files, did not
/// report it any more, and reported nothing that it had not reported before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MendedDiagnostic {
    /// Which.
    pub seen: SeenDiagnostic,
    /// Warnings that were not reported before because the diagnostic, an error, had ended the
    /// checker early. None is on a line that the fix writes.
    #[serde(default)]
    pub revealed: u32,
    /// How many of the unchanged tests could not be run before, because nothing was built; all
    /// passed.
    #[serde(default)]
    pub first_run: u32,
    /// Projects whose tests were not run on the fix, and why.
    #[serde(default)]
    pub not_run: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_known_by_what_servers_call_them() {
        for (source, tool) in [
            ("Ruff", Some(DiagnosticTool::Ruff)),
            ("rust-analyzer", Some(DiagnosticTool::Rustc)),
            ("clippy", Some(DiagnosticTool::Clippy)),
            ("typescript", Some(DiagnosticTool::Tsc)),
            ("greenlit", None),
            ("Pyright", None),
            ("", None),
        ] {
            assert_eq!(DiagnosticTool::of_source(source), tool, "{source}");
        }
    }
}
