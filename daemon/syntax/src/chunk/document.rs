//! A text with what is known of its syntax.

use std::sync::Arc;

use tree_sitter::{Node, Tree};

use super::ChunkError;
use super::kind::SourceKind;
use super::rules::{Rules, rules};
use crate::parsed::{self, ParseError, Parsed, parse};
use crate::role::Role;

/// Longer texts are divided as plain text: what a person writes is shorter, and parsing what a
/// machine wrote takes seconds.
const MAX_PARSED: usize = 1 << 20;

/// A text that was read for the index.
///
/// Keep it and call [`Document::edited`] when the text changes: only what changed is parsed anew.
#[derive(Debug, Clone)]
pub struct Document {
    kind: SourceKind,
    text: Arc<str>,
    syntax: Syntax,
}

#[derive(Debug, Clone)]
enum Syntax {
    Code(Parsed),
    Markdown(Tree),
    /// Plain text, and texts that no parser could read within its bound.
    None,
}

impl Document {
    /// Reads a text. One that its parser gives up is read as plain text.
    ///
    /// # Errors
    ///
    /// [`ChunkError::Grammar`] when a grammar does not fit the parser library.
    pub fn read(text: Arc<str>, kind: SourceKind) -> Result<Document, ChunkError> {
        let syntax = match kind {
            _ if text.len() > MAX_PARSED => Syntax::None,
            SourceKind::Code(language) => match parse(language, text.clone()) {
                Ok(parsed) => Syntax::Code(parsed),
                Err(error) => given_up(error)?,
            },
            SourceKind::Markdown => match markdown(&text, None) {
                Ok(tree) => Syntax::Markdown(tree),
                Err(error) => given_up(error)?,
            },
            SourceKind::Text => Syntax::None,
        };
        Ok(Document { kind, text, syntax })
    }

    /// The same document with another text. The result is that of [`Document::read`]; unchanged
    /// parts are not parsed again.
    ///
    /// # Errors
    ///
    /// See [`Document::read`].
    pub fn edited(&self, text: Arc<str>) -> Result<Document, ChunkError> {
        // What a parser makes of an error depends on where it began to read, and equal texts must
        // give equal chunks: only trees without errors are built upon.
        let syntax = match &self.syntax {
            _ if text.len() > MAX_PARSED => None,
            Syntax::Code(parsed) if !parsed.root().has_error() => {
                parsed.reparse(text.clone()).ok().map(Syntax::Code)
            }
            Syntax::Markdown(tree) => {
                let mut tree = tree.clone();
                tree.edit(&parsed::difference(&self.text, &text));
                markdown(&text, Some(&tree)).ok().map(Syntax::Markdown)
            }
            _ => None,
        };
        match syntax {
            Some(syntax) if !syntax.root().is_some_and(|r| r.has_error()) => {
                Ok(Document { kind: self.kind, text, syntax })
            }
            _ => Document::read(text, self.kind),
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the text was taken for.
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// Whether the text could be parsed; plain text has no syntax to speak of.
    pub fn is_parsed(&self) -> bool {
        !matches!(self.syntax, Syntax::None)
    }

    /// The parsed text of a programming language.
    pub fn code(&self) -> Option<&Parsed> {
        match &self.syntax {
            Syntax::Code(parsed) => Some(parsed),
            _ => None,
        }
    }

    pub(super) fn root(&self) -> Option<Node<'_>> {
        self.syntax.root()
    }

    pub(super) fn rules(&self) -> &'static Rules {
        rules(self.kind)
    }

    pub(super) fn role(&self, node: Node<'_>) -> Role {
        self.code().map_or(Role::Other, |parsed| parsed.role(node))
    }

    pub(super) fn text_of(&self, node: Node<'_>) -> &str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }
}

impl Syntax {
    fn root(&self) -> Option<Node<'_>> {
        match self {
            Syntax::Code(parsed) => Some(parsed.root()),
            Syntax::Markdown(tree) => Some(tree.root_node()),
            Syntax::None => None,
        }
    }
}

fn given_up(error: ParseError) -> Result<Syntax, ChunkError> {
    match error {
        ParseError::GaveUp | ParseError::TooLarge { .. } => Ok(Syntax::None),
        source @ ParseError::Grammar { .. } => Err(ChunkError::Grammar { source }),
    }
}

fn markdown(text: &str, old: Option<&Tree>) -> Result<Tree, ParseError> {
    parsed::tree(&tree_sitter_md::LANGUAGE.into(), text, old)
}
