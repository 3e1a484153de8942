//! JSON objects within other text.

use std::ops::Range;

use serde_json::{Map, Value};

/// Places where an object may begin that are looked at. Each costs up to the length of the text.
const STARTS: usize = 64;

/// The first balanced JSON object of a text that `wanted` takes, and where it stands.
pub(super) fn object(
    text: &str,
    wanted: impl Fn(&Map<String, Value>) -> bool,
) -> Option<(Map<String, Value>, Range<usize>)> {
    let mut from = 0;
    for _ in 0..STARTS {
        let start = from + text.get(from..)?.find('{')?;
        from = start + 1;
        let Some(length) = balanced(&text[start..]) else { continue };
        let range = start..start + length;
        if let Ok(Value::Object(object)) = serde_json::from_str(&text[range.clone()]) {
            if wanted(&object) {
                return Some((object, range));
            }
            // What lies within an object is not another one.
            from = range.end;
        }
    }
    None
}

/// The length of the object that a text begins with: braces in strings do not count.
fn balanced(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Option<String> {
        object(text, |_| true).map(|(_, range)| text[range].to_owned())
    }

    #[test]
    fn braces_and_quotes_in_strings_do_not_end_an_object() {
        let object = r#"{"a": "}\"{", "b": {"c": "\\"}}"#;
        assert_eq!(first(&format!("Sure! {object} and }}")).as_deref(), Some(object));
    }

    #[test]
    fn what_is_no_json_is_passed_over() {
        assert_eq!(first("use {braces} like {\"a\": 1} here").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(first("{ {\"a\": 1}").as_deref(), Some("{\"a\": 1}"), "never closed");
        assert_eq!(first("fn f() {}").as_deref(), Some("{}"));
        assert_eq!(first("[1, 2"), None);
    }

    #[test]
    fn braces_without_end_cost_little() {
        assert_eq!(first(&"{".repeat(100_000)), None);
    }

    #[test]
    fn an_object_is_searched_that_is_wanted() {
        let text = r#"{"thought": {"path": "no"}} {"path": "a.py"}"#;
        let (object, _) = object(text, |object| object.contains_key("path")).unwrap();
        assert_eq!(object["path"], "a.py");
    }
}
