//! Giving memory back to the system.

/// Gives memory that was freed back to the system. A builder leaves millions of small holes, which the C
/// library of Linux would keep for ever: two kilobytes per vector, measured. Other allocators do this by
/// themselves.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "malloc_trim has no safe wrapper")]
pub fn release_memory() {
    // SAFETY: it may be called at any time from any thread, and frees nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators do this by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn release_memory() {}
