//! ONNX Runtime: where it is, whether it can be used, and the one that this process uses.
//!
//! The library is loaded at run time, so that Greenlit builds, installs and starts without it. The
//! bindings panic when it is missing or too old; and loading a library runs its code, which may crash
//! (a file cut by a full disk, a build for another processor, a driver that does not fit). So nothing
//! is loaded here that a child process did not load and compute with before.

mod find;
mod probe;
mod wheel;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

pub use find::{Accelerator, Found, ONNXRUNTIME_VARIABLE, Search, find};
pub use probe::{Prober, probe_child};
pub(crate) use probe::{answer, answered};
pub use wheel::{PACKAGES, Packages, Wheel, WheelError};

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// The processor
    Cpu,
    /// An NVIDIA graphics processor
    Cuda,
}

impl Device {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Cpu, Self::Cuda].into_iter().find(|device| device.name() == name)
    }

    /// A provider that does not work is an error, not a reason to compute elsewhere.
    pub(crate) fn providers(self) -> Vec<ort::ep::ExecutionProviderDispatch> {
        match self {
            Self::Cpu => Vec::new(),
            Self::Cuda => vec![ort::ep::CUDA::default().build().error_on_failure()],
        }
    }
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Nothing was found.
    #[error("ONNX Runtime was not found; looked at {}", shown(looked))]
    Missing {
        /// Where it was looked for
        looked: Vec<PathBuf>,
    },
    /// A version that the bindings do not work with.
    #[error("{} is ONNX Runtime {version}, at least 1.{needed} is needed", path.display())]
    TooOld {
        /// Which library
        path: PathBuf,
        /// Its version
        version: String,
        /// The minor version that is needed
        needed: u32,
    },
    /// It cannot be loaded or does not compute.
    #[error("{} cannot be used: {reason}", path.display())]
    Unusable {
        /// Which library
        path: PathBuf,
        /// Why
        reason: String,
    },
    /// The program that tries libraries cannot be started.
    #[error("cannot start {} to try ONNX Runtime", program.display())]
    Probe {
        /// Which program
        program: PathBuf,
        /// Why
        #[source]
        source: std::io::Error,
    },
    /// This process uses another one already, and can use only one.
    #[error("this process uses {} already", loaded.display())]
    Other {
        /// Which one
        loaded: PathBuf,
    },
}

impl RuntimeError {
    /// What a person can do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Other { .. } => "restart Greenlit: `greenlit restart`".to_owned(),
            Self::Probe { .. } => "install Greenlit again".to_owned(),
            _ => format!(
                "run `greenlit model pull onnxruntime`; or install ONNX Runtime 1.{} or newer and name \
                 the library in `embedding.onnxruntime` or {ONNXRUNTIME_VARIABLE}",
                ort::MINOR_VERSION
            ),
        }
    }
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The runtime that this process uses.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    found: Found,
    build: String,
}

/// Only one can be loaded, and it stays.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads a library that was tried; the same one again is the same runtime.
    ///
    /// # Errors
    /// When another one is loaded, or when it fails in spite of the trial.
    pub fn load(found: &Found) -> Result<Self, RuntimeError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            if runtime.found.path != found.path {
                return Err(RuntimeError::Other { loaded: runtime.found.path.clone() });
            }
            return Ok(Self { found: found.clone(), ..runtime.clone() });
        }
        let unusable = |reason| RuntimeError::Unusable { path: found.path.clone(), reason };
        let opened = catch_unwind(AssertUnwindSafe(|| open(found)));
        let runtime = opened.map_err(|panic| unusable(said(&*panic)))?.map_err(unusable)?;
        *loaded = Some(runtime.clone());
        Ok(runtime)
    }

    /// The library and the device.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }

    pub(crate) fn environment(&self) -> Environment {
        self.environment.clone()
    }

    /// Version, build and device: what results depend on besides the model.
    pub(crate) fn backend(&self) -> String {
        let device = self.found.device.name();
        format!("onnxruntime-1.{}-{}/{device}", self.found.minor, self.build)
    }
}

fn open(found: &Found) -> Result<Runtime, String> {
    let builder = ort::init_from(&found.path).map_err(|error| error.to_string())?;
    let builder = builder.with_name("greenlit").with_telemetry(false).with_logger(Arc::new(log));
    let environment = builder.build().map_err(|error| error.to_string())?;
    let build = blake3::hash(ort::info().as_bytes()).to_hex()[..8].to_owned();
    Ok(Runtime { environment, found: found.clone(), build })
}

/// What the library says goes to the log, not to the terminal.
fn log(level: LogLevel, _category: &str, _id: &str, place: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::error!(place, "onnxruntime: {message}"),
        LogLevel::Warning => tracing::warn!(place, "onnxruntime: {message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::trace!(place, "onnxruntime: {message}"),
    }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}
