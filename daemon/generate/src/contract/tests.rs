//! Replies of many shapes, and hostile ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlit_repair::{Edit, SourceFile, apply};
use proptest::prelude::*;

use super::*;

const SHOP: &str = "import math\n\n\nclass Cart:\n    def __init__(self, items):\n        self.items = items\n\n    def total(self):\n        result = 1\n        for item in self.items:\n            result += item\n        return result\n\n\ndef double(x):\n    return x + 2\n";
const JS: &str = "class Cart {\n  total(items) {\n    return items.length;\n  }\n}\nexports.twice = (x) => {\n  return x + 2;\n};\n";

/// A workspace in memory, with its root in a directory that exists.
struct Workspace {
    dir: tempfile::TempDir,
    files: BTreeMap<PathBuf, Arc<str>>,
}

impl Workspace {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let mut files = BTreeMap::new();
        for (name, text) in [
            ("src/shop.py", SHOP),
            ("src/cart.js", JS),
            ("tests/test_shop.py", "def test_total():\n    assert False\n"),
            ("conftest.py", "x = 1\n"),
            ("notes.txt", "x = 1\n"),
        ] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            files.insert(path, Arc::from(text));
        }
        Self { dir, files }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    fn edits(&self, reply: &str) -> Result<Vec<Edit>, ContractError> {
        self.edits_with(reply, false)
    }

    fn edits_with(&self, reply: &str, allow_tests: bool) -> Result<Vec<Edit>, ContractError> {
        let root = self.root();
        let suspects: Vec<_> = ["src/shop.py", "src/cart.js"]
            .map(|name| root.join(name))
            .into_iter()
            .map(|path| SourceFile { text: self.files[&path].clone(), path })
            .collect();
        // As a view reads: from the disk, and whatever a path leads to.
        let text = |path: &Path| std::fs::read_to_string(path).ok().map(Arc::from);
        let scope = Scope {
            root: &root,
            text: &text,
            is_test: &|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("test_"))
            },
            is_source: &|path| !path.starts_with(root.join("vendor")),
            allow_tests,
            suspects: &suspects,
        };
        edits(&drafts(reply)?, &scope)
    }

    /// The only file that a reply changes, afterwards.
    fn after(&self, reply: &str) -> String {
        let edits = self.edits(reply).unwrap();
        let mut files = apply(&edits, &|path| self.files.get(path).cloned()).unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0).after
    }

    fn fault(&self, path: &str) -> PathFault {
        let reply = format!(
            "{{\"path\": {}, \"operation\": \"insert-after\", \"line\": 0}}\n```\nx = 1\n```\n",
            serde_json::Value::from(path)
        );
        match self.edits(&reply) {
            Err(ContractError::Path { fault, .. }) => fault,
            other => panic!("{path}: {other:?}"),
        }
    }
}

fn header(more: &str) -> String {
    format!("{{\"version\":1,\"path\":\"src/shop.py\",{more}}}\n")
}

#[test]
fn a_function_is_replaced_where_it_stands_and_nothing_else() {
    let reply = header("\"operation\":\"replace-function\",\"symbol\":\"Cart.total\"")
        + "```python\ndef total(self):\n    return sum(self.items)\n```\n";
    let wanted = SHOP.replace(
        "        result = 1\n        for item in self.items:\n            result += item\n        return result\n",
        "        return sum(self.items)\n",
    );
    assert_eq!(Workspace::new().after(&reply), wanted);
}

#[test]
fn functions_are_found_by_name_with_and_without_their_class_and_in_other_languages() {
    let workspace = Workspace::new();
    let py = header("\"symbol\":\"double\"") + "```\n    def double(x):\n        return x * 2\n```";
    assert_eq!(workspace.after(&py), SHOP.replace("x + 2", "x * 2"), "dedented, no operation");
    let js = r#"{"path":"src/cart.js","symbol":"Cart#total"}
```js
total(items) {
  return items.reduce((a, b) => a + b, 0);
}
```"#;
    let wanted = JS.replace("items.length", "items.reduce((a, b) => a + b, 0)");
    assert_eq!(workspace.after(js), wanted, "a method alone is no program");
    let arrow = r#"{"path":"src/cart.js","symbol":"twice"}
```js
exports.twice = (x) => {
  return x * 2;
};
```"#;
    assert_eq!(workspace.after(arrow), JS.replace("x + 2", "x * 2"));
}

