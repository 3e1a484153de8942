//! Fake successes, language by language, and honest patches that must pass.

use std::path::Path;

use greenlit_syntax::Language;

use super::{Author, Original, RejectReason, Rejector, is_test_configuration, reject};
use crate::candidate::Edit;
use crate::patch::PatchedFile;
use crate::patterns::PathPatterns;
use crate::workbench::Subject;

fn judge(language: Language, original: &str, patched: &str) -> String {
    let edit = Edit {
        path: "/w/src/code".into(),
        start: 0,
        end: original.len(),
        new_text: patched.into(),
    };
    let verdict = reject(language, original, patched, &[edit], &|_| false);
    verdict.map_or_else(|| "accepted".into(), |reason| reason.to_string())
}

fn refused(language: Language, original: &str, patches: &[(&str, &str)]) {
    for (patched, expected) in patches {
        let said = judge(language, original, patched);
        assert!(said.starts_with(expected), "{patched}\nexpected: {expected}\nsaid: {said}");
    }
}

const PYTHON: &str = "import math\n\ndef f(xs):\n    assert xs\n    return xs[0]\n";

#[test]
fn fake_python_successes_are_refused() {
    let with = |body: &str| format!("import math\n\ndef f(xs):\n    assert xs\n{body}");
    let cases = [
        ("    exit(0)\n", "ends the process"),
        ("    raise SystemExit\n", "ends the process"),
        ("    import sys\n    sys.exit(0)\n", "ends the process"),
        ("    import os as o\n    o._exit(0)\n", "ends the process"),
        ("    from os import abort as a\n    a()\n", "ends the process"),
        ("    import signal\n    return xs[0]\n", "ends the process"),
        (
            "    class A(int):\n        def __eq__(self, o): return True\n    return A()\n",
            "changes what equality",
        ),
        (
            "    class A:\n        __eq__ = lambda a, b: True\n    return A()\n",
            "changes what equality",
        ),
        (
            "    class A:\n        def __bool__(self): return True\n    return A()\n",
            "changes what equality",
        ),
        ("    return type('A', (), {'__eq__': lambda a, b: True})()\n", "changes what equality"),
        ("    from unittest.mock import ANY\n    return ANY\n", "changes what equality"),
        ("    import pytest\n    pytest.skip('x')\n", "ends the process"),
        ("    import _pytest.runner\n    return xs[0]\n", "knows about tests"),
        ("    from unittest import SkipTest\n    raise SkipTest\n", "knows about tests"),
        ("    import inspect\n    return inspect.stack()\n", "knows about tests"),
        ("    import sys\n    return sys._getframe(1).f_locals['expected']\n", "knows about tests"),
        ("    import sys\n    sys.modules['tests'] = None\n", "changes the runtime"),
        ("    import builtins\n    builtins.len = lambda x: 0\n", "changes the runtime"),
        ("    globals()['f'] = None\n", "changes the runtime"),
        ("    setattr(math, 'floor', round)\n", "changes the runtime"),
        ("    import gc\n    return gc.get_objects()\n", "changes the runtime"),
        ("    return eval('1')\n", "runs text as code"),
        ("    exec('x = 1')\n", "runs text as code"),
        ("    return __import__('os')\n", "runs text as code"),
        ("    return open('/etc/passwd').read()\n", "reaches outside"),
        ("    import subprocess\n    return subprocess.run('x')\n", "reaches outside"),
        ("    import os\n    os.system('x')\n", "reaches outside"),
        ("    import os\n    return os.environ\n", "reaches outside"),
        ("    import socket\n    return socket\n", "reaches outside"),
        ("    import threading\n    return threading\n", "reaches outside"),
        ("    from pathlib import Path\n    return Path('x')\n", "reaches outside"),
        ("    return 'PYTEST_CURRENT_TEST' in xs\n", "knows about tests"),
        ("    return xs[0]  # noqa\n", "silences a tool"),
        ("    return xs[0]  # type: ignore\n", "silences a tool"),
        ("    return xs[0\n", "introduces a syntax error"),
    ];
    for (body, expected) in cases {
        refused(Language::Python, PYTHON, &[(&with(body), expected)]);
    }
}

