//! Diagnostics of other servers in the menus that the editor asks for: what is told to the daemon.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use greenlit_protocol::{DiagnosticTool, Notification, SeenDiagnostic};
use lsp_types::{Diagnostic, NumberOrString};
use ropey::Rope;

use super::documents::Document;
use super::findings::Documents;
use super::position::Encoding;
use super::to_proto::SOURCE;

/// Diagnostics of one menu that are looked at.
const MOST: usize = 100;

/// Bytes of a message that are told; the first line is what it is found by.
const MESSAGE_LIMIT: usize = 2000;

/// What was told, by document.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    told: HashMap<PathBuf, Told>,
    ignored: u64,
}

/// What was told of one version of a document.
#[derive(Debug, Default)]
struct Told {
    version: i32,
    known: HashSet<SeenDiagnostic>,
    ignored: HashSet<(String, usize, usize)>,
}

impl Seen {
    /// What of these diagnostics has to be told: each once for a version of its document.
    pub(crate) fn news(
        &mut self,
        path: &Path,
        document: &Document,
        encoding: Encoding,
        diagnostics: &[Diagnostic],
    ) -> Option<Notification> {
        let rope = document.rope()?;
        let told = self.told.entry(path.to_owned()).or_default();
        if told.version != document.version {
            *told = Told { version: document.version, ..Told::default() };
        }
        let mut news = Vec::new();
        for diagnostic in diagnostics.iter().take(MOST) {
            if let Some(seen) = seen(diagnostic, rope, encoding) {
                if told.known.insert(seen.clone()) {
                    news.push(seen);
                }
            } else if diagnostic.source.as_deref() != Some(SOURCE) {
                let source = diagnostic.source.clone().unwrap_or_default();
                let (start, end) = range(diagnostic, rope, encoding);
                self.ignored += u64::from(told.ignored.insert((source, start, end)));
            }
        }
        (!news.is_empty()).then(|| Notification::DiagnosticsSeen {
            document: path.to_owned(),
            version: document.version,
            diagnostics: news,
        })
    }

    /// A closed document may come back with the same version and another text.
    pub(crate) fn closed(&mut self, path: &Path) {
        self.told.remove(path);
    }

    /// What a new daemon must be told again.
    pub(crate) fn replay<'a>(
        &'a self,
        documents: &'a Documents,
    ) -> impl Iterator<Item = Notification> + 'a {
        self.told.iter().filter_map(|(path, told)| {
            let version = documents.get(path)?.version;
            (version == told.version && !told.known.is_empty()).then(|| {
                let diagnostics = told.known.iter().cloned().collect();
                Notification::DiagnosticsSeen { document: path.clone(), version, diagnostics }
            })
        })
    }

    /// Diagnostics of sources that nothing is known about.
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored
    }
}

/// A diagnostic in the daemon's terms; `None` for an unknown source.
pub(crate) fn seen(
    diagnostic: &Diagnostic,
    rope: &Rope,
    encoding: Encoding,
) -> Option<SeenDiagnostic> {
    let tool = DiagnosticTool::of_source(diagnostic.source.as_deref()?)?;
    let code = diagnostic.code.as_ref().map(|code| match code {
        NumberOrString::Number(number) => number.to_string(),
        NumberOrString::String(code) => code.clone(),
    });
    let mut message = diagnostic.message.clone();
    message.truncate(message.floor_char_boundary(MESSAGE_LIMIT));
    let (start, end) = range(diagnostic, rope, encoding);
    Some(SeenDiagnostic { tool, code, message, start, end })
}

fn range(diagnostic: &Diagnostic, rope: &Rope, encoding: Encoding) -> (usize, usize) {
    let start = encoding.offset(rope, diagnostic.range.start);
    let end = encoding.offset(rope, diagnostic.range.end);
    (start, end.max(start))
}
