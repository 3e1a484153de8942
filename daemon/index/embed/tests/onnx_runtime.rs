//! Finding ONNX Runtime among libraries that are missing, old, broken or hostile.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use greenlit_embed::{
    Accelerator, Availability, Device, Found, Prober, RuntimeError, Search, Unavailable, find,
};

fn prober() -> Prober {
    Prober::new(env!("CARGO_BIN_EXE_greenlit-embed-probe").into(), Vec::new())
}

/// The library that `cargo xtask test` installs.
fn real() -> PathBuf {
    let path = std::env::var_os("GREENLIT_TEST_ONNXRUNTIME");
    path.expect("GREENLIT_TEST_ONNXRUNTIME names the library; `cargo xtask test` sets it").into()
}

fn try_one(library: &Path) -> Result<Found, RuntimeError> {
    let configured = Some(library.to_owned());
    find(&Search { configured, ..Search::default() }, &prober())
}

/// Builds a library that pretends to be ONNX Runtime.
fn pretender(dir: &Path, body: &str) -> PathBuf {
    let source = dir.join("pretender.rs");
    fs::write(&source, body).unwrap();
    let name =
        format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = dir.join(name);
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=cdylib", "-Cpanic=abort", "-o"])
        .arg(&library)
        .arg(&source)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

/// `OrtGetApiBase` of the given version that offers no interface.
fn of_version(version: &str) -> String {
    format!(
        "#[repr(C)] pub struct Base {{
            api: extern \"C\" fn(u32) -> *const u8, version: extern \"C\" fn() -> *const u8 }}
        extern \"C\" fn api(_: u32) -> *const u8 {{ std::ptr::null() }}
        extern \"C\" fn version() -> *const u8 {{ c\"{version}\".as_ptr().cast() }}
        static BASE: Base = Base {{ api, version }};
        #[unsafe(no_mangle)] pub extern \"C\" fn OrtGetApiBase() -> *const Base {{ &BASE }}"
    )
}

#[test]
fn onnx_runtime_in_a_directory_is_found_and_computes() {
    let dir = real().parent().unwrap().to_owned();
    let search = Search { directories: vec![dir.clone()], ..Search::default() };
    let found = find(&search, &prober()).unwrap();
    assert_eq!(found.device, Device::Cpu);
    assert_eq!(found.declined, None);
    assert!(found.minor >= 24, "{found:?}");
    assert!(found.path.starts_with(dir));
}

#[test]
fn onnx_runtime_after_a_broken_one_is_found() {
    let broken = tempfile::tempdir().unwrap();
    fs::write(broken.path().join("libonnxruntime.so.1.99.0"), "not a library").unwrap();
    let directories = vec![broken.path().to_owned(), real().parent().unwrap().to_owned()];
    let found = find(&Search { directories, ..Search::default() }, &prober()).unwrap();
    assert!(!found.path.starts_with(broken.path()), "{found:?}");
}

#[cfg(unix)]
#[test]
fn onnx_runtime_cut_anywhere_never_takes_this_process_down() {
    let whole = fs::read(real()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("libonnxruntime.so");
    for part in [100, 4096, whole.len() / 4, whole.len() / 2, whole.len() * 9 / 10] {
        fs::write(&path, &whole[..part]).unwrap();
        let error = try_one(&path).unwrap_err();
        assert!(matches!(error, RuntimeError::Unusable { .. }), "{part}: {error}");
    }
}

#[test]
fn onnx_runtime_for_a_graphics_processor_that_is_not_there_computes_on_the_processor_and_says_why()
{
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join(real().file_name().unwrap());
    fs::copy(real(), &library).unwrap();
    // What tells that the library may know CUDA; here it does not.
    fs::write(dir.path().join("libonnxruntime_providers_cuda.so"), "").unwrap();
    let found = try_one(&library).unwrap();
    assert_eq!(found.device, Device::Cpu);
    let declined = found.declined.unwrap();
    assert!(declined.contains("cannot be used"), "{declined}");
    let accelerator = Accelerator::None;
    let search = Search { configured: Some(library), accelerator, ..Search::default() };
    assert_eq!(find(&search, &prober()).unwrap().declined, None);
}

#[test]
fn a_runtime_that_is_not_there_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let error = try_one(&dir.path().join("libonnxruntime.so")).unwrap_err();
    assert!(matches!(error, RuntimeError::Missing { .. }), "{error}");
    let error = try_one(dir.path()).unwrap_err();
    assert!(matches!(error, RuntimeError::Missing { .. }), "{error}");
    let error = try_one(Path::new("libgreenlit-does-not-exist.so")).unwrap_err();
    assert!(matches!(error, RuntimeError::Missing { .. }), "{error}");
    let Availability::Degraded { reason, remedy } = (&Unavailable::from(error)).into() else {
        unreachable!("there is nothing")
    };
    assert!(reason.contains("libgreenlit-does-not-exist.so"), "{reason}");
    assert!(remedy.contains("GREENLIT_ONNXRUNTIME"), "{remedy}");
}

#[test]
fn a_runtime_that_is_too_old_is_named_with_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let library = pretender(dir.path(), &of_version("1.22.1"));
    let error = try_one(&library).unwrap_err();
    assert!(
        matches!(&error, RuntimeError::TooOld { version, needed: 24, .. } if version == "1.22.1"),
        "{error:?}"
    );
    assert!(error.remedy().contains("1.24 or newer"), "{}", error.remedy());
}

