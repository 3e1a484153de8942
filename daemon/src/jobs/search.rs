//! Searches and questions about an index. They run beside the jobs of a root and wait for none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use greenlit_index::{Dense, Filter, Index, Meaning, Query, Shelf, Status, Usage};
use greenlit_protocol::{
    Check, CheckState, ErrorKind, GraphReport, IndexAction, IndexReport, LatencyReport,
    RemoteError, Response, SearchHit, SearchQuality, SearchReport, SearchRequest, ShelfReport,
    UseReport, VectorsReport,
};
use greenlit_workspace::{View, chain, git_branch};

use crate::models::Models;

/// How long a search waits for an index that is not up to date.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a search may wait at most.
const MAX_PATIENCE: Duration = Duration::from_secs(120);

/// What a person can do about an index that failed.
const FAILED: &str = "what cannot be read or written is tried again every minute; `greenlit index rebuild` starts over";

/// What a search needs besides its question.
pub(crate) struct SearchInput {
    pub(crate) index: Index,
    pub(crate) view: View,
    /// Why file events are incomplete.
    pub(crate) unwatched: Option<String>,
    /// What could be downloaded where there is no model.
    pub(crate) models: Arc<Models>,
    pub(crate) dense: Dense,
}

/// Searches.
pub(crate) fn search(input: &SearchInput, asked: &SearchRequest) -> Result<Response, RemoteError> {
    let SearchRequest { paths, languages, kinds, symbols, near, .. } = asked;
    let filter = Filter::new(paths, languages, kinds, *symbols)
        .map_err(|error| RemoteError::new(ErrorKind::BadRequest, error.to_string()))?;
    let query = Query {
        text: asked.query.clone(),
        k: asked.k.min(SearchRequest::MAX_HITS) as usize,
        filter,
        near: near.clone(),
        ..Query::default()
    };
    let patience = asked.wait_ms.map_or(PATIENCE, Duration::from_millis).min(MAX_PATIENCE);
    if input.unwatched.is_some() {
        // Nobody tells what changed: look.
        input.index.rescan();
    }
    let answer = input
        .index
        .search(&query, &input.view, patience)
        .map_err(|error| RemoteError::new(ErrorKind::Internal, chain(&error)))?;
    let hits = answer.hits.into_iter().map(|hit| SearchHit {
        path: hit.path,
        start_line: hit.lines.start + 1,
        end_line: hit.lines.end.max(hit.lines.start + 1),
        symbol: (!hit.symbol.is_empty()).then_some(hit.symbol),
        kind: hit.kind,
        language: hit.language,
        score: hit.score,
        text: hit.text,
    });
    Ok(Response::Search(SearchReport {
        query: asked.query.clone(),
        branch: git_branch(input.view.root()).map(|head| head.name().to_owned()),
        degraded: answer.degraded,
        dense_pending: answer.dense_pending,
        model: answer.model,
        offer: matches!(input.dense.meaning(), Meaning::Off)
            .then(|| input.models.offer())
            .flatten(),
        hits: hits.collect(),
    }))
}

/// Does what is wanted of an index and tells how it is then.
pub(crate) fn act(
    index: &Index,
    action: IndexAction,
    (shelf, dense): (&Shelf, &Dense),
    by_use: UseReport,
) -> IndexReport {
    match action {
        IndexAction::Status => {}
        IndexAction::Rebuild => index.rebuild(),
        IndexAction::Pause => index.pause(true),
        IndexAction::Resume => index.pause(false),
    }
    // Long enough for a small change to be in.
    index.settle(PATIENCE);
    let (mut status, mut usage) = (index.status(), Usage::default());
    match shelf.usage() {
        Ok(all) => usage = all,
        Err(error) => {
            let error = chain(&error);
            status.notices.push(format!("the size of all indexes is not known: {error}"));
        }
    }
    let shelf =
        ShelfReport { indexes: usage.indexes, bytes: usage.bytes, quota_bytes: shelf.quota_bytes };
    // It may have to wait for the store: not where something is to be done.
    let usage = (action == IndexAction::Status).then(|| dense.usage()).flatten();
    let vectors = usage.map(|(bytes, quota_bytes)| VectorsReport { bytes, quota_bytes });
    IndexReport { vectors, ..report(index.root().to_owned(), status, shelf, by_use) }
}

