//! The same questions asked of every language, on one small file each.

use crate::{Language, Parsed, Role, Shapes, parse};

const TYPESCRIPT: &str = "\
import type { P } from './p';
type Id = string;
export class Store<T> {
  private limit: number = 3;
  find(xs: ReadonlyArray<number>, at?: number): number | undefined {
    const first: number = xs[0]! as number;
    if (first === undefined) { return undefined; }
    for (const x of xs) { this.add(x satisfies number, at); }
    while (first < 2) { break; }
    return first > 1 ? first : at;
  }
}
";

const TSX: &str = "\
import { P } from './p';
export const view = (name: string, n: number) => {
  const label = n > 1 ? name : 'one';
  if (!label) { return null; }
  for (const x of [n]) { use(x); }
  return <p title={label}>{n}</p>;
};
";

const GO: &str = "\
package p

import \"errors\"

var limit = 3

func (s *Store) Find(xs []int, at, to int) (int, error) {
\tfirst, err := s.load(xs[0])
\tif err != nil {
\t\treturn 0, err
\t}
\tif v, ok := s.m[at]; ok {
\t\tfirst += v
\t}
\tfor i, x := range xs {
\t\tadd(i, x)
\t}
\tfor i := 0; i < to; i++ {
\t\tfirst = i
\t}
\tfor first < 2 {
\t\tfirst++
\t}
\tfor {
\t\tbreak
\t}
\treturn first, nil
}
";

const JAVA: &str = "\
package a;
import java.util.List;
class Store {
    private int limit = 3;
    int find(List<Integer> xs, int at, String... rest) {
        int first = xs.get(0), other;
        if (first == 0) { return at; } else if (at > 1) { first = limit; }
        for (int x : xs) { add(x); }
        for (int i = 0; i < at; i++) { first += i; }
        while (first < 2) { first++; }
        return first > 1 ? first : this.limit;
    }
    @Test
    void checks() { }
}
";

const CPP: &str = "\
#include <vector>
class Store {
 public:
  int limit_ = 3;
};
int Store::find(const std::vector<int>& xs, int *p, int at = 1) const {
  int first = xs[0], other;
  if (p == nullptr) { return at; } else if (at > 1) { first = limit_; }
  for (int x : xs) { add(x); }
  for (int i = 0; i < at; i++) { first += i; }
  while (first < 2) { first++; }
  return first > 1 ? first : this->limit_;
}
TEST(Store, Finds) { EXPECT_EQ(1, 1); }
";

const ALL: [(Language, &str); 5] = [
    (Language::TypeScript, TYPESCRIPT),
    (Language::Tsx, TSX),
    (Language::Go, GO),
    (Language::Java, JAVA),
    (Language::Cpp, CPP),
];

fn parsed(language: Language, text: &str) -> Parsed {
    let parsed = parse(language, text.into()).expect("it parses");
    assert_eq!(parsed.error_offsets(), [0; 0], "{language:?}");
    parsed
}

fn each<T>(ask: impl Fn(&Parsed) -> T) -> Vec<T> {
    ALL.iter().map(|(language, text)| ask(&parsed(*language, text))).collect()
}

