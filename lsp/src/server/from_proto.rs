//! From the editor's types to ours.

use std::path::PathBuf;

use greenlit_protocol::TextChange;
use lsp_types::{ClientCapabilities, InitializeParams, TextDocumentContentChangeEvent, Url};
use ropey::Rope;

use super::documents::apply;
use super::position::Encoding;

/// What the editor can do, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientFeatures {
    /// How it counts columns.
    pub(crate) encoding: Encoding,
    /// Edits can name the version that they are for.
    pub(crate) document_changes: bool,
    /// An action's edit may be asked for when it is chosen.
    pub(crate) resolves_edits: bool,
    /// Actions may carry data to their resolution.
    pub(crate) action_data: bool,
    /// Actions may be more than commands.
    pub(crate) action_literals: bool,
    /// Diagnostics may point to other places.
    pub(crate) related_information: bool,
    /// Diagnostics may be pushed.
    pub(crate) pushed_diagnostics: bool,
    /// Diagnostics may be pulled.
    pub(crate) pulled_diagnostics: bool,
    /// It asks for diagnostics again when told to.
    pub(crate) refreshes_diagnostics: bool,
    /// Progress can be shown without a request that it belongs to.
    pub(crate) progress: bool,
    /// Settings can be asked for.
    pub(crate) configuration: bool,
    /// It shows tests.
    pub(crate) test_results: bool,
    /// Changed settings are told only after asking for it.
    pub(crate) registers_configuration: bool,
}

pub(crate) fn features(capabilities: &ClientCapabilities) -> ClientFeatures {
    let text = capabilities.text_document.as_ref();
    let workspace = capabilities.workspace.as_ref();
    let window = capabilities.window.as_ref();
    let general = capabilities.general.as_ref();
    let action = text.and_then(|text| text.code_action.as_ref());
    let resolvable = action.and_then(|action| action.resolve_support.as_ref());
    let edit = workspace.and_then(|workspace| workspace.workspace_edit.as_ref());
    let publish = text.and_then(|text| text.publish_diagnostics.as_ref());
    let diagnostic = workspace.and_then(|workspace| workspace.diagnostic.as_ref());
    let configuration = workspace.and_then(|workspace| workspace.did_change_configuration.as_ref());
    let offered = general.and_then(|general| general.position_encodings.as_deref());
    ClientFeatures {
        encoding: Encoding::negotiate(offered),
        document_changes: edit.and_then(|edit| edit.document_changes).unwrap_or(false),
        resolves_edits: resolvable
            .is_some_and(|resolvable| resolvable.properties.iter().any(|name| name == "edit")),
        action_data: action.and_then(|action| action.data_support).unwrap_or(false),
        action_literals: action.is_some_and(|action| action.code_action_literal_support.is_some()),
        related_information: publish.and_then(|p| p.related_information).unwrap_or(false),
        pushed_diagnostics: publish.is_some(),
        pulled_diagnostics: text.is_some_and(|text| text.diagnostic.is_some()),
        refreshes_diagnostics: diagnostic.and_then(|d| d.refresh_support).unwrap_or(false),
        progress: window.and_then(|window| window.work_done_progress).unwrap_or(false),
        configuration: workspace.and_then(|w| w.configuration).unwrap_or(false),
        test_results: capabilities
            .experimental
            .as_ref()
            .is_some_and(|own| own["greenlitTestResults"] == true),
        registers_configuration: configuration
            .and_then(|configuration| configuration.dynamic_registration)
            .unwrap_or(false),
    }
}

/// The folders that the editor has open, in the newest of the three ways it may say so.
pub(crate) fn folders(params: &InitializeParams) -> Vec<Url> {
    if let Some(folders) = params.workspace_folders.as_ref().filter(|f| !f.is_empty()) {
        return folders.iter().map(|folder| folder.uri.clone()).collect();
    }
    #[expect(deprecated, reason = "older editors say nothing else")]
    let (uri, path) = (params.root_uri.clone(), params.root_path.as_ref());
    let from_path = || Url::from_file_path(PathBuf::from(path?)).ok();
    uri.or_else(from_path).into_iter().collect()
}

/// Who the editor is, for `greenlit status`.
pub(crate) fn client_name(params: &InitializeParams) -> String {
    match &params.client_info {
        Some(info) => match &info.version {
            Some(version) => format!("{} {version}", info.name),
            None => info.name.clone(),
        },
        None => "an editor".to_owned(),
    }
}

