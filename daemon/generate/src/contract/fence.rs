//! Fenced blocks of a reply.

/// A fenced block, with the text between the one before and it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence<'a> {
    pub(super) before: &'a str,
    /// What stands behind the opening fence.
    pub(super) info: &'a str,
    /// Whole lines.
    pub(super) body: &'a str,
}

/// What a reply is made of.
pub(super) struct Fenced<'a> {
    pub(super) fences: Vec<Fence<'a>>,
    /// The last one is never closed.
    pub(super) open: bool,
}

/// Fences as CommonMark has them: three or more of one sign, closed by at least as many.
pub(super) fn fences(text: &str) -> Fenced<'_> {
    let mut found = Fenced { fences: Vec::new(), open: false };
    let mut between = 0;
    let mut opened: Option<(char, usize, &str, &str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        let signs = fence_of(line);
        match (opened, signs) {
            // ```` ```x``` ```` on one line is no block.
            (None, Some((sign, count, info))) if !info.contains(sign) => {
                opened = Some((sign, count, info, &text[between..at], next));
            }
            (Some((sign, count, info, before, body)), Some((closing, length, rest)))
                if closing == sign && length >= count && rest.is_empty() =>
            {
                found.fences.push(Fence { before, info, body: &text[body..at] });
                opened = None;
                between = next;
            }
            _ => {}
        }
        at = next;
    }
    found.open = opened.is_some();
    found
}

/// The sign, how many, and what follows, if a line is a fence. Models indent theirs at will.
fn fence_of(line: &str) -> Option<(char, usize, &str)> {
    let line = line.trim();
    let sign = line.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
    let rest = line.trim_start_matches(sign);
    let count = line.len() - rest.len();
    (count >= 3).then(|| (sign, count, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_fences_hold_shorter_ones_and_other_signs_do_not_close() {
        let text = "a\n````md\n```\nx\n```\n````\nb\n~~~\n```\n~~~~\n";
        let found = fences(text);
        assert!(!found.open);
        let [one, two] = &found.fences[..] else { panic!() };
        assert_eq!((one.before, one.info, one.body), ("a\n", "md", "```\nx\n```\n"));
        assert_eq!((two.before, two.body), ("b\n", "```\n"));
    }

    #[test]
    fn a_block_that_is_never_closed_is_told_of() {
        assert!(fences("```py\nx = 1").open);
        assert!(!fences("use ```x``` inline").open);
        assert!(!fences("```x```").open);
    }
}
