//! What holds of the chunks of any text.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Chunk, Document, SourceKind, chunks, symbols};
use crate::language::Language;

fn kinds() -> Vec<SourceKind> {
    let code = Language::ALL.into_iter().map(SourceKind::Code);
    code.chain([SourceKind::Markdown, SourceKind::Text]).collect()
}

/// Words and single marks, about as a tokenizer counts them.
pub(super) fn count(text: &str) -> usize {
    let mut tokens = 0;
    let mut word = false;
    for c in text.chars() {
        let letter = c.is_alphanumeric() || c == '_';
        tokens += usize::from(if letter { !word } else { !c.is_whitespace() });
        word = letter;
    }
    tokens
}

/// Panics where a list of chunks breaks a promise.
pub(super) fn check(text: &str, kind: SourceKind, budget: usize, found: &[Chunk]) {
    let mut end = 0;
    for chunk in found {
        assert!(chunk.bytes.start >= end, "{kind:?}: overlap at {}", chunk.bytes.start);
        assert!(text[end..chunk.bytes.start].trim().is_empty(), "{kind:?}: a gap at {end}");
        assert!(!text[chunk.bytes.clone()].trim().is_empty(), "{kind:?}: an empty chunk");
        end = chunk.bytes.end;
        let row = |at: usize| text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() as u32;
        assert_eq!(chunk.lines, row(chunk.bytes.start)..row(chunk.bytes.end - 1) + 1, "{kind:?}");
        let embedded = chunk.embedded_text(text);
        let own = count(&text[chunk.bytes.clone()]);
        let divisible = own > 1;
        assert!(!divisible || own <= budget, "{kind:?}: {own} tokens of code");
        let head = count(&embedded) - own;
        assert!(
            !divisible || count(&embedded) <= budget || head > budget / 2,
            "{kind:?}: {} tokens embedded",
            count(&embedded)
        );
    }
    assert!(text[end..].trim().is_empty(), "{kind:?}: the end is missing");
}

fn mangled() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "fn f() {",
        "}",
        "class A:",
        "    ",
        "\n",
        "\n\n",
        "def g(x):",
        "return x",
        "# h\n",
        "/*",
        "*/",
        "// c\n",
        "const a = ",
        "() => {",
        "\"",
        "'''",
        "struct S {",
        "impl S {",
        ";",
        "(",
        ")",
        "ä",
        "```\n",
        "- ",
        "> ",
        "#ifdef X\n",
        "#endif\n",
        "package p\n",
        "type T struct {",
        "\t",
        "\r\n",
        "@d\n",
        "<p>",
        "x",
        "Title\n=====\n",
        "[",
        "]",
        ",",
        "1",
        "if (x) {",
        "else",
        "namespace n {",
        "\u{0}",
        "🦀",
        "export ",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    // One case is ten languages.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn chunks_are_ordered_disjoint_complete_and_within_budget(
        text in prop_oneof![mangled(), "\\PC{0,200}", "[a-z(){}\\[\\]:=<+.,'\"# \\n\\tä0-9]{0,300}"],
        budget in 4usize..60,
    ) {
        for kind in kinds() {
            let found = chunks(&text, kind, budget, &count).unwrap();
            check(&text, kind, budget, &found);
            for symbol in symbols(&text, kind).unwrap() {
                prop_assert!(text.get(symbol.bytes.clone()).is_some());
                prop_assert!(!symbol.path.is_empty());
                for doc in symbol.doc {
                    prop_assert!(text.get(doc).is_some());
                }
            }
            let document = Document::read(text.as_str().into(), kind).unwrap();
            prop_assert_eq!(document.references(&found).calls.len(), found.len());
        }
    }

    #[test]
    fn an_edited_document_is_what_a_new_one_would_be(
        edits in prop::collection::vec((0usize..400, 0usize..30, mangled()), 1..6),
        budget in 8usize..60,
    ) {
        for (kind, start) in super::pages::sources() {
            let mut text = start.to_owned();
            let mut document = Document::read(text.as_str().into(), kind).unwrap();
            for (at, removed, added) in &edits {
                let edge = |n: usize| {
                    (0..=n.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
                };
                let (from, to) = (edge(*at), edge(at + removed));
                let added: String = added.chars().take(12).collect();
                text.replace_range(from..to, &added);
                document = document.edited(Arc::from(text.as_str())).unwrap();
                let fresh = Document::read(text.as_str().into(), kind).unwrap();
                prop_assert_eq!(document.symbols(), fresh.symbols(), "{:?}\n{}", kind, text);
                prop_assert_eq!(
                    document.chunks(budget, &count).unwrap(),
                    fresh.chunks(budget, &count).unwrap(),
                    "{:?}\n{}", kind, text
                );
            }
        }
    }
}
