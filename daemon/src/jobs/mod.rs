//! Jobs: what runs outside the main loop, on a thread of its own, and reports back as events.
//!
//! Invariant: a job gets everything that it needs at its start and changes no state; the main loop
//! applies what it reports, if the state that it was computed from still holds.

mod diagnose;
mod earlier;
mod faults;
mod findings;
mod green;
mod near;
mod notices;
mod places;
mod problem;
mod record;
mod replay;
mod reports;
mod run;
mod search;
mod setup;
mod then;
mod unrun;
mod walls;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use greenlit_evidence::{Kept, Store};
use greenlit_index::Index;
use greenlit_protocol::{
    DatasetPage, ErrorKind, Evaluation, EvaluationReport, EvidenceReport, Finding, FixReport,
    Notice, OfferedFix, ProgressStage, RemoteError, ReplayReport, SeenDiagnostic, TestEntry,
    TestReport, Tier,
};
use greenlit_repair::Cancel;
use greenlit_runner::Environment;
use greenlit_workspace::{Config, StatCache, View};

use crate::tiers::Tiers;

pub(crate) use earlier::Earlier;
pub(crate) use faults::{fault_of, is_held_out};
pub(crate) use green::Green;
pub(crate) use places::places;
pub(crate) use problem::configuration_error;
pub(crate) use reports::layer_name;
pub(crate) use run::{inputs, run};
pub(crate) use search::{
    SearchInput, act, check as index_check, quality as index_quality, search, shelf_check,
    words as index_words,
};

/// What a job is to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// Run tests and report.
    Test {
        /// Test ids; empty means all.
        tests: Vec<String>,
    },
    /// Run tests, then look for fixes.
    Fix {
        /// Failing tests to fix; empty means all.
        tests: Vec<String>,
        /// The only tests that may run; empty means all.
        visible: Vec<String>,
        /// The highest tier that is asked.
        tier: Tier,
        /// Budget for candidates.
        budget_secs: Option<u64>,
    },
    /// Look for fixes of diagnostics that an editor shows.
    Diagnose {
        /// Those that were looked at before on the inputs of [`JobInput::unless`].
        done: Vec<(PathBuf, SeenDiagnostic)>,
        /// The others.
        new: Vec<(PathBuf, SeenDiagnostic)>,
    },
    /// Verify a recorded candidate once more.
    Replay(Box<Kept>),
    /// Set recorded faults up again.
    Faults {
        /// Accepted fixes of them.
        faults: Vec<Kept>,
        /// What for.
        what: FaultsFor,
    },
}

/// What recorded faults are set up for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FaultsFor {
    /// Examples to train on.
    Dataset {
        /// So many were not taken.
        held_out: u32,
        /// The last one that was looked at.
        last: Option<u64>,
    },
    /// What a model mends with an adapter and without.
    Evaluation {
        /// `name@version`
        adapter: String,
        /// Whether only those are among them that datasets leave out.
        held_out: bool,
    },
}

/// Everything that a job needs, fixed at its start.
#[derive(Clone)]
pub(crate) struct JobInput {
    /// What to do.
    pub(crate) work: Work,
    /// The session's view of the root.
    pub(crate) view: View,
    /// The workspace revision of that view.
    pub(crate) revision: u64,
    /// The session's environment.
    pub(crate) environment: Environment,
    /// The configuration in force.
    pub(crate) config: Config,
    /// Where build products of this root are kept.
    pub(crate) store: PathBuf,
    /// Content hashes known by file metadata.
    pub(crate) stat_cache: Arc<Mutex<StatCache>>,
    /// The index of the root, if it is open.
    pub(crate) index: Option<Index>,
    /// The state on which the tests passed last.
    pub(crate) green: Option<Arc<Green>>,
    /// Fixes that were offered for earlier texts.
    pub(crate) earlier: Arc<[Earlier]>,
    /// The models that may be asked.
    pub(crate) tiers: Arc<Tiers>,
    /// Where attempts are recorded.
    pub(crate) attempts: Store,
    /// Stops it.
    pub(crate) cancel: Cancel,
    /// Whether somebody waits for it.
    pub(crate) waited_for: bool,
    /// Do nothing when the inputs still have this digest.
    pub(crate) unless: Option<blake3::Hash>,
}

