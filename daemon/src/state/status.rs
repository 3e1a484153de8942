//! How the daemon is.

use std::path::PathBuf;

use greenlit_protocol::{
    BUILD_ID, PROTOCOL_MAX, RootPhase, RootStatus, SessionStatus, StatusReport,
};

use crate::jobs::{index_quality, index_words};
use crate::state::State;
use crate::state::index::Indexes;
use crate::state::root::Root;
use crate::tiers::Tiers;

impl State {
    /// All but how the indexes are and which adapters are active: for that, one may have to wait.
    pub(crate) fn status(&self) -> StatusReport {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        StatusReport {
            build: BUILD_ID.to_owned(),
            protocol: PROTOCOL_MAX,
            pid: std::process::id(),
            uptime_secs: self.context.started.elapsed().as_secs(),
            socket: self.context.socket.clone(),
            log: self.context.log.clone(),
            memory_bytes: resident_bytes(),
            sessions: self
                .sessions
                .iter()
                .map(|(id, session)| SessionStatus {
                    id: *id,
                    client: session.client.clone(),
                    documents: count(self.overlays.count(*id)),
                })
                .collect(),
            roots: self.roots.iter().map(|(path, root)| root_status(path.clone(), root)).collect(),
            jobs: count(self.running.len()),
            evidence: None,
            engine: Some(self.local.report()),
            models: self.tiers.status(),
        }
    }
}

/// Adds the rest.
pub(crate) fn completed(
    mut report: StatusReport,
    indexes: &Indexes,
    tiers: &Tiers,
) -> StatusReport {
    for root in &mut report.roots {
        root.adapter = tiers.adapter(&root.root);
        let Some((index, by_use)) = indexes.get(&root.root) else { continue };
        let status = index.status();
        root.index = Some(index_words(&status));
        root.search = Some(index_quality(&status, *by_use));
    }
    report
}

fn root_status(path: PathBuf, root: &Root) -> RootStatus {
    let phases = root.known.values().filter_map(|known| known.phase.as_ref());
    // With several sessions on a root the busiest tells most.
    let phase = phases.max_by_key(|phase| match phase {
        RootPhase::Idle => 0,
        RootPhase::Settled { .. } => 1,
        RootPhase::Problem { .. } => 2,
        RootPhase::Testing => 3,
        RootPhase::Fixing { .. } => 4,
    });
    let (mut failing, mut fixes) = (0, 0);
    let words = match phase {
        None | Some(RootPhase::Idle) => "idle".to_owned(),
        Some(RootPhase::Testing) => "running tests".to_owned(),
        Some(RootPhase::Fixing { failing: red, asking }) => {
            failing = *red;
            let asking = asking.as_ref().map(|who| format!(", asking {who}")).unwrap_or_default();
            format!("looking for fixes of {red} failing tests{asking}")
        }
        Some(RootPhase::Settled { passed, failing: red, fixes: offered }) => {
            (failing, fixes) = (*red, *offered);
            format!("{passed} passed, {red} failing, {offered} fixes")
        }
        Some(RootPhase::Problem { error }) => error.message.clone(),
    };
    let watch = match (&root.degraded, root.is_watched()) {
        (Some(why), _) => format!(" (file events: {why})"),
        (None, false) => " (not yet watching files)".to_owned(),
        (None, true) => String::new(),
    };
    RootStatus {
        root: path,
        branch: root.branch.clone(),
        revision: root.revision,
        phase: words + &watch,
        failing,
        fixes,
        layer: root.layer.map(str::to_owned),
        index: None,
        search: None,
        adapter: None,
    }
}

/// Resident memory of this process, where `/proc` tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
