//! A known patch as the reply that a model should have given.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use greenlit_repair::{Edit, PatchedFile, apply, relative};
use greenlit_syntax::{FunctionItem, Language, parse};
use serde_json::{Value, json};

use super::function::dedented;
use super::{MAX_REPLY, Scope, VERSION, drafts, edits};

/// Blocks that the grammar of a patch has room for.
const BLOCKS: usize = 4;

/// The reply that asks for exactly these edits, in the form that the grammar of a patch has: whole
/// functions where that says it, else lines. `None` where no reply says it, or none that may change
/// what they change.
pub fn reply(wanted: &[Edit], scope: &Scope<'_>) -> Option<String> {
    let files = apply(wanted, &|path| (scope.text)(path)).ok()?;
    let by_lines = || files.iter().flat_map(|file| lines(scope.root, file)).collect();
    let by_function = || {
        let blocks = files.iter().map(|file| function(scope.root, file));
        blocks.collect::<Option<Vec<_>>>()
    };
    let says_it = |blocks: &Vec<Block>| {
        let reply = written(blocks)?;
        let read = edits(&drafts(&reply).ok()?, scope).ok()?;
        let same = apply(&read, &|path| (scope.text)(path)).ok()? == files;
        same.then_some(reply)
    };
    by_function().and_then(|blocks| says_it(&blocks)).or_else(|| says_it(&by_lines()))
}

