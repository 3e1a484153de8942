//! What this machine can do, for `greenlit doctor`.

use crate::helper::Helper;
use crate::spec::Layer;

/// One layer on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerReport {
    /// The layer.
    pub layer: Layer,
    /// `Ok` with what it had to do without, or why it cannot be used.
    pub state: Result<Vec<String>, crate::Refusal>,
}

/// Every layer, strongest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// One entry per layer that isolates.
    pub layers: Vec<LayerReport>,
}

impl ProbeReport {
    /// The layer that [`crate::Isolation::Auto`] would use.
    #[must_use]
    pub fn best(&self) -> Option<Layer> {
        self.layers.iter().find(|report| report.state.is_ok()).map(|report| report.layer)
    }
}

/// Builds each layer once around an empty directory and runs a program in it.
#[must_use]
pub fn probe(helper: &Helper) -> ProbeReport {
    let layers = [Layer::Namespaces, Layer::Bubblewrap, Layer::Copy];
    let layers = layers.map(|layer| LayerReport { layer, state: try_layer(helper, layer) });
    ProbeReport { layers: layers.to_vec() }
}

#[cfg(target_os = "linux")]
fn try_layer(helper: &Helper, layer: Layer) -> Result<Vec<String>, crate::Refusal> {
    use std::time::Duration;

    use crate::{Command, ExitState, Isolation, Limits, OpenError, Refusal, Sandbox, SandboxSpec};

    let refuse = |reason: String| Refusal { layer, reason, remedy: None };
    let empty = tempfile::tempdir().map_err(|error| refuse(error.to_string()))?;
    let root = empty.path().canonicalize().map_err(|error| refuse(error.to_string()))?;
    let spec = SandboxSpec {
        root: root.clone(),
        files: Vec::new(),
        caches: Vec::new(),
        readable: Vec::new(),
        isolation: Isolation::Only(layer),
        limits: Limits::default(),
    };
    let mut sandbox = Sandbox::open(&spec, helper).map_err(|error| match error {
        OpenError::NoLayer { mut refusals } if refusals.len() == 1 => refusals.remove(0),
        error => refuse(error.to_string()),
    })?;
    let command = Command {
        argv: vec!["/bin/sh".into(), "-c".into(), "exit 7".into()],
        cwd: root,
        env: std::collections::BTreeMap::new(),
        stdin: Vec::new(),
        wall: Duration::from_secs(10),
        cpu: None,
    };
    let outcome = sandbox.exec(&command).map_err(|error| refuse(error.to_string()))?;
    match outcome.state {
        ExitState::Exited(7) => Ok(sandbox.notes().to_vec()),
        state => Err(refuse(format!("a shell in it ended with {state:?}"))),
    }
}

#[cfg(not(target_os = "linux"))]
fn try_layer(_: &Helper, layer: Layer) -> Result<Vec<String>, crate::Refusal> {
    Err(crate::unsupported::refusal(layer))
}
