//! The published JSON Schema of `greenlit.toml` is the configuration's.

use super::*;

/// Where editors have it; the extension for VS Code contributes it and takes its settings from it.
const PUBLISHED: &str = "../../editors/vscode/schemas/greenlit.schema.json";

#[test]
fn the_published_schema_is_current() {
    let schema = schemars::schema_for!(Config);
    let mut text = serde_json::to_string_pretty(&schema).unwrap();
    text.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PUBLISHED);
    if std::env::var_os("GREENLIT_UPDATE_SCHEMA").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == text,
        "{} is not what the configuration says: \
         run `GREENLIT_UPDATE_SCHEMA=1 cargo test -p greenlit-workspace schema`",
        path.display()
    );
}