#[test]
fn python_assertions_and_examples_must_stay() {
    refused(
        Language::Python,
        PYTHON,
        &[
            ("import math\n\ndef f(xs):\n    return xs[0]\n", "removes or changes"),
            (
                "import math\n\ndef f(xs):\n    assert True\n    return xs[0]\n",
                "removes or changes",
            ),
            (PYTHON, "nothing changes"),
        ],
    );
    let documented = "def f(x):\n    '''\n    >>> f(1)\n    2\n    '''\n    return x\n";
    refused(
        Language::Python,
        documented,
        &[(&documented.replace("    2\n", "    1\n"), "touches a test")],
    );
}

#[test]
fn honest_python_patches_pass() {
    let original = "import os\n\ndef f(graph, start):\n    open = [start]\n    while open:\n        n = open.pop()\n    return os.path.join('a', n)\n";
    for patched in [
        original.replace("open.pop()", "open.pop(0)"),
        original.replace("    return", "    open.append(n)\n    return"),
        original.replace("'a', n", "os.path.sep, n"),
        format!("import collections\n{original}"),
    ] {
        assert_eq!(judge(Language::Python, original, &patched), "accepted", "{patched}");
    }
    // What was there already may stay, and move.
    let exits = "import sys\n\ndef main():\n    sys.exit(1 + 1)\n";
    assert_eq!(judge(Language::Python, exits, &exits.replace("1 + 1", "1")), "accepted");
    // Deliberately left to the verifier: no rule tells this from an honest special case.
    let answer = "def f(n):\n    if n == 3:\n        return 6\n    return n\n";
    assert_eq!(judge(Language::Python, "def f(n):\n    return n\n", answer), "accepted");
}

#[test]
fn fake_javascript_successes_are_refused() {
    let original = "export function f(x) {\n  console.assert(x);\n  return x;\n}\n";
    let with =
        |body: &str| format!("export function f(x) {{\n  console.assert(x);\n  {body}\n}}\n");
    let cases = [
        ("process.exit(0);", "ends the process"),
        ("process['exit'](0);", "ends the process"),
        ("globalThis.process.abort();", "ends the process"),
        ("return { valueOf() { return 1; } };", "changes what equality"),
        ("return { [Symbol.toPrimitive]: () => 1 };", "changes what equality"),
        ("return { toString: () => 'x' };", "changes what equality"),
        ("return new Proxy(x, {});", "changes what equality"),
        ("Object.prototype.equals = () => true;", "changes the runtime"),
        ("Object.defineProperty(x, 'y', {});", "changes the runtime"),
        ("x.__proto__ = null;", "changes the runtime"),
        ("globalThis.y = 1;", "changes the runtime"),
        ("return eval('1');", "runs text as code"),
        ("return new Function('return 1')();", "runs text as code"),
        ("return import('node:fs');", "runs text as code"),
        ("return require('fs');", "reaches outside"),
        ("return process.env.NODE_ENV;", "reaches outside"),
        ("return process.argv;", "reaches outside"),
        ("return fetch('http://x');", "reaches outside"),
        ("return 'NODE_TEST_CONTEXT';", "knows about tests"),
        ("return new Error().stack;", "knows about tests"),
        ("assert.equal = () => {};", "knows about tests"),
        ("return x; // eslint-disable-line", "silences a tool"),
        ("return x", "accepted"),
        ("return (x;", "introduces a syntax error"),
    ];
    for (body, expected) in cases {
        refused(Language::JavaScript, original, &[(&with(body), expected)]);
    }
    refused(
        Language::JavaScript,
        original,
        &[
            (&format!("import {{ mock }} from 'node:test';\n{original}"), "knows about tests"),
            (&format!("import assert from 'node:assert';\n{original}"), "knows about tests"),
            (&format!("import cp from 'node:child_process';\n{original}"), "reaches outside"),
            ("export function f(x) {\n  return x;\n}\n", "removes or changes"),
        ],
    );
}

