//! What variants of a JavaScript function do with inputs beyond those of the tests.

use std::time::{Duration, Instant};

use greenlit_runner::{ProbeTarget, Probes};

use crate::support::{LONG, Workspace, ids};

const PACKAGE: &str = r#"{ "name": "x", "scripts": { "test": "node --test" } }"#;
const MODULE: &str = r#"{ "type": "module", "scripts": { "test": "node --test" } }"#;

/// A package with one source file and one test file whose only test is `it`.
fn package(manifest: &str, text: &str, test: &str) -> Workspace {
    Workspace::new(&[("package.json", manifest), ("lib.js", text), ("lib.test.js", test)])
}

fn required(body: &str) -> String {
    format!(
        "const {{ test }} = require('node:test');\nconst lib = require('./lib.js');\ntest('it', async () => {{ {body} }});\n"
    )
}

fn imported(body: &str) -> String {
    format!(
        "import {{ test }} from 'node:test';\nimport * as lib from './lib.js';\ntest('it', async () => {{ {body} }});\n"
    )
}

/// Probes `function` of `lib.js` with each of `variants` as its text.
fn probe(
    workspace: &Workspace,
    function: &str,
    variants: &[&str],
    wall: Duration,
) -> Option<Probes> {
    let project = workspace.project();
    let target = ProbeTarget { path: workspace.path("lib.js"), function: function.to_owned() };
    let variants: Vec<_> =
        variants.iter().map(|text| workspace.writes(&[("lib.js", text)])).collect();
    let tests = ids(&["lib.test.js::it"]);
    project
        .probe(workspace.sandbox(&project), &target, &variants, &tests, wall)
        .expect("probing does not fail")
}

fn outcomes(probes: &Probes, variant: usize) -> &[String] {
    probes.outcomes[variant].as_deref().expect("the variant was run")
}

#[test]
fn node_variants_that_differ_beyond_the_tests_are_told_apart() {
    let original = "exports.clamp = (x, low, high) => x;\n";
    let test = required("lib.clamp(12, 0, 10); lib.clamp(5, 0, 10);");
    let workspace = package(PACKAGE, original, &test);
    let right = "exports.clamp = (x, low, high) => Math.max(low, Math.min(x, high));\n";
    let same = "exports.clamp = (x, low, high) => {\n  const y = x < high ? x : high;\n  return y > low ? y : low;\n};\n";
    let narrow = "exports.clamp = (x, low, high) => Math.min(x, high);\n";
    let constant = "exports.clamp = (x, low, high) => (x > 10 ? 10 : x);\n";
    let broken = "exports.clamp = (x, low, high => x;\n";
    let throws = "exports.clamp = (x, low, high) => x;\nthrow new Error('no');\n";
    let gone = "exports.other = () => 1;\n";
    let variants = [right, same, narrow, constant, broken, throws, gone];
    let probes = probe(&workspace, "clamp", &variants, LONG).unwrap();
    assert!(probes.inputs >= 20, "{probes:?}");
    assert_eq!(outcomes(&probes, 0).len(), usize::try_from(probes.inputs).unwrap());
    assert_eq!(outcomes(&probes, 0), outcomes(&probes, 1), "they are the same function");
    assert_eq!(outcomes(&probes, 0)[0], outcomes(&probes, 2)[0], "what the test itself passes");
    for (a, b) in [(0, 2), (0, 3), (2, 3)] {
        assert_ne!(outcomes(&probes, a), outcomes(&probes, b), "{a} {b}");
    }
    for missing in 4..7 {
        assert_eq!(probes.outcomes[missing], None, "{missing}");
    }
}

#[test]
fn node_probes_see_errors_changed_arguments_methods_generators_and_promises() {
    let cases = [
        // (function, text, another text that behaves otherwise, what the test does)
        (
            "pick",
            "export function pick(xs) { return xs[0].a; }\n",
            "export function pick(xs) { return xs[0]?.a; }\n",
            "lib.pick([{ a: 3 }]);",
        ),
        (
            "tidy",
            "export const tidy = function (xs) { return [...xs].sort(); };\n",
            "export const tidy = function (xs) { return [...xs.sort()]; };\n",
            "lib.tidy([3, 1]);",
        ),
        (
            "Stack.push",
            "export class Stack {\n  items = [1];\n  push(x) { this.items.push(x); }\n}\n",
            "export class Stack {\n  items = [1];\n  push(x) { this.items.unshift(x); }\n}\n",
            "new lib.Stack().push(2);",
        ),
        (
            "Shop.price",
            "export class Shop {\n  static rate = 2;\n  static price(off, ...parts) { return parts.length * this.rate - off; }\n}\n",
            "export class Shop {\n  static rate = 2;\n  static price(off, ...parts) { return parts.length * 2 + off; }\n}\n",
            "lib.Shop.price(0, 1, 2);",
        ),
        (
            "count",
            "export function* count(n) { for (; n; n--) yield n; }\n",
            "export function* count(n) { for (; n > 0; n--) yield n; }\n",
            "[...lib.count(2)];",
        ),
        (
            "later",
            "export const later = async ({ n }) => n;\n",
            "export const later = async ({ n }) => Math.abs(n);\n",
            "await lib.later({ n: 2 });",
        ),
        (
            "fold",
            "export default function fold(m) { return [...m.keys()].join(); }\n",
            "export default function fold(m) { return [...m.values()].join(); }\n",
            "lib.default(new Map([['a', 1]]));",
        ),
    ];
    for (function, one, two, test) in cases {
        let workspace = package(MODULE, one, &imported(test));
        let probes = probe(&workspace, function, &[one, one, two], LONG)
            .unwrap_or_else(|| panic!("{function}"));
        assert!(probes.inputs > 1, "{function}: {probes:?}");
        assert_eq!(outcomes(&probes, 0), outcomes(&probes, 1), "{function}");
        assert_ne!(outcomes(&probes, 0), outcomes(&probes, 2), "{function}");
    }
}