#[test]
fn lines_are_replaced_and_added() {
    let workspace = Workspace::new();
    let lines = header("\"operation\":\"replace-lines\",\"first_line\":9,\"last_line\":9")
        + "```\n        result = 0\n```\n";
    assert_eq!(workspace.after(&lines), SHOP.replace("result = 1", "result = 0"));
    let insert = header("\"operation\":\"insert-after\",\"line\":1") + "```\nimport os\n```\n";
    assert_eq!(workspace.after(&insert), SHOP.replacen("math\n", "math\nimport os\n", 1));
    for bad in [
        "\"first_line\":0,\"last_line\":1",
        "\"first_line\":5,\"last_line\":4",
        "\"first_line\":17,\"last_line\":18",
    ] {
        let reply = header(&format!("\"operation\":\"replace-lines\",{bad}")) + "```\nx\n```\n";
        assert!(matches!(workspace.edits(&reply), Err(ContractError::NoLines(..))), "{bad}");
    }
}

#[test]
fn free_replies_are_read_as_far_as_their_meaning_is_beyond_doubt() {
    let workspace = Workspace::new();
    let wanted = SHOP.replace("x + 2", "x * 2");
    for (shape, reply) in [
        ("talk", format!("Sure!\n\nThe fault is {{simple}}.\n\n{}\n```py\ndef double(x):\n    return x * 2\n```\nHope it helps!", header("\"symbol\":\"double\""))),
        ("thoughts", format!("<think>\n```\nwrong\n```\n</think>\n{}```\ndef double(x):\n    return x * 2\n```", header("\"symbol\":\"double\""))),
        ("header in a fence", format!("```json\n{}```\n```python\ndef double(x):\n    return x * 2\n```", header("\"symbol\":\"double\""))),
        ("one object", "{\"path\":\"src/shop.py\",\"symbol\":\"double\",\"code\":\"def double(x):\\n    return x * 2\\n\"}".to_owned()),
        ("fenced object", "```json\n{\"path\":\"src/shop.py\",\"symbol\":\"double\",\"code\":\"def double(x):\\n    return x * 2\\n\"}\n```".to_owned()),
        ("a function alone", "```python\ndef double(x):\n    return x * 2\n```".to_owned()),
        ("search and replace", "src/shop.py\n```python\n<<<<<<< SEARCH\n    return x + 2\n=======\n    return x * 2\n>>>>>>> REPLACE\n```".to_owned()),
        ("without fence and path", "<<<<<<< SEARCH\ndef double(x):\n  return x + 2\n=======\ndef double(x):\n    return x * 2\n>>>>>>> REPLACE\n".to_owned()),
        ("diff", "```diff\n--- a/src/shop.py\n+++ b/src/shop.py\n@@ -1,2 +1,2 @@\n def double(x):\n-    return x + 2\n+    return x * 2\n```".to_owned()),
        ("bare diff", "--- a/src/shop.py\n+++ b/src/shop.py\n@@ nonsense @@\n\n def double(x):\n-    return x + 2\n+    return x * 2\n".to_owned()),
    ] {
        let edits = workspace.edits(&reply).unwrap_or_else(|error| panic!("{shape}: {error}"));
        let files = apply(&edits, &|path| workspace.files.get(path).cloned()).unwrap();
        assert_eq!(files.len(), 1, "{shape}");
        assert_eq!(files[0].after, wanted, "{shape}");
    }
}

#[test]
fn several_blocks_become_one_patch() {
    let reply = header("\"operation\":\"insert-after\",\"line\":1")
        + "```\nimport os\n```\n"
        + &header("\"symbol\":\"double\"")
        + "```\ndef double(x):\n    return x * 2\n```\n";
    let edits = Workspace::new().edits(&reply).unwrap();
    assert_eq!(edits.len(), 2);
    assert!(edits[0].start < edits[1].start);
    let twice = header("\"symbol\":\"double\"") + "```\ndef double(x):\n    return x * 2\n```\n";
    let other = twice.replace("* 2", "* 3");
    assert_eq!(Workspace::new().edits(&(twice + &other)), Err(ContractError::Overlap));
}

#[test]
fn windows_line_ends_stay() {
    let workspace = Workspace::new();
    let path = workspace.root().join("src/win.py");
    std::fs::write(&path, "def f(x):\r\n    y = 1\r\n    return x + y\r\n").unwrap();
    let reply = "{\"path\":\"src/win.py\",\"symbol\":\"f\"}\n```\ndef f(x):\n    y = 2\n    return x + y\n```\n";
    let edits = workspace.edits(reply).unwrap();
    assert_eq!(edits.len(), 1);
    assert_eq!(edits[0].new_text, "    y = 2\r\n", "only the line that changes");
}

