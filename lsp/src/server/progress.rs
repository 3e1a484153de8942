//! Progress of long work, shown by the editor and cancelled from there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_protocol::{Indexing, ProgressStage};
use lsp_types::request::WorkDoneProgressCreate;
use lsp_types::{
    NumberOrString, ProgressParams, ProgressParamsValue, WorkDoneProgress, WorkDoneProgressBegin,
    WorkDoneProgressCreateParams, WorkDoneProgressEnd, WorkDoneProgressReport,
};
use tokio::sync::mpsc;
use tower_lsp::Client;

use super::outgoing::Outgoing;

/// How long the editor may take to accept a token.
const ACCEPT: Duration = Duration::from_secs(5);

/// A piece of work on a root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// Of a request, or in the background.
    Job(PathBuf, Option<u64>),
    /// Bringing its index up to date; not cancelled from here, `greenlit index pause` holds it.
    Index(PathBuf, Indexing),
}

impl Work {
    fn is_cancellable(&self) -> bool {
        matches!(self, Self::Job(..))
    }
}

/// Everything in progress.
#[derive(Debug)]
pub(crate) struct Progresses {
    client: Client,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    running: HashMap<Work, Running>,
    next: u64,
}

#[derive(Debug)]
struct Running {
    token: NumberOrString,
    steps: mpsc::UnboundedSender<WorkDoneProgress>,
}

impl Progresses {
    pub(crate) fn new(client: Client, outgoing: mpsc::UnboundedSender<Outgoing>) -> Self {
        Self { client, outgoing, running: HashMap::new(), next: 0 }
    }

    /// One step of a piece of work.
    pub(crate) fn step(&mut self, work: Work, stage: ProgressStage) {
        match stage {
            ProgressStage::Begin { title } => self.begin(work, title),
            ProgressStage::Report { message, percentage } => {
                if let Some(running) = self.running.get(&work) {
                    let report = WorkDoneProgressReport {
                        cancellable: Some(work.is_cancellable()),
                        message: Some(message),
                        percentage,
                    };
                    running.send(WorkDoneProgress::Report(report));
                }
            }
            ProgressStage::End { message } => {
                if let Some(running) = self.running.remove(&work) {
                    running.end(message);
                }
            }
        }
    }

    /// Ends everything, for the same reason.
    pub(crate) fn end_all(&mut self, message: &str) {
        self.running.drain().for_each(|(_, running)| running.end(message.to_owned()));
    }

    /// The root of the job behind a token.
    pub(crate) fn root_of(&self, token: &NumberOrString) -> Option<&Path> {
        let (work, _) = self.running.iter().find(|(_, running)| running.token == *token)?;
        match work {
            Work::Job(root, _) => Some(root),
            Work::Index(..) => None,
        }
    }

    fn begin(&mut self, work: Work, title: String) {
        self.next += 1;
        let token = NumberOrString::String(format!("greenlit/{}", self.next));
        let (steps, receiver) = mpsc::unbounded_channel();
        let running = Running { token: token.clone(), steps };
        running.send(WorkDoneProgress::Begin(WorkDoneProgressBegin {
            title,
            cancellable: Some(work.is_cancellable()),
            message: None,
            percentage: None,
        }));
        if let Some(before) = self.running.insert(work, running) {
            before.end(String::new());
        }
        tokio::spawn(show(self.client.clone(), self.outgoing.clone(), token, receiver));
    }
}

impl Running {
    fn send(&self, step: WorkDoneProgress) {
        // Nobody listens when the editor refused the token.
        let _ = self.steps.send(step);
    }

    fn end(self, message: String) {
        let message = (!message.is_empty()).then_some(message);
        self.send(WorkDoneProgress::End(WorkDoneProgressEnd { message }));
    }
}

/// Passes steps on once the editor has accepted the token.
async fn show(
    client: Client,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    token: NumberOrString,
    mut steps: mpsc::UnboundedReceiver<WorkDoneProgress>,
) {
    let params = WorkDoneProgressCreateParams { token: token.clone() };
    let created = client.send_request::<WorkDoneProgressCreate>(params);
    if !matches!(tokio::time::timeout(ACCEPT, created).await, Ok(Ok(()))) {
        return;
    }
    while let Some(step) = steps.recv().await {
        let value = ProgressParamsValue::WorkDone(step);
        let params = ProgressParams { token: token.clone(), value };
        if outgoing.send(Outgoing::Progress(params)).is_err() {
            return;
        }
    }
}
