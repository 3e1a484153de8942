//! What a vector must be to be kept.

/// How far the length of a vector may be from one. Single precision over thousands of values stays
/// far below; a model that forgot to normalize is far above.
const LENGTH_TOLERANCE: f32 = 1e-3;

/// Whether the length is one, as far as single precision goes. `false` also when a value is not finite.
pub(crate) fn has_unit_length(vector: &[f32]) -> bool {
    let squares: f64 = vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    (squares.sqrt() - 1.0).abs() <= f64::from(LENGTH_TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_vectors_of_length_one_pass() {
        assert!(has_unit_length(&[0.6, 0.8]));
        for wrong in [[0.6, 0.81], [0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 0.0]] {
            assert!(!has_unit_length(&wrong), "{wrong:?}");
        }
    }
}
