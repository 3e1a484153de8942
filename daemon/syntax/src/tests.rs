//! Parsing, functions, operators and imports; properties that hold for any text.

use insta::assert_debug_snapshot;
use proptest::prelude::*;

use crate::{Language, ParseError, Parsed, Role, parse};

fn parsed(language: Language, text: &str) -> Parsed {
    parse(language, text.into()).expect("it parses")
}

#[test]
fn functions_are_named_with_their_class_parameters_and_calls() {
    let python = parsed(
        Language::Python,
        "class A:\n    def f(self, x=1, *rest):\n        return g(x) + self.h(len(rest))\n",
    );
    let rust = parsed(
        Language::Rust,
        "impl A { fn f(&self, mut x: u8) -> u8 { g::<u8>(x); assert_eq!(h(x), 1); x } }",
    );
    let script = parsed(Language::JavaScript, "const f = (a, { b }) => g(a, new H(b));");
    let short = |p: &Parsed| {
        let f = p.functions().remove(0);
        (f.class, f.name, f.parameters, f.calls, f.start_line..=f.end_line)
    };
    assert_debug_snapshot!([short(&python), short(&rust), short(&script)].map(|s| format!("{s:?}")), @r#"
    [
        "(Some(\"A\"), \"f\", [\"self\", \"x\", \"rest\"], [\"g\", \"h\", \"len\"], 2..=3)",
        "(Some(\"A\"), \"f\", [\"self\", \"x\"], [\"g\", \"h\"], 1..=1)",
        "(None, \"f\", [\"a\", \"b\"], [\"g\", \"H\"], 1..=1)",
    ]
    "#);
}

#[test]
fn functions_assigned_to_members_have_the_members_name() {
    let text = "exports.f = (a) => a;\nmodule.exports = function (b) { return b; };\nlet x; x = () => 1;\n";
    let script = parsed(Language::JavaScript, text);
    let names: Vec<_> = script.functions().into_iter().map(|f| (f.name, f.parameters)).collect();
    assert_eq!(
        names,
        [("f".into(), vec!["a".into()]), ("exports".to_owned(), vec!["b".to_owned()])]
    );
}

#[test]
fn a_chained_comparison_is_several_operations_and_not_in_is_one_operator() {
    let chain = parsed(Language::Python, "a < b <= c not in d\n");
    let node = chain.descendants(chain.root(), |r| r == Role::Binary)[0];
    let operators: Vec<_> = chain.binaries(node).iter().map(|b| chain.operator_text(b).1).collect();
    assert_eq!(operators, ["<", "<=", "not in"]);
}

#[test]
fn declared_types_are_read_as_they_are_written() {
    let rust = parsed(
        Language::Rust,
        "struct S { n: usize, pub s: Option<&'static str> }\nfn f(a: &[u8], b: f64) { let c: u8 = 1; let d = 2; }",
    );
    let go = parsed(
        Language::Go,
        "package p\ntype S struct { N, M int }\nfunc f(a, b string) { var c []int }\n",
    );
    let cpp =
        parsed(Language::Cpp, "struct S { int n; };\nint f(int a) { double b = 1; auto c = a; }\n");
    let types = |p: &Parsed| {
        let written = |types: Vec<(String, String)>| {
            types
                .iter()
                .map(|(name, written)| format!("{name}: {written}"))
                .collect::<Vec<_>>()
                .join("; ")
        };
        format!("{} | {}", written(p.member_types()), written(p.name_types(p.root())))
    };
    assert_debug_snapshot!([types(&rust), types(&go), types(&cpp)], @r#"
    [
        "n: usize; s: Option<&'static str> | a: &[u8]; b: f64; c: u8; d: {integer}",
        "N: int; M: int | a: string; b: string; c: []int",
        "n: int | n: int; a: int; b: double",
    ]
    "#);
}

#[test]
fn imports_are_read_in_every_language() {
    let python = parsed(Language::Python, "from a.b import c\nimport d\n");
    let script = parsed(Language::JavaScript, "import x from './m.js'; const y = require('n');");
    let rust = parsed(Language::Rust, "use a::b::{c, d};");
    assert_eq!(python.imports(), ["a.b", "d"]);
    assert_eq!(script.imports(), ["./m.js", "n"]);
    assert_eq!(rust.imports(), ["a::b::{c, d}"]);
}

#[test]
fn errors_have_positions() {
    assert!(parsed(Language::Python, "x = 1\n").error_offsets().is_empty());
    assert!(!parsed(Language::Python, "def f(:\n").error_offsets().is_empty());
}

proptest! {
    #[test]
    fn mangled_text_never_panics_and_nodes_lie_on_character_boundaries(
        text in "[a-z(){}\\[\\]:=<+.,'\"# \\n\\tä0-9]{0,80}",
        other in "[a-z(){}:=\\nä]{0,12}",
        at in 0usize..80,
    ) {
        for language in Language::ALL {
            // C++'s grammar may find no end in such a text; it must say so.
            let before = match parse(language, text.as_str().into()) {
                Ok(before) => before,
                Err(error) => {
                    prop_assert!(matches!(error, ParseError::GaveUp));
                    continue;
                }
            };
            before.functions();
            before.bindings();
            before.shapes(before.root());
            before.members();
            before.imports();
            before.marked_tests();
            let at = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            let changed = format!("{}{other}{}", &text[..at], &text[at..]);
            let Ok(again) = before.reparse(changed.as_str().into()) else { continue };
            prop_assert_eq!(again.text(), changed.as_str());
            for node in again.descendants(again.root(), |_| true) {
                prop_assert!(changed.get(node.byte_range()).is_some());
            }
        }
    }
}
