//! Trying a library in a child process, and being that child.
//!
//! The child says one line. Whatever else happens to it (a signal, silence, another line) is a verdict
//! about the library.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ort::LoadDynamicError;
use ort::session::Session;
use ort::value::Tensor;

use super::{Device, RuntimeError, said};
use crate::tiny;

/// A driver that is loaded for the first time takes its time.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the child is looked at.
const BEAT: Duration = Duration::from_millis(5);
/// Begins the child's line: libraries print, too.
const MARK: &str = "greenlit-onnxruntime";

/// The program that is started to try a library.
#[derive(Debug, Clone)]
pub struct Prober {
    program: PathBuf,
    arguments: Vec<OsString>,
    patience: Duration,
}

/// What became of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Works { minor: u32 },
    Old { version: String },
    Absent,
    Bad { reason: String },
}

impl Verdict {
    /// For one that does not work.
    pub(super) fn error(self, path: &Path) -> RuntimeError {
        let path = path.to_owned();
        match self {
            Self::Old { version } => {
                RuntimeError::TooOld { path, version, needed: ort::MINOR_VERSION }
            }
            Self::Bad { reason } => RuntimeError::Unusable { path, reason },
            Self::Absent | Self::Works { .. } => RuntimeError::Missing { looked: vec![path] },
        }
    }

    fn words(&self) -> (&'static str, String) {
        match self {
            Self::Works { minor } => ("works", minor.to_string()),
            Self::Old { version } => ("old", version.clone()),
            Self::Absent => ("absent", "-".to_owned()),
            Self::Bad { reason } => ("bad", reason.clone()),
        }
    }

    fn read(output: &str) -> Option<Self> {
        let (word, rest) = answered(output, MARK)?;
        match word {
            "works" => Some(Self::Works { minor: rest.parse().ok()? }),
            "old" => Some(Self::Old { version: rest.to_owned() }),
            "absent" => Some(Self::Absent),
            "bad" => Some(Self::Bad { reason: rest.to_owned() }),
            _ => None,
        }
    }
}

impl Prober {
    /// `program ARGUMENTS… LIBRARY DEVICE` must call [`probe_child`] with the last two and nothing else.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, patience: PATIENCE }
    }

    /// Another patience than a minute.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn probe(&self, library: &Path, device: Device) -> Result<Verdict, RuntimeError> {
        let said = self.ask(&[library.as_os_str(), device.name().as_ref()])?;
        let silent =
            || Verdict::Bad { reason: "the process that tried it said nothing".to_owned() };
        Ok(match said {
            Ok(output) => Verdict::read(&output).unwrap_or_else(silent),
            Err(reason) => Verdict::Bad { reason },
        })
    }

    /// What the child says on its output; or what became of one that did not end well.
    pub(crate) fn ask(&self, arguments: &[&OsStr]) -> Result<Result<String, String>, RuntimeError> {
        let failed = |source| RuntimeError::Probe { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        // Both pipes are drained: a talkative library must not block.
        let said = drain(child.stdout.take());
        let complained = drain(child.stderr.take());
        let status = self.wait(&mut child).map_err(failed)?;
        let Some(status) = status else {
            return Ok(Err(format!("no answer in {} s", self.patience.as_secs())));
        };
        let complained = complained.join().unwrap_or_default();
        let said = said.join().unwrap_or_default();
        // A child that dies after its line has a library that crashes when it is unloaded.
        Ok(if status.success() { Ok(said) } else { Err(crashed(status, &complained)) })
    }

    /// `None` when it had to be killed.
    fn wait(&self, child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
        let end = Instant::now() + self.patience;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            thread::sleep(BEAT);
        }
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What cannot be read was not said.
            let _ = pipe.take(1 << 16).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn crashed(status: ExitStatus, complained: &str) -> String {
    let last = complained.lines().rfind(|line| !line.trim().is_empty());
    let last = last.map_or_else(String::new, |line| format!(": {line}"));
    format!("the process that tried it ended with {status}{last}")
}

/// The child: loads the library, computes with it on the device (`cpu`, `cuda`), says what happened.
#[must_use]
pub fn probe_child(library: &Path, device: &str) -> ExitCode {
    let verdict = match Device::named(device) {
        Some(device) => try_here(library, device),
        None => Verdict::Bad { reason: format!("no device is called {device}") },
    };
    let (word, rest) = verdict.words();
    answer(MARK, word, &rest)
}

/// Says the child's line.
pub(crate) fn answer(mark: &str, word: &str, rest: &str) -> ExitCode {
    match std::io::stdout().write_all(line(mark, word, rest).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn line(mark: &str, word: &str, rest: &str) -> String {
    format!("{mark} {word} {}\n", rest.replace(['\n', '\r'], " "))
}

/// The word and the rest of the child's line.
pub(crate) fn answered<'a>(output: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let line = output.lines().find_map(|line| line.strip_prefix(mark)?.strip_prefix(' '))?;
    line.split_once(' ')
}

fn try_here(library: &Path, device: Device) -> Verdict {
    std::panic::catch_unwind(|| load(library, device))
        .unwrap_or_else(|panic| Verdict::Bad { reason: said(&*panic) })
}

fn load(library: &Path, device: Device) -> Verdict {
    let builder = match ort::init_from(library) {
        Ok(builder) => builder.with_telemetry(false),
        Err(LoadDynamicError::BadVersion { version_str, .. }) => {
            return Verdict::Old { version: version_str };
        }
        // A bare name that the system's loader does not know.
        Err(LoadDynamicError::Dlopen { .. }) if !library.is_file() => return Verdict::Absent,
        Err(error) => return Verdict::Bad { reason: error.to_string() },
    };
    let Some(minor) = ort::util::probe(library) else {
        return Verdict::Bad { reason: "it does not say its version".to_owned() };
    };
    let computed = builder.build().map_err(|error| error.to_string()).and_then(|environment| {
        compute(&environment, device).map_err(|error: Box<dyn std::error::Error>| error.to_string())
    });
    match computed {
        Ok(()) => Verdict::Works { minor },
        Err(reason) => Verdict::Bad { reason },
    }
}

/// |-1.5| and |2| on the device.
fn compute(
    environment: &ort::environment::Environment,
    device: Device,
) -> Result<(), Box<dyn std::error::Error>> {
    let builder = Session::builder(environment)?.with_intra_threads(1).map_err(text)?;
    let mut builder = builder.with_execution_providers(device.providers()).map_err(text)?;
    let mut session = builder.commit_from_memory(&tiny::absolute())?;
    let x = Tensor::from_array(([2_usize], vec![-1.5_f32, 2.0]))?;
    let outputs = session.run(ort::inputs!["x" => x])?;
    let (_, y) = outputs["y"].try_extract_tensor::<f32>()?;
    if y == [1.5, 2.0] { Ok(()) } else { Err(format!("it computes {y:?}").into()) }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_survives_its_line() {
        let verdicts = [
            Verdict::Works { minor: 24 },
            Verdict::Old { version: "1.22.1".to_owned() },
            Verdict::Absent,
            Verdict::Bad { reason: "no such symbol: x".to_owned() },
        ];
        for verdict in verdicts {
            let (word, rest) = verdict.words();
            let output = format!("noise of a library\n{}more", line(MARK, word, &rest));
            assert_eq!(Verdict::read(&output), Some(verdict));
        }
        assert_eq!(Verdict::read("works 24"), None);
        assert_eq!(Verdict::read(&format!("{MARK} works many")), None);
    }
}
