//! Requests, notifications, responses and events.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    AdapterAction, AdapterReport, BenchReport, Check, DatasetPage, EvaluationReport,
    EvidenceReport, Finding, FixReport, IndexAction, IndexReport, LearnAction, ModelAction,
    ModelReport, Notice, OfferedFix, PullPlan, RemoteError, ReplayReport, SearchReport,
    SearchRequest, SeenDiagnostic, StatusReport, TestEntry, TestReport, TestsReport, Tier,
    TraceAction, TraceEntry, TraceReport,
};

/// A document, by its absolute path on the daemon's machine.
pub type DocumentId = PathBuf;

/// Client to daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientFrame {
    /// Wants exactly one [`ServerFrame::Response`] with the same id.
    Request {
        /// Chosen by the client, unique in the connection.
        id: u64,
        /// What is wanted.
        body: Request,
    },
    /// Wants no answer. Handled in order with requests.
    Notify(Notification),
    /// The client no longer wants the answer to this request; its job stops.
    Cancel {
        /// The request's id.
        id: u64,
    },
}

/// Daemon to client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "few exist at a time, on their way to or from the wire"
)]
pub enum ServerFrame {
    /// The answer to a request.
    Response {
        /// The request's id.
        id: u64,
        /// The answer or the error.
        result: Result<Response, RemoteError>,
    },
    /// Something happened.
    Event(Event),
}

/// What a client can ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Run tests, sandboxed, on the session's view.
    Test {
        /// Workspace root.
        root: PathBuf,
        /// Test ids; empty means all.
        tests: Vec<String>,
    },
    /// Look for verified fixes.
    Fix {
        /// Workspace root.
        root: PathBuf,
        /// Failing tests to fix; empty means every failing test.
        tests: Vec<String>,
        /// The only tests that may be run; empty means all. Others stay hidden.
        visible: Vec<String>,
        /// Highest tier to use.
        tier: Tier,
        /// Budget in seconds for candidates, after the baseline; `None` means the configured one.
        budget_secs: Option<u64>,
    },
    /// Stop background work on a root.
    CancelBackground {
        /// Workspace root.
        root: PathBuf,
    },
    /// What the session knows of a root's tests, with their places.
    Tests {
        /// Workspace root.
        root: PathBuf,
    },
    /// The evidence for one offered fix.
    Evidence {
        /// [`OfferedFix::id`].
        fix: String,
    },
    /// Search what the session sees of a root.
    Search(SearchRequest),
    /// The index of a root.
    Index {
        /// Workspace root.
        root: PathBuf,
        /// What is wanted.
        action: IndexAction,
    },
    /// The models of this machine.
    Model(ModelAction),
    /// The record of attempts.
    Trace(TraceAction),
    /// Adapters of language models.
    Adapter(AdapterAction),
    /// What adapters are trained and judged by.
    Learn(LearnAction),
    /// How the daemon is.
    Status,
    /// Everything that is measured, as Prometheus reads it.
    Metrics,
    /// Check what Greenlit needs for this root.
    Doctor {
        /// Workspace root.
        root: PathBuf,
    },
    /// Finish running requests, then exit. `kill` does not wait for them.
    Stop {
        /// Do not wait.
        kill: bool,
    },
}

/// What a client can tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notification {
    /// The session opened a document, or replaces its text. Replaces the overlay whatever its state.
    DocumentOpened {
        /// Which.
        document: DocumentId,
        /// The editor's version.
        version: i32,
        /// Its whole text; `None` when it is too large to follow (the file on disk is used).
        text: Option<String>,
    },
    /// The session edited a document. Changes apply one after the other.
    DocumentChanged {
        /// Which.
        document: DocumentId,
        /// The version after the change.
        version: i32,
        /// In order.
        changes: Vec<TextChange>,
    },
    /// The session saved a document.
    DocumentSaved {
        /// Which.
        document: DocumentId,
    },
    /// The session closed a document: the file on disk holds again.
    DocumentClosed {
        /// Which.
        document: DocumentId,
    },
    /// The session's roots changed.
    RootsChanged {
        /// All roots now.
        roots: Vec<PathBuf>,
    },
    /// The session's settings changed.
    SettingsChanged {
        /// JSON text in the schema of `greenlit.toml`.
        settings: Option<String>,
    },
    /// The session's editor shows these diagnostics of other tools in a document. What was told
    /// before of the same document stays, as long as it is not edited.
    DiagnosticsSeen {
        /// Which.
        document: DocumentId,
        /// The version that the positions are for; the daemon drops those of another one.
        version: i32,
        /// Each with its tool, code, message and place.
        diagnostics: Vec<SeenDiagnostic>,
    },
    /// What a person did with an offered fix.
    FixDecision {
        /// [`OfferedFix::id`].
        fix: String,
        /// Applied, or dismissed.
        applied: bool,
    },
}