#[test]
fn a_runtime_without_an_interface_is_refused_although_the_bindings_panic() {
    let dir = tempfile::tempdir().unwrap();
    let error = try_one(&pretender(dir.path(), &of_version("1.24.0"))).unwrap_err();
    assert!(matches!(error, RuntimeError::Unusable { .. }), "{error}");
}

#[test]
fn a_library_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let library = pretender(dir.path(), "#[unsafe(no_mangle)] pub extern \"C\" fn other() {}");
    let error = try_one(&library).unwrap_err();
    assert!(error.to_string().contains("OrtGetApiBase"), "{error}");
    fs::write(&library, "not a library at all").unwrap();
    let error = try_one(&library).unwrap_err();
    assert!(matches!(error, RuntimeError::Unusable { .. }), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_crashes_when_it_is_loaded_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let body = "extern \"C\" fn start() { std::process::abort() }
        #[used] #[unsafe(link_section = \".init_array\")]
        static START: extern \"C\" fn() = start;";
    let error = try_one(&pretender(dir.path(), body)).unwrap_err();
    assert!(error.to_string().contains("signal"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_lies_in_the_name_of_the_trial_and_dies_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let body = "extern \"C\" fn start() {
            println!(\"greenlit-onnxruntime works 99\"); std::process::exit(3) }
        #[used] #[unsafe(link_section = \".init_array\")]
        static START: extern \"C\" fn() = start;";
    let error = try_one(&pretender(dir.path(), body)).unwrap_err();
    assert!(matches!(error, RuntimeError::Unusable { .. }), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_hangs_when_it_is_loaded_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let body = "extern \"C\" fn start() { loop { std::thread::park() } }
        #[used] #[unsafe(link_section = \".init_array\")]
        static START: extern \"C\" fn() = start;";
    let configured = Some(pretender(dir.path(), body));
    let prober = prober().with_patience(Duration::from_millis(300));
    let error = find(&Search { configured, ..Search::default() }, &prober).unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("libonnxruntime.so");
    fs::write(&library, "").unwrap();
    let prober = Prober::new(dir.path().join("no-such-program"), Vec::new());
    let search = Search { configured: Some(library), ..Search::default() };
    let error = find(&search, &prober).unwrap_err();
    assert!(error.to_string().contains("no-such-program"), "{error}");
}
