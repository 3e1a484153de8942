//! The inner loops, in the widest instructions that the processor has, found out once at run time.
//!
//! Lengths that differ are cut to the shorter one.

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

/// Above this many values a sum of products of codes could leave 32 bits.
pub const MAX_DIMS: usize = 1 << 16;

/// One implementation of the loops.
#[derive(Debug, Clone, Copy)]
pub struct Kernels {
    /// Which instructions these are.
    pub name: &'static str,
    /// Sum of products.
    pub dot: fn(&[f32], &[f32]) -> f32,
    /// Sum of products of at most [`MAX_DIMS`] codes, exact.
    pub dot_codes: fn(&[i8], &[i8]) -> i32,
    /// Number of bits that differ.
    pub hamming: fn(&[u64], &[u64]) -> u32,
}

/// What every processor can do.
pub const SCALAR: Kernels = Kernels {
    name: "scalar",
    dot: dot_scalar,
    dot_codes: dot_codes_scalar,
    hamming: hamming_scalar,
};

/// Every implementation that this processor can run, the best one last.
pub fn available() -> Vec<Kernels> {
    let mut all = vec![SCALAR];
    #[cfg(target_arch = "x86_64")]
    all.extend(x86::available());
    #[cfg(target_arch = "aarch64")]
    all.extend(arm::available());
    all
}

/// The best one.
pub fn best() -> &'static Kernels {
    static BEST: OnceLock<Kernels> = OnceLock::new();
    BEST.get_or_init(|| available().pop().unwrap_or(SCALAR))
}

/// Sum of products.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    (best().dot)(a, b)
}

/// Sum of products of codes.
pub fn dot_codes(a: &[i8], b: &[i8]) -> i32 {
    (best().dot_codes)(a, b)
}

/// Number of bits that differ.
pub fn hamming(a: &[u64], b: &[u64]) -> u32 {
    (best().hamming)(a, b)
}

fn dot_scalar(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn dot_codes_scalar(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

fn hamming_scalar(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_implementation_computes_what_scalar_does(
            floats in prop::collection::vec((-2.0_f32..2.0, -2.0_f32..2.0), 0..300),
            codes in prop::collection::vec(any::<(i8, i8)>(), 0..600),
            words in prop::collection::vec(any::<(u64, u64)>(), 0..40),
        ) {
            let (a, b): (Vec<_>, Vec<_>) = floats.into_iter().unzip();
            let (c, d): (Vec<_>, Vec<_>) = codes.into_iter().unzip();
            let (e, f): (Vec<_>, Vec<_>) = words.into_iter().unzip();
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            for kernels in available() {
                let dot = f64::from((kernels.dot)(&a, &b));
                prop_assert!((dot - exact).abs() < 1e-3, "{}: {dot}, not {exact}", kernels.name);
                prop_assert_eq!((kernels.dot_codes)(&c, &d), dot_codes_scalar(&c, &d));
                prop_assert_eq!((kernels.hamming)(&e, &f), hamming_scalar(&e, &f));
            }
        }
    }

    #[test]
    fn the_longest_and_largest_codes_do_not_overflow() {
        for kernels in available() {
            for (a, b, product) in [(-128_i8, -128_i8, 16384_i32), (127, -128, -16256)] {
                let (a, b) = (vec![a; MAX_DIMS], vec![b; MAX_DIMS]);
                assert_eq!(
                    (kernels.dot_codes)(&a, &b),
                    product * MAX_DIMS as i32,
                    "{}",
                    kernels.name
                );
            }
        }
    }

    #[test]
    fn the_longer_one_is_cut() {
        for kernels in available() {
            assert_eq!((kernels.dot)(&[1.0; 100], &[1.0; 37]), 37.0);
            assert_eq!((kernels.dot_codes)(&[1; 37], &[1; 100]), 37);
            assert_eq!((kernels.hamming)(&[1; 3], &[0; 9]), 3);
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_processor_with_avx2_uses_it() {
        let wide = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma");
        assert_eq!(best().name == "scalar", !wide);
    }
}