/// One replacement in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextChange {
    /// Start in UTF-8 bytes of the text before this change.
    pub start: usize,
    /// End (exclusive) in UTF-8 bytes.
    pub end: usize,
    /// What stands there afterwards.
    pub text: String,
}

/// Answers to [`Request`]s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "few exist at a time, on their way to or from the wire"
)]
pub enum Response {
    /// To [`Request::Test`].
    Test(TestReport),
    /// To [`Request::Fix`].
    Fix {
        /// The public report, the object that `greenlit fix --json` prints.
        report: FixReport,
        /// Handles for the entries of `report.fixes`, in the same order.
        offered: Vec<OfferedFix>,
        /// What else a person should know.
        notices: Vec<Notice>,
    },
    /// To [`Request::Tests`].
    Tests(TestsReport),
    /// To [`Request::Evidence`].
    Evidence(EvidenceReport),
    /// To [`Request::Search`].
    Search(SearchReport),
    /// To [`Request::Index`].
    Index(IndexReport),
    /// To [`Request::Model`].
    Models(ModelReport),
    /// To [`ModelAction::Pull`] that nobody agreed to yet, where something would be downloaded.
    PullPlan(PullPlan),
    /// To [`TraceAction::List`].
    Traces(Vec<TraceEntry>),
    /// To [`TraceAction::Show`], one, and [`TraceAction::Export`], a page; an empty one is the last.
    TraceReports(Vec<TraceReport>),
    /// To [`TraceAction::Replay`].
    Replayed(ReplayReport),
    /// To [`Request::Metrics`]: Prometheus' text format.
    Metrics(String),
    /// To [`ModelAction::Bench`].
    Bench(BenchReport),
    /// To [`Request::Adapter`].
    Adapters(AdapterReport),
    /// To [`LearnAction::Dataset`].
    Dataset(DatasetPage),
    /// To [`LearnAction::Evaluate`].
    Evaluated(EvaluationReport),
    /// To [`Request::Status`].
    Status(StatusReport),
    /// To [`Request::Doctor`].
    Doctor(Vec<Check>),
    /// Done, nothing to say.
    Done,
}

/// What the daemon tells on its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Everything that is known about a root now, for this session's view. Replaces what was sent
    /// before for the root.
    Findings {
        /// Workspace root.
        root: PathBuf,
        /// The workspace revision that they were computed from.
        revision: u64,
        /// Failing tests and problems, with their fixes.
        findings: Vec<Finding>,
    },
    /// Tests were run in the background, or before fixes were looked for. The outcomes of a
    /// [`Request::Test`] are in its answer and not told here.
    Tests {
        /// Workspace root.
        root: PathBuf,
        /// The workspace revision that they were run on.
        revision: u64,
        /// Whether these are all tests of the root.
        complete: bool,
        /// How each ended.
        tests: Vec<TestEntry>,
    },
    /// What the daemon is doing for a root.
    Root {
        /// Workspace root.
        root: PathBuf,
        /// The phase it entered.
        phase: RootPhase,
    },
    /// Progress of a job on a root: of the request with this id, or of background work.
    Progress {
        /// Workspace root, or the directory that is downloaded to.
        root: PathBuf,
        /// The request that it belongs to; `None` for background work.
        request: Option<u64>,
        /// How far.
        stage: ProgressStage,
    },
    /// The index of a root is being brought up to date, which takes a while.
    Indexing {
        /// Workspace root.
        root: PathBuf,
        /// Which part of the work.
        work: Indexing,
        /// How far.
        stage: ProgressStage,
    },
    /// The daemon will exit soon; the client reconnects (and may start a new one).
    Draining {
        /// Why, for people.
        reason: String,
    },
}

/// The parts of bringing an index up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Indexing {
    /// Files are read and cut into chunks.
    Files,
    /// Chunks are embedded.
    Vectors,
}

/// What the daemon is doing for a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum RootPhase {
    /// Nothing runs and nothing is known yet.
    Idle,
    /// Tests are running.
    Testing,
    /// Candidates are being verified.
    Fixing {
        /// Failing tests.
        failing: u32,
        /// The tier with its model that is asked now; absent while it is templates.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        asking: Option<String>,
    },
    /// The last run is over.
    Settled {
        /// Tests that passed.
        passed: u32,
        /// Tests that failed.
        failing: u32,
        /// Fixes on offer.
        fixes: u32,
    },
    /// Something keeps tests from being run.
    Problem {
        /// What.
        error: RemoteError,
    },
}

/// A step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "stage")]
pub enum ProgressStage {
    /// The job started.
    Begin {
        /// `Running tests`, `Looking for fixes`.
        title: String,
    },
    /// It goes on.
    Report {
        /// `12 of 80 candidates, 1 fix`.
        message: String,
        /// 0..=100 where it is known.
        percentage: Option<u32>,
    },
    /// It is over.
    End {
        /// How it ended.
        message: String,
    },
}
