//! Where the library may be, and the first one that works.

use std::fs;
use std::path::{Path, PathBuf};

use super::probe::{Prober, Verdict};
use super::{Device, RuntimeError};

/// The environment variable that names the library, for callers that read the environment.
pub const ONNXRUNTIME_VARIABLE: &str = "GREENLIT_ONNXRUNTIME";

/// What may compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accelerator {
    /// A graphics processor if the library, the driver and the device are there and work
    #[default]
    Auto,
    /// The processor only
    None,
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// What the person named: a library or a directory. Nothing else is tried then.
    pub configured: Option<PathBuf>,
    /// Directories of Greenlit's own, best first
    pub directories: Vec<PathBuf>,
    /// What may compute
    pub accelerator: Accelerator,
}

/// A library that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where; a bare name is found by the system
    pub path: PathBuf,
    /// 24 for 1.24.4
    pub minor: u32,
    /// What computes
    pub device: Device,
    /// Why the graphics processor is not used although the library could
    pub declined: Option<String>,
}

/// The first library that loads and computes, in a child process: the configured one, else those in the
/// directories, else what the system's loader finds.
///
/// # Errors
/// What is wrong with the configured library, or with the first candidate; or that there is none.
pub fn find(search: &Search, prober: &Prober) -> Result<Found, RuntimeError> {
    let candidates = candidates(search);
    let mut refused = None;
    for path in &candidates {
        match try_library(path, search.accelerator, prober)? {
            Ok(found) => return Ok(found),
            Err(Verdict::Absent) => {}
            Err(verdict) => {
                let error = verdict.error(path);
                tracing::info!("{error}");
                refused.get_or_insert(error);
            }
        }
    }
    Err(refused.unwrap_or_else(|| {
        let named = search.configured.iter().chain(&search.directories).cloned();
        let looked = if search.configured.is_some() {
            named.take(1).collect()
        } else {
            named.chain(system()).collect()
        };
        RuntimeError::Missing { looked }
    }))
}

fn try_library(
    path: &Path,
    accelerator: Accelerator,
    prober: &Prober,
) -> Result<Result<Found, Verdict>, RuntimeError> {
    let found = |minor, device, declined| Found { path: path.to_owned(), minor, device, declined };
    let mut declined = None;
    if accelerator == Accelerator::Auto && has_cuda(path) {
        match prober.probe(path, Device::Cuda)? {
            Verdict::Works { minor } => return Ok(Ok(found(minor, Device::Cuda, None))),
            verdict => declined = Some(verdict.error(path).to_string()),
        }
    }
    Ok(match prober.probe(path, Device::Cpu)? {
        Verdict::Works { minor } => Ok(found(minor, Device::Cpu, declined)),
        verdict => Err(verdict),
    })
}

/// The library for CUDA lies beside the main one.
fn has_cuda(path: &Path) -> bool {
    let names = ["libonnxruntime_providers_cuda.so", "onnxruntime_providers_cuda.dll"];
    path.parent().is_some_and(|dir| {
        !dir.as_os_str().is_empty() && names.iter().any(|name| dir.join(name).is_file())
    })
}

fn candidates(search: &Search) -> Vec<PathBuf> {
    match &search.configured {
        Some(dir) if dir.is_dir() => libraries(dir),
        Some(file) if file.components().count() > 1 && !file.exists() => Vec::new(),
        Some(file) => vec![file.clone()],
        None => search.directories.iter().flat_map(|dir| libraries(dir)).chain(system()).collect(),
    }
}

/// The libraries in a directory, newest first.
fn libraries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(is_library))
        .map(|entry| entry.path())
        .collect();
    found.sort_by_key(|path| std::cmp::Reverse(version(path)));
    found
}

fn is_library(name: &str) -> bool {
    let unix = name.strip_prefix("libonnxruntime.");
    name == "onnxruntime.dll"
        || unix
            .is_some_and(|rest| rest == "so" || rest.starts_with("so.") || rest.ends_with("dylib"))
}

fn version(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// What the system's loader may know.
fn system() -> Vec<PathBuf> {
    let names: &[&str] = if cfg!(windows) {
        &["onnxruntime.dll"]
    } else if cfg!(target_os = "macos") {
        &["libonnxruntime.dylib"]
    } else {
        &["libonnxruntime.so.1", "libonnxruntime.so"]
    };
    names.iter().map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_from_their_companions_and_the_newest_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.24.4",
            "libonnxruntime_providers_cuda.so",
            "libonnxruntime_providers_shared.so",
            "libonnxruntime.1.24.4.dylib",
            "onnxruntime.dll.part",
        ];
        for name in names {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = libraries(dir.path());
        let names: Vec<_> =
            found.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names.last(), Some(&"libonnxruntime.so.1.9.0"));
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(has_cuda(&found[0]));
        assert!(!has_cuda(Path::new("libonnxruntime.so")));
    }

    #[test]
    fn what_the_person_names_is_the_only_candidate() {
        let dir = tempfile::tempdir().unwrap();
        let search = Search {
            configured: Some(dir.path().join("missing.so")),
            directories: vec![dir.path().to_owned()],
            accelerator: Accelerator::None,
        };
        assert!(candidates(&search).is_empty());
        let bare = Search { configured: Some("libonnxruntime.so.1".into()), ..search };
        assert_eq!(candidates(&bare), [PathBuf::from("libonnxruntime.so.1")]);
    }
}