#[test]
fn functions_with_class_parameters_and_calls() {
    let found = each(|p| {
        let f = p.functions().remove(0);
        format!(
            "{} {} ({}) calls {}",
            f.class.as_deref().unwrap_or("-"),
            f.name,
            f.parameters.join(" "),
            f.calls.join(" ")
        )
    });
    insta::assert_snapshot!(found.join("\n"), @"
    Store find (xs at) calls add
    - view (name n) calls use
    Store Find (s xs at to) calls load add
    Store find (xs at rest) calls get add
    Store find (xs p at) calls add
    ");
}

#[test]
fn every_branch_and_loop_has_its_role_and_condition() {
    let found = each(|p| {
        let mut parts = Vec::new();
        for node in p.descendants(p.root(), |r| {
            r.is_loop() || matches!(r, Role::If | Role::ElseIf | Role::Ternary)
        }) {
            let condition = p.condition(node).map(|c| p.text_of(c).to_owned());
            let over =
                p.loop_over(node).map(|(t, s)| format!("{} in {}", p.text_of(t), p.text_of(s)));
            parts.push(format!("{:?} {}", p.role(node), condition.or(over).unwrap_or_default()));
        }
        parts.join("; ")
    });
    insta::assert_snapshot!(found.join("\n"), @"
    If first === undefined; For x in xs; While first < 2; Ternary first > 1
    Ternary n > 1; If !label; For x in [n]
    If err != nil; If ok; For i, x in xs; CountingFor i < to; While first < 2; Loop 
    If first == 0; If at > 1; For x in xs; CountingFor i < at; While first < 2; Ternary first > 1
    If p == nullptr; If at > 1; For x in xs; CountingFor i < at; While first < 2; Ternary first > 1
    ");
}

#[test]
fn assignments_and_declarations_have_target_and_value() {
    let found = each(|p| {
        let mut parts = Vec::new();
        for node in p.descendants(p.root(), |r| {
            matches!(
                r,
                Role::Assignment | Role::AugmentedAssignment | Role::Declaration | Role::Update
            )
        }) {
            let text = match p.assignment(node) {
                Some((target, value)) => format!("{} <- {}", p.text_of(target), p.text_of(value)),
                None => p.text_of(node).to_owned(),
            };
            parts.push(text);
        }
        parts.join("; ")
    });
    insta::assert_snapshot!(found.join("\n"), @"
    first <- xs[0]! as number
    view <- (name: string, n: number) => {
      const label = n > 1 ? name : 'one';
      if (!label) { return null; }
      for (const x of [n]) { use(x); }
      return <p title={label}>{n}</p>;
    }; label <- n > 1 ? name : 'one'
    limit <- 3; first, err <- s.load(xs[0]); v, ok <- s.m[at]; first <- v; i <- 0; i++; first <- i; first++
    limit <- 3; first <- xs.get(0); first <- limit; i <- 0; i++; first <- i; first++
    int limit_ = 3;; first <- xs[0]; first <- limit_; i <- 0; i++; first <- i; first++
    ");
}

#[test]
fn statement_lists_hold_statements() {
    let found = each(|p| {
        p.statement_lists().iter().map(|(_, s)| s.len().to_string()).collect::<Vec<_>>().join(" ")
    });
    insta::assert_snapshot!(found.join("\n"), @"
    3 5 1 1 1
    2 4 1 1
    4 8 1 1 1 1 1 1
    3 6 1 1 1 1 1
    4 6 1 1 1 1 1 1
    ");
}

#[test]
fn arms_of_a_switch_hold_statements_and_no_labels() {
    let lists = |language, text| {
        let p = parsed(language, text);
        let arms = p.statement_lists().into_iter().filter(|(list, _)| p.role(*list) == Role::Arm);
        arms.map(|(_, s)| s.iter().map(|n| p.text_of(*n)).collect::<Vec<_>>().join(" | "))
            .collect::<Vec<_>>()
    };
    let js = "switch (k) { case 'a': case b(): x = 1; /* why */ y(); break; default: z(); }";
    assert_eq!(lists(Language::JavaScript, js), ["x = 1; | y(); | break;", "z();"]);
    assert_eq!(lists(Language::TypeScript, js), lists(Language::JavaScript, js));
    let go = "package p\nfunc f() {\n\tswitch k {\n\tcase 1, 2:\n\t\tx = 1\n\t\ty()\n\tdefault:\n\t\tz()\n\t}\n\tswitch v := k.(type) {\n\tcase int:\n\t\tw(v)\n\t}\n\tselect {\n\tcase m := <-c:\n\t\tu(m)\n\t}\n}\n";
    assert_eq!(lists(Language::Go, go), ["x = 1 | y()", "z()", "w(v)", "u(m)"]);
    let java =
        "class A { void f() { switch (k) { case 1: case 2: x = 1; y(); break; default: z(); } } }";
    assert_eq!(lists(Language::Java, java), ["x = 1; | y(); | break;", "z();"]);
    let cpp = "void f() { switch (k) { case 1: case 2: x = 1; y(); break; default: z(); } }";
    assert_eq!(lists(Language::Cpp, cpp), ["x = 1; | y(); | break;", "z();"]);
}

#[test]
fn imports_are_named() {
    let found = each(|p| p.imports().join(" "));
    insta::assert_snapshot!(found.join("\n"), @"
    ./p
    ./p
    errors
    java.util.List
    vector
    ");
}

#[test]
fn types_are_no_expressions_and_give_shapes() {
    for (language, text) in ALL {
        let p = parsed(language, text);
        p.walk(p.root(), &mut |node| {
            if p.role(node) == Role::Type {
                return false;
            }
            let text = p.text_of(node);
            let is_type = ["number", "ReadonlyArray<number>", "std::vector<int>", "List<Integer>"]
                .contains(&text);
            assert!(!(is_type && p.role(node).is_expression()), "{language:?}: {text}");
            true
        });
        let function = p.descendants(p.root(), Role::is_function_like)[0];
        let shapes = p.shapes(function);
        let number = if language == Language::Tsx { "n" } else { "first" };
        assert!(shapes[number].overlaps(Shapes::NUMBER), "{language:?}: {shapes:?}");
        if language != Language::Tsx {
            assert_eq!(shapes["xs"], Shapes::COLLECTION, "{language:?}");
            assert_eq!(shapes.get("xs[]"), Some(&Shapes::NUMBER), "{language:?}");
        }
    }
}

#[test]
fn pointers_errors_and_optional_values_may_be_absent() {
    let absent = |language, text: &str| {
        let p = parsed(language, text);
        let mut names: Vec<_> =
            p.shapes(p.root()).into_keys().filter(|k| k.ends_with('?')).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(
        absent(Language::Go, "package p\nfunc f(a *T, e error, n int, m map[int]int) {}\n"),
        "a? e? m?"
    );
    assert_eq!(absent(Language::Java, "class A { void f(String s, int n, int[] a) {} }"), "a? s?");
    assert_eq!(absent(Language::Cpp, "void f(int *p, int n, std::string s) {}"), "p?");
    assert_eq!(absent(Language::TypeScript, "function f(a: X | null, b: string) {}"), "a?");
    assert_eq!(absent(Language::Rust, "fn f(a: Option<u8>, b: u8) {}"), "a?");
}

#[test]
fn declared_results_are_read() {
    let results = |language, text: &str| {
        let p = parsed(language, text);
        p.result_types(p.descendants(p.root(), Role::is_function_like)[0]).join("; ")
    };
    assert_eq!(results(Language::Go, GO), "int; error");
    assert_eq!(results(Language::Java, JAVA), "int");
    assert_eq!(results(Language::Cpp, "char *f() { return 0; }"), "char*");
    assert_eq!(results(Language::TypeScript, TYPESCRIPT), "number | undefined");
    assert_eq!(results(Language::Rust, "fn f() -> Option<u8> { None }"), "Option<u8>");
    assert_eq!(results(Language::Java, "class A { void f() {} }"), "");
}

#[test]
fn marked_tests_are_found_with_their_annotations() {
    let found = |language, text: &str| {
        let p = parsed(language, text);
        let texts: Vec<_> = p
            .marked_tests()
            .into_iter()
            .map(|r| p.text()[r].split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        texts.join("\n")
    };
    assert_eq!(found(Language::Java, JAVA), "@Test void checks() { }");
    assert_eq!(found(Language::Cpp, CPP), "TEST(Store, Finds) { EXPECT_EQ(1, 1); }");
    assert_eq!(found(Language::Go, GO), "");
}

fn names(language: Language, marked: &str) -> String {
    let at = marked.find("$0").expect("the fixture has a marker");
    let p = parsed(language, &marked.replace("$0", ""));
    let bindings = p.bindings();
    let names: Vec<_> = p.names_at(&bindings, at).into_iter().map(|b| b.name.clone()).collect();
    names.join(" ")
}

#[test]
fn names_in_scope() {
    let go = "package p\nvar limit = 1\nfunc (s *S) f(a, b int) int {\n\tc, err := g(a)\n\tif v, ok := m[c]; ok {\n\t\t$0return v\n\t}\n\treturn b\n}\n";
    assert_eq!(names(Language::Go, go), "s a b c err v ok limit");
    let behind = "package p\nfunc f(a int) int {\n\tif v := a; v > 0 {\n\t\ta = v\n\t}\n\tfor i, x := range y {\n\t\tz(i, x)\n\t}\n\t$0return a\n}\n";
    assert_eq!(names(Language::Go, behind), "a f");
    let arms = "package p\nfunc f(a int) int {\n\tswitch a {\n\tcase 1:\n\t\tb := a\n\t\treturn b\n\tcase 2:\n\t\tc := a\n\t\t$0return c\n\t}\n\treturn 0\n}\n";
    assert_eq!(names(Language::Go, arms), "a c f", "no names of another arm");
    let java = "class A { int n; int g() { return 1; } int f(int a) { int b = a, c; for (int i = 0; i < b; i++) { $0h(i); } int d = 1; return b; } }";
    assert_eq!(names(Language::Java, java), "a b c i n g f");
    let cpp = "int top = 1;\nint f(int a, const std::string &s) { auto [k, v] = a; int *p = &a; for (const auto& x : s) { $0g(x); } int d = 1; return a; }";
    assert_eq!(names(Language::Cpp, cpp), "a s k v p x top f");
    let ts = "interface I { q: number }\nfunction f(a: I, b?: string, ...c: number[]): number { const d = (e: number) => e; $0return a.q; }";
    assert_eq!(names(Language::TypeScript, ts), "a b c d f");
    let tsx = "const V = ({ a, b }: P) => { const [c, d] = use(a); return $0<p>{c}</p>; };";
    assert_eq!(names(Language::Tsx, tsx), "a b c d V");
}
