//! What libFuzzer drives: the target that `GREENLIT_FUZZ` names.
#![no_main]

use std::sync::LazyLock;

use greenlit_fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("GREENLIT_FUZZ").unwrap_or_default();
    target(&name).expect("`cargo xtask fuzz` names a target that exists")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let bounded = data.get(..greenlit_fuzz::LONGEST).unwrap_or(data);
    (TARGET.run)(bounded);
});
