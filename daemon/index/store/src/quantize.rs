//! What is kept beside the full vector, for scans: one byte and one bit per value.

/// How far the length of a vector may be from one. Single precision over thousands of values stays
/// far below; a model that forgot to normalize is far above.
const LENGTH_TOLERANCE: f32 = 1e-3;

/// Whether the length is one, as far as single precision goes. `false` also when a value is not finite.
pub(crate) fn has_unit_length(vector: &[f32]) -> bool {
    let squares: f64 = vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    (squares.sqrt() - 1.0).abs() <= f64::from(LENGTH_TOLERANCE)
}

/// One signed byte per value and the scale: `value ≈ code × scale`, off by half a scale at most.
/// Codes are in `-127..=127`. A vector of zeros has the scale zero.
pub fn quantize(vector: &[f32]) -> (Vec<i8>, f32) {
    let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    if scale == 0.0 {
        return (vec![0; vector.len()], 0.0);
    }
    let code = |value: &f32| (value / scale).round().clamp(-127.0, 127.0) as i8;
    (vector.iter().map(code).collect(), scale)
}

/// One bit per value, set where its sign is minus: value `i` is bit `i % 64` of word `i / 64`. The bits
/// above the last value are zero.
pub fn signs(vector: &[f32]) -> Vec<u64> {
    let word = |values: &[f32]| {
        let bits = values.iter().enumerate().filter(|(_, value)| value.is_sign_negative());
        bits.fold(0, |word, (bit, _)| word | 1 << bit)
    };
    vector.chunks(64).map(word).collect()
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
    fn signs_fill_words_from_the_lowest_bit() {
        let mut vector = vec![0.5; 70];
        vector[0] = -1.0;
        vector[3] = -0.1;
        vector[4] = -0.0; // its sign bit is set as well
        vector[65] = -0.5;
        assert_eq!(signs(&vector), [0b11001, 0b10]);
    }

    #[test]
    fn only_vectors_of_length_one_pass() {
        assert!(has_unit_length(&[0.6, 0.8]));
        for wrong in [[0.6, 0.81], [0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 0.0]] {
            assert!(!has_unit_length(&wrong), "{wrong:?}");
        }
    }
}
