//! aarch64: NEON. Counting bits needs nothing of its own there.
#![expect(unsafe_code, reason = "vector loads and calls of functions that need a feature")]

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::{Kernels, SCALAR};

/// What this processor can run, the best one last.
pub(super) fn available() -> Vec<Kernels> {
    if !is_aarch64_feature_detected!("neon") {
        return Vec::new();
    }
    vec![Kernels {
        name: "neon",
        // SAFETY: neon was detected above.
        dot: |a, b| unsafe { dot_neon(a, b) },
        // SAFETY: neon was detected above.
        dot_codes: |a, b| unsafe { dot_codes_neon(a, b) },
        ..SCALAR
    }]
}

#[target_feature(enable = "neon")]
fn dot_neon(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = cut(a, b);
    let (blocks_a, rest_a) = a.as_chunks::<16>();
    let (blocks_b, rest_b) = b.as_chunks::<16>();
    let mut sums = [vdupq_n_f32(0.0); 4];
    for (a, b) in blocks_a.iter().zip(blocks_b) {
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: 4 floats from 4 × i lie inside of the 16 of a block.
            let (a, b) =
                unsafe { (vld1q_f32(a[4 * i..].as_ptr()), vld1q_f32(b[4 * i..].as_ptr())) };
            *sum = vfmaq_f32(*sum, a, b);
        }
    }
    let sum = vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3]));
    vaddvq_f32(sum) + (SCALAR.dot)(rest_a, rest_b)
}

#[target_feature(enable = "neon")]
fn dot_codes_neon(a: &[i8], b: &[i8]) -> i32 {
    let (a, b) = cut(a, b);
    let (blocks_a, rest_a) = a.as_chunks::<16>();
    let (blocks_b, rest_b) = b.as_chunks::<16>();
    let mut sum = vdupq_n_s32(0);
    for (a, b) in blocks_a.iter().zip(blocks_b) {
        // SAFETY: a block has 16 bytes.
        let (a, b) = unsafe { (vld1q_s8(a.as_ptr()), vld1q_s8(b.as_ptr())) };
        // A product of two codes fits 16 bits, the sum of two does not: widen each.
        sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
        sum = vpadalq_s16(sum, vmull_high_s8(a, b));
    }
    vaddvq_s32(sum) + (SCALAR.dot_codes)(rest_a, rest_b)
}

fn cut<'a, T>(a: &'a [T], b: &'a [T]) -> (&'a [T], &'a [T]) {
    let length = a.len().min(b.len());
    (&a[..length], &b[..length])
}
