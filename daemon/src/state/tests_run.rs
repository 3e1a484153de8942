//! The tests of a root as a session saw them end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use greenlit_protocol::{Event as Told, Response, TestEntry, TestsReport};

use crate::jobs::{TestsRun, places};
use crate::state::session::canonical_root;
use crate::state::{Event, State};

/// Tests by id, with the revision that they were run on last.
#[derive(Debug, Default)]
pub(crate) struct KnownTests {
    revision: u64,
    by_id: BTreeMap<String, TestEntry>,
}

impl KnownTests {
    fn take_over(&mut self, revision: u64, run: &TestsRun) {
        if run.complete {
            self.by_id.clear();
        }
        self.revision = revision;
        self.by_id.extend(run.tests.iter().map(|test| (test.id.clone(), test.clone())));
    }
}

impl State {
    /// Tests ended. The session is told, unless it is about to get them as an answer.
    pub(crate) fn tests_run(
        &mut self,
        session: u64,
        path: &PathBuf,
        revision: u64,
        run: TestsRun,
        tell: bool,
    ) {
        let Some(known) = self.known_mut(session, path) else { return };
        known.tests.take_over(revision, &run);
        let TestsRun { complete, tests, green, .. } = run;
        if green.is_some() {
            known.green = green;
        }
        if tell {
            self.tell(session, Told::Tests { root: path.clone(), revision, complete, tests });
        }
    }

    /// Looking for the places of tests reads files: it happens elsewhere.
    pub(crate) fn tests(&mut self, session: u64, request: u64, root: &Path) {
        let root = match canonical_root(root) {
            Ok(root) => root,
            Err(error) => return self.answer(session, request, Err(error)),
        };
        let view = self.overlays.view(session, &root);
        let (revision, tests, cache) = match self.roots.get(&root) {
            Some(of) => {
                let known = of.known.get(&session).map(|known| &known.tests);
                let tests = known.map(|known| known.by_id.values().cloned().collect());
                let revision = known.map_or(0, |known| known.revision);
                (revision, tests.unwrap_or_default(), of.stat_cache.clone())
            }
            None => (0, Vec::new(), std::sync::Arc::default()),
        };
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let places = places(&view, &tests, &cache);
            let report = TestsReport { root, revision, tests, places };
            let result = Box::new(Ok(Response::Tests(report)));
            // The receiver only goes away with the daemon.
            let _ = events.send(Event::Answered { session, request, result });
        });
    }
}

#[cfg(test)]
mod tests {
    use greenlit_protocol::TestOutcome;

    use super::*;

    fn run(complete: bool, tests: &[(&str, TestOutcome)]) -> TestsRun {
        let entry = |(id, outcome): &(&str, TestOutcome)| TestEntry {
            id: (*id).to_owned(),
            outcome: *outcome,
            file: None,
            line: None,
            message: None,
            duration_ms: 0,
        };
        let tests = tests.iter().map(entry).collect();
        TestsRun { complete, tests, green: None, layer: "none" }
    }

    #[test]
    fn a_run_of_some_tests_says_nothing_of_the_others() {
        use TestOutcome::{Failed, Passed};
        let mut known = KnownTests::default();
        let outcomes = |known: &KnownTests| {
            let tests = known.by_id.values();
            tests.map(|test| (test.id.clone(), test.outcome)).collect::<Vec<_>>()
        };
        known.take_over(1, &run(true, &[("a", Failed), ("b", Failed)]));
        known.take_over(2, &run(false, &[("a", Passed)]));
        assert_eq!(outcomes(&known), [("a".to_owned(), Passed), ("b".to_owned(), Failed)]);
        assert_eq!(known.revision, 2);
        known.take_over(3, &run(true, &[("c", Passed)]));
        assert_eq!(outcomes(&known), [("c".to_owned(), Passed)]);
    }
}
