//! Which instructions this executable consists of, and whether the processor knows them.
//!
//! `is_x86_feature_detected!` cannot be asked: where the compiler was told that an instruction set is
//! there, it answers yes without looking.

/// For people.
pub(crate) const NEEDED: &str = "AVX2 and FMA (x86-64-v3: Intel since 2013, AMD since 2015)";

/// Which vector instructions the executable was compiled for.
pub(crate) fn compiled() -> String {
    let sets = [
        (cfg!(target_feature = "avx512f"), "avx512f"),
        (cfg!(target_feature = "avx2"), "avx2"),
        (cfg!(target_feature = "fma"), "fma"),
        (cfg!(target_feature = "f16c"), "f16c"),
        (cfg!(target_feature = "neon"), "neon"),
    ];
    let names: Vec<_> = sets.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

/// What the processor lacks of x86-64-v3, where the executable was compiled for that.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
pub(crate) fn missing() -> Vec<&'static str> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    let most = __cpuid(0).eax;
    let (first, extended) = (__cpuid(1).ecx, __cpuid(0x8000_0001).ecx);
    let seventh = if most >= 7 { __cpuid_count(7, 0).ebx } else { 0 };
    let words = Words { first, seventh, extended, saved: saved(first) };
    absent(&words)
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
pub(crate) fn missing() -> Vec<&'static str> {
    Vec::new()
}

/// What the processor says of itself.
#[cfg(any(test, all(target_arch = "x86_64", target_feature = "avx2")))]
struct Words {
    /// Leaf 1, ECX.
    first: u32,
    /// Leaf 7, EBX.
    seventh: u32,
    /// Leaf 0x80000001, ECX.
    extended: u32,
    /// Which registers the system saves: XCR0.
    saved: u64,
}

#[cfg(any(test, all(target_arch = "x86_64", target_feature = "avx2")))]
fn absent(words: &Words) -> Vec<&'static str> {
    let bit = |word: u32, at: u32| word >> at & 1 == 1;
    let sets = [
        ("AVX", bit(words.first, 28) && words.saved & 0b110 == 0b110),
        ("AVX2", bit(words.seventh, 5)),
        ("FMA", bit(words.first, 12)),
        ("F16C", bit(words.first, 29)),
        ("MOVBE", bit(words.first, 22)),
        ("BMI1", bit(words.seventh, 3)),
        ("BMI2", bit(words.seventh, 8)),
        ("LZCNT", bit(words.extended, 5)),
    ];
    sets.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect()
}

/// Which registers the system saves when it switches processes.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
#[expect(unsafe_code, reason = "the instruction has no safe wrapper")]
fn saved(first: u32) -> u64 {
    #[target_feature(enable = "xsave")]
    fn read() -> u64 {
        // SAFETY: the instruction exists where the caller found OSXSAVE.
        unsafe { std::arch::x86_64::_xgetbv(0) }
    }
    const OSXSAVE: u32 = 1 << 27;
    // SAFETY: OSXSAVE says that the instruction exists and may be used.
    if first & OSXSAVE == 0 { 0 } else { unsafe { read() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A processor of 2013.
    fn haswell() -> Words {
        Words {
            first: 1 << 12 | 1 << 22 | 1 << 28 | 1 << 29,
            seventh: 1 << 3 | 1 << 5 | 1 << 8,
            extended: 1 << 5,
            saved: 7,
        }
    }

    #[test]
    fn a_processor_with_everything_lacks_nothing() {
        assert_eq!(absent(&haswell()), Vec::<&str>::new());
    }

    #[test]
    fn an_older_processor_lacks_what_came_later() {
        // Sandy Bridge: AVX alone.
        let older = Words { first: 1 << 28, seventh: 0, extended: 0, saved: 7 };
        assert_eq!(absent(&older), ["AVX2", "FMA", "F16C", "MOVBE", "BMI1", "BMI2", "LZCNT"]);
    }

    #[test]
    fn registers_that_the_system_does_not_save_cannot_be_used() {
        assert_eq!(absent(&Words { saved: 3, ..haswell() }), ["AVX"]);
    }

    #[test]
    fn the_machine_that_builds_and_tests_lacks_nothing() {
        assert_eq!(missing(), Vec::<&str>::new());
    }
}
