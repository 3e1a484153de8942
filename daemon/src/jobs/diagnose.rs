//! Looks for fixes of diagnostics that an editor shows.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_protocol::{
    DiagnosticTool, Finding, FindingKind, MendedDiagnostic, ProgressStage, RemoteError,
    SeenDiagnostic,
};
use greenlit_repair::{
    DiagnosticFix, DiagnosticRepair, SeenDiagnostic as Target, TargetOutcome, TemplateGenerator,
    Workbench,
};
use greenlit_runner::{CheckState, CheckTool, Checker, Project, detect};
use greenlit_workspace::Inputs;

use super::problem::remote_error;
use super::reports;
use super::run::Job;
use super::{Answer, JobNews};

type Located = (PathBuf, SeenDiagnostic);

/// Diagnostics of one checker.
struct Group<'a> {
    checker: Checker,
    seen: Vec<&'a Located>,
}

impl Job<'_> {
    /// `done` are looked at again only when the inputs are not those that they were looked at on.
    pub(super) fn diagnose(
        &self,
        done: &[Located],
        new: &[Located],
        inputs: &Inputs,
    ) -> Result<Answer, RemoteError> {
        let only_new = self.input.unless == Some(inputs.digest());
        let done = if only_new { &[] } else { done };
        if done.is_empty() && new.is_empty() {
            return Ok(Answer::Unchanged);
        }
        let title = "Looking for fixes of diagnostics".to_owned();
        (self.news)(JobNews::Progress(ProgressStage::Begin { title }));
        let root = self.input.view.root();
        let projects = detect(root, &self.input.environment).projects;
        let bench = self.workbench()?;
        let deadline = Instant::now() + Duration::from_secs(self.input.config.fix.budget_secs);
        let seen: Vec<_> = done.iter().chain(new).collect();
        let paths: Vec<_> = seen.iter().map(|(path, _)| path.clone()).collect();
        let what = |(path, diagnostic): &&Located| {
            let path = greenlit_repair::relative(root, path);
            format!("{path}: {}", diagnostic.code.as_deref().unwrap_or("no code"))
        };
        self.begin_record("diagnostics", inputs, seen.iter().map(what).collect(), &paths);
        let mut findings = Vec::new();
        for group in self.groups(done.iter().chain(new), &projects) {
            findings.extend(self.mend(&bench, &group, &projects, inputs, deadline)?);
        }
        self.check_unchanged(inputs)?;
        Ok(Answer::Diagnosed { findings, only_new })
    }

    fn groups<'l>(
        &self,
        seen: impl Iterator<Item = &'l Located>,
        projects: &[Project],
    ) -> Vec<Group<'l>> {
        let root = self.input.view.root();
        let mut groups: BTreeMap<(CheckTool, PathBuf), Group<'l>> = BTreeMap::new();
        for located in seen {
            let (path, diagnostic) = located;
            let tool = check_tool(diagnostic.tool);
            match Checker::detect(tool, root, path, &self.input.environment, projects) {
                Ok(checker) => {
                    let key = (tool, checker.place().to_owned());
                    let new = || Group { checker, seen: Vec::new() };
                    groups.entry(key).or_insert_with(new).seen.push(located);
                }
                Err(why) => {
                    tracing::info!(?tool, path = %path.display(), why, "no checker");
                }
            }
        }
        groups.into_values().collect()
    }

    fn mend(
        &self,
        bench: &Workbench,
        group: &Group<'_>,
        projects: &[Project],
        inputs: &Inputs,
        deadline: Instant,
    ) -> Result<Vec<Finding>, RemoteError> {
        let targets: Vec<Target> =
            group.seen.iter().map(|(path, diagnostic)| target(path, diagnostic)).collect();
        let told = RefCell::new(BTreeSet::new());
        let found = |index: usize, fix: &DiagnosticFix| {
            // The others follow when all are known.
            if !told.borrow_mut().insert(index) {
                return;
            }
            let counts = TargetOutcome::default();
            let (path, diagnostic) = group.seen[index];
            let finding = self.finding(path, diagnostic, std::slice::from_ref(fix), &counts);
            (self.news)(JobNews::Diagnosed(finding));
        };
        let repair = DiagnosticRepair {
            bench,
            checker: &group.checker,
            projects,
            seen: &targets,
            generator: &TemplateGenerator,
            budget: deadline.saturating_duration_since(Instant::now()),
            max_fixes: self.input.config.fix.max_fixes.max(1) as usize,
            without_tests: self.input.config.fix.without_tests,
            inputs_unchanged: &|| self.scan().is_ok_and(|now| now.digest() == inputs.digest()),
            on_found: &found,
        };
        let outcome = repair.run().map_err(|error| remote_error(&error))?;
        let tool = group.checker.tool();
        if outcome.state != CheckState::Completed {
            tracing::info!(?tool, state = ?outcome.state, "the checker came to no report");
        }
        let mut findings = Vec::new();
        for ((path, diagnostic), target) in group.seen.iter().zip(&outcome.targets) {
            let line = target.found.as_ref().map(|found| found.lines.0);
            let (fixes, counts) = (target.fixes.len(), &target.counts);
            tracing::info!(
                ?tool, path = %path.display(), line, code = diagnostic.code, fixes,
                candidates = counts.generated, fallen = ?counts.fallen,
                reported = target.found.is_some(), out_of_time = outcome.out_of_time,
                "looked for fixes of a diagnostic"
            );
            if !target.fixes.is_empty() {
                findings.push(self.finding(path, diagnostic, &target.fixes, target));
            }
        }
        Ok(findings)
    }

    fn finding(
        &self,
        path: &Path,
        diagnostic: &SeenDiagnostic,
        fixes: &[DiagnosticFix],
        target: &TargetOutcome,
    ) -> Finding {
        let view = &self.input.view;
        let text = view.read_text(path).unwrap_or_default();
        let before = text.get(..diagnostic.start).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let mut offered = Vec::new();
        for (index, fix) in fixes.iter().enumerate() {
            let mended = MendedDiagnostic {
                seen: diagnostic.clone(),
                revealed: fix.checked.revealed,
                first_run: u32::try_from(fix.checked.first_run.len()).unwrap_or(u32::MAX),
                not_run: fix.checked.not_run.clone(),
            };
            let fix = reports::diagnostic_fix(view, path, fix, mended, index + 1);
            let stats = reports::stats(
                Duration::ZERO,
                &target.counts,
                self.started.elapsed(),
                Duration::ZERO,
            );
            let report = reports::diagnostic_evidence(view.root(), path, line, &fix, target, stats);
            self.record_fix(&fix, &report);
            (self.news)(JobNews::Evidence(Box::new(report)));
            offered.push(fix);
        }
        Finding {
            kind: FindingKind::Diagnostic,
            test: None,
            path: path.to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            content_hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
            message: diagnostic.message.clone(),
            related: Vec::new(),
            fixes: offered,
        }
    }
}

fn check_tool(tool: DiagnosticTool) -> CheckTool {
    match tool {
        DiagnosticTool::Rustc => CheckTool::Rustc,
        DiagnosticTool::Clippy => CheckTool::Clippy,
        DiagnosticTool::Ruff => CheckTool::Ruff,
        DiagnosticTool::Tsc => CheckTool::Tsc,
    }
}

fn target(path: &Path, diagnostic: &SeenDiagnostic) -> Target {
    Target {
        path: path.to_owned(),
        start: diagnostic.start,
        end: diagnostic.end,
        code: diagnostic.code.clone(),
        message: diagnostic.message.clone(),
    }
}
