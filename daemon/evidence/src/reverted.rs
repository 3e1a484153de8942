//! Whether a fix that was applied is not there any more.

use std::ops::Range;

/// Whether the lines that edits changed are again what they were before. Byte ranges are of `before`;
/// ranges that do not fit say no. Other changes of the file do not matter.
pub fn is_reverted(before: &str, edits: &[(Range<usize>, &str)], now: &str) -> bool {
    if now == before {
        return !edits.is_empty();
    }
    !edits.is_empty() && edits.iter().all(|edit| lines_are_back(before, edit, now))
}

/// Compares how often the old and the new lines occur with how often they did: the same lines may stand
/// elsewhere.
fn lines_are_back(before: &str, (range, new_text): &(Range<usize>, &str), now: &str) -> bool {
    let (Some(front), Some(back)) = (before.get(..range.start), before.get(range.end..)) else {
        return false;
    };
    if range.start > range.end {
        return false;
    }
    let line_start = front.rfind('\n').map_or(0, |at| at + 1);
    let line_end = back.find('\n').map_or(before.len(), |at| range.end + at + 1);
    // A line around it on each side: what was only added or removed would have no line of its own.
    let start = front[..line_start.saturating_sub(1)].rfind('\n').map_or(0, |at| at + 1);
    let end = before[line_end..].find('\n').map_or(before.len(), |at| line_end + at + 1);
    let old = &before[start..end];
    let new = format!("{}{new_text}{}", &front[start..], &before[range.end..end]);
    if old == new {
        return false;
    }
    let after = format!("{front}{new_text}{back}");
    count(now, old) >= count(before, old).max(1) && count(now, &new) < count(&after, &new)
}

fn count(text: &str, part: &str) -> usize {
    if part.is_empty() { 0 } else { text.matches(part).count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "def a(x):\n    return x > 1\n\n\ndef b(x):\n    return x > 1\n";

    fn reverted(now: &str) -> bool {
        let at = BEFORE.find('>').unwrap();
        is_reverted(BEFORE, &[(at..at + 1, ">=")], now)
    }

    #[test]
    fn the_text_of_before_is_a_revert_and_the_text_of_after_is_none() {
        assert!(reverted(BEFORE));
        assert!(!reverted(&BEFORE.replacen('>', ">=", 1)));
    }

    #[test]
    fn other_changes_of_the_file_do_not_hide_it() {
        let more = format!("import os\n{BEFORE}\nX = 1\n");
        assert!(reverted(&more));
        assert!(!reverted(&more.replacen('>', ">=", 1)));
    }

    #[test]
    fn other_lines_than_before_and_after_are_no_revert() {
        assert!(!reverted(&BEFORE.replacen("x > 1", "x > 0", 1)));
        assert!(!reverted(""));
    }

    #[test]
    fn the_same_line_elsewhere_does_not_count() {
        // The fix still stands; only the second function, which always looked so, has the old line.
        let fixed = BEFORE.replacen('>', ">=", 1);
        assert!(!reverted(&format!("{fixed}# end\n")));
    }

    #[test]
    fn lines_that_were_only_added_or_removed() {
        let before = "a\nb\nc\n";
        let added = [(2..2, "new\n")];
        assert!(is_reverted(before, &added, "a\nb\nc\nd\n"));
        assert!(!is_reverted(before, &added, "a\nnew\nb\nc\nd\n"));
        let removed = [(2..4, "")];
        assert!(is_reverted(before, &removed, "a\nb\nc\nd\n"));
        assert!(!is_reverted(before, &removed, "a\nc\nd\n"));
    }

    #[test]
    fn ranges_that_do_not_fit_say_no() {
        assert!(!is_reverted("é", &[(1..1, "x")], "y"));
        assert!(!is_reverted("a", &[(5..9, "x")], "y"));
        assert!(!is_reverted("a", &[], "a"));
    }
}
