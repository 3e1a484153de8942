//! Statements in the arms of a `switch` are statements like others: in every language that has
//! such arms, faults in them are mended and no candidate brings a syntax error.

use super::languages::{Fault, mended, parses};

const JAVASCRIPT: &str = "\
function step(kind, state, limit) {
  let next = state;
  switch (kind) {
    case 'up':
    case 'more':
      next = state + 1;
      limit = next;
      break;
    case 'down': {
      next = state - 1;
      break;
    }
    default:
      next = limit;
  }
  return next;
}
";

const GO: &str = "\
package p

func step(kind int, state int, limit int) int {
\tnext := state
\tswitch kind {
\tcase 1, 2:
\t\tnext = state + 1
\t\tlimit = next
\tcase 3:
\t\tnext = state - 1
\tdefault:
\t\tnext = limit
\t}
\treturn next
}
";

const JAVA: &str = "\
class Steps {
    int step(int kind, int state, int limit) {
        int next = state;
        switch (kind) {
            case 1:
            case 2:
                next = state + 1;
                limit = next;
                break;
            case 3:
                next = state - 1;
                break;
            default:
                next = limit;
        }
        return next;
    }
}
";

const CPP: &str = "\
int step(int kind, int state, int limit) {
  int next = state;
  switch (kind) {
    case 1:
    case 2:
      next = state + 1;
      limit = next;
      break;
    case 3:
      next = state - 1;
      break;
    default:
      next = limit;
  }
  return next;
}
";

#[test]
fn faults_in_arms_of_a_switch_are_mended() {
    for (name, text, end) in [
        ("a.js", JAVASCRIPT, ";\n"),
        ("a.ts", JAVASCRIPT, ";\n"),
        ("a.go", GO, "\n"),
        ("A.java", JAVA, ";\n"),
        ("a.cpp", CPP, ";\n"),
    ] {
        let indent = text.lines().find(|line| line.contains("limit = next")).unwrap_or_default();
        let indent = &indent[..indent.len() - indent.trim_start().len()];
        let line = |statement: &str| format!("{indent}{statement}{end}");
        let order = line("next = state + 1") + &line("limit = next");
        let swapped = line("limit = next") + &line("next = state + 1");
        let excess = order.clone() + &line("state = limit");
        let faults: [Fault<'_>; 4] = [
            ("operator", "next = state - 1", "next = state * 1", "state * 1"),
            ("variable", "limit = next", "limit = state", "limit = state"),
            ("order", &order, &swapped, "limit = next"),
            ("excess", &order, &excess, "state = limit"),
        ];
        mended(name, text, &faults);
        parses(name, text);
    }
}
