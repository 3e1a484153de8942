//! Files that change again and again.

use std::collections::VecDeque;
use std::sync::Arc;

use greenlit_syntax::chunk::Document;

/// So many files are worked on at a time.
const FILES: usize = 16;
/// Of their texts, all together: a syntax tree takes about ten times as much.
const BYTES: usize = 512 << 10;

/// The syntax of the files that changed last, the last one last: what changes next is parsed where it
/// changed, and not from the beginning.
#[derive(Debug, Default)]
pub(crate) struct Changing(VecDeque<(Arc<str>, Document)>);

impl Changing {
    /// What a file was when it was last kept.
    pub(crate) fn get(&self, path: &str) -> Option<&Document> {
        self.0.iter().find(|(known, _)| **known == *path).map(|(_, document)| document)
    }

    /// Keeps what a file is now, and forgets what changed longest ago where that is too much.
    pub(crate) fn keep(&mut self, path: &Arc<str>, document: Document) {
        self.0.retain(|(known, _)| known != path);
        self.0.push_back((path.clone(), document));
        while self.0.len() > FILES || self.bytes() > BYTES {
            self.0.pop_front();
        }
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(_, document)| document.text().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use greenlit_syntax::chunk::SourceKind;

    use super::*;

    #[test]
    fn the_last_ones_are_kept_and_never_too_much() {
        let mut changing = Changing::default();
        let text = |text: String| Document::read(text.into(), SourceKind::Text).unwrap();
        let path = |n: usize| Arc::from(format!("{n}.txt"));
        for n in 0..=FILES {
            changing.keep(&path(n), text(n.to_string()));
        }
        assert!(changing.get("0.txt").is_none());
        assert_eq!(changing.get("1.txt").map(Document::text), Some("1"));
        changing.keep(&path(1), text("one".to_owned()));
        changing.keep(&path(99), text("99".to_owned()));
        assert_eq!(changing.get("1.txt").map(Document::text), Some("one"));
        assert!(changing.get("2.txt").is_none());
        changing.keep(&path(100), text("x".repeat(BYTES + 1)));
        assert!(changing.0.is_empty());
    }
}
