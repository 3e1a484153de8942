//! x86-64: AVX2 with FMA, and the eight-bit products of AVX-512 VNNI.
#![expect(unsafe_code, reason = "vector loads and calls of functions that need a feature")]

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::*;

use super::{Kernels, SCALAR};

/// What this processor can run, the best one last. The functions below stand in a [`Kernels`] only
/// where their features were detected: that is what each call relies on.
pub(super) fn available() -> Vec<Kernels> {
    let mut all = Vec::new();
    if !["avx2", "fma", "popcnt"].into_iter().all(detected) {
        return all;
    }
    let avx2 = Kernels {
        name: "avx2",
        // SAFETY: avx2 and fma were detected above.
        dot: |a, b| unsafe { dot_avx2(a, b) },
        // SAFETY: avx2 was detected above.
        dot_codes: |a, b| unsafe { dot_codes_avx2(a, b) },
        // SAFETY: popcnt was detected above.
        hamming: |a, b| unsafe { hamming_popcnt(a, b) },
    };
    all.push(avx2);
    if ["avx512f", "avx512vnni"].into_iter().all(detected) {
        // SAFETY: avx512f and avx512vnni were detected above.
        let dot_codes: fn(&[i8], &[i8]) -> i32 = |a, b| unsafe { dot_codes_vnni(a, b) };
        all.push(Kernels { name: "avx512vnni", dot_codes, ..avx2 });
    }
    all
}

fn detected(feature: &str) -> bool {
    match feature {
        "avx2" => is_x86_feature_detected!("avx2"),
        "fma" => is_x86_feature_detected!("fma"),
        "popcnt" => is_x86_feature_detected!("popcnt"),
        "avx512f" => is_x86_feature_detected!("avx512f"),
        "avx512vnni" => is_x86_feature_detected!("avx512vnni"),
        _ => false,
    }
}

#[target_feature(enable = "avx2,fma")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = cut(a, b);
    let (blocks_a, rest_a) = a.as_chunks::<32>();
    let (blocks_b, rest_b) = b.as_chunks::<32>();
    let mut sums = [_mm256_setzero_ps(); 4];
    for (a, b) in blocks_a.iter().zip(blocks_b) {
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: 8 floats from 8 × i lie inside of the 32 of a block; loadu needs no alignment.
            let (a, b) = unsafe {
                (_mm256_loadu_ps(a[8 * i..].as_ptr()), _mm256_loadu_ps(b[8 * i..].as_ptr()))
            };
            *sum = _mm256_fmadd_ps(a, b, *sum);
        }
    }
    let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
    let half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
    let all = _mm_add_ss(quarter, _mm_shuffle_ps::<1>(quarter, quarter));
    _mm_cvtss_f32(all) + (SCALAR.dot)(rest_a, rest_b)
}

#[target_feature(enable = "avx2")]
fn dot_codes_avx2(a: &[i8], b: &[i8]) -> i32 {
    let (a, b) = cut(a, b);
    let (blocks_a, rest_a) = a.as_chunks::<32>();
    let (blocks_b, rest_b) = b.as_chunks::<32>();
    let mut sums = [_mm256_setzero_si256(); 2];
    for (a, b) in blocks_a.iter().zip(blocks_b) {
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: 16 bytes from 16 × i lie inside of the 32 of a block; loadu needs no alignment.
            let (a, b) = unsafe {
                (
                    _mm_loadu_si128(a[16 * i..].as_ptr().cast()),
                    _mm_loadu_si128(b[16 * i..].as_ptr().cast()),
                )
            };
            // Sixteen bits hold a code, and the sum of two products fits 32.
            let pairs = _mm256_madd_epi16(_mm256_cvtepi8_epi16(a), _mm256_cvtepi8_epi16(b));
            *sum = _mm256_add_epi32(*sum, pairs);
        }
    }
    let sum = _mm256_add_epi32(sums[0], sums[1]);
    let half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let quarter = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
    let all = _mm_add_epi32(quarter, _mm_shuffle_epi32::<0b10_11_00_01>(quarter));
    _mm_cvtsi128_si32(all) + (SCALAR.dot_codes)(rest_a, rest_b)
}

/// The instruction multiplies unsigned by signed bytes. With the top bit of `a` flipped it reads
/// `a + 128`, so that 128 × the sum of `b` is too much; the same instruction computes that as well.
/// Sums wrap on the way and come out right, because the result itself fits.
#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_codes_vnni(a: &[i8], b: &[i8]) -> i32 {
    let (a, b) = cut(a, b);
    let (blocks_a, rest_a) = a.as_chunks::<64>();
    let (blocks_b, rest_b) = b.as_chunks::<64>();
    let flip = _mm512_set1_epi8(i8::MIN);
    let mut sum = _mm512_setzero_si512();
    let mut excess = _mm512_setzero_si512();
    for (a, b) in blocks_a.iter().zip(blocks_b) {
        // SAFETY: a block has 64 bytes; loadu needs no alignment.
        let (a, b) = unsafe {
            (_mm512_loadu_si512(a.as_ptr().cast()), _mm512_loadu_si512(b.as_ptr().cast()))
        };
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(a, flip), b);
        excess = _mm512_dpbusd_epi32(excess, flip, b);
    }
    let sum = _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, excess));
    sum + (SCALAR.dot_codes)(rest_a, rest_b)
}

#[target_feature(enable = "popcnt")]
fn hamming_popcnt(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

fn cut<'a, T>(a: &'a [T], b: &'a [T]) -> (&'a [T], &'a [T]) {
    let length = a.len().min(b.len());
    (&a[..length], &b[..length])
}
