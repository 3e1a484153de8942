//! A workspace as it was when an attempt was recorded, as far as its record says.

use std::path::Path;
use std::sync::Arc;

use greenlit_evidence::Kept;
use greenlit_protocol::{ErrorKind, RemoteError};
use greenlit_repair::{Edit, Workbench};
use greenlit_workspace::{Inputs, Overlays, View};

use super::run::{Job, inputs};

/// A recorded candidate as edits of the files of a root.
pub(super) fn patch_of(kept: &Kept, root: &Path) -> Vec<Edit> {
    let edits = kept.edits.iter().map(|edit| Edit {
        path: root.join(&edit.path),
        start: edit.start,
        end: edit.end,
        new_text: edit.new_text.clone(),
    });
    edits.collect()
}

impl Job<'_> {
    /// The view with the texts that the verdict was about.
    pub(super) fn view_of_then(&self, kept: &Kept) -> (View, Vec<String>) {
        let (view, mut overlays) = (&self.input.view, Overlays::default());
        for (path, overlay) in view.overlays() {
            overlays.open(0, path.to_owned(), 1, Some(&overlay.text));
        }
        let mut restored = Vec::new();
        for (name, text) in &kept.files {
            let path = view.root().join(name);
            let then = blake3::hash(text.as_bytes());
            if view.hash(&path).is_ok_and(|now| now == then) {
                continue;
            }
            overlays.open(0, path, 1, Some(text));
            restored.push(name.clone());
        }
        (overlays.view(0, view.root()), restored)
    }

    pub(super) fn inputs_of(&self, view: &View) -> Result<Inputs, RemoteError> {
        inputs(view, &self.input.stat_cache).map_err(|error| {
            RemoteError::new(ErrorKind::BadRequest, greenlit_workspace::chain(&error))
        })
    }

    /// Sandboxes that show a view.
    pub(super) fn bench_of(&self, view: &View) -> Result<Workbench, RemoteError> {
        let mut bench = self.workbench()?;
        let overlays = view.overlays();
        bench.subject.overlays =
            overlays.map(|(path, overlay)| (path.to_owned(), Arc::clone(&overlay.text))).collect();
        Ok(bench)
    }
}
