//! Whether pytest's JUnit report and the plugin's events tell the same story.

use crate::junit::{self, CaseStatus, Cases};
use crate::pytest::events::Events;
use crate::types::{Outcome, RunState};

/// `Completed` when both reports exist, are complete and agree on every test.
pub(super) fn check(events: &Events, junit: Option<&[u8]>) -> RunState {
    let no_report = |message: String| RunState::NoReport { message };
    let Some(bytes) = junit else {
        return no_report("pytest wrote no JUnit report".into());
    };
    let reported = match junit::parse(bytes) {
        Ok(cases) => cases,
        Err(error) => return no_report(format!("pytest's JUnit report is unusable: {error}")),
    };
    let mut expected = Cases::new();
    for result in &events.results {
        let status = match result.outcome {
            Outcome::Passed => CaseStatus::Passed,
            Outcome::Failed(_) => CaseStatus::Failed,
            Outcome::Skipped => CaseStatus::Skipped,
        };
        let nodeid = events.nodeids.get(&result.id).unwrap_or(&result.id.0);
        merge(&mut expected, case_of(nodeid), status);
    }
    let mut found = Cases::new();
    for ((class, name), status) in reported {
        // What is escaped holds nothing more to escape.
        merge(&mut found, (comparable(&class), comparable(&name)), status);
    }
    let missing = expected.iter().find(|(key, status)| found.get(key) != Some(status));
    let excess = found.iter().find(|(key, _)| !expected.contains_key(key));
    match missing.or(excess) {
        None => RunState::Completed,
        Some(((class, name), _)) => {
            no_report(format!("pytest's JUnit report and its events disagree on {class} {name}"))
        }
    }
}

fn merge(cases: &mut Cases, key: (String, String), status: CaseStatus) {
    let kept = cases.entry(key).or_insert(status);
    *kept = status.max(*kept);
}

/// Class and case name that pytest derives from a node id (`_pytest.junitxml.mangle_test_address`).
fn case_of(nodeid: &str) -> (String, String) {
    let (path, parameters) = match nodeid.find('[') {
        Some(at) => nodeid.split_at(at),
        None => (nodeid, ""),
    };
    let mut names: Vec<String> = path.split("::").map(str::to_owned).collect();
    names[0] = names[0].replace('/', ".");
    if let Some(module) = names[0].strip_suffix(".py") {
        names[0] = module.to_owned();
    }
    let mut name = names.pop().unwrap_or_default();
    name.push_str(parameters);
    (comparable(&names.join(".")), comparable(&name))
}

/// Characters that XML cannot hold are escaped as `_pytest.junitxml.bin_xml_escape` does it.
/// White space other than a blank is left out: XML readers and writers differ about it.
fn comparable(name: &str) -> String {
    let mut comparable = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\t' | '\n' | '\r' => {}
            // pytest writes the range of its pattern as "\u10000-\u10ffff", which Python reads as
            // U+1000, "0" to U+10FF and "ff": so U+007F is let through and emoji are not.
            ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' => comparable.push(c),
            c if u32::from(c) <= 0xff => comparable.push_str(&format!("#x{:02X}", u32::from(c))),
            c => comparable.push_str(&format!("#x{:04X}", u32::from(c))),
        }
    }
    comparable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_derived_as_pytest_does() {
        let case = |nodeid: &str| case_of(nodeid);
        assert_eq!(
            case("tests/test_a.py::TestC::test_m"),
            ("tests.test_a.TestC".into(), "test_m".into())
        );
        assert_eq!(
            case("tests/test_a.py::test_p[a/b::c[d]]"),
            ("tests.test_a".into(), "test_p[a/b::c[d]]".into())
        );
        assert_eq!(case("a.py::t[\u{1}é\u{1f600}\n]").1, "t[#x01é#x1F600]");
    }
}