#[test]
fn each_reply_that_says_nothing_usable_has_a_reason() {
    let workspace = Workspace::new();
    let error = |reply: &str| workspace.edits(reply).unwrap_err();
    assert_eq!(error("I am sorry."), ContractError::NoPatch);
    assert_eq!(error(""), ContractError::NoPatch);
    let cut = header("\"symbol\":\"double\"") + "```\ndef double(x):\n";
    assert_eq!(error(&cut), ContractError::Unfinished);
    assert_eq!(error("<<<<<<< SEARCH\nx\n======="), ContractError::Unfinished);
    assert_eq!(error(&"x".repeat(MAX_REPLY + 1)), ContractError::TooLong);
    let newer = "{\"version\":2,\"path\":\"src/shop.py\",\"symbol\":\"double\"}\n```\nx\n```";
    assert_eq!(error(newer), ContractError::Version(2));
    let named = |symbol: &str, code: &str| {
        header(&format!("\"symbol\":\"{symbol}\"")) + &format!("```\n{code}\n```")
    };
    assert_eq!(
        error(&named("triple", "def triple(x):\n    return 3")),
        ContractError::NoFunction("triple".into())
    );
    assert_eq!(error(&named("double", "return 2")), ContractError::NotTheFunction("double".into()));
    assert_eq!(
        error(&named("double", "def double(x):\n    return x + 2")),
        ContractError::NoChange
    );
    assert_eq!(error("```\nunrelated = 1\n```"), ContractError::NoPath);
    let both = "<<<<<<< SEARCH\n        result = 1\n=======\n        result = 0\n>>>>>>> REPLACE\n";
    assert!(workspace.edits(both).is_ok());
    let header = header("\"operation\":\"delete-file\"") + "```\nx\n```";
    assert!(matches!(error(&header), ContractError::Header(_)));
}

#[test]
fn wrong_paths_are_refused_each_for_its_reason() {
    let workspace = Workspace::new();
    for path in [
        "/etc/passwd.py",
        "../outside.py",
        "src/../../x.py",
        "src/../src/shop.py",
        "./src/shop.py",
        "",
        "src//shop.py",
        "src\\shop.py",
        "C:/x.py",
        "C:\\x.py",
        "~/x.py",
        "src/shop.py\0",
        "src/\nshop.py",
        "//server/share/x.py",
        "src/shop.py/",
        "file:///x.py",
    ] {
        assert_eq!(workspace.fault(path), PathFault::Shape, "{path:?}");
    }
    assert_eq!(workspace.fault("tests/test_shop.py"), PathFault::Test);
    for path in ["conftest.py", "pyproject.toml", "Cargo.toml", "package.json", "setup.py"] {
        assert_eq!(workspace.fault(path), PathFault::Configuration, "{path}");
    }
    assert_eq!(workspace.fault("vendor/lib.py"), PathFault::Foreign);
    assert_eq!(workspace.fault("notes.txt"), PathFault::Language);
    assert_eq!(workspace.fault("src/new.py"), PathFault::Missing);
}

