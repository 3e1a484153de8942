//! Stability, extremes, and what is referred to.

use std::collections::HashSet;
use std::fmt::Write;

use super::properties::{check, count};
use super::{Chunk, ChunkKind, Document, SourceKind, chunks};
use crate::language::Language;

const BUDGET: usize = 120;

fn texts(text: &str, kind: SourceKind) -> Vec<String> {
    let found = chunks(text, kind, BUDGET, &count).unwrap();
    check(text, kind, BUDGET, &found);
    found.iter().map(|chunk| chunk.embedded_text(text)).collect()
}

/// Many functions, small and large, some in classes; each has its own name in its body.
fn page(language: Language, count: usize, changed: Option<(usize, usize)>) -> String {
    let mut text = String::new();
    for n in 0..count {
        let grown = changed.filter(|(at, _)| *at == n).map_or(0, |(_, lines)| lines);
        let lines = 1 + n * 7 % 13 + grown;
        match language {
            Language::Python => {
                if n % 5 == 0 {
                    let _ = writeln!(text, "class C{n}:");
                }
                let _ = writeln!(text, "    def f{n}(self):");
                for line in 0..lines {
                    let _ = writeln!(text, "        self.call_{n}({line}, {n})");
                }
                text.push('\n');
            }
            _ => {
                let _ = writeln!(text, "fn f{n}() {{");
                for line in 0..lines {
                    let _ = writeln!(text, "    call_{n}({line}, {n});");
                }
                text.push_str("}\n\n");
            }
        }
    }
    text
}

#[test]
fn a_function_that_grows_or_shrinks_changes_no_chunk_of_another() {
    for language in [Language::Rust, Language::Python] {
        let kind = SourceKind::Code(language);
        let before = texts(&page(language, 40, None), kind);
        for at in (0..40).step_by(9) {
            for grown in [1, 8, 90] {
                let after: HashSet<String> =
                    texts(&page(language, 40, Some((at, grown))), kind).into_iter().collect();
                let own = format!("call_{at}(");
                for chunk in before.iter().filter(|chunk| !chunk.contains(&own)) {
                    assert!(after.contains(chunk), "{language:?} {at} {grown}:\n{chunk}");
                }
            }
        }
    }
}

#[test]
fn an_edit_within_a_long_text_changes_few_chunks() {
    let line = |n: usize| format!("The {n}th line says {} things.\n", n * n % 97);
    let text = |extra: &str, at: usize| -> String {
        (0..2000).map(|n| if n == at { line(n) + extra } else { line(n) }).collect()
    };
    let before: HashSet<String> = texts(&text("", 0), SourceKind::Text).into_iter().collect();
    for at in [0, 500, 1999] {
        let after = texts(&text("And more.\n", at), SourceKind::Text);
        let new = after.iter().filter(|chunk| !before.contains(*chunk)).count();
        assert!((1..=4).contains(&new), "{new} new chunks after an edit at {at}");
    }
}

#[test]
fn chunks_of_a_page_are_filled() {
    let text = include_str!("layout.rs");
    let found = chunks(text, SourceKind::Code(Language::Rust), 256, &count).unwrap();
    let mean = count(text) / found.len();
    assert!(mean > 60, "{mean} tokens per chunk");
}

#[test]
fn a_minified_line_of_five_megabytes_is_divided_as_text() {
    let text = "function a(b,c){return b+c}var d=[1,2,3];".repeat(5 * 1024 * 1024 / 41);
    let kind = SourceKind::Code(Language::JavaScript);
    let found = chunks(&text, kind, 256, &count).unwrap();
    assert!(found.iter().all(|chunk| chunk.kind == ChunkKind::Text));
    assert!(found.iter().all(|chunk| count(&text[chunk.bytes.clone()]) <= 256));
    assert_eq!(found.last().unwrap().bytes.end, text.len());
}

