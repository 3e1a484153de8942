//! Vectors and what must be found among them.

use std::sync::Arc;

use greenlit_graph::{Control, Graph, InMemory, Near, Params, Query, Vectors, scan};
use roaring::RoaringBitmap;

pub(crate) const DIMS: usize = 48;

/// Numbers between -1 and 1 in an order that only the seed decides.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> f32 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        bits as f32 / (1_u64 << 23) as f32 - 1.0
    }

    pub(crate) fn vector(&mut self) -> Vec<f32> {
        (0..DIMS).map(|_| self.next()).collect()
    }
}

/// `count` vectors around a twentieth as many centres; every tenth a copy of the one before.
pub(crate) fn clustered(count: usize, seed: u64) -> InMemory {
    let mut noise = Noise::new(seed);
    let centres: Vec<_> = (0..count.div_ceil(20)).map(|_| noise.vector()).collect();
    let mut vectors = InMemory::new(DIMS);
    let mut last = noise.vector();
    for i in 0..count {
        if i % 10 != 9 {
            let centre = &centres[i % centres.len()];
            last = centre.iter().map(|value| value + 0.4 * noise.next()).collect();
        }
        vectors.push(&last).unwrap();
    }
    vectors
}

pub(crate) fn all(vectors: &dyn Vectors) -> RoaringBitmap {
    (0..vectors.len()).collect()
}

pub(crate) fn built(vectors: &dyn Vectors, members: &RoaringBitmap) -> Arc<Graph> {
    let params = Params { links: 8, effort: 48, threads: 1 };
    Arc::new(Graph::build(vectors, members, params, Control::default()).unwrap())
}

/// The right answer.
pub(crate) fn truth(
    vectors: &dyn Vectors,
    members: &RoaringBitmap,
    query: &[f32],
    k: usize,
) -> Vec<Near> {
    scan::full(vectors, members, &Query::new(query, vectors.dims()).unwrap(), k)
}

/// How many of `found` are as near as the last of the right answer: copies stand for each other.
pub(crate) fn hits(found: &[Near], truth: &[Near]) -> usize {
    let Some(last) = truth.last() else { return 0 };
    found.iter().filter(|near| near.similarity >= last.similarity - 1e-6).count()
}

/// What holds for every answer, whatever the plan.
pub(crate) fn check(found: &[Near], live: &RoaringBitmap, k: usize) {
    assert_eq!(found.len() as u64, live.len().min(k as u64));
    assert!(found.iter().all(|near| live.contains(near.slot)), "a slot that was not asked for");
    let slots: RoaringBitmap = found.iter().map(|near| near.slot).collect();
    assert_eq!(slots.len(), found.len() as u64, "a slot twice");
    assert!(found.is_sorted_by(|a, b| a.similarity >= b.similarity), "not in order");
    assert!(found.iter().all(|near| (-1.0..=1.0).contains(&near.similarity)));
}
