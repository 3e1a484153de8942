//! Everything one editor session knows. Changed under one lock, in the order of messages.

use std::path::{Path, PathBuf};

use greenlit_protocol::{Finding, FindingKind, Notification};
use lsp_types::{Diagnostic, PublishDiagnosticsParams};

use super::documents::hash_rope;
use super::file_text::FileText;
use super::findings::{Documents, Findings, edits_by_file, patched_hash};
use super::from_proto::ClientFeatures;
use super::roots::Roots;
use super::seen::Seen;
use super::to_proto;

/// Fixes whose application is looked out for, at most.
const MAX_EXPECTED: usize = 64;

/// The state of a session.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// What the editor can do.
    pub(crate) features: ClientFeatures,
    /// Who the editor is.
    pub(crate) client_name: String,
    /// What it has open.
    pub(crate) roots: Roots,
    /// Open documents.
    pub(crate) documents: Documents,
    /// What the daemon found.
    pub(crate) findings: Findings,
    /// What the daemon was told of other servers' diagnostics.
    pub(crate) seen: Seen,
    /// The editor's settings as JSON text.
    pub(crate) settings: Option<String>,
    /// Fixes handed to the editor, to notice that one is applied.
    expected: Vec<Expected>,
}

/// What files look like once a fix is applied.
#[derive(Debug)]
struct Expected {
    fix: String,
    files: Vec<(PathBuf, String)>,
}

impl State {
    /// What a new daemon must know.
    pub(crate) fn replay(&self) -> Vec<Notification> {
        let settings = Notification::SettingsChanged { settings: self.settings.clone() };
        let roots = Notification::RootsChanged { roots: self.roots.canonical() };
        let documents = self.documents.iter().map(|(path, document)| document.opened(path.clone()));
        let seen = self.seen.replay(&self.documents);
        [settings, roots].into_iter().chain(documents).chain(seen).collect()
    }

    /// What the daemon has to be told of the diagnostics in a menu.
    pub(crate) fn unseen(
        &mut self,
        path: &Path,
        diagnostics: &[Diagnostic],
    ) -> Option<Notification> {
        let document = self.documents.get(path)?;
        self.seen.news(path, document, self.features.encoding, diagnostics)
    }

    /// Diagnostics at a file, for its text of now.
    pub(crate) fn diagnostics(&self, path: &Path) -> Vec<Diagnostic> {
        if !self.findings.mention(path) {
            return Vec::new();
        }
        let Some(text) = FileText::of(self.documents.get(path), path) else { return Vec::new() };
        self.findings
            .current_at(path, &text.hash)
            // Its own server shows it.
            .filter(|finding| finding.kind != FindingKind::Diagnostic)
            .map(|finding| {
                to_proto::diagnostic(finding, &text, &self.features, &self.roots, &self.documents)
            })
            .collect()
    }

    /// What has to be published so that the editor shows these files' diagnostics of now. Empty
    /// for those where it does already.
    pub(crate) fn publications<'a>(
        &mut self,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> Vec<PublishDiagnosticsParams> {
        let mut publications = Vec::new();
        for path in paths {
            let Some(uri) = to_proto::uri(path, &self.roots, &self.documents) else { continue };
            let diagnostics = self.diagnostics(path);
            let published = self.findings.published.get(&uri);
            if published.map_or(diagnostics.is_empty(), |published| *published == diagnostics) {
                continue;
            }
            if diagnostics.is_empty() {
                self.findings.published.remove(&uri);
            } else {
                self.findings.published.insert(uri.clone(), diagnostics.clone());
            }
            let version = self.documents.get(path).map(|document| document.version);
            publications.push(PublishDiagnosticsParams { uri, diagnostics, version });
        }
        publications
    }

    /// Looks out for the application of a fix whose edit the editor gets.
    pub(crate) fn expect(&mut self, root: &Path, fix: &greenlit_protocol::OfferedFix) {
        let files: Option<Vec<(PathBuf, String)>> = edits_by_file(&fix.entry)
            .into_iter()
            .map(|(relative, edits)| {
                let path = root.join(relative);
                let text = FileText::of(self.documents.get(&path), &path)?;
                let hash = patched_hash(&text, &edits)?;
                Some((path, hash))
            })
            .collect();
        let Some(files) = files else { return };
        self.expected.retain(|expected| expected.fix != fix.id);
        if self.expected.len() == MAX_EXPECTED {
            self.expected.remove(0);
        }
        self.expected.push(Expected { fix: fix.id.clone(), files });
    }

    /// The fixes that a change of this file completed. Each is told once.
    pub(crate) fn completed_by(&mut self, path: &Path) -> Vec<String> {
        let documents = &self.documents;
        let is_now = |(path, hash): &(PathBuf, String)| {
            let document = documents.get(path).and_then(|document| document.rope());
            // Not the cached hash: most versions are never asked for theirs.
            document.is_some_and(|rope| hash_rope(rope) == *hash)
        };
        let (done, open) = std::mem::take(&mut self.expected).into_iter().partition(|expected| {
            expected.files.iter().any(|(file, _)| file == path) && expected.files.iter().all(is_now)
        });
        self.expected = open;
        let done: Vec<Expected> = done;
        done.into_iter().map(|expected| expected.fix).collect()
    }

    /// New findings: fixes of before that are not among them are not looked out for any more. Those that
    /// are may be about to be applied: an edit that was handed out is on its way.
    pub(crate) fn forget_expected(&mut self, root: &Path, findings: &[Finding]) {
        let offered =
            |id: &str| findings.iter().flat_map(|finding| &finding.fixes).any(|fix| fix.id == id);
        self.expected.retain(|expected| {
            offered(&expected.fix) || !expected.files.iter().any(|(path, _)| path.starts_with(root))
        });
    }
}
