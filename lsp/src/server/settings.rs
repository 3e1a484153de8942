//! The editor's settings, on their way to the daemon as JSON text in the schema of `greenlit.toml`.

use serde_json::Value;

/// The section that editors keep the settings in.
pub(crate) const SECTION: &str = "greenlit";

/// Keys that concern the editor alone: `greenlit.editor.…` is the plugins' own, `greenlit.trace`
/// belongs to the client library of VS Code.
const EDITOR_ONLY: [&str; 2] = ["editor", "trace"];

/// The settings in what an editor sent: the section itself, or an object that holds it. `None`
/// when nothing is set.
pub(crate) fn normalize(value: Value) -> Option<String> {
    let Value::Object(mut members) = value else { return None };
    if let Some(section) = members.remove(SECTION) {
        return normalize(section);
    }
    members.retain(|key, value| !value.is_null() && !EDITOR_ONLY.contains(&key.as_str()));
    (!members.is_empty()).then(|| Value::Object(members).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_section_is_found_and_editor_keys_stay_here() {
        assert_eq!(normalize(Value::Null), None);
        assert_eq!(normalize(json!({})), None);
        assert_eq!(normalize(json!({ "greenlit": null })), None);
        assert_eq!(normalize(json!({ "fix": null, "trace": { "server": "off" } })), None);
        let expected = Some(r#"{"fix":{"max_fixes":2}}"#.to_owned());
        assert_eq!(normalize(json!({ "fix": { "max_fixes": 2 }, "editor": {} })), expected);
        assert_eq!(normalize(json!({ "greenlit": { "fix": { "max_fixes": 2 } } })), expected);
    }
}
