//! The contract as decoders take it. Replies are validated whatever a decoder was told.

use serde_json::{Value, json};

use super::VERSION;

/// The JSON Schema of a plan.
pub fn plan_schema() -> String {
    let names = json!({"type": "array", "items": {"type": "string"}, "maxItems": 16});
    json!({
        "type": "object",
        "properties": {
            "version": {"const": VERSION},
            "intent": {"enum": ["fix-test"]},
            "files": names,
            "symbols": names,
            "rationale": {"type": "string", "maxLength": 600},
            "run_tests": names,
        },
        "required": ["version", "intent", "files", "symbols", "rationale", "run_tests"],
        "additionalProperties": false,
    })
    .to_string()
}

/// The JSON Schema of a patch's header.
fn header_schema() -> Value {
    let of = |operation: &str, more: &[(&str, Value)]| {
        let mut properties = json!({
            "version": {"const": VERSION},
            "path": {"type": "string", "minLength": 1, "maxLength": 300},
            "operation": {"const": operation},
        });
        for (name, schema) in more {
            properties[*name] = schema.clone();
        }
        let required: Vec<_> =
            properties.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    };
    let line = json!({"type": "integer", "minimum": 1, "maximum": 1_000_000});
    json!({"anyOf": [
        of("replace-function", &[("symbol", json!({"type": "string", "minLength": 1, "maxLength": 200}))]),
        of("replace-lines", &[("first_line", line.clone()), ("last_line", line.clone())]),
        of("insert-after", &[("line", json!({"type": "integer", "minimum": 0, "maximum": 1_000_000}))]),
    ]})
}

/// The grammar of a patch in llguidance's dialect of Lark: up to four blocks, each a header in one line
/// and code in a fence. No line of code begins with three backticks.
pub fn patch_grammar() -> String {
    format!(
        "start: block (\"\\n\" block)~0..3\n\
         block: header \"\\n```\" LANGUAGE \"\\n\" LINE~1..400 \"```\\n\"\n\
         header: %json {}\n\
         LANGUAGE: /[a-z+#]{{0,12}}/\n\
         LINE: /`{{0,2}}([^`\\n][^\\n]*)?\\n/\n",
        header_schema()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_json_and_name_the_version() {
        let plan: Value = serde_json::from_str(&plan_schema()).unwrap();
        assert_eq!(plan["properties"]["version"]["const"], VERSION);
        let header = header_schema();
        assert_eq!(header["anyOf"].as_array().unwrap().len(), 3);
        let lines = header["anyOf"][1]["required"].as_array().unwrap();
        assert!(lines.contains(&Value::from("first_line")), "{lines:?}");
    }
}
