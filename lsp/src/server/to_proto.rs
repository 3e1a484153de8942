//! From our types to the editor's.

use std::collections::HashMap;
use std::path::Path;

use greenlit_protocol::{FileEdit, Finding, FindingKind, FixEntry};
use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, DocumentChanges, Location,
    NumberOrString, OneOf, OptionalVersionedTextDocumentIdentifier, Position, Range,
    TextDocumentEdit, TextEdit, Url, WorkspaceEdit,
};
use ropey::Rope;
use serde::{Deserialize, Serialize};

use super::file_text::FileText;
use super::findings::{Documents, edits_by_file};
use super::from_proto::ClientFeatures;
use super::position::Encoding;
use super::roots::Roots;

/// What diagnostics say where they come from.
pub(crate) const SOURCE: &str = "greenlit";

/// What an action carries from the menu to its resolution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActionData {
    /// The fix.
    pub(crate) fix: String,
    /// The daemon's name of the root.
    pub(crate) root: std::path::PathBuf,
    /// The revision that the fix was computed from.
    pub(crate) revision: u64,
}

/// A line (1-based) without the blanks around it; empty ranges where there is no such line.
pub(crate) fn line_range(rope: &Rope, encoding: Encoding, line: u32) -> Range {
    let index = (line.max(1) - 1) as usize;
    if index >= rope.len_lines() {
        let end = encoding.position(rope, rope.len_bytes()).unwrap_or_default();
        return Range::new(end, end);
    }
    let start = rope.line_to_byte(index);
    let text = String::from(rope.line(index));
    let first = text.len() - text.trim_start().len();
    let last = text.trim_end().len();
    let (first, last) = if first < last { (first, last) } else { (0, 0) };
    let at = |within: usize| encoding.position(rope, start + within).unwrap_or_default();
    Range::new(at(first), at(last))
}

/// A finding at a file whose text it holds for.
pub(crate) fn diagnostic(
    finding: &Finding,
    text: &FileText,
    features: &ClientFeatures,
    roots: &Roots,
    documents: &Documents,
) -> Diagnostic {
    let severity = match finding.kind {
        FindingKind::FailingTest | FindingKind::HangingTest | FindingKind::BuildError => {
            DiagnosticSeverity::ERROR
        }
        FindingKind::FlakyTest | FindingKind::Diagnostic => DiagnosticSeverity::WARNING,
    };
    let related = features.related_information && !finding.related.is_empty();
    let related_information = related.then(|| {
        let locate = |path: &Path, line: u32| {
            let text = FileText::of(documents.get(path), path);
            let range = match text {
                Some(text) => line_range(&text.rope, features.encoding, line),
                None => {
                    let start = Position::new(line.max(1) - 1, 0);
                    Range::new(start, start)
                }
            };
            Some(Location { uri: uri(path, roots, documents)?, range })
        };
        let related = finding.related.iter();
        related
            .filter_map(|related| {
                Some(DiagnosticRelatedInformation {
                    location: locate(&related.path, related.line)?,
                    message: related.message.clone(),
                })
            })
            .collect()
    });
    Diagnostic {
        range: line_range(&text.rope, features.encoding, finding.line),
        severity: Some(severity),
        code: finding.test.clone().map(NumberOrString::String),
        source: Some(SOURCE.to_owned()),
        message: finding.message.clone(),
        related_information,
        ..Diagnostic::default()
    }
}

/// The editor's name of a file: as it opened it, else as it spells the root.
pub(crate) fn uri(path: &Path, roots: &Roots, documents: &Documents) -> Option<Url> {
    match documents.get(path) {
        Some(document) => Some(document.uri.clone()),
        None => roots.uri(path),
    }
}

/// A fix as an edit on the texts of now. `None` when it does not fit them.
///
/// The caller has checked that the texts are the verified ones; this checks it again on what it
/// read, since files can change in between.
pub(crate) fn workspace_edit(
    root: &Path,
    entry: &FixEntry,
    features: &ClientFeatures,
    roots: &Roots,
    documents: &Documents,
) -> Option<WorkspaceEdit> {
    let mut changes = Vec::new();
    for (relative, edits) in edits_by_file(entry) {
        let path = root.join(relative);
        let document = documents.get(&path);
        let text = FileText::of(document, &path)?;
        if entry.evidence.content_hashes.get(relative) != Some(&text.hash) {
            return None;
        }
        let edits: Option<Vec<TextEdit>> =
            edits.into_iter().map(|edit| text_edit(&text, features.encoding, edit)).collect();
        let version = document.map(|document| document.version);
        changes.push((uri(&path, roots, documents)?, version, edits?));
    }
    if features.document_changes {
        let edits = changes.into_iter().map(|(uri, version, edits)| TextDocumentEdit {
            text_document: OptionalVersionedTextDocumentIdentifier { uri, version },
            edits: edits.into_iter().map(OneOf::Left).collect(),
        });
        let document_changes = Some(DocumentChanges::Edits(edits.collect()));
        return Some(WorkspaceEdit { document_changes, ..WorkspaceEdit::default() });
    }
    let changes: HashMap<Url, Vec<TextEdit>> =
        changes.into_iter().map(|(uri, _, edits)| (uri, edits)).collect();
    Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() })
}

fn text_edit(text: &FileText, encoding: Encoding, edit: &FileEdit) -> Option<TextEdit> {
    let start = encoding.position(&text.rope, edit.start.checked_sub(text.hidden)?)?;
    let end = encoding.position(&text.rope, edit.end.checked_sub(text.hidden)?)?;
    Some(TextEdit { range: Range::new(start, end), new_text: edit.new_text.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_without_the_blanks_around_them() {
        let rope = Rope::from_str("\tassert \u{1d54f} \r\n   \nlast");
        let range = |encoding, line| {
            let range = line_range(&rope, encoding, line);
            (range.start.line, range.start.character, range.end.line, range.end.character)
        };
        assert_eq!(range(Encoding::Utf8, 1), (0, 1, 0, 12));
        assert_eq!(range(Encoding::Utf16, 1), (0, 1, 0, 10));
        assert_eq!(range(Encoding::Utf32, 1), (0, 1, 0, 9));
        assert_eq!(range(Encoding::Utf16, 2), (1, 0, 1, 0));
        assert_eq!(range(Encoding::Utf16, 3), (2, 0, 2, 4));
        assert_eq!(range(Encoding::Utf16, 99), (2, 4, 2, 4));
        assert_eq!(range(Encoding::Utf16, 0), (0, 1, 0, 10));
    }
}
