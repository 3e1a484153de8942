use std::sync::Arc;

use super::{Localization, Method, Suspicious, with_loaded};
use crate::candidate::SourceFile;

/// Lines marked `!` in the first file are suspected; the texts of the lines that come in addition, most
/// suspected first.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let path = |name: &str| std::path::Path::new("/w").join(name);
    let (first, marked) = files[0];
    let suspected = marked.lines().enumerate().filter(|(_, line)| line.ends_with('!'));
    let lines: Vec<_> = suspected
        .map(|(row, _)| Suspicious { path: path(first), line: row as u32 + 1, score: 1.0 })
        .collect();
    assert!(!lines.is_empty());
    let texts: Vec<_> =
        files.iter().map(|(name, text)| (path(name), text.replace('!', ""))).collect();
    let sources: Vec<_> = texts
        .iter()
        .map(|(path, text)| SourceFile { path: path.clone(), text: Arc::from(text.as_str()) })
        .collect();
    let known = lines.len();
    let before =
        Localization { method: Method::Spectrum, measured_by: None, changed: false, lines };
    let after = with_loaded(before.clone(), &sources);
    assert_eq!(after.lines[..known], before.lines, "what was suspected comes first");
    let text = |line: &Suspicious| {
        let (_, text) = texts.iter().find(|(path, _)| *path == line.path).unwrap();
        text.lines().nth(line.line as usize - 1).unwrap().trim().to_owned()
    };
    after.lines[known..].iter().map(text).collect()
}

#[test]
fn python_tables_and_what_fills_them_are_suspected_and_nothing_else() {
    let text = "\
import re

RULES = [
    ('a', 'b'),
]
OTHER = 3
local = 4

def register(old, new):
    RULES.append((
        old, new + 'x'))

def unused(old):
    RULES.remove(old)

def apply(text, local):
    for old, new in RULES:!
        text = text.replace(old, local)!
    return text

register('c', 'd')
RULES.sort()
print(OTHER)
";
    let lines = [
        "RULES.sort()",
        "RULES = [",
        "('a', 'b'),",
        "RULES.append((",
        "old, new + 'x'))",
        "register('c', 'd')",
    ];
    assert_eq!(found(&[("m.py", text)]), lines);
}

#[test]
fn python_values_of_imported_files_and_classes_are_followed() {
    let text = "\
import limits
from base import START

class Shop:
    RATE = START + 1

    def price(self, n):
        return n * self.RATE + limits.TOP!
";
    let limits = "TOP = build()\n\ndef build():\n    return 7\n";
    let base = "START = 1\n";
    let stranger = "TOP = 9\nRATE = 9\n";
    let found =
        found(&[("m.py", text), ("limits.py", limits), ("base.py", base), ("far.py", stranger)]);
    assert_eq!(found, ["TOP = build()", "RATE = START + 1", "START = 1", "return 7"]);
}

#[test]
fn python_defaults_and_decorators_are_suspected() {
    let text = "\
LIMIT = 3

@retry(times=2)
def head(items, count=LIMIT):
    return items[:count]!

def tail(items, count=1):
    return items[count:]
";
    let lines = ["@retry(times=2)", "def head(items, count=LIMIT):", "LIMIT = 3"];
    assert_eq!(found(&[("m.py", text)]), lines);
}

#[test]
fn javascript_tables_are_suspected() {
    let text = "\
const { unit } = require('./units');
const rates = {
  low: 1,
};
export const other = 2;
export const top = 3;
rates.high = unit;
export function price(n) {
  return n * rates.low + top;!
}
";
    let found = found(&[("m.js", text), ("units.js", "exports.unit = 5;\n")]);
    let lines = [
        "export const top = 3;",
        "rates.high = unit;",
        "const rates = {",
        "low: 1,",
        "exports.unit = 5;",
    ];
    assert_eq!(found, lines);
}

#[test]
fn rust_constants_statics_and_constant_functions_are_suspected() {
    let text = "\
const TABLE: [u8; 2] = build(3);
static LIMIT: u8 = 7;
const OTHER: u8 = 1;

const fn build(n: u8) -> [u8; 2] {
    [n, n + 1]
}

impl Shop {
    const RATE: u8 = 2;
    fn price(&self, n: usize) -> u8 {
        TABLE[n] + LIMIT * Self::RATE!
    }
}

#[cfg(test)]
mod tests {
    const TABLE: u8 = 1;
}
";
    let lines = [
        "const TABLE: [u8; 2] = build(3);",
        "static LIMIT: u8 = 7;",
        "const RATE: u8 = 2;",
        "[n, n + 1]",
    ];
    assert_eq!(found(&[("src/lib.rs", text)]), lines);
}

#[test]
fn go_variables_of_the_package_are_suspected() {
    let text = "\
package shop

var rates = map[string]int{
\t\"low\": 1,
}

const limit = 3

var other = 4

func init() {
\trates[\"high\"] = 2
}

func Price(n int) int {
\treturn n*rates[\"low\"] + limit!
}
";
    let lines = ["const limit = 3", "var rates = map[string]int{", "\"low\": 1,"];
    assert_eq!(found(&[("m.go", text)]), lines);
}
