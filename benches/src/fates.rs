//! Why the right candidate was not offered first: from what the product's log says of each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use greenlit_protocol::FixReport;
use serde::Deserialize;

use crate::inject::Fault;
use crate::results::Measured;

/// The log filter that makes the product tell.
pub const FILTER: &str = "warn,greenlit_repair::fate=trace";
/// What stands before each of the objects in the log.
const MARK: &str = " greenlit_repair::fate: ";

/// What became of one candidate.
#[derive(Debug, Clone, Deserialize)]
pub struct Fate {
    /// In words.
    pub fate: String,
    edits: Vec<Edit>,
}

#[derive(Debug, Clone, Deserialize)]
struct Edit {
    path: PathBuf,
    start: usize,
    end: usize,
    new_text: String,
}

/// Every fate in a log, oldest first.
///
/// # Errors
/// When a line has another shape.
pub fn parse(log: &str) -> Result<Vec<Fate>> {
    let objects = log.lines().filter_map(|line| Some(line.split_once(MARK)?.1));
    objects.map(|text| serde_json::from_str(text).context("a fate has another shape")).collect()
}

/// Why no first offer was right, in words whose part before the colon is a kind; `None` where it was.
pub fn why(
    report: &FixReport,
    measured: &Measured,
    fates: &[Fate],
    (fault, sound): (&Fault, &Arc<str>),
) -> Option<String> {
    if measured.right.first() == Some(&true) {
        return None;
    }
    if report.failing.is_empty() {
        return Some("not detected".into());
    }
    if let Some(rank) = measured.right.iter().position(|right| *right) {
        return Some(format!("ranked below: right is number {}", rank + 1));
    }
    let faulty = fault.apply(sound);
    let original = fates.iter().rfind(|fate| fate.leaves(&fault.path, &faulty, sound));
    let localized = measured.line_rank.is_some();
    Some(match original {
        Some(fate) => format!("the original fell: {}", fate.fate),
        None if !localized => "not localized".into(),
        None => format!("the original is not among the candidates: {} were", fates.len()),
    })
}

impl Fate {
    /// Whether its edits turn `faulty` into `sound`, white space aside.
    fn leaves(&self, path: &Path, faulty: &str, sound: &str) -> bool {
        let mut text = faulty.to_owned();
        let mut edits: Vec<&Edit> = self.edits.iter().collect();
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.start));
        for edit in edits {
            if !edit.path.ends_with(path) || text.get(edit.start..edit.end).is_none() {
                return false;
            }
            text.replace_range(edit.start..edit.end, &edit.new_text);
        }
        fn code(text: &str) -> impl Iterator<Item = char> {
            text.chars().filter(|c| !c.is_whitespace())
        }
        code(&text).eq(code(sound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "def f(n):\n    return n < 3\n";

    fn fault() -> Fault {
        Fault {
            operator: "comparison".into(),
            path: "src/lib.py".into(),
            start: 23,
            end: 24,
            new_text: ">".into(),
            first_line: 2,
            last_line: 2,
        }
    }

    fn log(new_text: &str) -> String {
        format!(
            "2026-01-01T00:00:00Z TRACE greenlit_repair::fate: {{\"fate\":\"screening: timed out\",\
             \"edits\":[{{\"path\":\"/w/src/lib.py\",\"start\":23,\"end\":24,\"new_text\":\"{new_text}\"}}]}}\n\
             2026-01-01T00:00:00Z WARN greenlit: something else\n"
        )
    }

    fn said(log: &str, measured: &Measured) -> Option<String> {
        let report = FixReport {
            root: "/w".into(),
            revision: 1,
            failing: vec![greenlit_protocol::FailingTest {
                id: "t".into(),
                file: None,
                line: None,
                message: String::new(),
            }],
            fixes: Vec::new(),
            localization: None,
            stats: Default::default(),
        };
        why(&report, measured, &parse(log).unwrap(), (&fault(), &SOUND.into()))
    }

    #[test]
    fn the_original_is_found_among_the_fates_whatever_its_white_space() {
        let measured = Measured { line_rank: Some(1), ..Measured::default() };
        let fell = Some("the original fell: screening: timed out".to_owned());
        assert_eq!(said(&log("<"), &measured), fell);
        assert_eq!(said(&log(" <  "), &measured), fell);
        let other = said(&log("<="), &measured).unwrap();
        assert!(other.starts_with("the original is not among"), "{other}");
    }

    #[test]
    fn each_reason_has_a_kind_of_its_own() {
        let nowhere = Measured::default();
        assert_eq!(said(&log("<="), &nowhere).unwrap(), "not localized");
        let second = Measured { right: vec![false, true], ..Measured::default() };
        assert_eq!(said(&log("<"), &second).unwrap(), "ranked below: right is number 2");
        let first = Measured { right: vec![true], ..Measured::default() };
        assert_eq!(said(&log("<"), &first), None);
    }
}
