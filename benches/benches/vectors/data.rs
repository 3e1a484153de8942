//! Vectors and queries, of unit length.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Some vectors, one after the other, and queries.
pub(crate) struct Data {
    pub(crate) origin: String,
    pub(crate) dims: usize,
    pub(crate) rows: usize,
    pub(crate) vectors: Vec<f32>,
    pub(crate) queries: Vec<f32>,
}

impl Data {
    pub(crate) fn vectors(&self) -> impl Iterator<Item = &[f32]> {
        self.vectors.chunks_exact(self.dims)
    }

    pub(crate) fn queries(&self) -> impl Iterator<Item = &[f32]> {
        self.queries.chunks_exact(self.dims)
    }

    pub(crate) fn read(vectors: &Path, queries: &Path, args: &crate::Args) -> Result<Self> {
        let vectors = file(vectors, args.dims, args.count)?;
        let queries = file(queries, args.dims, args.searches)?;
        let rows = vectors.len() / args.dims;
        Ok(Self { origin: args.origin.clone(), dims: args.dims, rows, vectors, queries })
    }

    /// Points near centres that lie near a space of fewer dimensions, and queries from elsewhere in
    /// the same space, since embeddings of text fill a few dozen of their dimensions.
    pub(crate) fn made_up(rows: usize, queries: usize, dims: usize, seed: u64) -> Result<Self> {
        const INNER: usize = 32;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut normal =
            |count: usize| -> Vec<f32> { (0..count).map(|_| bell(&mut random)).collect() };
        let basis = normal(INNER * dims);
        let centres: Vec<_> = (0..rows.div_ceil(50)).map(|_| normal(INNER)).collect();
        let mut point = |inner: &[f32]| -> Vec<f32> {
            let noise = normal(dims);
            let place = |d: usize| {
                let along = inner.iter().zip(basis[d..].iter().step_by(dims)).map(|(x, b)| x * b);
                along.sum::<f32>() + 0.5 * noise[d]
            };
            unit((0..dims).map(place).collect())
        };
        let mut all = fastrand::Rng::with_seed(seed ^ 0xffff);
        let mut near = |spread: f32| -> Vec<f32> {
            let centre = &centres[all.usize(..centres.len())];
            let inner: Vec<f32> = centre.iter().map(|x| x + spread * bell(&mut all)).collect();
            point(&inner)
        };
        let vectors = (0..rows).flat_map(|_| near(0.5)).collect();
        let queries = (0..queries).flat_map(|_| near(0.8)).collect();
        let origin = format!("made up, in clusters, seed {seed}: not embeddings of anything");
        Ok(Self { origin, dims, rows, vectors, queries })
    }
}

/// The sum of some even numbers is nearly normal.
fn bell(random: &mut fastrand::Rng) -> f32 {
    (0..6).map(|_| random.f32() - 0.5).sum::<f32>() * std::f32::consts::SQRT_2
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.into_iter().map(|value| value / length).collect()
}

/// The first `rows` vectors of a file, without those that are no direction.
fn file(path: &Path, dims: usize, rows: usize) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() || numbers.len() % dims != 0 {
        bail!("{} does not hold vectors of {dims} values", path.display());
    }
    let values: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    let sound = values.chunks_exact(dims).filter(|vector| {
        let squares = vector.iter().map(|value| value * value).sum::<f32>();
        squares.is_finite() && squares > 0.0
    });
    Ok(sound.take(rows).flat_map(|vector| unit(vector.to_vec())).collect())
}
