//! Patches made of other patches: a second edit on top of a first, and fixes of several causes in
//! one. Either may touch several files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use similar::{ChangeTag, TextDiff};

use crate::candidate::{Candidate, Edit, Source};
use crate::patch::{PatchedFile, apply};

/// What the score of a patch of two edits is multiplied by: each edit has to be right.
const TWO_EDITS: f64 = 0.5;

/// The candidate that does what `first` did and then `second`, whose edits are for the texts that
/// `first` left. `None` where that changes nothing or does not fit.
pub(crate) fn on_top(
    first: (&Candidate, &[PatchedFile]),
    second: &Candidate,
    text_of: &dyn Fn(&Path) -> Option<Arc<str>>,
) -> Option<Candidate> {
    let (candidate, files) = first;
    let between = |path: &Path| match files.iter().find(|file| file.path == path) {
        Some(file) => Some(Arc::from(file.after.as_str())),
        None => text_of(path),
    };
    let mut texts: BTreeMap<PathBuf, (Arc<str>, String)> = files
        .iter()
        .map(|file| (file.path.clone(), (file.before.clone(), file.after.clone())))
        .collect();
    for file in apply(&second.edits, &between).ok()? {
        match texts.get_mut(&file.path) {
            Some((_, after)) => *after = file.after,
            None => drop(texts.insert(file.path, (file.before, file.after))),
        }
    }
    let edits: Vec<Edit> =
        texts.iter().flat_map(|(path, (before, after))| edits(path, before, after)).collect();
    (!edits.is_empty()).then(|| Candidate {
        edits,
        source: joined(&[candidate, second]),
        summary: format!("{}, then {}", candidate.summary, second.summary),
        score: TWO_EDITS * candidate.score * second.score,
    })
}

/// One candidate that does what all of `candidates` do, if they do not overlap.
pub(crate) fn union(candidates: &[&Candidate]) -> Option<Candidate> {
    let mut edits: Vec<Edit> = candidates.iter().flat_map(|c| c.edits.iter().cloned()).collect();
    edits.sort_by(|a, b| a.path.cmp(&b.path).then(a.start.cmp(&b.start)).then(a.end.cmp(&b.end)));
    edits.dedup();
    let apart = edits.windows(2).all(|p| p[0].path != p[1].path || p[0].end <= p[1].start);
    let summaries: Vec<_> = candidates.iter().map(|c| c.summary.as_str()).collect();
    let least = candidates.iter().map(|c| c.score).fold(f64::INFINITY, f64::min);
    (apart && candidates.len() > 1).then(|| Candidate {
        edits,
        source: joined(candidates),
        summary: summaries.join("; "),
        score: least,
    })
}

/// Whoever proposed the parts. The tier is the highest of them.
fn joined(parts: &[&Candidate]) -> Source {
    let rank = |tier: &str| match tier {
        "template" => 0,
        "small" => 1,
        _ => 2,
    };
    let tier = parts.iter().map(|part| part.source.tier.as_str()).max_by_key(|tier| rank(tier));
    let rules: Vec<_> = parts.iter().map(|part| part.source.rule.as_str()).collect();
    Source {
        tier: tier.unwrap_or("template").to_owned(),
        rule: rules.join(" + "),
        adapter: parts.iter().find_map(|part| part.source.adapter.clone()),
    }
}

/// The changed lines as edits of `before`, one for each stretch.
fn edits(path: &Path, before: &str, after: &str) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    let mut at = 0;
    let mut open = false;
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let line = change.value();
        if change.tag() == ChangeTag::Equal {
            open = false;
            at += line.len();
            continue;
        }
        if !open {
            let (path, new_text) = (path.to_owned(), String::new());
            edits.push(Edit { path, start: at, end: at, new_text });
            open = true;
        }
        let edit = edits.last_mut().expect("an edit was begun above");
        match change.tag() {
            ChangeTag::Insert => edit.new_text.push_str(line),
            ChangeTag::Delete | ChangeTag::Equal => {
                at += line.len();
                edit.end = at;
            }
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(edits: &[(&str, usize, usize, &str)], rule: &str) -> Candidate {
        let edit = |(path, start, end, new): &(&str, usize, usize, &str)| Edit {
            path: path.into(),
            start: *start,
            end: *end,
            new_text: (*new).into(),
        };
        Candidate {
            edits: edits.iter().map(edit).collect(),
            source: Source { tier: "template".into(), rule: rule.into(), adapter: None },
            summary: rule.into(),
            score: 0.5,
        }
    }

    fn text_of(path: &Path) -> Option<Arc<str>> {
        Some(if path.ends_with("a") { "one\ntwo\n" } else { "three\n" }.into())
    }

    fn applied(candidate: &Candidate) -> Vec<(String, String)> {
        let files = apply(&candidate.edits, &text_of).unwrap();
        files.into_iter().map(|f| (f.path.display().to_string(), f.after)).collect()
    }

    #[test]
    fn a_second_edit_may_be_in_the_same_file_or_another() {
        let first = candidate(&[("/a", 0, 3, "1\n1")], "first");
        let files = apply(&first.edits, &text_of).unwrap();
        let second = candidate(&[("/a", 4, 7, "2"), ("/b", 0, 5, "3")], "second");
        let both = on_top((&first, &files), &second, &text_of).unwrap();
        assert_eq!(
            applied(&both),
            [("/a".into(), "1\n1\n2\n".into()), ("/b".into(), "3\n".to_owned())]
        );
        assert_eq!(both.source.rule, "first + second");
        assert_eq!(both.score, 0.125);
    }

    #[test]
    fn an_edit_that_takes_the_first_back_is_nothing() {
        let first = candidate(&[("/b", 0, 5, "3")], "first");
        let files = apply(&first.edits, &text_of).unwrap();
        let back = candidate(&[("/b", 0, 1, "three")], "back");
        assert_eq!(on_top((&first, &files), &back, &text_of), None);
    }

    #[test]
    fn fixes_that_overlap_cannot_be_joined() {
        let one = candidate(&[("/a", 0, 3, "1")], "one");
        let two = candidate(&[("/a", 4, 7, "2")], "two");
        let both = union(&[&two, &one]).unwrap();
        assert_eq!(applied(&both), [("/a".into(), "1\n2\n".to_owned())]);
        assert_eq!(union(&[&one, &candidate(&[("/a", 2, 5, "x")], "over")]), None);
        assert_eq!(union(&[&one]), None);
    }

    proptest! {
        #[test]
        fn edits_lead_from_one_text_to_the_other(before in "[ab\n]{0,20}", after in "[ab\n]{0,20}") {
            let edits = edits(Path::new("/x"), &before, &after);
            let text: Arc<str> = before.as_str().into();
            let files = apply(&edits, &|_| Some(text.clone())).unwrap();
            let result = files.first().map_or(before.clone(), |file| file.after.clone());
            prop_assert_eq!(result, after);
        }
    }
}
