//! Groups green candidates by what they do on inputs beyond the tests' own.
//!
//! Semantic clustering of plausible patches: candidates that are written differently and behave
//! alike confirm each other; those that behave differently show what the tests leave open.

use std::time::Duration;

use greenlit_runner::{ProbeTarget, Project, TestId};
use greenlit_sandbox::CacheMode;

use super::called_function;
use crate::patch::PatchedFile;
use crate::verify::writes;
use crate::workbench::Workbench;

/// Which candidates behave alike.
pub(super) struct Behaviours {
    /// For each candidate the index of the first one that behaves like it; `None` where it could not
    /// be run.
    pub(super) group: Vec<Option<usize>>,
    /// Inputs compared.
    pub(super) inputs: u32,
}

/// Compares the candidates that change the same function as the first one. `None` where nothing can
/// be compared: ranking goes on without.
pub(super) fn behaviours(
    bench: &Workbench,
    project: &Project,
    targets: &[TestId],
    candidates: &[&[PatchedFile]],
    wall: Duration,
) -> Option<Behaviours> {
    let function = |patch: &[PatchedFile]| match patch {
        [file] => Some((file.path.clone(), called_function(file)?)),
        _ => None,
    };
    let (path, changed) = function(candidates.first()?)?;
    let same: Vec<usize> = (0..candidates.len())
        .filter(|index| {
            function(candidates[*index]).is_some_and(|f| f == (path.clone(), changed.clone()))
        })
        .collect();
    if same.len() < 2 {
        return None;
    }
    let variants: Vec<_> = same.iter().map(|index| writes(candidates[*index])).collect();
    let target = ProbeTarget { path, function: changed.name };
    let open = bench.open(project, CacheMode::Discard, &[]).ok()?;
    let probes = project.probe(open.sandbox, &target, &variants, targets, wall);
    let probes = match probes {
        Ok(probes) => probes?,
        Err(error) => {
            tracing::debug!(%error, function = target.function, "behaviour could not be compared");
            return None;
        }
    };
    if probes.inputs == 0 || probes.outcomes.len() != variants.len() {
        return None;
    }
    let mut group = vec![None; candidates.len()];
    for (nth, index) in same.iter().enumerate() {
        let Some(outcomes) = &probes.outcomes[nth] else { continue };
        let first = probes.outcomes.iter().position(|other| other.as_ref() == Some(outcomes));
        group[*index] = first.map(|first| same[first]);
    }
    Some(Behaviours { group, inputs: probes.inputs })
}
