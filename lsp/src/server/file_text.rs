//! The text of a file as the editor has it or would load it.

use std::fs;
use std::path::Path;

use ropey::Rope;

use super::documents::{Document, MAX_FOLLOWED};

/// A text with the hash that names it.
#[derive(Debug, Clone)]
pub(crate) struct FileText {
    /// Without the byte order mark, which editors hide.
    pub(crate) rope: Rope,
    /// Bytes that stand before `rope` in the file: the byte order mark's, or none.
    pub(crate) hidden: usize,
    /// blake3 (hex) of the whole file.
    pub(crate) hash: String,
}

impl FileText {
    /// The open document's text, else the file's. `None` when there is none that can be followed.
    pub(crate) fn of(document: Option<&Document>, path: &Path) -> Option<Self> {
        if let Some(document) = document {
            let (rope, hash) = (document.rope()?.clone(), document.hash()?.to_owned());
            return Some(Self { rope, hidden: 0, hash });
        }
        if fs::metadata(path).ok()?.len() > MAX_FOLLOWED as u64 {
            return None;
        }
        let bytes = fs::read(path).ok()?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let text = std::str::from_utf8(&bytes).ok()?;
        let visible = text.strip_prefix('\u{feff}').unwrap_or(text);
        let hidden = text.len() - visible.len();
        Some(Self { rope: Rope::from_str(visible), hidden, hash })
    }
}