/// How good it is, as far as the daemon can tell.
pub(crate) fn quality(status: &Status, by_use: UseReport) -> SearchQuality {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let latency = status.latency;
    SearchQuality {
        staleness_ms: u64::try_from(status.staleness.as_millis()).unwrap_or(u64::MAX),
        latency: LatencyReport {
            searches: latency.count,
            p50_us: micros(latency.p50),
            p90_us: micros(latency.p90),
            p99_us: micros(latency.p99),
        },
        by_use,
    }
}

fn report(root: PathBuf, status: Status, shelf: ShelfReport, by_use: UseReport) -> IndexReport {
    let SearchQuality { staleness_ms, latency, by_use } = quality(&status, by_use);
    IndexReport {
        branch: git_branch(&root).map(|head| head.name().to_owned()),
        root,
        state: state(&status).to_owned(),
        files: status.files,
        files_pending: status.left,
        chunks: status.chunks,
        dense_pending: status.dense_pending,
        bytes_disk: status.bytes_disk,
        shelf,
        vectors: None,
        bytes_memory: status.bytes_memory,
        backend: status.backend,
        model: status.model,
        graph: status.graph.map(|graph| GraphReport {
            built: graph.built,
            members: graph.members,
            tail: graph.tail,
        }),
        staleness_ms,
        degraded: status.degraded,
        skipped: status.skipped,
        latency,
        by_use,
        notices: status.notices,
    }
}

fn state(status: &Status) -> &'static str {
    match (&status.failed, status.paused, status.left) {
        (Some(_), ..) => "failed",
        (None, true, _) => "paused",
        (None, false, None) => "opening",
        (None, false, Some(_)) if status.staleness > Duration::ZERO => "indexing",
        (None, false, Some(_)) => "ready",
    }
}

/// An index in a few words.
pub(crate) fn words(status: &Status) -> String {
    let state = state(status);
    let left = status.left.filter(|left| *left > 0);
    let left = left.map(|left| format!(", {left} files to go")).unwrap_or_default();
    match &status.failed {
        Some(why) => format!("failed: {why}"),
        None => format!("{state}, {} files, {} chunks{left}", status.files, status.chunks),
    }
}

/// An index for `doctor`.
pub(crate) fn check(index: Option<&Index>) -> Check {
    let (state, detail, remedy) = match index.map(Index::status) {
        None => (CheckState::Ok, "none yet; a search or an editor starts it".to_owned(), None),
        Some(status) if status.failed.is_some() => {
            (CheckState::Failed, words(&status), Some(FAILED))
        }
        Some(status) if status.paused => {
            (CheckState::Warning, words(&status), Some("run `greenlit index resume`"))
        }
        Some(status) => {
            let missing = status.model.is_some() && status.dense_pending > 0;
            let missing = status.degraded.iter().filter(|_| missing);
            let notices: String =
                missing.chain(&status.notices).map(|notice| format!("; {notice}")).collect();
            let state = if notices.is_empty() { CheckState::Ok } else { CheckState::Warning };
            (state, words(&status) + &notices, None)
        }
    };
    Check { name: "index".to_owned(), state, detail, remedy: remedy.map(str::to_owned) }
}

/// What all indexes take, for `doctor`.
pub(crate) fn shelf_check(shelf: &Shelf) -> Check {
    let mebibytes = |bytes: u64| bytes >> 20;
    let quota = mebibytes(shelf.quota_bytes);
    let (state, detail, remedy) = match shelf.usage() {
        Ok(Usage { indexes, bytes, .. }) if bytes <= shelf.quota_bytes => {
            let bytes = mebibytes(bytes);
            (CheckState::Ok, format!("{bytes} of {quota} MiB, {indexes} workspaces"), None)
        }
        Ok(Usage { indexes, bytes, .. }) => {
            let detail = format!("{} of {quota} MiB, {indexes} workspaces", mebibytes(bytes));
            let remedy =
                "raise `index.store_mb` in your own configuration file: what is open stays";
            (CheckState::Warning, detail, Some(remedy.to_owned()))
        }
        Err(error) => {
            let remedy = format!("look after {}", shelf.directory.display());
            (CheckState::Failed, chain(&error), Some(remedy))
        }
    };
    Check { name: "disk of all indexes".to_owned(), state, detail, remedy }
}
