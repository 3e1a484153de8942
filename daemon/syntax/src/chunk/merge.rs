//! Joins neighbouring pieces up to the budget, so that borders do not shift when one piece grows.
//!
//! Filling chunks from the left would move every later border with each change. Here a border has a
//! rank that depends only on what stands right behind it, and a run that is too large is divided at
//! its highest border first. So the chunks are subtrees of a treap: a change reaches only those that
//! hold it, and those that join or leave them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

/// A stretch of text that is not divided further.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) bytes: Range<usize>,
    pub(super) border: Border,
    /// Its tokens.
    pub(super) tokens: usize,
    /// Whether it only imports.
    pub(super) import: bool,
}

/// How well a text is divided before a piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Border {
    /// What stands on both sides.
    pub(super) place: Place,
    /// How many nodes lie around it, counted from the unit that is divided.
    pub(super) depth: usize,
    /// Whether an empty line stands before it.
    pub(super) blank: bool,
    /// Of the first line behind it.
    pub(super) hash: u64,
}

/// Where a border lies; the first is divided first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Between two lines.
    Lines,
    /// Between a line that opens a body and the first line of the body.
    Opening,
    /// In the middle of a line.
    Inline,
}

/// Lower is divided first. The last parts only settle ties.
type Rank = (Place, usize, Reverse<bool>, u64, usize);

/// The ranges of pieces that make a chunk each. `fits` has the last word on a sum of tokens that
/// lies within the budget, because tokens may differ where pieces meet.
pub(super) fn merge(
    pieces: &[Piece],
    budget: usize,
    fits: &dyn Fn(Range<usize>) -> bool,
) -> Vec<Range<usize>> {
    if pieces.is_empty() {
        return Vec::new();
    }
    let ranks = ranks(pieces);
    let tree = Tree::of(&ranks);
    let mut sums = vec![0usize];
    for piece in pieces {
        sums.push(sums[sums.len() - 1].saturating_add(piece.tokens));
    }
    let mut chunks = Vec::new();
    let mut open = vec![(0..pieces.len(), tree.root)];
    while let Some((range, border)) = open.pop() {
        let tokens = sums[range.end] - sums[range.start];
        let bytes = pieces[range.start].bytes.start..pieces[range.end - 1].bytes.end;
        match border {
            Some(border) if tokens > budget || !fits(bytes) => {
                // The left part is popped first: chunks come out in order.
                open.push((border..range.end, tree.right[border]));
                open.push((range.start..border, tree.left[border]));
            }
            _ => chunks.push(range),
        }
    }
    chunks
}

/// Joins neighbours of which one is small. Only for the pieces of one definition: what is joined
/// depends on the sizes of neighbours, and so a change may reach one more of them.
pub(super) fn join(
    pieces: &[Piece],
    chunks: Vec<Range<usize>>,
    small: usize,
    fits: &dyn Fn(Range<usize>) -> bool,
) -> Vec<Range<usize>> {
    let tokens = |range: &Range<usize>| {
        pieces[range.clone()].iter().map(|p| p.tokens).fold(0, usize::saturating_add)
    };
    let mut joined: Vec<Range<usize>> = Vec::new();
    for chunk in chunks {
        if let Some(last) = joined.last_mut()
            && tokens(last).min(tokens(&chunk)) < small
            && fits(pieces[last.start].bytes.start..pieces[chunk.end - 1].bytes.end)
        {
            last.end = chunk.end;
            continue;
        }
        joined.push(chunk);
    }
    joined
}

fn ranks(pieces: &[Piece]) -> Vec<Rank> {
    // Equal lines are told apart by their order among equals, mixed so that it is no order.
    let mut seen: HashMap<u64, u64> = HashMap::new();
    pieces
        .iter()
        .enumerate()
        .map(|(at, piece)| {
            let Border { place, depth, blank, hash } = piece.border;
            let times = seen.entry(hash).and_modify(|n| *n += 1).or_insert(0);
            (place, depth, Reverse(blank), mixed(hash ^ mixed(*times)), at)
        })
        .collect()
}

/// The Cartesian tree over the borders before the pieces `1..`, by rank.
struct Tree {
    root: Option<usize>,
    left: Vec<Option<usize>>,
    right: Vec<Option<usize>>,
}

impl Tree {
    fn of(ranks: &[Rank]) -> Tree {
        let mut left = vec![None; ranks.len()];
        let mut right = vec![None; ranks.len()];
        let mut spine: Vec<usize> = Vec::new();
        for at in 1..ranks.len() {
            let mut below = None;
            while let Some(last) = spine.pop_if(|last| ranks[*last] > ranks[at]) {
                below = Some(last);
            }
            left[at] = below;
            if let Some(above) = spine.last() {
                right[*above] = Some(at);
            }
            spine.push(at);
        }
        Tree { root: spine.first().copied(), left, right }
    }
}

/// FNV-1a of a text: the same on every machine and in every version.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
