//! What variants of a function do with inputs beyond those of the tests: a hint for ranking.
//!
//! In a changed copy of its file (`instrument`) the function is watched while the tests run on the
//! otherwise unchanged files; what it was called with is mutated (`greenlit_values.cjs`), and each
//! variant is called with all of it in a process of its own (`greenlit_probe.cjs`). Everything that
//! comes back may be forged by a variant, and is bounded.

mod instrument;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use greenlit_sandbox::{Command, ExitState, FileWrite, Sandbox};
use serde::Deserialize;
use serde_json::{Value, json};

use self::instrument::{handed_over, watched};
use crate::error::RunError;
use crate::node::{Mode, NodeProject, file, read};
use crate::overlay::Overlay;
use crate::probing::{INPUT_BYTES, INPUTS, Outcomes, RESTARTS, SHORTEST, compared, left};
use crate::project::{ProbeTarget, Probes};
use crate::scope::Scope;
use crate::types::TestId;

pub(super) const RECORD: &str = include_str!("../greenlit_record.cjs");
pub(super) const VALUES: &str = include_str!("../greenlit_values.cjs");
/// The name by which the other two ask for it.
pub(super) const VALUES_NAME: &str = "greenlit_values.cjs";
const PROBE: &str = include_str!("../greenlit_probe.cjs");

/// Largest source file that is changed for this.
const LARGEST: u64 = 4 << 20;

/// A line of an answer.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Inputs { inputs: Vec<String> },
    Outcome { input: usize, outcome: String, stable: bool },
    Probed { probed: bool },
}

/// The probing of one function in one sandbox.
struct Probing<'a> {
    project: &'a NodeProject,
    sandbox: Sandbox,
    overlay: Overlay,
    target: &'a ProbeTarget,
    directory: PathBuf,
    /// Numbers the answers: a process that outlives its limit may still write to an old one.
    calls: u32,
}

impl NodeProject {
    /// `None` when no test calls the function with arguments that can be copied, or the function
    /// cannot be reached from outside (a nested one, one of an object, one that uses private state).
    pub(crate) fn probe(
        &self,
        sandbox: Sandbox,
        target: &ProbeTarget,
        variants: &[Vec<FileWrite>],
        tests: &[TestId],
        wall: Duration,
    ) -> Result<Option<Probes>, RunError> {
        let end = Instant::now() + wall;
        if tests.is_empty() || variants.is_empty() {
            return Ok(None);
        }
        let directory = sandbox.scratch().join("greenlit-probe");
        let overlay = Overlay::default();
        let mut probing = Probing { project: self, sandbox, overlay, target, directory, calls: 0 };
        let Some(inputs) = probing.inputs(tests, left(end) / 3)? else { return Ok(None) };
        let mut outcomes = Vec::new();
        for (index, files) in variants.iter().enumerate() {
            let after = u32::try_from(variants.len() - index).unwrap_or(u32::MAX);
            outcomes.push(probing.call(files, &inputs, left(end) / after)?);
        }
        Ok(compared(inputs.len(), outcomes))
    }
}

