//! What the thin server, the command line and the daemon say to each other.
//!
//! Frames are length-delimited MessagePack with named fields ([`frame`]). A connection opens with
//! [`Hello`] and [`Welcome`]; then requests, notifications and cancellations go one way and
//! responses and events the other.
//!
//! This crate must not know sockets, editors, or how any answer is computed: serde data only.
//!
//! Invariant: within one protocol version fields and variants are only added, with a default.
//! Invariant: paths are absolute unless a field says "relative to the root"; lines are 1-based;
//! positions in text are UTF-8 byte offsets.

mod diagnostic;
pub mod engine;
mod engine_report;
mod error;
mod finding;
pub mod frame;
mod hello;
mod index;
mod learning;
mod message;
mod model;
mod report;
mod status_report;
mod trace;

pub use diagnostic::{DiagnosticTool, MendedDiagnostic, SeenDiagnostic};
pub use engine_report::{
    AdapterAction, AdapterEntry, AdapterKind, AdapterReport, BenchReport, EngineReport,
    EngineState, FitReport, ResidentModel,
};
pub use error::{ErrorKind, RemoteError};
pub use finding::{Finding, FindingKind, OfferedFix, Related};
pub use hello::{
    BUILD_ID, Hello, HelloHead, MAGIC, PROTOCOL_MAX, PROTOCOL_MIN, SessionParams, Welcome,
    negotiate, newer,
};
pub use index::{
    GraphReport, IndexAction, IndexReport, LatencyReport, SearchHit, SearchQuality, SearchReport,
    SearchRequest, ShelfReport, UseReport, UsedPassages, VectorsReport,
};
pub use learning::{
    DatasetPage, Evaluation, EvaluationReport, FaultOutcome, LearnAction, LeftOut, TrainingExample,
};
pub use message::{
    ClientFrame, DocumentId, Event, Indexing, Notification, ProgressStage, Request, Response,
    RootPhase, ServerFrame, TextChange,
};
pub use model::{ModelAction, ModelEntry, ModelReport, PullItem, PullPlan, PullRequest};
pub use report::{
    Agreement, CandidateCounts, EvidenceReport, EvidenceTest, FailingTest, FileEdit, FixEntry,
    FixEvidence, FixReport, FixSource, FixStats, GenerationReport, LocalizationReport, Merit,
    Notice, RetrievalReport, RetrievedPassage, SuspiciousLine, TestEntry, TestOutcome, TestPlace,
    TestReport, TestStrength, TestsReport, Tier, TriedCandidate,
};
pub use status_report::{Check, CheckState, ModelStatus, RootStatus, SessionStatus, StatusReport};
pub use trace::{
    EvidenceStatus, EvidenceTotals, ReplayReport, TraceAction, TraceCall, TraceEntry, TraceFilter,
    TraceMessage, TraceReport, TraceSearch,
};
