//! Collects proposals and decides their order.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use greenlit_syntax::Node;

use super::family::Family;
use super::file::File;
use super::site::Site;
use crate::candidate::{Candidate, Edit, Source};

/// At most this many candidates leave a generator.
const MOST: usize = 2000;
/// At most this many of one family for one line: later ones are worth next to nothing.
const MOST_OF_FAMILY: i32 = 150;
/// At most this many for one line: one statement must not use up the search.
const MOST_OF_LINE: i32 = 400;
/// At most this many proposals of one family for one line are looked at while they are made.
const MOST_PROPOSED: u32 = 600;
/// How much a candidate loses for each better one of the same family on the same line.
const SAME_FAMILY: f64 = 0.93;
/// How much it loses for each better one on the same line.
const SAME_LINE: f64 = 0.985;
/// Exponent of the suspicion: greater trusts the localization more.
const TRUST: f64 = 1.5;

struct Proposal {
    file: usize,
    edits: Vec<(Range<usize>, String)>,
    family: Family,
    line: u32,
    score: f64,
    summary: Option<String>,
}

/// Takes what templates propose.
pub(super) struct Sink {
    proposals: Vec<Proposal>,
    proposed: HashMap<(usize, u32, Family), u32>,
    file: usize,
}

impl Sink {
    pub(super) fn new() -> Sink {
        Sink { proposals: Vec::new(), proposed: HashMap::new(), file: 0 }
    }

    /// What follows is about this file.
    pub(super) fn enter(&mut self, file: usize) {
        self.file = file;
    }

    /// Replaces a node's text. `weight` in 0..=1 compares candidates of the same family.
    pub(super) fn replace(
        &mut self,
        site: &Site<'_>,
        family: Family,
        node: Node<'_>,
        new: impl Into<String>,
        weight: f64,
    ) {
        self.edit(site, family, node.byte_range(), new.into(), weight, None);
    }

    /// One edit, with a summary where "replace … by …" would not say it.
    pub(super) fn edit(
        &mut self,
        site: &Site<'_>,
        family: Family,
        range: Range<usize>,
        new: String,
        weight: f64,
        summary: Option<String>,
    ) {
        self.edits(site, family, vec![(range, new)], weight, summary);
    }

    /// Several edits of one file.
    pub(super) fn edits(
        &mut self,
        site: &Site<'_>,
        family: Family,
        mut edits: Vec<(Range<usize>, String)>,
        weight: f64,
        summary: Option<String>,
    ) {
        let text = site.file.text();
        edits.retain(|(range, new)| text.get(range.clone()).is_some_and(|old| old != new));
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let apart = edits.windows(2).all(|p| p[0].0.end <= p[1].0.start);
        // A weight of zero says that the edit cannot be right.
        if edits.is_empty() || !apart || weight <= 0.0 {
            return;
        }
        let score = family.prior() * weight * site.suspicion.powf(TRUST);
        let (file, line) = (self.file, site.line);
        let proposed = self.proposed.entry((file, line, family)).or_insert(0);
        if *proposed >= MOST_PROPOSED {
            return;
        }
        *proposed += 1;
        self.proposals.push(Proposal { file, edits, family, line, score, summary });
    }

    /// The candidates, best first, each resulting text once.
    pub(super) fn finish(mut self, files: &[File<'_>]) -> Vec<Candidate> {
        self.proposals.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut per_family: HashMap<(usize, u32, Family), i32> = HashMap::new();
        let mut per_line: HashMap<(usize, u32), i32> = HashMap::new();
        let mut seen = HashSet::new();
        let mut kept = Vec::new();
        for mut proposal in self.proposals {
            let text = files[proposal.file].text();
            let mut hasher = DefaultHasher::new();
            (proposal.file, canonical(text, &proposal.edits)).hash(&mut hasher);
            if !seen.insert(hasher.finish()) {
                continue;
            }
            let same_family =
                per_family.entry((proposal.file, proposal.line, proposal.family)).or_insert(0);
            let same_line = per_line.entry((proposal.file, proposal.line)).or_insert(0);
            if *same_family >= MOST_OF_FAMILY || *same_line >= MOST_OF_LINE {
                continue;
            }
            proposal.score *= SAME_FAMILY.powi(*same_family) * SAME_LINE.powi(*same_line);
            *same_family += 1;
            *same_line += 1;
            kept.push(proposal);
        }
        kept.sort_by(|a, b| b.score.total_cmp(&a.score));
        kept.truncate(MOST);
        kept.into_iter().map(|p| p.into_candidate(files)).collect()
    }
}

impl Proposal {
    fn into_candidate(self, files: &[File<'_>]) -> Candidate {
        let file = &files[self.file];
        let summary = self.summary.unwrap_or_else(|| {
            let (range, new) = &self.edits[0];
            describe(file.text().get(range.clone()).unwrap_or_default(), new)
        });
        let edits = self
            .edits
            .into_iter()
            .map(|(range, new_text)| Edit {
                path: file.path.to_path_buf(),
                start: range.start,
                end: range.end,
                new_text,
            })
            .collect();
        let source =
            Source { tier: "template".into(), rule: self.family.rule().into(), adapter: None };
        Candidate { edits, source, summary, score: self.score }
    }
}

/// "replace `a` by `b`", on one line and not too long.
pub(super) fn describe(old: &str, new: &str) -> String {
    let (old, new) = (short(old), short(new));
    match (old.is_empty(), new.is_empty()) {
        (true, _) => format!("insert `{new}`"),
        (_, true) => format!("remove `{old}`"),
        _ => format!("replace `{old}` by `{new}`"),
    }
}

/// A text on one line, cut after 60 characters.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 {
        return line;
    }
    line.chars().take(59).chain(['…']).collect()
}

/// The changed span with its new bytes, common prefix and suffix removed and pure insertions and
/// removals slid to the left: equal exactly for edits that lead to the same text.
fn canonical(text: &str, edits: &[(Range<usize>, String)]) -> (usize, usize, Vec<u8>) {
    let (mut first, mut last) = (edits[0].0.start, edits[edits.len() - 1].0.end);
    let mut new = String::new();
    let mut at = first;
    for (range, replacement) in edits {
        new.push_str(&text[at..range.start]);
        new.push_str(replacement);
        at = range.end;
    }
    let bytes = text.as_bytes();
    let old = &bytes[first..last];
    let mut new = new.into_bytes();
    let prefix = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - prefix;
    let suffix =
        old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    new.truncate(new.len() - suffix);
    new.drain(..prefix);
    first += prefix;
    last -= suffix;
    if first == last {
        while first > 0 && new.last() == Some(&bytes[first - 1]) {
            new.rotate_right(1);
            first -= 1;
            last -= 1;
        }
    } else if new.is_empty() {
        while first > 0 && bytes[last - 1] == bytes[first - 1] {
            first -= 1;
            last -= 1;
        }
    }
    (first, last, new)
}