impl Probing<'_> {
    fn extension(&self) -> &str {
        self.target.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
    }

    /// What the tests call the function with on the unchanged files, and mutations of it.
    fn inputs(
        &mut self,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<Option<Vec<String>>, RunError> {
        let content = self.sandbox.read(&self.target.path, LARGEST)?.unwrap_or_default();
        let copy = String::from_utf8(content)
            .ok()
            .and_then(|text| watched(self.extension(), &text, &self.target.function));
        let Some(copy) = copy else { return Ok(None) };
        let watched = FileWrite { path: self.target.path.clone(), content: Some(copy.into()) };
        self.overlay.apply(&mut self.sandbox, &[watched])?;
        let files = self.project.files_of(tests);
        let executed = self.project.execute(&mut self.sandbox, Mode::Watched, &files, wall)?;
        self.overlay.apply(&mut self.sandbox, &[])?;
        let mut seen: Vec<String> = executed
            .lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .filter(|input: &String| input.len() <= INPUT_BYTES)
            .collect();
        seen.truncate(INPUTS);
        if seen.is_empty() {
            return Ok(None);
        }
        let (lines, _) = self.ask(&json!({ "seen": seen }), wall)?;
        let inputs = lines.into_iter().find_map(|line| match line {
            Line::Inputs { inputs } => Some(inputs),
            Line::Outcome { .. } | Line::Probed { .. } => None,
        });
        Ok(inputs.filter(|inputs| !inputs.is_empty() && inputs.len() <= INPUTS))
    }

    /// Calls one variant with every input; `None` when not all of them have an outcome in the end.
    fn call(
        &mut self,
        files: &[FileWrite],
        inputs: &[String],
        wall: Duration,
    ) -> Result<Option<Outcomes>, RunError> {
        let end = Instant::now() + wall;
        let Some(files) = self.handed_over(files) else { return Ok(None) };
        self.overlay.apply(&mut self.sandbox, &files)?;
        let scope = Scope::new(&self.sandbox, &self.project.root);
        let file = scope.inside(&self.target.path);
        let mut outcomes = Outcomes::new(inputs.len());
        for _ in 0..=RESTARTS {
            let Some(next) = outcomes.next() else { break };
            if left(end) < SHORTEST {
                return Ok(None);
            }
            let request = json!({ "file": file, "inputs": inputs, "skip": next });
            let (lines, state) = self.ask(&request, left(end))?;
            let mut probed = false;
            for line in lines {
                match line {
                    Line::Outcome { input, outcome, stable } => {
                        outcomes.note(input, outcome, stable);
                    }
                    // Also where the file does not load or the function is gone.
                    Line::Probed { probed: all } => probed |= all,
                    Line::Inputs { .. } => {}
                }
            }
            if probed {
                break;
            }
            outcomes.ended(state == ExitState::TimedOut);
        }
        Ok(outcomes.complete())
    }

    /// The variant's files, its function to be handed over.
    fn handed_over(&self, files: &[FileWrite]) -> Option<Vec<FileWrite>> {
        let own = files.iter().position(|file| file.path == self.target.path)?;
        let mut files = files.to_vec();
        let text = std::str::from_utf8(files[own].content.as_deref()?).ok()?;
        let copy = handed_over(self.extension(), text, &self.target.function)?;
        files[own].content = Some(copy.into());
        Some(files)
    }

    fn ask(&mut self, request: &Value, wall: Duration) -> Result<(Vec<Line>, ExitState), RunError> {
        self.calls += 1;
        let at = |name: &str| self.directory.join(name);
        let (probe, values) = (at("greenlit_probe.cjs"), at(VALUES_NAME));
        let asked = at(&format!("request-{}.json", self.calls));
        let answer = at(&format!("answer-{}.jsonl", self.calls));
        self.sandbox.write(&[
            file(&probe, PROBE),
            file(&values, VALUES),
            file(&asked, &request.to_string()),
        ])?;
        let project = self.project;
        let scope = Scope::new(&self.sandbox, &project.root);
        let mut argv: Vec<OsString> = vec![scope.inside(&project.program).into()];
        argv.extend(project.arguments.flags.iter().map(OsString::from));
        argv.push(probe.into());
        let mut env = project.env.clone();
        env.insert("GREENLIT_REQUEST".into(), asked.into());
        env.insert("GREENLIT_ANSWER".into(), answer.clone().into());
        let cwd = project.dir.clone();
        let command = Command { argv, cwd, env, stdin: Vec::new(), wall, cpu: None };
        let outcome = self.sandbox.exec(&command)?;
        let lines = read(&mut self.sandbox, &answer)?;
        let lines = lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        Ok((lines, outcome.state))
    }
}