#[test]
fn node_probes_drop_inputs_whose_outcome_is_chance() {
    let random = "exports.f = (n) => (n > 2 ? Math.random() : n);\n";
    let plain = "exports.f = (n) => n;\n";
    let workspace = package(PACKAGE, random, &required("lib.f(2);"));
    let probes = probe(&workspace, "f", &[random, plain], LONG).unwrap();
    let all = probe(&workspace, "f", &[plain], LONG).unwrap();
    assert!(probes.inputs < all.inputs && probes.inputs > 0, "{probes:?} {all:?}");
    assert_eq!(outcomes(&probes, 0), outcomes(&probes, 1));
}

#[test]
fn node_probes_survive_variants_that_hang_exit_lie_or_flood() {
    let fine = "exports.f = (n) => n;\n";
    let hang = "exports.f = (n) => { while (n < 0); return n; };\n";
    // A loop between two steps of a promise cannot be interrupted from inside: it takes all time there
    // is for this variant, which is not compared then.
    let stuck = "exports.f = async (n) => { await null; while (n === 0); return n; };\n";
    let exit = "exports.f = (n) => { if (n === 0) process.exit(0); return n; };\n";
    let lie = "const { appendFileSync } = require('node:fs');\nexports.f = (n) => {\n  appendFileSync(process.env.GREENLIT_ANSWER, '{\"input\":99999999,\"outcome\":\"x\",\"stable\":true}\\n{\"input\":0,\"outcome\":\"' + 'x'.repeat(100000) + '\",\"stable\":true}\\n[');\n  return n;\n};\n";
    let always = "process.kill(process.pid, 'SIGKILL');\n";
    let workspace = package(PACKAGE, fine, &required("lib.f(2);"));
    let variants = [fine, hang, stuck, exit, lie, always, fine];
    let started = Instant::now();
    let probes = probe(&workspace, "f", &variants, Duration::from_secs(90)).unwrap();
    assert!(started.elapsed() < Duration::from_secs(150), "{:?}", started.elapsed());
    assert!(outcomes(&probes, 1).contains(&"timeout".to_owned()), "{probes:?}");
    assert_eq!(probes.outcomes[2], None, "{probes:?}");
    assert!(outcomes(&probes, 3).contains(&"ends the process".to_owned()), "{probes:?}");
    assert_eq!(probes.outcomes[5], None, "{probes:?}");
    assert_eq!(outcomes(&probes, 0), outcomes(&probes, 6));
    let longest = probes.outcomes.iter().flatten().flatten().map(String::len).max();
    assert!(longest.unwrap() <= 40, "{probes:?}");
}

#[test]
fn node_functions_that_cannot_be_probed_are_declined() {
    let text = "const hidden = new (class Hidden {\n  #own = 1;\n  get() { return this.#own; }\n})();\nexports.outer = (n) => {\n  function inner(m) { return m; }\n  return inner(n) + hidden.get();\n};\nexports.unused = (n) => n;\nexports.apply = (call) => call();\n";
    let test = required("lib.outer(2); lib.apply(() => 1);");
    let workspace = package(PACKAGE, text, &test);
    for function in ["inner", "Hidden.get", "unused", "apply", "nowhere", ""] {
        assert_eq!(probe(&workspace, function, &[text], LONG), None, "{function}");
    }
    assert!(probe(&workspace, "outer", &[text], LONG).is_some());
}

#[test]
fn node_inputs_are_recorded_from_a_test_that_hangs() {
    let text = "exports.f = (n) => { while (n); return n; };\n";
    let fixed = "exports.f = (n) => n;\n";
    let workspace = package(PACKAGE, text, &required("lib.f(2);"));
    let probes = probe(&workspace, "f", &[text, fixed], Duration::from_secs(30)).unwrap();
    assert_eq!(outcomes(&probes, 0)[0], "timeout", "{probes:?}");
    assert!(outcomes(&probes, 1).iter().all(|outcome| outcome.starts_with("returns ")));
}