/// An edit whose range ends before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the range ends before it starts")]
pub(crate) struct BackwardsRange;

/// Applies the editor's changes one after the other; gives the new text and the same changes in
/// bytes.
pub(crate) fn changes(
    rope: &Rope,
    encoding: Encoding,
    events: Vec<TextDocumentContentChangeEvent>,
) -> Result<(Rope, Vec<TextChange>), BackwardsRange> {
    let mut rope = rope.clone();
    let mut changes = Vec::with_capacity(events.len());
    for event in events {
        let (start, end) = match event.range {
            Some(range) => (encoding.offset(&rope, range.start), encoding.offset(&rope, range.end)),
            None => (0, rope.len_bytes()),
        };
        if start > end {
            return Err(BackwardsRange);
        }
        let change = TextChange { start, end, text: event.text };
        apply(&mut rope, &change);
        changes.push(change);
    }
    Ok((rope, changes))
}

#[cfg(test)]
mod tests {
    use lsp_types::{Position, Range};
    use proptest::prelude::*;

    use super::*;

    fn event(range: Option<(u32, u32, u32, u32)>, text: &str) -> TextDocumentContentChangeEvent {
        let range = range.map(|(line, column, to_line, to_column)| {
            Range::new(Position::new(line, column), Position::new(to_line, to_column))
        });
        TextDocumentContentChangeEvent { range, range_length: None, text: text.to_owned() }
    }

    #[test]
    fn changes_become_bytes_of_the_text_before_each() {
        let rope = Rope::from_str("\u{1d54f}a\r\nb");
        let events = vec![
            event(Some((0, 2, 0, 3)), "\u{e9}"),
            event(Some((1, 0, 1, 1)), ""),
            event(Some((0, 0, 0, 2)), "x\n"),
        ];
        let (text, changes) = changes(&rope, Encoding::Utf16, events).unwrap();
        assert_eq!(text, "x\n\u{e9}\r\n");
        let bytes: Vec<_> = changes.iter().map(|change| (change.start, change.end)).collect();
        assert_eq!(bytes, [(4, 5), (8, 9), (0, 4)]);
    }

    #[test]
    fn a_change_without_a_range_replaces_everything() {
        let (text, changes) =
            changes(&Rope::from_str("old"), Encoding::Utf16, vec![event(None, "new!")]).unwrap();
        assert_eq!(text, "new!");
        assert_eq!(changes, [TextChange { start: 0, end: 3, text: "new!".to_owned() }]);
    }

    #[test]
    fn a_backwards_range_is_refused() {
        let events = vec![event(Some((0, 2, 0, 1)), "")];
        assert_eq!(changes(&Rope::from_str("abc"), Encoding::Utf16, events), Err(BackwardsRange));
    }

    fn text() -> impl Strategy<Value = String> {
        let part =
            prop_oneof![Just("\r\n"), Just("\n"), Just("\t"), Just("a"), Just("é"), Just("𝕏")];
        proptest::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
    }

    proptest! {
        /// What the daemon gets turns its text into the editor's, whatever the editor counts.
        #[test]
        fn the_same_edits_in_bytes_give_the_same_text(
            start in text(),
            edits in proptest::collection::vec((any::<(usize, usize)>(), text()), 0..8),
            encoding in prop_oneof![
                Just(Encoding::Utf8), Just(Encoding::Utf16), Just(Encoding::Utf32),
            ],
        ) {
            let mut editor = start.clone();
            let mut events = Vec::new();
            for ((a, b), text) in edits {
                let rope = Rope::from_str(&editor);
                let (a, b) = (a % (editor.len() + 1), b % (editor.len() + 1));
                let positions =
                    (encoding.position(&rope, a.min(b)), encoding.position(&rope, a.max(b)));
                let (Some(from), Some(to)) = positions else { continue };
                editor.replace_range(a.min(b)..a.max(b), &text);
                let range = Some(Range::new(from, to));
                events.push(TextDocumentContentChangeEvent { range, range_length: None, text });
            }
            let (rope, changes) = changes(&Rope::from_str(&start), encoding, events).unwrap();
            let mut daemon = start;
            for TextChange { start, end, text } in changes {
                daemon.replace_range(start..end, &text);
            }
            prop_assert_eq!(&daemon, &editor);
            prop_assert_eq!(rope, editor);
        }
    }
}
