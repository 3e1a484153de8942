//! Which recorded faults an adapter is trained or evaluated on.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};

use greenlit_evidence::{Kept, ReadError, Store};
use greenlit_protocol::{DatasetPage, ErrorKind, LearnAction, RemoteError, Response};

use crate::jobs::{FaultsFor, Work, fault_of, is_held_out};
use crate::state::session::canonical_root;
use crate::state::trace::remote;
use crate::state::{Event, State};

/// Faults of one page of a dataset: each is set up again, which takes as long as the tests do.
const PAGE: usize = 16;

impl State {
    /// Reads what is recorded elsewhere; then a job sets it up again.
    pub(crate) fn learn(&mut self, session: u64, request: u64, mut action: LearnAction) {
        let (LearnAction::Dataset { root, .. } | LearnAction::Evaluate { root, .. }) = &mut action;
        match canonical_root(root) {
            Ok(canonical) => *root = canonical,
            Err(error) => return self.answer(session, request, Err(error)),
        }
        let (attempts, events) = (self.attempts.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let event = match plan(&attempts, action) {
                Ok(Plan::Work(root, work)) => {
                    Event::Planned { session, request, plan: Box::new(Ok((root, work))) }
                }
                Ok(Plan::Nothing(page)) => {
                    let result = Box::new(Ok(Response::Dataset(page)));
                    Event::Answered { session, request, result }
                }
                Err(error) => Event::Planned { session, request, plan: Box::new(Err(error)) },
            };
            // The receiver only goes away with the daemon.
            let _ = events.send(event);
        });
    }
}

enum Plan {
    Work(PathBuf, Work),
    /// A page without examples.
    Nothing(DatasetPage),
}

fn plan(attempts: &Store, action: LearnAction) -> Result<Plan, RemoteError> {
    match action {
        LearnAction::Dataset { root, after, all } => {
            let kept = attempts.accepted(&root, after).map_err(|error| remote(&error))?;
            let (mut faults, mut held_out, mut last) = (Vec::new(), 0, None);
            for kept in kept {
                last = Some(kept.entry.id);
                match !all && is_held_out(&kept) {
                    true => held_out += 1,
                    false => faults.push(kept),
                }
                if faults.len() == PAGE {
                    break;
                }
            }
            if faults.is_empty() {
                return Ok(Plan::Nothing(DatasetPage { held_out, last, ..DatasetPage::default() }));
            }
            let what = FaultsFor::Dataset { held_out, last };
            Ok(Plan::Work(root, Work::Faults { faults, what }))
        }
        LearnAction::Evaluate { adapter, root, all, most } => {
            let most = most.max(1) as usize;
            let (recorded, faults) =
                newest(attempts, &root, all, most).map_err(|error| remote(&error))?;
            if faults.is_empty() {
                return Err(nothing(recorded));
            }
            let what = FaultsFor::Evaluation { adapter, held_out: !all };
            Ok(Plan::Work(root, Work::Faults { faults, what }))
        }
    }
}

/// How many accepted fixes there are, and the newest of those that are to be used, each fault once.
fn newest(
    attempts: &Store,
    root: &Path,
    all: bool,
    most: usize,
) -> Result<(usize, Vec<Kept>), ReadError> {
    let (mut recorded, mut after) = (0, 0);
    let (mut faults, mut seen) = (VecDeque::new(), HashSet::new());
    loop {
        let page = attempts.accepted(root, after)?;
        let Some(last) = page.last() else { break };
        after = last.entry.id;
        recorded += page.len();
        for kept in page.into_iter().filter(|kept| all || is_held_out(kept)) {
            if seen.insert(fault_of(&kept)) {
                faults.push_front(kept);
                // Their texts are in memory.
                faults.truncate(most);
            }
        }
    }
    Ok((recorded, faults.into()))
}

fn nothing(recorded: usize) -> RemoteError {
    let refuse = |message: String| RemoteError::new(ErrorKind::BadRequest, message);
    match recorded {
        0 => refuse("no accepted fix is recorded for this workspace".to_owned()).hint(
            "apply some of the fixes that Greenlit offers: they are what an adapter is judged by",
        ),
        _ => refuse(format!("none of the {recorded} accepted fixes is held out from datasets"))
            .hint("`--all` also uses those that the adapter may have been trained on"),
    }
}
