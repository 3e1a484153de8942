//! Open documents: ropes under incremental edits, with the hash of each version.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use greenlit_protocol::{Notification, TextChange};
use lsp_types::Url;
use ropey::Rope;

/// Longest text that is followed, in bytes. Nobody tests a file like that.
pub(crate) const MAX_FOLLOWED: usize = 16 << 20;

/// One open document.
#[derive(Debug)]
pub(crate) struct Document {
    /// As the editor spells it.
    pub(crate) uri: Url,
    /// The editor's version.
    pub(crate) version: i32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Followed {
        rope: Rope,
        hash: OnceLock<String>,
    },
    /// Too large, or the editor's edits made no sense: until it is reopened its text is unknown.
    Unknown,
}

impl Document {
    pub(crate) fn new(uri: Url, version: i32, text: &str) -> Self {
        let content = if text.len() > MAX_FOLLOWED {
            Content::Unknown
        } else {
            Content::Followed { rope: Rope::from_str(text), hash: OnceLock::new() }
        };
        Self { uri, version, content }
    }

    /// The text; `None` when it is not followed.
    pub(crate) fn rope(&self) -> Option<&Rope> {
        match &self.content {
            Content::Followed { rope, .. } => Some(rope),
            Content::Unknown => None,
        }
    }

    /// blake3 (hex) of the text.
    pub(crate) fn hash(&self) -> Option<&str> {
        match &self.content {
            Content::Followed { rope, hash } => Some(hash.get_or_init(|| hash_rope(rope))),
            Content::Unknown => None,
        }
    }

    /// Gives the document its next text.
    pub(crate) fn replace(&mut self, version: i32, rope: Rope) {
        self.version = version;
        self.content = if rope.len_bytes() > MAX_FOLLOWED {
            Content::Unknown
        } else {
            Content::Followed { rope, hash: OnceLock::new() }
        };
    }

    /// Stops following the text until the document is reopened.
    pub(crate) fn lose(&mut self) {
        self.content = Content::Unknown;
    }

    /// What the daemon has to know to see this document.
    pub(crate) fn opened(&self, path: PathBuf) -> Notification {
        Notification::DocumentOpened {
            document: path,
            version: self.version,
            text: self.rope().map(String::from),
        }
    }
}

/// Applies a change given in bytes. The range has to be one of whole characters.
pub(crate) fn apply(rope: &mut Rope, change: &TextChange) {
    let start = rope.byte_to_char(change.start);
    let end = rope.byte_to_char(change.end);
    rope.remove(start..end);
    rope.insert(start, &change.text);
}

/// blake3 (hex) of a text.
pub(crate) fn hash_rope(rope: &Rope) -> String {
    let mut hasher = blake3::Hasher::new();
    for chunk in rope.chunks() {
        hasher.update(chunk.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Hashes of files that are not open, remembered by length and modification time.
#[derive(Debug, Default)]
pub(crate) struct ClosedFiles(HashMap<PathBuf, ClosedFile>);

#[derive(Debug)]
struct ClosedFile {
    modified: SystemTime,
    len: u64,
    hash: String,
}

impl ClosedFiles {
    /// blake3 (hex) of a file as it is on disk now. `None` when it cannot be read or is too large.
    pub(crate) fn hash(&mut self, path: &Path) -> Option<&str> {
        let metadata = fs::metadata(path).ok()?;
        let (modified, len) = (metadata.modified().ok()?, metadata.len());
        if len > MAX_FOLLOWED as u64 {
            return None;
        }
        let known =
            self.0.get(path).is_some_and(|file| file.modified == modified && file.len == len);
        if !known {
            let hash = blake3::hash(&fs::read(path).ok()?).to_hex().to_string();
            self.0.insert(path.to_owned(), ClosedFile { modified, len, hash });
        }
        self.0.get(path).map(|file| file.hash.as_str())
    }

    /// Forgets everything: what is remembered must not grow for ever, nor outlive a run of tests,
    /// since a file can be rewritten within one tick of the file system's clock.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
