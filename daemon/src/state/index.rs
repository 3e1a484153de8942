//! One index per root: opened when somebody needs it, told of changes, given up when unused.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_index::{Index, News, Stage, Usage, Work};
use greenlit_protocol::{
    ErrorKind, Event as Told, IndexAction, Indexing, ProgressStage, RemoteError, Response,
    SearchRequest, ServerFrame, UseReport,
};
use greenlit_workspace::chain;

use crate::jobs::{self, SearchInput};
use crate::state::jobs::shutting_down;
use crate::state::session::canonical_root;
use crate::state::{Event, State};

/// An index without a session is closed after so long.
const UNUSED: Duration = Duration::from_secs(600);

/// Open indexes by root, and of what use they were.
pub(crate) type Indexes = BTreeMap<PathBuf, (Index, UseReport)>;

/// An index that is being opened has its directory after so long at most, so that it is not taken
/// for unused.
const OPENED: Duration = Duration::from_secs(1);

/// An open index.
pub(crate) struct Indexed {
    index: Index,
    used: Instant,
    /// What sessions were told that it is at.
    in_progress: BTreeSet<Work>,
    /// Whether changes may have gone unnoticed: nobody watched the root for a while.
    unwatched: bool,
    /// What came of what repair retrieved.
    pub(crate) uses: UseReport,
}

impl Indexed {
    pub(crate) fn new(index: Index) -> Self {
        let uses = UseReport::default();
        Self { index, used: Instant::now(), in_progress: BTreeSet::new(), unwatched: false, uses }
    }

    /// The index, for a job.
    pub(crate) fn handle(&self) -> Index {
        self.index.clone()
    }
}

impl State {
    /// Opens the indexes of roots that an editor has open.
    pub(crate) fn index_roots(&mut self, roots: &[PathBuf]) {
        for root in roots {
            if let Err(error) = self.index(root) {
                tracing::warn!(root = %root.display(), error = error.message, "no index");
            }
        }
    }

    /// The index of a canonical root.
    fn index(&mut self, root: &Path) -> Result<Index, RemoteError> {
        if let Some(indexed) = self.indexes.get_mut(root) {
            indexed.used = Instant::now();
            if std::mem::take(&mut indexed.unwatched) {
                indexed.index.rescan();
            }
            return Ok(indexed.index.clone());
        }
        let directory = self.shelf.directory_of(&jobs::name_of(root));
        let (events, of) = (self.events.clone(), root.to_owned());
        let opened = Index::open(root, Some(&directory), Some(&self.dense), move |news| {
            // The receiver only goes away with the daemon.
            let _ = events.send(Event::IndexNews { root: of.clone(), news });
        });
        let index = opened.map_err(|error| RemoteError::new(ErrorKind::Internal, chain(&error)))?;
        index.prefer(self.overlays.open_below(root));
        let opened = index.clone();
        self.tidy_shelf(move || {
            opened.settle(OPENED);
        });
        self.indexes.insert(root.to_owned(), Indexed::new(index.clone()));
        Ok(index)
    }

    /// The index of a root, if it is open.
    pub(crate) fn open_index(&self, root: &Path) -> Option<&Index> {
        self.indexes.get(root).map(|indexed| &indexed.index)
    }

    /// All that are open.
    pub(crate) fn open_indexes(&self) -> Indexes {
        let open = self.indexes.iter();
        open.map(|(root, indexed)| (root.clone(), (indexed.index.clone(), indexed.uses))).collect()
    }

    pub(crate) fn index_changed(&self, change: &greenlit_workspace::Change) {
        if let Some(index) = self.open_index(&change.root) {
            index.changed(change);
        }
    }

    /// A root is watched from now on: what happened before was not seen.
    pub(crate) fn index_watched(&self, root: &Path) {
        if let Some(index) = self.open_index(root) {
            index.rescan();
        }
    }

    /// Looks at a file that an editor saved, in case its event does not come.
    pub(crate) fn index_saved(&self, root: &Path, document: &Path) {
        if let Some(index) = self.open_index(root) {
            index.paths_changed([document.to_owned()]);
        }
    }

    /// These files come before all others that wait, the first one first.
    pub(crate) fn index_first(&self, root: &Path, paths: &[PathBuf]) {
        if let Some(index) = self.open_index(root) {
            index.prefer(paths.iter().rev().cloned());
        }
    }

    pub(crate) fn search(&mut self, session: u64, request: u64, mut asked: SearchRequest) {
        let input = match self.search_input(session, &asked.root) {
            Ok(input) => input,
            Err(error) => return self.answer(session, request, Err(error)),
        };
        input.view.root().clone_into(&mut asked.root);
        self.ask_index(session, request, move || jobs::search(&input, &asked));
    }

    fn search_input(&mut self, session: u64, root: &Path) -> Result<SearchInput, RemoteError> {
        let root = self.indexed_root(root)?;
        let index = self.index(&root)?;
        let unwatched = self.roots.get(&root).and_then(|root| root.degraded.clone());
        let (models, dense) = (self.models.clone(), self.dense.clone());
        let view = self.overlays.view(session, &root);
        Ok(SearchInput { index, view, unwatched, models, dense })
    }

