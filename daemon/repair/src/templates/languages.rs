//! Every language: common faults have their exact mending among the candidates, and no candidate
//! brings a syntax error.

use std::path::Path;

use greenlit_syntax::{Language, parse};

use super::tests::{apply, candidates};

/// What is wrong, how it should be, how it is, and which line is suspected (a part of it).
pub(super) type Fault<'t> = (&'static str, &'t str, &'t str, &'t str);

/// The text with one passage made wrong, the line that holds `at` suspected.
fn faulty(right: &str, (what, good, bad, at): Fault<'_>) -> String {
    assert_eq!(right.matches(good).count(), 1, "{what}: {good}");
    let wrong = right.replace(good, bad);
    let place = wrong.find(at).unwrap_or_else(|| panic!("{what}: no {at}"));
    let start = wrong[..place].rfind('\n').map_or(0, |n| n + 1);
    format!("{}$0{}", &wrong[..start], &wrong[start..])
}

pub(super) fn mended(name: &str, right: &str, faults: &[Fault<'_>]) {
    let mut missed = Vec::new();
    for fault in faults {
        let (text, found) = candidates(name, &faulty(right, *fault));
        let rank = found.iter().position(|c| apply(&text, c) == right);
        if rank.is_none() {
            missed.push(format!("{} (of {})", fault.0, found.len()));
        }
    }
    assert!(missed.is_empty(), "{name}: not among the candidates: {}", missed.join(", "));
}

/// Every candidate of every line parses as well as the text that it changes.
pub(super) fn parses(name: &str, text: &str) {
    let language = Language::from_path(Path::new(name)).expect("a language");
    let before = parse(language, text.into()).expect("it parses");
    assert_eq!(before.error_offsets(), [0; 0], "{name}");
    let mut bad = Vec::new();
    let mut tried = 0;
    for line in 0..text.lines().count() {
        let marked: String = text
            .lines()
            .enumerate()
            .map(|(n, l)| format!("{}{l}\n", if n == line { "$0" } else { "" }))
            .collect();
        let (plain, found) = candidates(name, &marked);
        for candidate in &found {
            tried += 1;
            let after = before.reparse(apply(&plain, candidate).into()).expect("it parses");
            if !after.error_offsets().is_empty() {
                bad.push(format!(
                    "line {}: {}: {}",
                    line + 1,
                    candidate.source.rule,
                    candidate.summary
                ));
            }
        }
    }
    assert!(tried > 100, "{name}: only {tried}");
    assert!(
        bad.is_empty(),
        "{name}: {} of {tried} do not parse:\n{}",
        bad.len(),
        bad[..bad.len().min(40)].join("\n")
    );
}

const PYTHON: &str = "\
def find(xs, at, limit=3):
    if at is None:
        return -1
    best = 0
    for i in range(len(xs)):
        if xs[i] < limit and not at:
            best = max(best, i)
    while best < limit:
        best += 1
    value = best if best > 0 else -limit
    items = [x * 2 for x in xs[1:] if x]
    name = \"a\" + str(at)
    return value
";

const JAVASCRIPT: &str = "\
export class Store {
  find(xs, at, limit = 3) {
    if (at == null) {
      return -1;
    }
    let best = 0;
    for (let i = 0; i < xs.length; i++) {
      if (xs[i] < limit && !this.used) {
        best = Math.max(best, i);
      }
    }
    for (const x of xs) {
      best -= x;
    }
    const view = (a, b) => a - b;
    return view(best, limit) > 0 ? best : limit;
  }
}
";

pub(super) const TYPESCRIPT: &str = "\
import { view } from './view';
interface Range { low: number; high: number }
export class Store<T extends Range> {
  private used: boolean = false;
  find(xs: ReadonlyArray<number>, at: number | null, limit: number = 3): number {
    if (at == null) {
      return -1;
    }
    let best: number = 0;
    for (let i = 0; i < xs.length; i++) {
      if (xs[i]! < limit && !this.used) {
        best = Math.max(best, i);
      }
    }
    const range = { low: best, high: limit } as Range;
    const step = (range.low satisfies number) + 1;
    return view(step, range.high) > 0 ? best : (limit as number);
  }
}
";

pub(super) const TSX: &str = "\
export const View = ({ xs, at }: { xs: number[]; at: number }) => {
  const last = xs.length - 1;
  const shown = at > last ? last : at;
  if (xs.length === 0) {
    return null;
  }
  return <ul title={`n ${shown}`}>{xs.map((x) => <li key={x}>{x + at}</li>)}</ul>;
};
";

pub(super) const GO: &str = "\
package store

import \"errors\"

type Store struct {
\txs   []int
\tused bool
}

