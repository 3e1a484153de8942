//! A defensive reader of JUnit XML.
//!
//! Only what a verdict needs is read: which cases there are and how each ended. Everything else
//! may be missing or odd. Document types and their entities are never expanded.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use thiserror::Error;

use crate::text::REPORT_LIMIT;

/// Nesting beyond this is not a test report.
const DEPTH_LIMIT: usize = 64;

/// How a test case ended. Ordered: the greater wins when a case is reported twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CaseStatus {
    Passed,
    Skipped,
    Failed,
}

/// Cases by `(classname, name)`.
pub(crate) type Cases = BTreeMap<(String, String), CaseStatus>;

/// Why a text is not a usable JUnit report.
#[derive(Debug, Error)]
pub(crate) enum JunitError {
    #[error("the report is larger than {REPORT_LIMIT} bytes")]
    TooLarge,
    #[error("the report is not UTF-8")]
    NotUtf8,
    #[error("the report is not well-formed XML")]
    Xml(#[source] quick_xml::Error),
    #[error("the report is cut off or is no JUnit report: {0}")]
    Structure(&'static str),
}

/// Reads all test cases. Cases reported more than once are merged to the worst status.
pub(crate) fn parse(bytes: &[u8]) -> Result<Cases, JunitError> {
    if bytes.len() > REPORT_LIMIT {
        return Err(JunitError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| JunitError::NotUtf8)?;
    let mut reader = Reader::from_str(text);
    let mut cases = Cases::new();
    let mut open: Option<((String, String), CaseStatus)> = None;
    let mut depth = 0;
    let mut suites = 0;
    loop {
        match reader.read_event().map_err(JunitError::Xml)? {
            Event::Start(start) => {
                depth += 1;
                if depth > DEPTH_LIMIT {
                    return Err(JunitError::Structure("too deeply nested"));
                }
                suites += usize::from(start.name().as_ref().starts_with(b"testsuite"));
                visit(&start, &mut open)?;
            }
            Event::Empty(start) => {
                suites += usize::from(start.name().as_ref().starts_with(b"testsuite"));
                visit(&start, &mut open)?;
                if start.name().as_ref() == b"testcase" {
                    keep(&mut cases, open.take());
                }
            }
            Event::End(end) => {
                depth -= 1;
                if end.name().as_ref() == b"testcase" {
                    keep(&mut cases, open.take());
                }
            }
            Event::DocType(_) => return Err(JunitError::Structure("it has a document type")),
            Event::Eof => break,
            _ => {}
        }
    }
    if depth != 0 || open.is_some() {
        return Err(JunitError::Structure("it ends within an element"));
    }
    if suites == 0 {
        return Err(JunitError::Structure("it has no test suite"));
    }
    Ok(cases)
}

fn visit(
    start: &BytesStart<'_>,
    open: &mut Option<((String, String), CaseStatus)>,
) -> Result<(), JunitError> {
    match start.name().as_ref() {
        b"testcase" => {
            if open.is_some() {
                return Err(JunitError::Structure("a case within a case"));
            }
            let class = attribute(start, b"classname")?.unwrap_or_default();
            let name =
                attribute(start, b"name")?.ok_or(JunitError::Structure("a case has no name"))?;
            *open = Some(((class, name), CaseStatus::Passed));
        }
        b"failure" | b"error" => raise(open, CaseStatus::Failed),
        b"skipped" => raise(open, CaseStatus::Skipped),
        _ => {}
    }
    Ok(())
}

fn raise(open: &mut Option<((String, String), CaseStatus)>, status: CaseStatus) {
    if let Some((_, current)) = open {
        *current = status.max(*current);
    }
}

fn keep(cases: &mut Cases, case: Option<((String, String), CaseStatus)>) {
    if let Some((key, status)) = case {
        let kept = cases.entry(key).or_insert(status);
        *kept = status.max(*kept);
    }
}

fn attribute(start: &BytesStart<'_>, name: &[u8]) -> Result<Option<String>, JunitError> {
    for attribute in start.attributes() {
        let attribute =
            attribute.map_err(|_| JunitError::Structure("a case has a malformed attribute"))?;
        if attribute.key.as_ref() == name {
            // `decode_and_unescape` knows the five predefined entities and character references
            // only; any other entity is an error.
            let raw = std::str::from_utf8(&attribute.value).map_err(|_| JunitError::NotUtf8)?;
            let value = quick_xml::escape::unescape(raw)
                .map_err(|_| JunitError::Structure("a case has an unknown entity"))?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPORT: &str = r#"<?xml version="1.0"?><testsuites name="pytest tests"><testsuite name="pytest" timestamp="2020-01-01T00:00:00.1">
<testcase classname="tests.test_a" name="test_p[a::b[c]&#10;&quot;&lt;]" time="0.001" />
<testcase classname="tests.test_a.U" name="test_sub"><failure message="x">t</failure><failure message="y"/></testcase>
<testcase classname="tests.test_a" name="test_sk"><skipped message="z"/></testcase>
<testcase classname="tests.test_a" name="test_td"/>
<testcase classname="tests.test_a" name="test_td"><error message="teardown"><![CDATA[</testcase>]]></error></testcase>
</testsuite></testsuites>"#;

    #[test]
    fn pytest_reports_are_read() {
        insta::assert_debug_snapshot!(parse(REPORT.as_bytes()).unwrap(), @r#"
        {
            (
                "tests.test_a",
                "test_p[a::b[c]\n\"<]",
            ): Passed,
            (
                "tests.test_a",
                "test_sk",
            ): Skipped,
            (
                "tests.test_a",
                "test_td",
            ): Failed,
            (
                "tests.test_a.U",
                "test_sub",
            ): Failed,
        }
        "#);
    }

    #[test]
    fn a_report_cut_off_anywhere_is_no_report() {
        for end in 0..REPORT.len() {
            assert!(parse(&REPORT.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn entity_bombs_are_refused_without_expansion() {
        let bomb = r#"<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>
            <testsuite><testcase name="&b;"/></testsuite>"#;
        assert!(matches!(parse(bomb.as_bytes()), Err(JunitError::Structure(_))));
        let entity = r#"<testsuite><testcase name="&b;"/></testsuite>"#;
        assert!(matches!(parse(entity.as_bytes()), Err(JunitError::Structure(_))));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "<testsuite>".repeat(100_000);
        assert!(matches!(parse(deep.as_bytes()), Err(JunitError::Structure(_))));
    }

    proptest! {
        #[test]
        fn junk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn mangled_reports_never_panic(
            at in 0..REPORT.len(), length in 0usize..40, insert in ".{0,10}"
        ) {
            let mut bytes = REPORT.as_bytes().to_vec();
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, insert.bytes());
            let _ = parse(&bytes);
        }
    }
}
