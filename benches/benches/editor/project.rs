//! The open documents, and what the daemon found in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use greenlit_protocol::{
    FileEdit, Finding, FindingKind, FixEntry, FixEvidence, FixSource, OfferedFix, Related,
};
use serde_json::{Value, json};

/// Python files in a directory, all open, each with a failing test that has a fix.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) documents: usize,
}

impl Project {
    pub(crate) fn lay(root: &Path, documents: usize) -> Self {
        std::fs::create_dir(root).expect("nothing is there");
        let project = Self { root: root.to_owned(), documents };
        for index in 0..documents {
            std::fs::write(root.join(name(index)), text(index)).expect("it is writable");
        }
        project
    }

    pub(crate) fn uri(&self, index: usize) -> String {
        format!("file://{}/{}", self.root.display(), name(index))
    }

    /// `textDocument/didOpen`
    pub(crate) fn opened(&self, index: usize) -> Value {
        json!({ "textDocument": {
            "uri": self.uri(index), "languageId": "python", "version": 1, "text": text(index),
        } })
    }

    /// A menu at the failing line.
    pub(crate) fn menu(&self, index: usize) -> Value {
        let at = json!({ "line": 1, "character": 4 });
        json!({
            "textDocument": { "uri": self.uri(index) },
            "range": { "start": at, "end": at },
            "context": { "diagnostics": [] },
        })
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        (0..self.documents).map(|index| finding(&self.root, index)).collect()
    }
}

fn name(index: usize) -> String {
    format!("test_{index}.py")
}

/// About 300 lines, as files are.
fn text(index: usize) -> String {
    let mut text = format!("def test_{index}():\n    assert value({index}) == 1\n\n\n");
    for line in 0..300 {
        text.push_str(&format!("value_{line} = compute({index}, {line})  # a comment\n"));
    }
    text
}

fn finding(project: &Path, index: usize) -> Finding {
    let (path, content) = (name(index), text(index));
    let hash = blake3::hash(content.as_bytes()).to_hex().to_string();
    let end = content.find("== 1").expect("it is in the text") + 4;
    let test = format!("{path}::test_{index}");
    Finding {
        kind: FindingKind::FailingTest,
        test: Some(test.clone()),
        path: project.join(&path),
        line: 2,
        content_hash: hash.clone(),
        message: "assert 0 == 1".to_owned(),
        related: vec![Related {
            path: project.join(&path),
            line: 5,
            message: "may hold the cause".to_owned(),
        }],
        fixes: vec![OfferedFix {
            id: format!("fix-{index}"),
            title: format!("Fix test_{index} · verified: 1 red→green, 199 others unchanged"),
            summary: "1 → 0".to_owned(),
            entry: FixEntry {
                tests: vec![test.clone()],
                rank: 1,
                diff: String::new(),
                edits: vec![FileEdit {
                    path: path.clone(),
                    start: end - 1,
                    end,
                    new_text: "0".to_owned(),
                }],
                source: FixSource {
                    tier: "template".to_owned(),
                    rule: None,
                    model: None,
                    adapter: None,
                },
                evidence: FixEvidence {
                    red_to_green: vec![test],
                    unchanged: 199,
                    newly_failing: 0,
                    runs: 2,
                    scope: "all".to_owned(),
                    layer: "namespaces".to_owned(),
                    duration_ms: 1,
                    diagnostic: None,
                    content_hashes: BTreeMap::from([(path, hash)]),
                    agreement: None,
                    test_strength: None,
                    retrieved: None,
                    merit: None,
                    rebased: false,
                    generation: None,
                },
            },
        }],
    }
}
