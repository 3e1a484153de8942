//! How far the work is, for a display of progress.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Work that ends sooner shows no progress...
const SHOWN_AFTER: Duration = Duration::from_millis(700);
/// ...unless so much of it is ahead.
const SHOWN_FROM: u64 = 1000;

/// What an index tells while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What is done.
    pub work: Work,
    /// How far.
    pub stage: Stage,
}

/// What an index does in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Files are read and cut into chunks: counted in files.
    Files,
    /// Chunks are embedded: counted in chunks.
    Vectors,
}

/// How far work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It takes a while.
    Begin,
    /// So much of so much.
    Progress {
        /// What is done.
        done: u64,
        /// What is known to be done in all.
        total: u64,
    },
    /// It is over.
    End {
        /// How it ended, in words.
        how: String,
    },
}

/// Who is told. Called on the threads of the index.
pub(crate) type Tell = Arc<dyn Fn(News) + Send + Sync>;

/// Tells of work that takes a while.
pub(crate) struct Announcer {
    work: Work,
    tell: Tell,
    going: Option<Going>,
}

struct Going {
    since: Instant,
    shown: bool,
    done: u64,
}

impl Announcer {
    pub(crate) fn new(work: Work, tell: Tell) -> Self {
        Self { work, tell, going: None }
    }

    /// There is work since then, unless there was some before.
    pub(crate) fn begin(&mut self, since: Instant) {
        self.going.get_or_insert(Going { since, shown: false, done: 0 });
    }

    /// So much more was done.
    pub(crate) fn done(&mut self, more: u64) {
        if let Some(going) = &mut self.going {
            going.done += more;
        }
    }

    /// Tells how far it is, if it takes a while.
    pub(crate) fn show(&mut self, left: u64) {
        let Some(going) = &mut self.going else { return };
        let takes_a_while = going.since.elapsed() >= SHOWN_AFTER || left >= SHOWN_FROM;
        if !going.shown && (left == 0 || !takes_a_while) {
            return;
        }
        let is_first = !std::mem::replace(&mut going.shown, true);
        let (done, total) = (going.done, going.done + left);
        if is_first {
            self.tell(Stage::Begin);
        }
        self.tell(Stage::Progress { done, total });
    }

    /// It is over.
    pub(crate) fn end(&mut self, how: &str) {
        if self.going.take().is_some_and(|going| going.shown) {
            self.tell(Stage::End { how: how.to_owned() });
        }
    }

    fn tell(&self, stage: Stage) {
        (self.tell)(News { work: self.work, stage });
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer").field("work", &self.work).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_is_over_soon_is_not_told_and_what_begins_ends() {
        let told: Arc<Mutex<Vec<Stage>>> = Arc::default();
        let into = told.clone();
        let tell: Tell = Arc::new(move |news| into.lock().unwrap().push(news.stage));
        let mut announcer = Announcer::new(Work::Files, tell);
        let now = Instant::now();
        let long_ago = now.checked_sub(SHOWN_AFTER).unwrap();
        // Little, begun just now; all that there was, however long it took.
        for (since, left) in [(now, 5), (long_ago, 0)] {
            announcer.begin(since);
            announcer.done(1);
            announcer.show(left);
            announcer.end("up to date");
        }
        assert!(told.lock().unwrap().is_empty());
        for (since, left) in [(long_ago, 5), (now, SHOWN_FROM)] {
            announcer.begin(since);
            announcer.done(1);
            announcer.show(left);
            announcer.done(left);
            announcer.show(0);
            announcer.end("up to date");
            let (how, total) = ("up to date".to_owned(), left + 1);
            let expected = [
                Stage::Begin,
                Stage::Progress { done: 1, total },
                Stage::Progress { done: total, total },
                Stage::End { how },
            ];
            assert_eq!(std::mem::take(&mut *told.lock().unwrap()), expected);
        }
    }
}
