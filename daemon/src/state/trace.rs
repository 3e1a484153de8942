//! Questions about the record of attempts, and what is measured.

use greenlit_evidence::{Gauge, ReadError, Store, exposition};
use greenlit_protocol::{ErrorKind, RemoteError, Response, StatusReport, TraceAction, TraceFilter};
use greenlit_workspace::chain;
use tokio::sync::oneshot;

use crate::jobs::Work;
use crate::state::index::Indexes;
use crate::state::status::completed;
use crate::state::{Event, State};

/// An answer for who could not be given one.
pub(crate) fn remote(error: &ReadError) -> RemoteError {
    let (kind, hint) = match error {
        ReadError::NotKept { .. } => (ErrorKind::BadRequest, Some("see: greenlit doctor")),
        ReadError::Unknown { .. } => {
            (ErrorKind::BadRequest, Some("`greenlit trace list` shows what is kept"))
        }
        ReadError::Sqlite { .. } | ReadError::NotWritten { .. } | ReadError::Busy => {
            (ErrorKind::Internal, None)
        }
    };
    let answer = RemoteError::new(kind, chain(error));
    match hint {
        Some(hint) => answer.hint(hint),
        None => answer,
    }
}

impl State {
    /// Reading waits for what was recorded before: it happens elsewhere.
    pub(crate) fn trace(&mut self, session: u64, request: u64, action: TraceAction) {
        let attempts = self.attempts.clone();
        match action {
            TraceAction::Replay { id } => {
                let events = self.events.clone();
                tokio::task::spawn_blocking(move || {
                    let kept = attempts.kept(&id).map_err(|error| remote(&error));
                    let plan =
                        kept.map(|kept| (kept.entry.root.clone(), Work::Replay(Box::new(kept))));
                    // The receiver only goes away with the daemon.
                    let _ = events.send(Event::Planned { session, request, plan: Box::new(plan) });
                });
            }
            other => self.ask_index(session, request, move || {
                answer(&attempts, other).map_err(|error| remote(&error))
            }),
        }
    }

    pub(crate) fn metrics(&self, session: u64, request: u64) {
        let text = self.measure();
        self.ask_index(session, request, move || Ok(Response::Metrics(text())));
    }

    /// Somebody asks over the loopback port.
    pub(crate) fn scraped(&self, answer: oneshot::Sender<String>) {
        let text = self.measure();
        tokio::task::spawn_blocking(move || {
            // Who asked may have gone.
            let _gone = answer.send(text());
        });
    }

    /// Reads what is measured; takes a while.
    fn measure(&self) -> impl FnOnce() -> String + Send + 'static {
        let (status, indexes) = (self.status(), self.open_indexes());
        let (attempts, tiers) = (self.attempts.clone(), self.tiers.clone());
        move || {
            let status = with_evidence(completed(status, &indexes, &tiers), &attempts);
            exposition(&attempts.totals().unwrap_or_default(), &gauges(&status, &indexes))
        }
    }
}

/// Adds how the record is.
pub(crate) fn with_evidence(mut report: StatusReport, attempts: &Store) -> StatusReport {
    report.evidence = Some(attempts.status());
    report
}

fn answer(attempts: &Store, action: TraceAction) -> Result<Response, ReadError> {
    let bounded = |filter: TraceFilter| match filter.limit {
        0 => TraceFilter { limit: TraceFilter::MOST, ..filter },
        _ => filter,
    };
    match action {
        TraceAction::List(filter) => Ok(Response::Traces(attempts.list(&bounded(filter))?)),
        TraceAction::Show { id } => Ok(Response::TraceReports(vec![attempts.show(&id)?])),
        TraceAction::Export { filter, after } => {
            Ok(Response::TraceReports(attempts.export(&bounded(filter), after)?))
        }
        TraceAction::Redact { id } => {
            let number = attempts.redact(&id)?;
            Ok(Response::TraceReports(vec![attempts.show(&number.to_string())?]))
        }
        TraceAction::Replay { id } => Err(ReadError::Unknown { id }),
    }
}

fn gauges(status: &StatusReport, indexes: &Indexes) -> Vec<Gauge> {
    let gauge = |name, help, value| Gauge { name, help, label: Vec::new(), value };
    let mut gauges = vec![
        Gauge {
            label: vec![("build", status.build.clone())],
            ..gauge("build_info", "The daemon's build; always 1.", 1.0)
        },
        gauge("uptime_seconds", "Since the daemon started.", status.uptime_secs as f64),
        gauge("sessions", "Connected sessions.", status.sessions.len() as f64),
        gauge("jobs_running", "Jobs that run now.", f64::from(status.jobs)),
    ];
    if let Some(bytes) = status.memory_bytes {
        gauges.push(gauge("resident_memory_bytes", "Memory of the daemon.", bytes as f64));
    }
    if let Some(evidence) = &status.evidence {
        let kept = f64::from(u8::from(evidence.state == "kept"));
        gauges.push(gauge("evidence_kept", "Whether attempts are recorded.", kept));
        let bytes = evidence.bytes as f64;
        gauges.push(gauge("evidence_bytes", "What the record of attempts takes.", bytes));
        let dropped = evidence.dropped as f64;
        gauges.push(gauge("evidence_dropped", "Records not written since the start.", dropped));
    }
    let stale = status.roots.iter().filter_map(|root| root.search.as_ref());
    let stale = stale.map(|search| search.staleness_ms).max();
    if let Some(stale) = stale {
        let help = "Age of the oldest change that an index has not taken in.";
        gauges.push(gauge("index_staleness_seconds", help, stale as f64 / 1000.0));
    }
    let sum = |of: fn(&greenlit_index::Status) -> u64| -> f64 {
        indexes.values().map(|(index, _)| of(&index.status())).sum::<u64>() as f64
    };
    if !indexes.is_empty() {
        gauges.push(gauge("index_chunks", "Chunks of open indexes.", sum(|s| s.chunks)));
        let help = "Chunks that are not found by meaning yet.";
        gauges.push(gauge("index_chunks_pending", help, sum(|s| s.dense_pending)));
    }
    gauges
}
