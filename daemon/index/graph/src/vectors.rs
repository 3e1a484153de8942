//! How vectors are read, and what a query is.

use std::borrow::Cow;

use crate::kernels;

/// Vectors of unit length, by slot, each in three precisions.
///
/// A slot's vector never changes. Slots are counted from 0; asking for one from [`Vectors::len`] on
/// may panic.
pub trait Vectors: Send + Sync {
    /// Values per vector, at most [`kernels::MAX_DIMS`].
    fn dims(&self) -> usize;
    /// Number of slots.
    fn len(&self) -> u32;
    /// Whether there is no slot.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The vector as it was embedded.
    fn full(&self, slot: u32) -> Cow<'_, [f32]>;
    /// The vector in eight bits: value ≈ code × [`Vectors::scale`]; see [`quantize`].
    fn code(&self, slot: u32) -> &[i8];
    /// What one step of [`Vectors::code`] is worth.
    fn scale(&self, slot: u32) -> f32;
    /// One bit per value, set where it is negative; see [`signs`].
    fn signs(&self, slot: u32) -> &[u64];
}

/// A vector in eight bits and what one step is worth. The largest value gets ±127, never -128.
pub fn quantize(values: &[f32]) -> (Vec<i8>, f32) {
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return (vec![0; values.len()], 0.0);
    }
    let scale = largest / 127.0;
    // A cast from a float saturates.
    (values.iter().map(|value| (value / scale).round() as i8).collect(), scale)
}

/// The signs of a vector: value `i` is bit `i % 64` of word `i / 64`, set where it is negative.
pub fn signs(values: &[f32]) -> Vec<u64> {
    let word = |chunk: &[f32]| {
        let bits = chunk.iter().enumerate();
        bits.fold(0, |word, (i, value)| word | (u64::from(value.is_sign_negative()) << i))
    };
    values.chunks(64).map(word).collect()
}

/// A query of unit length in the three precisions.
#[derive(Debug, Clone)]
pub struct Query {
    full: Vec<f32>,
    code: Vec<i8>,
    scale: f32,
    signs: Vec<u64>,
}

/// Why a query has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It belongs to another model.
    #[error("query has {given} values, the vectors have {expected}")]
    Dims {
        /// Of the vectors.
        expected: usize,
        /// Of the query.
        given: usize,
    },
    /// A broken model: infinite, or not a number.
    #[error("query has values that are not finite")]
    NotFinite,
    /// A direction is needed.
    #[error("query has no length")]
    Zero,
}

impl Query {
    /// Brings a query to unit length.
    ///
    /// # Errors
    /// When it is not a direction in `dims` dimensions.
    pub fn new(values: &[f32], dims: usize) -> Result<Self, QueryError> {
        if values.len() != dims {
            return Err(QueryError::Dims { expected: dims, given: values.len() });
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(QueryError::NotFinite);
        }
        let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
        let length = squares.sqrt();
        if length == 0.0 {
            return Err(QueryError::Zero);
        }
        let full: Vec<f32> = values.iter().map(|v| (f64::from(*v) / length) as f32).collect();
        let (code, scale) = quantize(&full);
        let signs = signs(&full);
        Ok(Self { full, code, scale, signs })
    }

    /// The similarity in full precision.
    pub fn similarity<V: Vectors + ?Sized>(&self, vectors: &V, slot: u32) -> f32 {
        clamped(kernels::dot(&self.full, &vectors.full(slot)))
    }

    /// The similarity in eight bits.
    pub(crate) fn rough<V: Vectors + ?Sized>(&self, vectors: &V, slot: u32) -> f32 {
        let dot = kernels::dot_codes(&self.code, vectors.code(slot));
        clamped(dot as f32 * (self.scale * vectors.scale(slot)))
    }

    /// In how many values the signs differ.
    pub(crate) fn sign_distance<V: Vectors + ?Sized>(&self, vectors: &V, slot: u32) -> u32 {
        kernels::hamming(&self.signs, vectors.signs(slot))
    }
}