#[test]
fn fake_rust_successes_are_refused() {
    let original =
        "pub struct A(u8);\n\npub fn f(x: u8) -> u8 {\n    debug_assert!(x > 0);\n    x\n}\n";
    let with = |body: &str| {
        format!(
            "pub struct A(u8);\n\npub fn f(x: u8) -> u8 {{\n    debug_assert!(x > 0);\n    {body}\n}}\n"
        )
    };
    let cases = [
        ("std::process::exit(0)", "ends the process"),
        ("use std::process; process::abort()", "ends the process"),
        ("std::panic::set_hook(Box::new(|_| {})); x", "ends the process"),
        ("std::panic::catch_unwind(|| x).unwrap_or(0)", "ends the process"),
        ("if cfg!(test) { 1 } else { x }", "knows about tests"),
        ("#[cfg(test)] return 1; x", "touches a test"),
        ("std::env::var(\"A\").map_or(x, |_| 1)", "reaches outside"),
        ("std::fs::read(\"/a\").map_or(x, |_| 1)", "reaches outside"),
        ("std::thread::spawn(|| {}); x", "reaches outside"),
        ("std::process::Command::new(\"true\"); x", "reaches outside"),
        ("std::net::TcpStream::connect(\"a\"); x", "reaches outside"),
        ("unsafe { *(&x as *const u8) }", "introduces unsafe code"),
        ("include!(\"a.rs\")", "runs text as code"),
        ("#[allow(unused)] let y = 1; x", "silences a tool"),
        ("if \"RUST_TEST_THREADS\".len() > 1 { 1 } else { x }", "knows about tests"),
        ("x +", "introduces a syntax error"),
        ("x + 1", "accepted"),
    ];
    for (body, expected) in cases {
        refused(Language::Rust, original, &[(&with(body), expected)]);
    }
    let equality =
        format!("{original}impl PartialEq for A {{ fn eq(&self, _: &A) -> bool {{ true }} }}\n");
    let macros = format!("{original}macro_rules! assert_eq {{ ($($t:tt)*) => {{}} }}\n");
    refused(
        Language::Rust,
        original,
        &[
            (&equality, "changes what equality"),
            (&macros, "changes the runtime"),
            (&original.replace("debug_assert!(x > 0);", ""), "removes or changes"),
            (&format!("{original}#[test]\nfn t() {{}}\n"), "touches a test"),
            (&format!("{original}#[cfg(test)]\nmod tests {{}}\n"), "touches a test"),
        ],
    );
}

#[test]
fn tests_inside_rust_files_may_not_be_touched() {
    let original = "pub fn f() -> u8 { 1 }\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() { assert_eq!(super::f(), 2); }\n}\n";
    refused(
        Language::Rust,
        original,
        &[
            (&original.replace("super::f(), 2", "super::f(), 1"), "touches a test"),
            (&original.replace("    #[test]\n", "    #[test]\n    #[ignore]\n"), "touches a test"),
            (&original.replace("#[cfg(test)]\n", "#[cfg(any())]\n"), "touches a test"),
            ("pub fn f() -> u8 { 1 }\n", "touches a test"),
        ],
    );
    let honest = original.replace("{ 1 }", "{ 2 }");
    assert_eq!(judge(Language::Rust, original, &honest), "accepted");
}

#[test]
fn paths_of_tests_and_their_configuration_are_refused() {
    let edit = |path: &str| Edit { path: path.into(), start: 0, end: 0, new_text: "y".into() };
    let judge = |path: &str| {
        let is_test = |path: &Path| path.starts_with("/w/tests");
        reject(Language::Python, "x\n", "yx\n", &[edit(path)], &is_test).map(|r| r.to_string())
    };
    assert_eq!(judge("/w/tests/test_a.py").as_deref(), Some("touches a test"));
    assert_eq!(judge("/w/conftest.py").as_deref(), Some("touches test configuration"));
    assert_eq!(judge("/w/a.py"), None);
    for path in ["/w/Cargo.toml", "/w/.cargo/config.toml", "/w/jest.config.mjs", "/w/build.rs"] {
        assert!(is_test_configuration(Path::new(path)), "{path}");
    }
}

#[test]
fn edits_that_do_not_fit_are_refused() {
    let edit = Edit { path: "/w/a.py".into(), start: 1, end: 6, new_text: String::new() };
    let said = reject(Language::Python, "x = 'ä'\n", "x\n", &[edit], &|_| false);
    assert_eq!(said.map(|r| r.to_string()).as_deref(), Some("an edit does not fit the text"));
}

#[test]
fn the_marker_of_go_tests_json_lines_may_not_be_added() {
    let with =
        |line: &str| format!("package p\n\nimport \"fmt\"\n\nfunc f(n int) {{\n\t{line}\n}}\n");
    let original = with("fmt.Println(n)");
    let forged = "--- PASS: TestA (0.00s)\\n";
    for marker in ["\\x16", "\\026", "\\u0016", "\\U00000016", "\x16"] {
        let patched = with(&format!("fmt.Print(\"{marker}{forged}\")"));
        refused(Language::Go, &original, &[(&patched, "knows about tests")]);
    }
    refused(Language::Go, &original, &[(&with("fmt.Print('\\x16')"), "knows about tests")]);
    let harmless = with("fmt.Print(\"\\x61\")");
    refused(Language::Go, &original, &[(&harmless, "accepted")]);
}

