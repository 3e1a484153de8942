//! Looking at every member.

use roaring::RoaringBitmap;

use crate::top::{Near, Scored, Top};
use crate::vectors::{Query, Vectors};

/// How many of the best by eight bits are looked at in full, for the best `k`.
///
/// On a hundred thousand chunks of real code every one of the best ten was among the first fifty.
pub(crate) fn shortlist(k: usize) -> usize {
    k.saturating_mul(4).saturating_add(32)
}

/// How many of the best by signs are looked at in eight bits.
pub(crate) fn sign_shortlist(members: u64, k: usize) -> usize {
    // At a hundred thousand members one in a hundred keeps 99.6 % of the best ten; at a million
    // one in a thousand still keeps 99.3 %.
    let share = usize::try_from(members / 500).unwrap_or(usize::MAX);
    share.max(1000).max(k.saturating_mul(20))
}

/// The best `k` members: eight bits decide who is looked at in full precision.
///
/// Members must be slots of `vectors`. What is returned lies in order, best first, and falls behind
/// the true answer by no more than the rounding of the codes.
pub fn exact<V: Vectors + ?Sized>(
    vectors: &V,
    members: &RoaringBitmap,
    query: &Query,
    k: usize,
) -> Vec<Near> {
    rescored(vectors, query, rough(vectors, members, query, shortlist(k)), k)
}

/// The best `k` members: signs decide who is looked at in eight bits, and these as in [`exact`].
pub fn by_signs<V: Vectors + ?Sized>(
    vectors: &V,
    members: &RoaringBitmap,
    query: &Query,
    k: usize,
) -> Vec<Near> {
    let wanted = sign_shortlist(members.len(), k);
    let mut best = Top::new(shortlist(k));
    for slot in nearest_by_signs(vectors, members, query, wanted) {
        best.push(Scored { score: query.rough(vectors, slot), id: slot });
    }
    rescored(vectors, query, best.into_sorted(), k)
}

/// The best `k` members by nothing but full precision: what the others are measured against.
pub fn full<V: Vectors + ?Sized>(
    vectors: &V,
    members: &RoaringBitmap,
    query: &Query,
    k: usize,
) -> Vec<Near> {
    let mut best = Top::new(k);
    for slot in members {
        best.push(Scored { score: query.similarity(vectors, slot), id: slot });
    }
    near(best.into_sorted())
}

/// The best `n` members in eight bits, best first.
pub(crate) fn rough<V: Vectors + ?Sized>(
    vectors: &V,
    members: &RoaringBitmap,
    query: &Query,
    n: usize,
) -> Vec<Scored> {
    let mut best = Top::new(n);
    for slot in members {
        best.push(Scored { score: query.rough(vectors, slot), id: slot });
    }
    best.into_sorted()
}

/// The best `k` in full precision of what was found by less.
pub(crate) fn rescored<V: Vectors + ?Sized>(
    vectors: &V,
    query: &Query,
    found: Vec<Scored>,
    k: usize,
) -> Vec<Near> {
    let mut best = Top::new(k);
    for Scored { id: slot, .. } in found {
        best.push(Scored { score: query.similarity(vectors, slot), id: slot });
    }
    near(best.into_sorted())
}

fn near(sorted: Vec<Scored>) -> Vec<Near> {
    sorted.into_iter().map(|s| Near { slot: s.id, similarity: s.score }).collect()
}

/// At least `wanted` members whose signs differ least, or all. Distances are small whole numbers, so
/// that counting them finds the limit.
fn nearest_by_signs<V: Vectors + ?Sized>(
    vectors: &V,
    members: &RoaringBitmap,
    query: &Query,
    wanted: usize,
) -> Vec<u32> {
    let mut counts = vec![0_usize; vectors.dims() + 1];
    let mut distances = Vec::with_capacity(usize::try_from(members.len()).unwrap_or_default());
    for slot in members {
        let distance = query.sign_distance(vectors, slot);
        counts[(distance as usize).min(vectors.dims())] += 1;
        distances.push((slot, distance));
    }
    let mut seen = 0;
    let enough = counts.iter().position(|count| {
        seen += count;
        seen >= wanted
    });
    let limit = enough.unwrap_or(vectors.dims()) as u32;
    distances.into_iter().filter(|(_, d)| *d <= limit).map(|(slot, _)| slot).collect()
}
