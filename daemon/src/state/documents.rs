//! What editors tell about their documents.

use std::path::{Path, PathBuf};

use greenlit_protocol::{ClientFrame, Notification, OfferedFix};
use greenlit_repair::relative;

use crate::jobs::inputs;
use crate::state::root::Root;
use crate::state::{Event, State};

impl State {
    pub(crate) fn frame(&mut self, session: u64, frame: ClientFrame) {
        if !self.sessions.contains_key(&session) {
            return;
        }
        match frame {
            ClientFrame::Request { id, body } => self.request(session, id, body),
            ClientFrame::Notify(notification) => self.notification(session, notification),
            ClientFrame::Cancel { id } => self.cancel_request(session, id),
        }
    }

    fn notification(&mut self, session: u64, notification: Notification) {
        match notification {
            Notification::DocumentOpened { document, version, text } => {
                self.opened(session, document, version, text.as_deref());
            }
            Notification::DocumentChanged { document, version, changes } => {
                let edits =
                    changes.iter().map(|change| (change.start, change.end, change.text.as_str()));
                if let Err(error) = self.overlays.change(session, &document, version, edits) {
                    tracing::warn!(session, %error, "a change was not applied");
                }
                self.edited(session, &document);
            }
            Notification::DocumentSaved { document } => {
                self.saved(session, &document);
                self.look_again(session, &document);
            }
            Notification::DocumentClosed { document } => {
                let differed = self.overlays.differs(session, &document);
                self.overlays.close(session, &document);
                if differed {
                    self.edited(session, &document);
                    // Nobody will save it any more.
                    if let Some(root) = self.root_of(session, &document) {
                        self.schedule(session, &root);
                    }
                }
                self.look_again(session, &document);
            }
            Notification::RootsChanged { roots } => self.roots_changed(session, &roots),
            Notification::SettingsChanged { settings } => {
                if let Some(owner) = self.sessions.get_mut(&session) {
                    owner.settings = settings;
                }
                // The same files may give another result now.
                self.running
                    .values_mut()
                    .filter(|r| r.session == session)
                    .for_each(|r| r.inputs = None);
                for known in self.roots.values_mut().filter_map(|r| r.known.get_mut(&session)) {
                    known.inputs = None;
                    known.diagnosed.inputs = None;
                }
            }
            Notification::DiagnosticsSeen { document, version, diagnostics } => {
                self.diagnostics_seen(session, document, version, diagnostics);
            }
            Notification::FixDecision { fix, applied } => {
                tracing::info!(session, fix, applied, "decision on a fix");
                self.decided(session, &fix, applied);
            }
        }
    }

    fn opened(&mut self, session: u64, document: PathBuf, version: i32, text: Option<&str>) {
        let differed = self.overlays.differs(session, &document);
        self.overlays.open(session, document.clone(), version, text);
        self.first_document(session, &document);
        let Some(root) = self.root_of(session, &document) else { return };
        if differed || self.overlays.differs(session, &document) {
            // A restored unsaved buffer, or one whose text came anew: nobody is about to save it.
            self.edited(session, &document);
            if self.has_begun(session, &root) {
                self.schedule(session, &root);
            }
        } else {
            self.forget_diagnostics(session, &root, &document);
        }
        if let Some(index) = self.open_index(&root) {
            index.prefer([document]);
        }
    }

    fn root_of(&self, session: u64, document: &Path) -> Option<PathBuf> {
        self.sessions.get(&session).and_then(|session| session.root_of(document)).cloned()
    }

    fn look_again(&self, session: u64, document: &Path) {
        if let Some(root) = self.root_of(session, document) {
            self.look_at(&root, document);
        }
    }

    /// A document changed in the editor: running background work is stale, fixes are withdrawn.
    fn edited(&mut self, session: u64, document: &Path) {
        let Some(path) = self.root_of(session, document) else { return };
        let mut running = self.running.values().filter(|running| !running.is_cancelled());
        let ends = running.any(|running| running.tests_in_background(session, &path));
        if let Some(root) = self.roots.get_mut(&path) {
            root.edited_by(session).owed |= ends;
        }
        self.end_diagnosis(session, &path);
        self.cancel_jobs(|running| {
            running.session == session && running.root == path && running.request.is_none()
        });
        self.forget_diagnostics(session, &path, document);
        self.withdraw(session, &path);
        self.recall(session, &path, document);
        let known = self.roots.get(&path).and_then(|root| root.known.get(&session));
        let owed = known.is_some_and(|known| known.owed);
        if owed && !self.overlays.differs(session, document) {
            // Nobody will save it.
            self.schedule(session, &path);
        }
    }

    /// An undo may lead back to what the withdrawn fixes were verified on.
    fn recall(&self, session: u64, path: &Path, document: &Path) {
        let Some(root) = self.roots.get(path) else { return };
        let known = root.known.get(&session).filter(|known| known.withdrawn);
        let Some(known) = known.filter(|known| known.inputs.is_some()) else { return };
        let view = self.overlays.view(session, path);
        let Ok(hash) = view.hash(document) else { return };
        let (name, hash) = (relative(path, document), hash.to_hex());
        let mut fixes = known.findings.iter().flat_map(|finding| &finding.fixes);
        let verified = |fix: &OfferedFix| fix.entry.evidence.content_hashes.get(&name).cloned();
        if !fixes.any(|fix| verified(fix).as_deref() == Some(hash.as_str())) {
            return;
        }
        let (events, stat_cache) = (self.events.clone(), root.stat_cache.clone());
        let (root, revision) = (path.to_owned(), root.revision_for(session));
        tokio::task::spawn_blocking(move || {
            let inputs = inputs(&view, &stat_cache).map(|inputs| inputs.digest()).ok();
            // The receiver only goes away with the daemon.
            let _ = events.send(Event::Recalled { session, root, revision, inputs });
        });
    }

    /// Offers the withdrawn fixes again, if every input is what they were verified on.
    pub(crate) fn recalled(
        &mut self,
        session: u64,
        path: &PathBuf,
        revision: u64,
        inputs: Option<blake3::Hash>,
    ) {
        let current = |root: &&mut Root| root.revision_for(session) == revision;
        let Some(root) = self.roots.get_mut(path).filter(current) else { return };
        let Some(known) = root.known.get_mut(&session) else { return };
        if known.withdrawn && inputs.is_some() && known.inputs == inputs {
            known.revision = revision;
            known.withdrawn = false;
            self.publish(session, path);
        }
    }
}
