//! What a result depends on beside the code.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::process;

/// The machine and the versions of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor.
    pub processor: String,
    /// Logical cores.
    pub cores: usize,
    /// Memory in MiB; 0 when unknown.
    pub memory_mib: u64,
    /// Operating system and kernel.
    pub system: String,
    /// Commit of the checkout, with `+` when files differ from it.
    pub commit: String,
    /// Version by program.
    pub versions: Vec<(String, String)>,
}

impl Machine {
    /// Looks at the machine and asks the programs.
    pub fn probe(greenlit: &Path, python: Option<&Path>) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let memory = memory.and_then(|m| m.split(' ').next().and_then(|kib| kib.parse().ok()));
        let git =
            |args: &[&str]| said(Command::new("git").args(args).current_dir(crate::repository()));
        let dirty = if git(&["status", "--porcelain"]).is_empty() { "" } else { "+" };
        let python = python.unwrap_or(Path::new("python3"));
        let versions = [
            ("greenlit", said(process::command(greenlit).arg("--version"))),
            ("rustc", said(process::command("rustc").arg("--version"))),
            ("python", said(process::command(python).arg("--version"))),
            ("node", said(process::command("node").arg("--version"))),
        ];
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory.map_or(0, |kib: u64| kib / 1024),
            system: format!(
                "{} {}",
                std::env::consts::OS,
                read("/proc/sys/kernel/osrelease").trim()
            ),
            commit: format!("{}{dirty}", git(&["rev-parse", "--short", "HEAD"])),
            versions: versions.map(|(name, version)| (name.to_owned(), version)).into(),
        }
    }

    /// The head of a report.
    pub fn head(&self) -> String {
        let versions: Vec<_> = self
            .versions
            .iter()
            .map(|(name, version)| match version.is_empty() {
                true => format!("no {name}"),
                false => format!("{name}: {version}"),
            })
            .collect();
        format!(
            "machine: {}, {} cores, {} MiB, {}; commit {}\nversions: {}",
            self.processor,
            self.cores,
            self.memory_mib,
            self.system,
            self.commit,
            versions.join("; ")
        )
    }
}

/// The first line that a program prints; empty when it does not start.
fn said(command: &mut Command) -> String {
    let finished = process::run(command, Duration::from_secs(30));
    let text = finished.ok().filter(|f| f.success()).map(|f| f.stdout).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// Resident memory in bytes; 0 where the platform does not tell.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
