//! Chunks of real-looking texts in every language.

use super::properties::{check, count};
use super::{SourceKind, chunks};
use crate::language::Language;

pub(super) const SOURCES: [(SourceKind, &str); 3] = [
    (SourceKind::Code(Language::Rust), include_str!("document.rs")),
    (
        SourceKind::Code(Language::Python),
        "class A:\n    \"\"\"Doc.\"\"\"\n\n    def f(self):\n        return 1\n\n\ndef g():\n    return A().f()\n",
    ),
    (SourceKind::Markdown, "# Title\n\nSome words.\n\n## Part\n\n- a\n- b\n\n```\ncode\n```\n"),
];

fn shown(text: &str, kind: SourceKind, budget: usize) -> String {
    let found = chunks(text, kind, budget, &count).unwrap();
    check(text, kind, budget, &found);
    let mut shown = String::new();
    for c in found {
        let first = text[c.bytes.clone()].trim().lines().next().unwrap_or_default();
        let flag = if c.continued { "+" } else { "" };
        shown.push_str(&format!(
            "{}..{} {:?}{flag} {} | {} | {}\n",
            c.lines.start,
            c.lines.end,
            c.kind,
            c.symbol.join("."),
            c.defines.join(" "),
            first
        ));
    }
    shown
}

#[test]
fn shows() {
    for (kind, text) in SOURCES {
        println!("{}", shown(text, kind, 200));
    }
    println!("{}", shown(include_str!("layout.rs"), SourceKind::Code(Language::Rust), 256));
}