struct Block {
    header: Vec<(&'static str, Value)>,
    code: String,
}

fn block(root: &Path, path: &Path, operation: &str, more: Vec<(&'static str, Value)>) -> Block {
    let mut header = vec![
        ("version", json!(VERSION)),
        ("path", json!(relative(root, path))),
        ("operation", json!(operation)),
    ];
    header.extend(more);
    Block { header, code: String::new() }
}

/// What the grammar allows, or nothing.
fn written(blocks: &[Block]) -> Option<String> {
    let mut texts = Vec::new();
    for Block { header, code } in blocks {
        let closes = |line: &str| line.trim_start().starts_with("```");
        if code.trim().is_empty() || code.lines().any(closes) {
            return None;
        }
        // Members in the order of the schema: a map of values would sort them.
        let members: Vec<String> =
            header.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        texts.push(format!(
            "{{{}}}\n```\n{}\n```\n",
            members.join(","),
            code.strip_suffix('\n').unwrap_or(code)
        ));
    }
    let reply = texts.join("\n");
    (blocks.len() <= BLOCKS && reply.len() <= MAX_REPLY).then_some(reply)
}

/// The outermost function that all changes of a file are in, as it is then.
fn function(root: &Path, file: &PatchedFile) -> Option<Block> {
    let language = Language::from_path(&file.path)?;
    let changed = changed(&file.before, &file.after);
    let parsed = parse(language, file.before.clone()).ok()?;
    let around =
        |item: &FunctionItem| item.range.start <= changed.start && changed.end <= item.range.end;
    let functions = parsed.functions();
    let found = functions.iter().filter(|item| around(item)).max_by_key(|item| item.range.len())?;
    let after: Arc<str> = Arc::from(file.after.as_str());
    let grown = parse(language, after).ok()?.functions();
    // It begins where it began: nothing before it changed.
    let new = grown.iter().find(|new| new.range.start == found.range.start)?;
    let symbol = match &found.class {
        Some(class) => format!("{class}.{}", found.name),
        None => found.name.clone(),
    };
    let mut block = block(root, &file.path, "replace-function", vec![("symbol", json!(symbol))]);
    // With the blanks before its first line, so that all lines lose the same.
    let line = file.after[..new.range.start].rfind('\n').map_or(0, |end| end + 1);
    let lead = &file.after[line..new.range.start];
    let from = if lead.trim().is_empty() { line } else { new.range.start };
    block.code = dedented(&file.after[from..new.range.end]).replace("\r\n", "\n");
    Some(block)
}

/// The lines that change, as one block.
fn lines(root: &Path, file: &PatchedFile) -> Option<Block> {
    let changed = changed(&file.before, &file.after);
    let start = file.before[..changed.start].rfind('\n').map_or(0, |end| end + 1);
    let end = match changed.end {
        // Whole lines already.
        end if end > start && file.before[..end].ends_with('\n') => end,
        end => file.before[end..].find('\n').map_or(file.before.len(), |at| end + at + 1),
    };
    let new = |start, end| &file.after[start..file.after.len() - (file.before.len() - end)];
    let start = match new(start, end).trim().is_empty() {
        // No block is empty: the last line before that is none stays.
        true => file.before[..start].trim_end().rfind('\n').map_or(0, |end| end + 1),
        false => start,
    };
    let new = new(start, end).replace("\r\n", "\n");
    let before = |at: usize| file.before[..at].matches('\n').count();
    let first = before(start) + 1;
    let last = (before(end) + usize::from(!file.before[..end].ends_with('\n'))).max(first);
    let more = vec![("first_line", json!(first)), ("last_line", json!(last))];
    let mut block = block(root, &file.path, "replace-lines", more);
    block.code = new;
    Some(block)
}

/// The bytes of `before` outside of which both texts are the same, at boundaries of characters.
fn changed(before: &str, after: &str) -> Range<usize> {
    let front = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let front = (0..=front)
        .rev()
        .find(|at| before.is_char_boundary(*at) && after.is_char_boundary(*at))
        .unwrap_or(0);
    let (old, new) = (&before[front..], &after[front..]);
    let back = old.bytes().rev().zip(new.bytes().rev()).take_while(|(a, b)| a == b).count();
    let back = (0..=back)
        .rev()
        .find(|back| {
            old.is_char_boundary(old.len() - back) && new.is_char_boundary(new.len() - back)
        })
        .unwrap_or(0);
    front..before.len() - back
}

#[cfg(test)]
mod tests {
    use greenlit_repair::SourceFile;
    use proptest::prelude::*;

    use super::*;

    const SHOP: &str = "import math\n\n\nclass Cart:\n    def total(self):\n        result = 1\n        for item in self.items:\n            result += item\n        return result\n\n\nRATE = 2\nNAMES = [\n    'a',\n]\n";

    /// The reply for a text that became another one, and what reading it leaves.
    fn told(before: &str, after: &str) -> Option<(String, String)> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let path = root.join("shop.py");
        std::fs::write(&path, before).unwrap();
        let text = |path: &Path| std::fs::read_to_string(path).ok().map(Arc::from);
        let files = [SourceFile { path: path.clone(), text: Arc::from(before) }];
        let scope = Scope {
            root: &root,
            text: &text,
            is_test: &|_| false,
            is_source: &|_| true,
            allow_tests: false,
            suspects: &files,
        };
        let range = changed(before, after);
        let behind = before.len() - range.end;
        let new_text = after[range.start..after.len() - behind].to_owned();
        let wanted = Edit { path, start: range.start, end: range.end, new_text };
        let reply = reply(&[wanted], &scope)?;
        let read = edits(&drafts(&reply).unwrap(), &scope).unwrap();
        Some((reply, apply(&read, &text).unwrap().remove(0).after))
    }

    #[test]
    fn a_change_within_a_function_is_the_whole_function() {
        let after = SHOP.replace("result = 1", "result = 0");
        let (reply, read) = told(SHOP, &after).unwrap();
        assert_eq!(read, after);
        let expected = "{\"version\":1,\"path\":\"shop.py\",\"operation\":\"replace-function\",\"symbol\":\"Cart.total\"}\n\
            ```\ndef total(self):\n    result = 0\n    for item in self.items:\n        result += item\n    return result\n```\n";
        assert_eq!(reply, expected);
    }

    #[test]
    fn a_change_elsewhere_is_its_lines() {
        let after = SHOP.replace("RATE = 2", "RATE = 3");
        let (reply, read) = told(SHOP, &after).unwrap();
        assert_eq!(read, after);
        assert!(
            reply.contains("\"operation\":\"replace-lines\",\"first_line\":12,\"last_line\":12}"),
            "{reply}"
        );
        assert!(reply.ends_with("```\nRATE = 3\n```\n"));
    }

    #[test]
    fn new_lines_and_lost_ones_are_told() {
        for after in [
            SHOP.replace("import math\n", "import math\nimport re\n"),
            SHOP.replace("    'a',\n", ""),
            SHOP.replace(
                "        return result\n",
                "        return result or None\n\n    def other(self):\n        return 1\n",
            ),
            SHOP.replace("RATE = 2\n", ""),
        ] {
            let (reply, read) = told(SHOP, &after).unwrap();
            assert_eq!(read, after, "{reply}");
        }
    }

    #[test]
    fn what_the_grammar_has_no_form_for_has_no_reply() {
        assert_eq!(told(SHOP, &SHOP.replace("'a'", "'''\n```\n'''")), None);
        assert_eq!(told(SHOP, SHOP), None);
    }

    proptest! {
        #[test]
        fn a_reply_says_what_was_wanted_or_there_is_none(
            line in 0usize..15,
            new in "[ -~é\n]{0,40}",
        ) {
            let mut lines: Vec<&str> = SHOP.split_inclusive('\n').collect();
            let new = format!("{new}\n");
            lines[line.min(14)] = &new;
            let after = lines.concat();
            if let Some((reply, read)) = told(SHOP, &after) {
                prop_assert_eq!(read, after, "{}", reply);
            }
        }
    }
}