    pub(crate) fn index_action(
        &mut self,
        session: u64,
        request: u64,
        root: &Path,
        action: IndexAction,
    ) {
        let index = self.indexed_root(root).and_then(|root| self.index(&root));
        let (shelf, dense) = (self.shelf.clone(), self.dense.clone());
        match index {
            Ok(index) => {
                let uses = self.indexes.get(index.root()).map(|indexed| indexed.uses);
                self.ask_index(session, request, move || {
                    let by_use = uses.unwrap_or_default();
                    Ok(Response::Index(jobs::act(&index, action, (&shelf, &dense), by_use)))
                });
            }
            Err(error) => self.answer(session, request, Err(error)),
        }
    }

    /// The canonical form of a root, watched.
    fn indexed_root(&mut self, root: &Path) -> Result<PathBuf, RemoteError> {
        if self.draining.is_some() {
            return Err(shutting_down());
        }
        let root = canonical_root(root)?;
        self.ensure_root(&root);
        Ok(root)
    }

    /// Answers from another thread.
    pub(crate) fn ask_index(
        &self,
        session: u64,
        request: u64,
        question: impl FnOnce() -> Result<Response, RemoteError> + Send + 'static,
    ) {
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let result = catch_unwind(AssertUnwindSafe(question)).unwrap_or_else(|_panic| {
                let message = "the search ended by a defect in Greenlit";
                Err(RemoteError::new(ErrorKind::Internal, message)
                    .hint("`greenlit logs` has more; please report it"))
            });
            // The receiver only goes away with the daemon.
            let _ = events.send(Event::Answered { session, request, result: Box::new(result) });
        });
    }

    pub(crate) fn index_news(&mut self, root: &PathBuf, news: News) {
        let Some(indexed) = self.indexes.get_mut(root) else { return };
        let News { work, stage } = news;
        let what = match work {
            Work::Files => "files",
            Work::Vectors => "chunks",
        };
        let stage = match stage {
            Stage::Begin => {
                indexed.in_progress.insert(work);
                begin(work)
            }
            Stage::Progress { done, total } => ProgressStage::Report {
                message: format!("{done} of {total} {what}"),
                percentage: u32::try_from(done * 100 / total.max(1)).ok(),
            },
            Stage::End { how } => {
                indexed.in_progress.remove(&work);
                ProgressStage::End { message: how }
            }
        };
        if work == Work::Files && matches!(stage, ProgressStage::End { .. }) {
            self.tidy_shelf(|| {});
        }
        let of = indexing(work);
        for session in self.sessions.values().filter(|session| session.roots.contains(root)) {
            let told = Told::Indexing { root: root.clone(), work: of, stage: stage.clone() };
            session.out.send(ServerFrame::Event(told));
        }
    }

    /// Tells a session that comes to roots, or leaves them, while their indexes are at work.
    pub(crate) fn tell_indexing(&self, session: u64, roots: &[PathBuf], comes: bool) {
        for root in roots {
            let works = self.indexes.get(root).into_iter().flat_map(|one| &one.in_progress);
            for &work in works {
                let left = || ProgressStage::End { message: "not open any more".to_owned() };
                let stage = if comes { begin(work) } else { left() };
                let told = Told::Indexing { root: root.clone(), work: indexing(work), stage };
                self.tell(session, told);
            }
        }
    }

    /// Closes indexes that nobody uses; notes which ones nobody watches.
    pub(crate) fn tend_indexes(&mut self) {
        let (roots, sessions) = (&self.roots, &self.sessions);
        let unused: Vec<PathBuf> = self
            .indexes
            .iter_mut()
            .filter_map(|(path, indexed)| {
                indexed.unwatched |= !roots.contains_key(path);
                let open = sessions.values().any(|session| session.roots.contains(path));
                (!open && indexed.used.elapsed() > UNUSED).then(|| path.clone())
            })
            .collect();
        for root in unused {
            if let Some(indexed) = self.indexes.remove(&root) {
                // It waits for its thread.
                self.tidy_shelf(move || drop(indexed));
            }
        }
    }

    /// Removes indexes that were not used for long where all take too much, after something else.
    fn tidy_shelf(&self, before: impl FnOnce() + Send + 'static) {
        let shelf = self.shelf.clone();
        tokio::task::spawn_blocking(move || {
            before();
            match shelf.tidy() {
                Ok(Usage { removed: 0, .. }) => {}
                Ok(usage) => tracing::info!(?usage, "indexes were removed: they took too much"),
                Err(error) => tracing::warn!(%error, "indexes that take too much may stay"),
            }
        });
    }
}

fn begin(work: Work) -> ProgressStage {
    let title = match work {
        Work::Files => "Indexing",
        Work::Vectors => "Embedding",
    };
    ProgressStage::Begin { title: title.to_owned() }
}

fn indexing(work: Work) -> Indexing {
    match work {
        Work::Files => Indexing::Files,
        Work::Vectors => Indexing::Vectors,
    }
}
