//! What libFuzzer drives: the target that `GREENLIT_FUZZ` names.
#![no_main]

use std::sync::LazyLock;

use greenlit_fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("GREENLIT_FUZZ").unwrap_or_default();
    target(&name).expect("`cargo xtask fuzz` names a target that exists")
});

/// libFuzzer reads the corpus after this.
fn write_seeds() {
    let directory = std::env::var_os("GREENLIT_FUZZ_CORPUS").expect("`cargo xtask fuzz` names it");
    for (number, seed) in (TARGET.seeds)().iter().enumerate() {
        let path = std::path::Path::new(&directory).join(format!("seed-{number}"));
        std::fs::write(path, seed).expect("the corpus can be written to");
    }
}

libfuzzer_sys::fuzz_target!(init: write_seeds(), |data: &[u8]| {
    let bounded = data.get(..greenlit_fuzz::LONGEST).unwrap_or(data);
    (TARGET.run)(bounded);
});
