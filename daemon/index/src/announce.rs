//! How far the work is, for a display of progress.

use std::time::{Duration, Instant};

use crate::index::News;

/// Work that ends sooner shows no progress.
const SHOWN_AFTER: Duration = Duration::from_millis(700);

/// Tells of work that takes a while.
pub(crate) struct Announcer {
    news: Box<dyn FnMut(News) + Send>,
    work: Option<Work>,
}

struct Work {
    since: Instant,
    shown: bool,
    done: u64,
}

impl Announcer {
    pub(crate) fn new(news: Box<dyn FnMut(News) + Send>) -> Self {
        Self { news, work: None }
    }

    /// There is work since then, unless there was some before.
    pub(crate) fn begin(&mut self, since: Instant) {
        self.work.get_or_insert(Work { since, shown: false, done: 0 });
    }

    /// So many files more were looked at.
    pub(crate) fn done(&mut self, files: u64) {
        if let Some(work) = &mut self.work {
            work.done += files;
        }
    }

    /// Tells how far it is, if it takes a while.
    pub(crate) fn show(&mut self, left: u64) {
        let Some(work) = &mut self.work else { return };
        if work.since.elapsed() < SHOWN_AFTER {
            return;
        }
        if !work.shown {
            work.shown = true;
            (self.news)(News::Begin);
        }
        (self.news)(News::Progress { done: work.done, total: work.done + left });
    }

    /// It is over.
    pub(crate) fn end(&mut self, how: &str) {
        if self.work.take().is_some_and(|work| work.shown) {
            (self.news)(News::End { how: how.to_owned() });
        }
    }
}