#[test]
fn tests_may_be_changed_only_where_that_is_allowed() {
    let workspace = Workspace::new();
    let reply = "{\"path\":\"tests/test_shop.py\",\"symbol\":\"test_total\"}\n```\ndef test_total():\n    assert True\n```";
    assert!(workspace.edits(reply).is_err());
    assert_eq!(workspace.edits_with(reply, true).unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_link_is_not_another_name_for_a_test_or_a_way_out() {
    let workspace = Workspace::new();
    let root = workspace.root();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("far.py"), "x = 2\n").unwrap();
    std::os::unix::fs::symlink(outside.path(), root.join("away")).unwrap();
    std::os::unix::fs::symlink(root.join("tests/test_shop.py"), root.join("src/alias.py")).unwrap();
    assert_eq!(workspace.fault("away/far.py"), PathFault::Outside);
    assert_eq!(workspace.fault("src/alias.py"), PathFault::Outside);
}

#[test]
fn a_diff_and_a_plan_name_no_wrong_path_either() {
    let workspace = Workspace::new();
    let diff = "--- a/tests/test_shop.py\n+++ b/tests/test_shop.py\n@@\n-    assert False\n+    assert True\n";
    assert!(matches!(
        workspace.edits(diff),
        Err(ContractError::Path { fault: PathFault::Test, .. })
    ));
    let gone = "--- a/src/shop.py\n+++ /dev/null\n@@\n-def double(x):\n-    return x + 2\n";
    assert!(workspace.edits(gone).is_ok(), "a removal changes the file that it names");
    let up = "--- a/x.py\n+++ b/../x.py\n@@\n-x\n+y\n";
    assert!(matches!(
        workspace.edits(up),
        Err(ContractError::Path { fault: PathFault::Shape, .. })
    ));
    let root = workspace.root();
    let scope = Scope {
        root: &root,
        text: &|path| workspace.files.get(path).cloned(),
        is_test: &|path| path.starts_with(root.join("tests")),
        is_source: &|_| true,
        allow_tests: false,
        suspects: &[],
    };
    let plan = |files: &str| {
        let text = format!(
            "Plan: {{\"version\":1,\"intent\":\"fix-test\",\"files\":[{files}],\"symbols\":[\"double\"],\"rationale\":\"}}\",\"run_tests\":[]}} done"
        );
        plan(&text, &scope)
    };
    assert_eq!(plan("\"src/shop.py\"").unwrap().symbols, ["double"]);
    assert!(plan("\"src/shop.py\",\"tests/test_shop.py\"").is_err());
    assert!(plan("\"/etc/x.py\"").is_err());
    assert!(matches!(super::plan("{\"intent\": 3}", &scope), Err(ContractError::Plan(_))));
    assert!(matches!(super::plan("no", &scope), Err(ContractError::Plan(_))));
}

/// Pieces that replies are made of, whole and broken.
fn piece() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        Just("src/shop.py"),
        Just("src/cart.js"),
        Just("tests/test_shop.py"),
        Just("conftest.py"),
        Just("../x.py"),
        Just("/etc/x.py"),
        Just("src/../tests/test_shop.py"),
        Just("a\\b.py"),
        Just("src/./shop.py"),
    ];
    let operation = prop_oneof![
        Just("\"symbol\":\"double\""),
        Just("\"symbol\":\"Cart.total\""),
        Just("\"operation\":\"insert-after\",\"line\":0"),
        Just("\"operation\":\"replace-lines\",\"first_line\":1,\"last_line\":2"),
        Just("\"line\":99999999999"),
        Just("\"first_line\":-1"),
    ];
    let header = (path.clone(), operation)
        .prop_map(|(path, operation)| format!("{{\"path\":\"{path}\",{operation}}}\n"));
    let diff = path.clone().prop_map(|path| {
        format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-import math\n+import os\n")
    });
    let fixed = prop_oneof![
        Just("```\n"),
        Just("```python\n"),
        Just("~~~~\n"),
        Just("def double(x):\n    return x * 2\n"),
        Just("é𝄞\u{202e}\r\n"),
        Just("<<<<<<< SEARCH\n"),
        Just("import math\n"),
        Just("=======\n"),
        Just(">>>>>>> REPLACE\n"),
        Just("{"),
        Just("\"\\"),
        Just("<think>"),
        Just("</think>"),
        Just("@@\n"),
        Just("\t\n"),
        Just("assert False"),
    ];
    prop_oneof![
        3 => header, 1 => diff, 4 => fixed.prop_map(str::to_owned), 1 => path.prop_map(|p| format!("{p}\n")), 1 => ".{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn mangled_replies_never_panic_and_never_reach_a_wrong_file(
        pieces in prop::collection::vec(piece(), 0..14),
        cut in 0.0..1.0_f64,
    ) {
        thread_local!(static WORKSPACE: Workspace = Workspace::new());
        WORKSPACE.with(|workspace| {
            let whole = pieces.concat();
            let cut = whole.floor_char_boundary((whole.len() as f64 * (0.5 + cut)) as usize);
            let root = workspace.root();
            let allowed = [root.join("src/shop.py"), root.join("src/cart.js")];
            if let Ok(edits) = workspace.edits(&whole[..cut]) {
                prop_assert!(!edits.is_empty());
                for edit in &edits {
                    prop_assert!(allowed.contains(&edit.path), "{:?}", edit);
                }
                let patched = apply(&edits, &|path| workspace.files.get(path).cloned());
                let patched = patched.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert!(patched.iter().any(|file| *file.before != *file.after));
            }
            Ok(())
        })?;
    }

    #[test]
    fn any_text_as_a_path_is_a_file_of_the_workspace_or_refused(path in "[./~\\\\a-z:\\x00]{0,12}|\\PC{0,20}") {
        thread_local!(static WORKSPACE: Workspace = Workspace::new());
        WORKSPACE.with(|workspace| {
            let reply = format!(
                "{{\"path\": {}, \"operation\": \"insert-after\", \"line\": 0}}\n```\nx = 1\n```\n",
                serde_json::Value::from(path.as_str())
            );
            if let Ok(edits) = workspace.edits(&reply) {
                let root = workspace.root();
                prop_assert!(edits.iter().all(|edit| workspace.files.contains_key(&edit.path)));
                prop_assert!(edits.iter().all(|edit| edit.path.starts_with(&root)));
            }
            Ok(())
        })?;
    }
}
