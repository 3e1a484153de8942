//! What a fix does to the text: how much it changes, and whether it is a shortcut.

use greenlit_syntax::{Language, Role, parse};
use similar::{Algorithm, ChangeTag, TextDiff};

use super::naturalness::tokens;
use crate::patch::PatchedFile;

/// Tokens that a fix takes out and puts in; white space does not count. What moves counts twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Tokens of the original that are gone.
    pub removed: u32,
    /// Tokens that are new.
    pub added: u32,
    /// Whether it makes the code do less: it only takes names and values away (an operand, a
    /// statement, a guard), or leaves a function, loop or round where it did not. Such edits turn
    /// tests green by skipping what the tests do not ask for, more often than others do.
    pub shortcut: bool,
}

impl Change {
    pub(crate) fn of(files: &[PatchedFile]) -> Self {
        let mut change = Self::default();
        for file in files {
            // Only lines that differ are looked at by token: files are long, edits are short.
            let lines = TextDiff::from_lines(&*file.before, file.after.as_str());
            let side = |tag: ChangeTag| -> String {
                let changes = lines.iter_all_changes().filter(move |change| change.tag() == tag);
                changes.map(|change| change.value()).collect()
            };
            let (before, after) = (side(ChangeTag::Delete), side(ChangeTag::Insert));
            let (old, new) = (tokens(&before), tokens(&after));
            let tokens = TextDiff::configure().algorithm(Algorithm::Myers).diff_slices(&old, &new);
            for token in tokens.iter_all_changes() {
                match token.tag() {
                    ChangeTag::Delete => change.removed += 1,
                    ChangeTag::Insert => change.added += 1,
                    ChangeTag::Equal => {}
                }
            }
            let count = |text: &str| contents(file, text).unwrap_or_default();
            let (before, after) = (count(&file.before), count(&file.after));
            let less = change.added == 0 && after.values < before.values;
            change.shortcut |= less || after.exits > before.exits;
        }
        change
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Contents {
    /// Names and literals.
    values: usize,
    /// Statements that leave something.
    exits: usize,
}

fn contents(file: &PatchedFile, text: &str) -> Option<Contents> {
    let parsed = parse(Language::from_path(&file.path)?, text.into()).ok()?;
    let count = |keep: fn(Role) -> bool| parsed.descendants(parsed.root(), keep).len();
    Some(Contents {
        values: count(|role| {
            role.is_literal() || matches!(role, Role::Identifier | Role::MemberName | Role::Path)
        }),
        exits: count(|role| {
            matches!(role, Role::Return | Role::Break | Role::Continue | Role::Raise)
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &str, after: &str) -> Change {
        Change::of(&[PatchedFile {
            path: "/w/a.py".into(),
            before: before.into(),
            after: after.into(),
        }])
    }

    #[test]
    fn tokens_are_counted_and_white_space_is_not() {
        let counts = |before, after| {
            let change = change(before, after);
            (change.removed, change.added)
        };
        assert_eq!(counts("a < b\n", "a <= b\n"), (0, 1));
        assert_eq!(counts("x = a + b\ny\n", "x = a\ny\n"), (2, 0));
        assert_eq!(counts("if a:\n    b\n", "b\n"), (3, 0));
        assert_eq!(counts("a = 1\n", "a  =  1\n"), (0, 0));
    }

    #[test]
    fn what_makes_the_code_do_less_is_a_shortcut() {
        let text =
            "def f(a, b):\n    for x in a:\n        b += x\n        g(b)\n    return not a + b\n";
        for (from, to, shortcut) in [
            ("a + b", "a", true),
            ("        g(b)\n", "", true),
            ("        g(b)\n", "        g(b)\n        break\n", true),
            ("    for x", "    if not a:\n        return b\n    for x", true),
            ("not a", "a", false),
            ("a + b", "a - b", false),
            ("g(b)", "g(b, a)", false),
            ("        b += x\n        g(b)\n", "        g(b)\n        b += x\n", false),
        ] {
            assert_eq!(
                change(text, &text.replacen(from, to, 1)).shortcut,
                shortcut,
                "{from}: {to}"
            );
        }
    }
}
