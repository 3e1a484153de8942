//! The contract as decoders take it. Replies are validated whatever a decoder was told.
//!
//! Decoders write members in the order in which a schema names them, so the schemas are texts: the
//! order is that of the prompts' examples.

use super::VERSION;

/// The JSON Schema of a plan.
pub fn plan_schema() -> String {
    let names = r#"{"type":"array","items":{"type":"string"},"maxItems":16}"#;
    let members = [
        ("version", format!(r#"{{"const":{VERSION}}}"#)),
        ("intent", r#"{"enum":["fix-test"]}"#.to_owned()),
        ("files", names.to_owned()),
        ("symbols", names.to_owned()),
        ("rationale", r#"{"type":"string","maxLength":600}"#.to_owned()),
        ("run_tests", names.to_owned()),
    ];
    object(&members)
}

/// The JSON Schema of a patch's header.
fn header_schema() -> String {
    let of = |operation: &str, more: &[(&'static str, &str)]| {
        let mut members = vec![
            ("version", format!(r#"{{"const":{VERSION}}}"#)),
            ("path", r#"{"type":"string","minLength":1,"maxLength":300}"#.to_owned()),
            ("operation", format!(r#"{{"const":"{operation}"}}"#)),
        ];
        members.extend(more.iter().map(|(name, schema)| (*name, (*schema).to_owned())));
        object(&members)
    };
    let symbol = r#"{"type":"string","minLength":1,"maxLength":200}"#;
    let line = r#"{"type":"integer","minimum":1,"maximum":1000000}"#;
    let after = r#"{"type":"integer","minimum":0,"maximum":1000000}"#;
    let operations = [
        of("replace-function", &[("symbol", symbol)]),
        of("replace-lines", &[("first_line", line), ("last_line", line)]),
        of("insert-after", &[("line", after)]),
    ];
    format!(r#"{{"anyOf":[{}]}}"#, operations.join(","))
}

/// An object with exactly these members.
fn object(members: &[(&str, String)]) -> String {
    let properties: Vec<_> =
        members.iter().map(|(name, schema)| format!(r#""{name}":{schema}"#)).collect();
    let required: Vec<_> = members.iter().map(|(name, _)| format!(r#""{name}""#)).collect();
    format!(
        r#"{{"type":"object","properties":{{{}}},"required":[{}],"additionalProperties":false}}"#,
        properties.join(","),
        required.join(",")
    )
}

/// The grammar of a patch in llguidance's dialect of Lark: up to four blocks, each a header and code in
/// a fence. No line of code begins with three backticks.
pub fn patch_grammar() -> String {
    let header = header_schema();
    format!(
        "start: block (\"\\n\" block)~0..3\n\
         block: header \"\\n\" CODE\n\
         header: %json {header}\n\
         CODE: /```[a-z+#]{{0,12}}\\n((`{{0,2}}[^`\\n][^\\n]*|`{{0,2}})\\n)+```\\n/\n"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn schemas_are_json_with_members_in_the_order_of_the_examples() {
        let plan: Value = serde_json::from_str(&plan_schema()).unwrap();
        assert_eq!(plan["properties"]["version"]["const"], VERSION);
        assert_eq!(plan["required"][1], "intent");
        let header: Value = serde_json::from_str(&header_schema()).unwrap();
        assert_eq!(header["anyOf"].as_array().unwrap().len(), 3);
        let required = header["anyOf"][1]["required"].as_array().unwrap();
        assert_eq!(required.len(), 5);
        assert!(header_schema().find("\"version\"") < header_schema().find("\"path\""));
    }

    /// Checked once with llguidance 1.9.1 (`LLMatcher.validate_grammar`, and texts that it takes and
    /// refuses); a change of the grammar has to be checked so again.
    #[test]
    fn the_grammar_is_the_one_that_was_checked() {
        let grammar = patch_grammar();
        let digest = blake3::hash(grammar.as_bytes()).to_hex().to_string();
        assert_eq!(&digest[..16], "80f10ad282c5fd6e", "{grammar}");
    }
}
