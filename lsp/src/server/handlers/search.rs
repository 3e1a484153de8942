//! `greenlit/search` and `workspace/symbol`: both ask the daemon's index.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlit_protocol::{Request, Response, SearchHit, SearchReport, SearchRequest};
use lsp_types::{Location, MessageType, SymbolInformation, SymbolKind, Url, WorkspaceSymbolParams};
use serde::{Deserialize, Serialize};
use tower_lsp::jsonrpc::Result;

use super::execute_command::unexpected;
use crate::server::consent;
use crate::server::file_text::FileText;
use crate::server::session::Session;
use crate::server::to_proto;

/// Hits when the editor names no number.
const HITS: u32 = 10;
/// Symbols that a picker gets: it filters them itself.
const SYMBOLS: u32 = 100;

/// What `greenlit/search` takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SearchParams {
    query: String,
    #[serde(default)]
    k: Option<u32>,
    /// URI or path; without one every root is searched.
    #[serde(default)]
    root: Option<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    languages: Vec<String>,
    #[serde(default)]
    kinds: Vec<String>,
    /// Documents that the person works on.
    #[serde(default)]
    near: Vec<Url>,
}

/// What `greenlit/search` gives: one entry for each root.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RootHits {
    root: Option<Url>,
    branch: Option<String>,
    degraded: Option<String>,
    dense_pending: u64,
    /// The embedding model that answered.
    model: Option<String>,
    hits: Vec<PlacedHit>,
}

/// A hit with its place as the editor names it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacedHit {
    location: Location,
    symbol: Option<String>,
    kind: String,
    language: String,
    score: f64,
    text: String,
}

pub(crate) async fn search(session: &Arc<Session>, params: SearchParams) -> Result<Vec<RootHits>> {
    let (roots, near) = {
        let state = session.state();
        let near = params.near.iter().filter_map(|uri| state.roots.path(uri)).collect::<Vec<_>>();
        let roots = match &params.root {
            None => state.roots.canonical(),
            Some(name) => vec![state.roots.find(name).ok_or_else(|| {
                tower_lsp::jsonrpc::Error::invalid_params(format!("`{name}` is not open"))
            })?],
        };
        (roots, near)
    };
    let mut answers = Vec::new();
    for root in roots {
        let request = SearchRequest {
            root: root.clone(),
            query: params.query.clone(),
            k: params.k.unwrap_or(HITS),
            paths: params.paths.clone(),
            languages: params.languages.clone(),
            kinds: params.kinds.clone(),
            near: near.clone(),
            ..SearchRequest::default()
        };
        let report = ask(session, request).await?;
        let uri = session.state().roots.uri(&root);
        let SearchReport { branch, degraded, dense_pending, model, offer, hits, .. } = report;
        if let Some(plan) = offer {
            consent::offer(session, plan);
        }
        let hits = hits.into_iter().filter_map(|hit| placed(session, &root, hit)).collect();
        answers.push(RootHits { root: uri, branch, degraded, dense_pending, model, hits });
    }
    Ok(answers)
}

pub(crate) async fn symbol(
    session: &Session,
    params: WorkspaceSymbolParams,
) -> Result<Option<Vec<SymbolInformation>>> {
    if params.query.trim().is_empty() {
        // Everything is no answer.
        return Ok(None);
    }
    let roots: Vec<PathBuf> = session.state().roots.canonical();
    let mut symbols = Vec::new();
    for root in roots {
        let request = SearchRequest {
            root: root.clone(),
            query: params.query.clone(),
            k: SYMBOLS,
            symbols: true,
            ..SearchRequest::default()
        };
        let SearchReport { hits, degraded, .. } = ask(session, request).await?;
        if let Some(why) = degraded.filter(|_| hits.is_empty()) {
            // The answer itself has no place for it.
            let text = format!("no symbol found for `{}`: {why}", params.query);
            session.log(MessageType::INFO, text);
        }
        symbols.extend(hits.into_iter().filter_map(|hit| information(session, &root, hit)));
    }
    Ok(Some(symbols))
}

async fn ask(session: &Session, request: SearchRequest) -> Result<SearchReport> {
    match session.request(Request::Search(request)).await {
        Ok(Response::Search(report)) => Ok(report),
        other => Err(unexpected(other)),
    }
}

fn placed(session: &Session, root: &Path, hit: SearchHit) -> Option<PlacedHit> {
    let location = location(session, root, &hit)?;
    let SearchHit { symbol, kind, language, score, text, .. } = hit;
    Some(PlacedHit { location, symbol, kind, language, score, text })
}

#[expect(deprecated, reason = "the field has to be named, and is left empty")]
fn information(session: &Session, root: &Path, hit: SearchHit) -> Option<SymbolInformation> {
    let location = location(session, root, &hit)?;
    let symbol = hit.symbol?;
    let (container, name) = match symbol.rsplit_once('.') {
        Some((container, name)) => (Some(container.to_owned()), name.to_owned()),
        None => (None, symbol),
    };
    Some(SymbolInformation {
        name,
        kind: kind(&hit.kind),
        tags: None,
        deprecated: None,
        location,
        container_name: container,
    })
}

/// The lines of a hit in the text that the editor has.
fn location(session: &Session, root: &Path, hit: &SearchHit) -> Option<Location> {
    let path = root.join(&hit.path);
    let state = session.state();
    let uri = to_proto::uri(&path, &state.roots, &state.documents)?;
    let text = FileText::of(state.documents.get(&path), &path)?;
    let encoding = state.features.encoding;
    let start = to_proto::line_range(&text.rope, encoding, hit.start_line).start;
    let end = to_proto::line_range(&text.rope, encoding, hit.end_line).end;
    Some(Location { uri, range: lsp_types::Range { start, end } })
}

fn kind(name: &str) -> SymbolKind {
    match name {
        "module" => SymbolKind::MODULE,
        "class" => SymbolKind::CLASS,
        "interface" => SymbolKind::INTERFACE,
        "enum" => SymbolKind::ENUM,
        "type" => SymbolKind::STRUCT,
        "method" => SymbolKind::METHOD,
        "variable" => SymbolKind::VARIABLE,
        "section" => SymbolKind::STRING,
        _ => SymbolKind::FUNCTION,
    }
}