func (s *Store) Find(at int, limit int) (int, error) {
\tif s == nil {
\t\treturn 0, errors.New(\"no store\")
\t}
\tvalue, err := load(s.xs, at)
\tif err != nil {
\t\treturn 0, err
\t}
\tbest := 0
\tfor i := 0; i < len(s.xs); i++ {
\t\tif s.xs[i] < limit && !s.used {
\t\t\tbest = max(best, i)
\t\t}
\t}
\tfor _, x := range s.xs[1:] {
\t\tbest -= x
\t}
\tfor best < limit {
\t\tbest++
\t}
\tif v, ok := seen[best]; ok {
\t\tbest += v
\t} else if best == 2 {
\t\tbest = int(float64(limit) * 1.5)
\t}
\treturn best + value, nil
}
";

pub(super) const JAVA: &str = "\
package store;

import java.util.List;

class Store {
    private boolean used = false;

    int find(List<Integer> xs, Integer at, int limit) {
        if (at == null) {
            return -1;
        }
        int best = 0;
        int[] counts = new int[limit];
        for (int i = 0; i < xs.size(); i++) {
            if (xs.get(i) < limit && !used) {
                best = Math.max(best, i);
            }
        }
        for (int x : xs) {
            best -= x;
        }
        while (best < limit) {
            best++;
        }
        if (best == 2) {
            counts[best] = (int) (limit * 1.5);
        } else if (best > limit) {
            best = this.scale(best, limit);
        }
        return best > 0 ? best : limit;
    }

    int scale(int by, int value) {
        return value - by;
    }
}
";

pub(super) const CPP: &str = "\
#include <vector>

class Store {
 public:
  bool used_ = false;
  int scale(int by, int value) const { return value - by; }
};

int find(const std::vector<int>& xs, const int* at, int limit) {
  if (at == nullptr) {
    return -1;
  }
  int best = 0;
  for (int i = 0; i < xs.size(); i++) {
    if (xs[i] < limit && !done(at)) {
      best = std::max(best, i);
    }
  }
  for (const auto& x : xs) {
    best -= x;
  }
  while (best < limit) {
    best++;
  }
  if (best == 2) {
    best = static_cast<int>(limit * 1.5) + *at;
  } else if (best > limit) {
    best = scale(best, limit);
  }
  return best > 0 ? best : limit;
}
";

#[test]
fn common_faults_of_python_are_mended() {
    mended(
        "a.py",
        PYTHON,
        &[
            ("comparison", "xs[i] < limit", "xs[i] > limit", "xs[i]"),
            ("off by one", "range(len(xs))", "range(len(xs) - 1)", "range"),
            ("variable", "max(best, i)", "max(best, at)", "max("),
            ("arguments", "max(best, i)", "max(i, best)", "max("),
            ("guard", "    if at is None:\n        return -1\n", "", "best = 0"),
            ("constant", "best += 1", "best += 2", "best +="),
            ("return", "-limit", "limit", "value ="),
            ("negation", "not at", "at", "xs[i]"),
        ],
    );
}

#[test]
fn common_faults_of_javascript_are_mended() {
    mended(
        "a.js",
        JAVASCRIPT,
        &[
            ("comparison", "i < xs.length", "i <= xs.length", "xs.length"),
            ("variable", "max(best, i)", "max(best, limit)", "max("),
            ("arguments", "view(best, limit)", "view(limit, best)", "view(limit"),
            ("guard", "    if (at == null) {\n      return -1;\n    }\n", "", "let best"),
            ("constant", "return -1", "return -2", "return -2"),
            ("negation", "!this.used", "this.used", "this.used"),
            ("branches", "? best : limit", "? limit : best", "? limit"),
            ("augmented", "best -= x", "best += x", "best +="),
        ],
    );
}

#[test]
fn common_faults_of_typescript_are_mended() {
    mended(
        "a.ts",
        TYPESCRIPT,
        &[
            ("comparison", "i < xs.length", "i <= xs.length", "xs.length"),
            ("variable", "max(best, i)", "max(best, limit)", "max("),
            ("arguments", "view(step, range.high)", "view(range.high, step)", "view(range"),
            ("guard", "    if (at == null) {\n      return -1;\n    }\n", "", "let best"),
            ("constant", "let best: number = 0", "let best: number = 1", "let best"),
            ("negation", "!this.used", "this.used", "this.used)"),
            ("cast kept", "satisfies number) + 1", "satisfies number) - 1", "satisfies number)"),
            ("off by one", "i < xs.length", "i < xs.length - 1", "xs.length"),
        ],
    );
    mended(
        "a.tsx",
        TSX,
        &[
            ("off by one", "xs.length - 1", "xs.length", "const last"),
            ("branches", "? last : at", "? at : last", "const shown"),
            ("comparison", "at > last", "at >= last", "const shown"),
            ("guard", "xs.length === 0", "xs.length !== 0", "xs.length !=="),
            ("in an element", "x + at", "x - at", "<li"),
        ],
    );
}

#[test]
fn common_faults_of_go_are_mended() {
    mended(
        "a.go",
        GO,
        &[
            ("comparison", "i < len(s.xs)", "i <= len(s.xs)", "len(s.xs)"),
            ("off by one", "len(s.xs); i++", "len(s.xs)-1; i++", "len(s.xs)"),
            ("variable", "max(best, i)", "max(best, limit)", "max("),
            ("arguments", "max(best, i)", "max(i, best)", "max("),
            ("guard", "\tif err != nil {\n\t\treturn 0, err\n\t}\n", "", "best := 0"),
            ("constant", "best := 0", "best := 1", "best := 1"),
            ("return", "return best + value, nil", "return best, nil", "return best"),
            ("negation", "!s.used", "s.used", "s.xs[i]"),
            ("condition", "ok {", "!ok {", "!ok"),
            ("slice", "s.xs[1:]", "s.xs[2:]", "range s.xs"),
            ("off by two", "best == 2", "best == 4", "best =="),
            ("loop", "for best < limit", "for best <= limit", "for best"),
            ("statement", "\t\tbest++\n", "\t\tlimit++\n", "limit++"),
        ],
    );
}

#[test]
fn common_faults_of_java_are_mended() {
    mended(
        "A.java",
        JAVA,
        &[
            ("comparison", "i < xs.size()", "i <= xs.size()", "xs.size"),
            ("off by one", "i < xs.size()", "i < xs.size() - 1", "xs.size"),
            ("variable", "max(best, i)", "max(best, limit)", "max("),
            ("arguments", "scale(best, limit)", "scale(limit, best)", "scale(limit"),
            (
                "guard",
                "        if (at == null) {\n            return -1;\n        }\n",
                "",
                "int best",
            ),
            ("constant", "int best = 0", "int best = 1", "int best"),
            ("negation", "!used", "used", "&& used"),
            ("cast", "(int) (limit", "(long) (limit", "(long)"),
            ("declared type", "int best = 0", "short best = 0", "short best"),
            ("branches", "? best : limit", "? limit : best", "? limit"),
        ],
    );
}

#[test]
fn common_faults_of_cpp_are_mended() {
    mended(
        "a.cpp",
        CPP,
        &[
            ("comparison", "i < xs.size()", "i <= xs.size()", "xs.size"),
            ("off by one", "i < xs.size()", "i < xs.size() - 1", "xs.size"),
            ("variable", "max(best, i)", "max(best, limit)", "max("),
            ("arguments", "scale(best, limit)", "scale(limit, best)", "scale(limit"),
            ("guard", "  if (at == nullptr) {\n    return -1;\n  }\n", "", "int best"),
            ("constant", "int best = 0", "int best = 1", "int best"),
            ("negation", "!done", "done", "done(at)"),
            ("branches", "? best : limit", "? limit : best", "? limit"),
            ("declared type", "int best = 0", "long best = 0", "long best"),
        ],
    );
}

/// New texts that the candidates of the marked line put there.
fn texts(name: &str, marked: &str) -> Vec<String> {
    let (_, found) = candidates(name, marked);
    found.into_iter().flat_map(|c| c.edits).map(|e| e.new_text.trim().to_owned()).collect()
}

#[test]
fn candidates_that_cannot_compile_are_not_proposed() {
    let go = "package p\n\nfunc two(a string, b int) {}\n\nfunc f(s string, n int, p *T, ok bool) bool {\n$0\ttwo(s, n)\n\treturn p == nil\n}\n";
    let found = texts("a.go", go);
    for wrong in ["n, s", "two(s)", ", ok", "s - n"] {
        assert!(!found.iter().any(|t| t == wrong), "{wrong}");
    }
    // A string is not exchanged for a number, nor the other way round.
    let (text, all) = candidates("a.go", go);
    let patched: Vec<_> = all.iter().map(|c| apply(&text, c)).collect();
    for wrong in ["two(n, n)", "two(s, s)", "two(ok, n)", "two(n, s)", "two(s, n, 0)"] {
        assert!(!patched.iter().any(|t| t.contains(wrong)), "{wrong}");
    }
    let order = go.replace("$0", "").replace("\treturn p", "$0\treturn p");
    assert!(!texts("a.go", &order).iter().any(|t| t == "<" || t == ">="));
    let java = "class A {\n    String f(String s, int n) {\n$0        String t = \"a\" + s;\n        return t;\n    }\n}\n";
    assert!(!texts("A.java", java).iter().any(|t| t == "-" || t == "*"));
    let types = "function f(a: number, b: string): number {\n$0  return a as number;\n}\n";
    assert!(!texts("a.ts", types).iter().any(|t| t.contains("as number as") || t == "string"));
}

#[test]
fn candidates_parse_in_every_language() {
    parses("a.py", PYTHON);
    parses("a.js", JAVASCRIPT);
    parses("a.ts", TYPESCRIPT);
    parses("a.tsx", TSX);
    parses("a.go", GO);
    parses("A.java", JAVA);
    parses("a.cpp", CPP);
}