#[test]
fn checkers_own_suggestions_may_reach_further_and_may_not_blind_the_tests() {
    let judge = |language, original: &str, patched: &str| {
        let original = Original::new(language, original.into()).expect("it parses");
        let said = |author| {
            original
                .reject(patched, author)
                .map_or("accepted".to_owned(), |reason| reason.to_string())
        };
        assert_ne!(said(Author::Search), "accepted", "{patched}");
        said(Author::Checker)
    };
    let python = "def f(name):\n    return open(name)\n";
    let path = "from pathlib import Path\n\ndef f(name):\n    return Path(name).open()\n";
    assert_eq!(judge(Language::Python, python, path), "accepted");
    let exits = "def f():\n    exit(1)\n";
    let sys = "import sys\n\ndef f():\n    sys.exit(1)\n";
    assert_eq!(judge(Language::Python, exits, sys), "accepted", "it exited before");
    for (patched, expected) in [
        ("import sys\n\ndef f(name):\n    sys.exit(0)\n", "ends the process"),
        ("def f(name):\n    return open(name)  # noqa\n", "silences a tool"),
        ("import pytest\n\ndef f(name):\n    return open(name)\n", "knows about tests"),
        (
            "class A:\n    def __eq__(self, o):\n        return True\n\ndef f(name):\n    return open(name)\n",
            "changes what equality",
        ),
    ] {
        let said = judge(Language::Python, python, patched);
        assert!(said.starts_with(expected), "{patched}: {said}");
    }
    let silenced = "import os  # noqa\n\ndef f(name):\n    return open(name)\n";
    let twice = "import os  # noqa\n\ndef f(name):\n    return open(name)  # noqa\n";
    assert!(judge(Language::Python, silenced, twice).starts_with("silences a tool"));
    let rust = "fn f(p: *const u8) -> u8 { *p }\n";
    let wrapped = "fn f(p: *const u8) -> u8 { unsafe { *p } }\n";
    assert_eq!(judge(Language::Rust, rust, wrapped), "accepted");
}

#[test]
fn generated_files_are_left_to_their_generators() {
    let heads = [
        (Language::Rust, "// @generated by prost-build\n", "fn f() -> u32 { 1 }\n"),
        (
            Language::Python,
            "# Generated by the protocol buffer compiler.  DO NOT EDIT!\n",
            "x = 1\n",
        ),
        (Language::JavaScript, "/**\n * @generated SignedSource<<1>>\n */\n", "let x = 1;\n"),
        (
            Language::Go,
            "// Code generated by stringer. DO NOT EDIT.\n\n",
            "package a\n\nvar x = 1\n",
        ),
    ];
    for (language, head, code) in heads {
        let original = format!("{head}{code}");
        let patched = original.replace('1', "2").replace("<<2>>", "<<1>>");
        refused(language, &original, &[(&patched, "changes a generated file")]);
        // Without the mark, or where only the code speaks of it, the same change is nobody else's.
        assert_eq!(judge(language, code, &code.replace('1', "2")), "accepted");
        let late = format!("{code}{}", head.trim_end());
        assert_eq!(judge(language, &late, &late.replacen('1', "2", 1)), "accepted", "{late}");
    }
    let module = "//! Writes files that begin with `@generated`.\nfn f() -> u32 { 1 }\n";
    assert_eq!(judge(Language::Rust, module, &module.replace('1', "2")), "accepted");
}

#[test]
fn protected_files_stay_as_they_are() {
    let subject = Subject {
        root: "/w".into(),
        overlays: Default::default(),
        protected: PathPatterns::new(Path::new("/w"), &["kept/".to_owned()]).unwrap(),
    };
    let mut rejector = Rejector::default();
    let mut judge = |path: &str| {
        let before = "def f():\n    return 1\n".into();
        let after = "def f():\n    return 2\n".into();
        let files = [PatchedFile { path: path.into(), before, after }];
        rejector.reject(&subject, &files, &|_| false, Author::Checker)
    };
    assert_eq!(judge("/w/kept/a.py"), Some(RejectReason::Protected));
    assert_eq!(judge("/w/a.py"), None);
}
