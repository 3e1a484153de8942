//! `textDocument/codeAction`: from the cache, without waiting.

use std::path::{Path, PathBuf};

use greenlit_protocol::{OfferedFix, SeenDiagnostic};
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, CodeActionResponse,
    Diagnostic, NumberOrString, Range,
};

use crate::server::documents::Document;
use crate::server::findings::{Documents, Offer};
use crate::server::seen;
use crate::server::session::Session;
use crate::server::state::State;
use crate::server::to_proto::{self, ActionData, SOURCE};

pub(crate) fn code_action(
    session: &Session,
    params: CodeActionParams,
) -> Option<CodeActionResponse> {
    let wanted = params.context.only.as_ref();
    // A kind stands for all kinds below it; the empty kind stands for all.
    let quickfix =
        |kind: &CodeActionKind| kind.as_str().is_empty() || *kind == CodeActionKind::QUICKFIX;
    if wanted.is_some_and(|kinds| !kinds.iter().any(quickfix)) {
        return None;
    }
    let mut state = session.state();
    if !state.features.action_literals {
        return None;
    }
    let path = state.roots.path(&params.text_document.uri)?;
    let news = state.unseen(&path, &params.context.diagnostics);
    let actions = offered(&mut state, &path, &params);
    drop(state);
    // The answer is what is known; what comes of this is in a later menu.
    if let Some(news) = news {
        session.notify(news);
    }
    Some(actions)
}

fn offered(state: &mut State, path: &Path, params: &CodeActionParams) -> Vec<CodeActionOrCommand> {
    let mut offers = collect(state, path, params.range);
    offers.retain(|(root, _, fix, _)| {
        let State { findings, documents, .. } = &mut *state;
        findings.holds(documents, root, &fix.entry)
    });
    let mut actions = Vec::with_capacity(offers.len());
    for (root, revision, fix, tests) in offers {
        let diagnostics = match &fix.entry.evidence.diagnostic {
            Some(mended) => shown(state, path, &params.context.diagnostics, &mended.seen),
            None => linked(&params.context.diagnostics, &tests),
        };
        let data = ActionData { fix: fix.id.clone(), root: root.clone(), revision };
        let inline = !(state.features.resolves_edits && state.features.action_data);
        let edit = if inline {
            let State { features, roots, documents, .. } = &*state;
            let edit = to_proto::workspace_edit(&root, &fix.entry, features, roots, documents);
            if edit.is_none() {
                continue;
            }
            state.expect(&root, &fix);
            edit
        } else {
            None
        };
        actions.push(CodeActionOrCommand::CodeAction(CodeAction {
            title: fix.title.clone(),
            kind: Some(CodeActionKind::QUICKFIX),
            diagnostics: (!diagnostics.is_empty()).then_some(diagnostics),
            is_preferred: actions.is_empty().then_some(true),
            edit,
            data: serde_json::to_value(data).ok(),
            ..CodeAction::default()
        }));
    }
    actions
}

/// A fix with its root, its revision, and the tests whose findings it stands at.
type Collected = (PathBuf, u64, OfferedFix, Vec<Option<String>>);

/// The fixes that have to do with these lines, each once, the best first.
fn collect(state: &State, path: &Path, range: Range) -> Vec<Collected> {
    let lines = range.start.line + 1..=range.end.line + 1;
    let mut offers: Vec<Collected> = Vec::new();
    for offer in state.findings.offers() {
        if !concerns(&offer, &state.documents, path, &lines) {
            continue;
        }
        let test = offer.finding.test.clone();
        match offers.iter_mut().find(|(_, _, fix, _)| fix.id == offer.fix.id) {
            Some((_, _, _, tests)) => tests.push(test),
            None => {
                let root = offer.root.to_owned();
                offers.push((root, offer.revision, offer.fix.clone(), vec![test]));
            }
        }
    }
    offers.sort_by_key(|(_, _, fix, _)| fix.entry.rank);
    offers
}

/// Whether the failure, a suspicious line or the edit itself is on one of the lines (1-based).
fn concerns(
    offer: &Offer<'_>,
    documents: &Documents,
    path: &Path,
    lines: &std::ops::RangeInclusive<u32>,
) -> bool {
    let finding = offer.finding;
    if finding.path == path && lines.contains(&finding.line) {
        return true;
    }
    if finding.related.iter().any(|related| related.path == path && lines.contains(&related.line)) {
        return true;
    }
    let Ok(relative) = path.strip_prefix(offer.root) else { return false };
    let Some(rope) = documents.get(path).and_then(|document| document.rope()) else { return false };
    offer.fix.entry.edits.iter().any(|edit| {
        if Path::new(&edit.path) != relative || edit.end > rope.len_bytes() || edit.start > edit.end
        {
            return false;
        }
        let line = |byte| u32::try_from(rope.byte_to_line(byte)).map_or(u32::MAX, |line| line + 1);
        line(edit.start) <= *lines.end() && line(edit.end) >= *lines.start()
    })
}

/// The diagnostic of the menu that the fix was looked for.
fn shown(
    state: &State,
    path: &Path,
    context: &[Diagnostic],
    mended: &SeenDiagnostic,
) -> Vec<Diagnostic> {
    let Some(rope) = state.documents.get(path).and_then(Document::rope) else { return Vec::new() };
    let encoding = state.features.encoding;
    let is =
        |diagnostic: &&Diagnostic| seen::seen(diagnostic, rope, encoding).as_ref() == Some(mended);
    context.iter().filter(is).cloned().collect()
}

/// The diagnostics of the menu that the fix makes go away.
fn linked(context: &[Diagnostic], tests: &[Option<String>]) -> Vec<Diagnostic> {
    context
        .iter()
        .filter(|diagnostic| diagnostic.source.as_deref() == Some(SOURCE))
        .filter(|diagnostic| {
            tests.iter().any(|test| match (test, &diagnostic.code) {
                (Some(test), Some(NumberOrString::String(code))) => test == code,
                (None, None) => true,
                _ => false,
            })
        })
        .cloned()
        .collect()
}