/// What a job tells while it runs.
#[derive(Debug, Clone)]
pub(crate) enum JobNews {
    /// Digest of the inputs that it works on.
    Inputs(blake3::Hash),
    /// How far it is.
    Progress(ProgressStage),
    /// All that is known so far, for editors.
    Findings(Vec<Finding>),
    /// A fix of a diagnostic was verified.
    Diagnosed(Finding),
    /// How the tests ended on the unpatched view.
    Tests(TestsRun),
    /// Looking for fixes.
    Fixing {
        /// Failing tests.
        failing: u32,
        /// The tier with its model that is asked now.
        asking: Option<String>,
    },
    /// Files with suspected lines and of the failing tests, most suspicious first.
    Suspected(Vec<PathBuf>),
    /// The evidence of a fix that was just verified.
    Evidence(Box<EvidenceReport>),
}

/// How tests ended.
#[derive(Debug, Clone)]
pub(crate) struct TestsRun {
    /// Whether these are all tests of the root.
    pub(crate) complete: bool,
    pub(crate) tests: Vec<TestEntry>,
    /// The state, if later ones are to be compared with it.
    pub(crate) green: Option<Arc<Green>>,
    /// The sandbox layer that they ran in.
    pub(crate) layer: &'static str,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub(crate) struct JobResult {
    /// The answer for whoever asked.
    pub(crate) answer: Result<Answer, RemoteError>,
    /// What editors show; `None` keeps what they have.
    pub(crate) findings: Option<Vec<Finding>>,
    /// Tests that passed, for the status line.
    pub(crate) passed: u32,
    /// Tests that failed.
    pub(crate) failing: u32,
    /// Digest of the inputs, when the run was complete.
    pub(crate) inputs: Option<blake3::Hash>,
    /// What was verified, for the texts that come.
    pub(crate) earlier: Vec<Earlier>,
}

impl JobResult {
    /// What becomes of a job with a defect.
    pub(crate) fn panicked() -> Self {
        let error = RemoteError::new(ErrorKind::Internal, "the job ended by a defect in Greenlit")
            .hint("`greenlit logs` has more; please report it");
        Self {
            answer: Err(error),
            findings: None,
            passed: 0,
            failing: 0,
            inputs: None,
            earlier: Vec::new(),
        }
    }

    /// Whether files changed under it.
    pub(crate) fn inputs_changed(&self) -> bool {
        matches!(&self.answer, Err(error) if error.kind == ErrorKind::InputsChanged)
    }

    /// How it ended, for the end of a progress display.
    pub(crate) fn words(&self) -> String {
        match &self.answer {
            Err(error) => error.message.clone(),
            Ok(Answer::Unchanged) => "nothing changed".to_owned(),
            Ok(Answer::Diagnosed { findings, .. }) => {
                format!("{} diagnostics with verified fixes", findings.len())
            }
            Ok(Answer::Replayed(report)) => match report.agrees {
                true => "the verdict is the same".to_owned(),
                false => "the verdict differs".to_owned(),
            },
            Ok(Answer::Dataset(page)) => format!("{} examples", page.examples.len()),
            Ok(Answer::Evaluated(report)) => {
                let Evaluation { faults, with, without, .. } = report.evaluation;
                format!("of {faults} faults {with} with the adapter, {without} without")
            }
            Ok(Answer::Test(_)) => format!("{} passed, {} failing", self.passed, self.failing),
            Ok(Answer::Fix { offered, .. }) => {
                format!("{} failing, {} verified fixes", self.failing, offered.len())
            }
        }
    }
}

/// A job's answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The inputs are those of the last run ([`JobInput::unless`]): nothing was done.
    Unchanged,
    /// To [`Work::Diagnose`].
    Diagnosed {
        /// One for each diagnostic with a fix.
        findings: Vec<Finding>,
        /// Whether only the new ones were looked at, because the inputs are those of before.
        only_new: bool,
    },
    /// To [`Work::Test`].
    Test(TestReport),
    /// To [`Work::Replay`].
    Replayed(ReplayReport),
    /// To [`FaultsFor::Dataset`].
    Dataset(DatasetPage),
    /// To [`FaultsFor::Evaluation`].
    Evaluated(EvaluationReport),
    /// To [`Work::Fix`].
    Fix {
        /// The public report.
        report: FixReport,
        /// Handles of its fixes.
        offered: Vec<OfferedFix>,
        /// What else to tell.
        notices: Vec<Notice>,
    },
}

/// The directory for kept build products of a root.
pub(crate) fn store_of(cache: &std::path::Path, root: &std::path::Path) -> PathBuf {
    cache.join("builds").join(name_of(root))
}

/// The name of a root's directory among those of others.
pub(crate) fn name_of(root: &std::path::Path) -> String {
    blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex()[..16].to_owned()
}