/// Rounding leads out of -1..=1; a broken vector, which a store refuses, is like nothing at all.
pub(crate) fn clamped(similarity: f32) -> f32 {
    if similarity.is_nan() { -1.0 } else { similarity.clamp(-1.0, 1.0) }
}

/// Vectors in memory: for tests, benchmarks, and texts that are not worth keeping.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    dims: usize,
    full: Vec<f32>,
    codes: Vec<i8>,
    scales: Vec<f32>,
    signs: Vec<u64>,
}

impl InMemory {
    /// No vectors yet.
    ///
    /// # Panics
    /// When `dims` is 0 or above [`kernels::MAX_DIMS`].
    pub fn new(dims: usize) -> Self {
        assert!((1..=kernels::MAX_DIMS).contains(&dims), "{dims} dimensions");
        Self { dims, ..Self::default() }
    }

    /// Brings a vector to unit length and keeps it.
    ///
    /// # Errors
    /// As [`Query::new`].
    pub fn push(&mut self, values: &[f32]) -> Result<u32, QueryError> {
        let vector = Query::new(values, self.dims)?;
        let slot = self.len();
        self.full.extend(vector.full);
        self.codes.extend(vector.code);
        self.scales.push(vector.scale);
        self.signs.extend(vector.signs);
        Ok(slot)
    }
}

impl Vectors for InMemory {
    fn dims(&self) -> usize {
        self.dims
    }

    fn len(&self) -> u32 {
        u32::try_from(self.scales.len()).expect("four thousand million vectors do not fit memory")
    }

    fn full(&self, slot: u32) -> Cow<'_, [f32]> {
        Cow::Borrowed(&self.full[slot as usize * self.dims..][..self.dims])
    }

    fn code(&self, slot: u32) -> &[i8] {
        &self.codes[slot as usize * self.dims..][..self.dims]
    }

    fn scale(&self, slot: u32) -> f32 {
        self.scales[slot as usize]
    }

    fn signs(&self, slot: u32) -> &[u64] {
        let words = self.dims.div_ceil(64);
        &self.signs[slot as usize * words..][..words]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_are_off_by_half_a_scale_at_most(
            vector in prop::collection::vec(-1.0_f32..1.0, 1..200)
        ) {
            let (codes, scale) = quantize(&vector);
            for (value, code) in vector.iter().zip(codes) {
                prop_assert!((value - f32::from(code) * scale).abs() <= scale * 0.5001);
            }
        }
    }

    #[test]
    fn queries_that_are_no_direction_are_refused() {
        let error = |values: &[f32]| Query::new(values, 2).expect_err("refused");
        assert_eq!(error(&[1.0]), QueryError::Dims { expected: 2, given: 1 });
        assert_eq!(error(&[1.0, f32::NAN]), QueryError::NotFinite);
        assert_eq!(error(&[f32::NEG_INFINITY, 1.0]), QueryError::NotFinite);
        assert_eq!(error(&[0.0, -0.0]), QueryError::Zero);
    }

    #[test]
    fn the_largest_finite_values_are_a_direction() {
        let query = Query::new(&[f32::MAX, f32::MAX], 2).unwrap();
        assert!(query.full.iter().all(|value| (value - 0.5_f32.sqrt()).abs() < 1e-6));
        let query = Query::new(&[f32::MIN_POSITIVE, 0.0], 2).unwrap();
        assert_eq!(query.full, [1.0, 0.0]);
    }

    #[test]
    fn codes_reach_both_ends_and_signs_fill_words() {
        assert_eq!(quantize(&[0.5, -0.5, 0.0]), (vec![127, -127, 0], 0.5 / 127.0));
        assert_eq!(quantize(&[0.0, 0.0]), (vec![0, 0], 0.0));
        let mut values = vec![1.0; 65];
        values[1] = -1.0;
        values[64] = -1.0;
        assert_eq!(signs(&values), [0b10, 0b1]);
    }

    #[test]
    fn what_is_not_a_number_is_least_alike() {
        assert_eq!([f32::NAN, 1.000_001, -2.0].map(clamped), [-1.0, 1.0, -1.0]);
    }
}