#[test]
fn deep_nesting_and_endless_tokens_come_to_an_end() {
    let texts = [
        "(".repeat(4_000),
        "{".repeat(4_000),
        format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)),
        format!("x = {}", "a + ".repeat(4_000)),
        "if (a) { ".repeat(800),
        format!("{}{}", "> ".repeat(800), "x"),
        format!("{}x", "- ".repeat(800)),
        "a".repeat(50_000),
        "ä".repeat(20_000),
        "\n".repeat(100_000),
        " ".repeat(100_000) + "x",
        "# a\n".repeat(4_000),
        "\u{0}".repeat(10_000),
    ];
    for text in texts {
        let code = Language::ALL.into_iter().map(SourceKind::Code);
        for kind in code.chain([SourceKind::Markdown, SourceKind::Text]) {
            let found = chunks(&text, kind, 64, &count).unwrap();
            let end = found.last().map_or(0, |chunk| chunk.bytes.end);
            assert!(text[end..].trim().is_empty());
        }
    }
}

#[test]
fn a_counter_that_never_fits_ends_too() {
    let found = chunks("fn f() { g(1); }", SourceKind::Code(Language::Rust), 1, &|_| 9).unwrap();
    assert!(found.len() > 1);
    assert!(chunks("a", SourceKind::Text, 0, &count).is_err());
    assert!(chunks(" \n\t\r\n", SourceKind::Text, 8, &count).unwrap().is_empty());
    assert!(chunks("", SourceKind::Markdown, 8, &count).unwrap().is_empty());
}

#[test]
fn what_is_embedded_names_the_definition_and_never_the_file() {
    let body: String = (0..40).map(|n| format!("        let a{n} = b({n});\n")).collect();
    let text = format!("impl Store {{\n    /// Finds.\n    fn find(&self) {{\n{body}    }}\n}}\n");
    let kind = SourceKind::Code(Language::Rust);
    let found = chunks(&text, kind, BUDGET, &count).unwrap();
    let first = found[0].embedded_text(&text);
    assert!(first.starts_with("Store > find\nimpl Store {\n    /// Finds."), "{first}");
    assert_eq!(found[0].doc.as_deref(), Some("Finds."));
    let second = &found[1];
    assert!(second.continued && second.doc.is_none());
    let second = second.embedded_text(&text);
    assert!(second.starts_with("Store > find\nfn find(&self)\n        let a"), "{second}");

    let document = Document::read(text.as_str().into(), kind).unwrap();
    let doc = document.symbols().into_iter().find(|s| s.path.len() == 2).unwrap().doc;
    let without = found[0].embedded_without(&text, &doc);
    assert!(!without.contains("Finds"), "{without}");
    assert!(without.contains("fn find(&self)"));
}

#[test]
fn references_belong_to_the_chunk_that_holds_them() {
    let text = "use a::b::{c, d};\n\nfn one() { c(1); x.d(c(2)); println!(\"{}\", e(3)); long(1, 2, 3); }\n\nfn two() { one(); f::g(1, 2, 3); one(); }\n";
    let document = Document::read(text.into(), SourceKind::Code(Language::Rust)).unwrap();
    let found = document.chunks(64, &count).unwrap();
    let of = |chunk: &Chunk| chunk.symbol.join(".");
    assert_eq!(found.iter().map(of).collect::<Vec<_>>(), ["", "one", "two"]);
    let references = document.references(&found);
    assert_eq!(references.imports, ["a::b::{c, d}"]);
    assert_eq!(references.calls[1], ["c", "d", "e", "long"]);
    assert_eq!(references.calls[2], ["one", "g"]);
    let prose = Document::read("# A\n\nf(x)\n".into(), SourceKind::Markdown).unwrap();
    let found = prose.chunks(64, &count).unwrap();
    assert_eq!(prose.references(&found).calls, [[""; 0]]);
}

#[test]
fn a_text_that_the_parser_gives_up_is_divided_as_text() {
    // C++'s grammar finds no end in this: see `ParseError::GaveUp`.
    let text = "a(".repeat(800) + "}{".repeat(800).as_str();
    for language in Language::ALL {
        let kind = SourceKind::Code(language);
        let found = chunks(&text, kind, 64, &count).unwrap();
        assert_eq!(found.last().unwrap().bytes.end, text.len());
    }
}
