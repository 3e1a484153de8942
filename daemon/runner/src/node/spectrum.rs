//! Which lines each test executes, from V8's own coverage.
//!
//! Each test file runs in one process, where counters are read at the borders of every test. Left
//! out are tests that run at the same time as others (no line can be given to one of them), tests
//! of equal names where some did not run, and files whose positions mean nothing because a
//! transpiler rewrote them (source maps are not read; types that node itself removes are no
//! hindrance).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use greenlit_sandbox::Sandbox;
use serde::Deserialize;

use crate::error::RunError;
use crate::node::{Executed, Mode, NodeProject};
use crate::outcome::Stopwatch;
use crate::scope::{Scope, relative};
use crate::types::{Outcome, Spectrum, TestId, TestResult};

#[derive(Debug, Deserialize)]
struct Traced {
    names: String,
    alone: bool,
    lines: BTreeMap<String, Vec<u32>>,
}

impl NodeProject {
    pub(crate) fn spectrum(
        &self,
        sandbox: &mut Sandbox,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<Option<Spectrum>, RunError> {
        let watch = Stopwatch::start();
        let wanted: BTreeSet<&TestId> = tests.iter().collect();
        let mut spectrum = Spectrum { measured_by: "V8 coverage".into(), ..Spectrum::default() };
        for file in self.files_of(tests) {
            let Some(left) = wall.checked_sub(watch.elapsed()) else { break };
            let name = relative(&self.root, &file).unwrap_or_default();
            let names = names_in(&name, tests);
            let Executed { events, lines, .. } =
                self.execute(sandbox, Mode::Traced(&names), &[file], left)?;
            let scope = Scope::new(sandbox, &self.root);
            for (id, traced) in identified(&name, &lines, &events.results) {
                let result = events.results.iter().find(|result| result.id == id);
                if wanted.contains(&id)
                    && traced.alone
                    && let Some(result) = result
                {
                    let passed = matches!(result.outcome, Outcome::Passed);
                    add(&mut spectrum, &scope, id, passed, traced.lines);
                }
            }
        }
        Ok(Some(spectrum))
    }
}

/// The names of the tests of one file. Those that are told apart by a number share theirs.
fn names_in<'t>(file: &str, tests: &'t [TestId]) -> Vec<&'t str> {
    let mut names = Vec::new();
    for id in tests {
        let Some(name) = id.0.strip_prefix(file).and_then(|rest| rest.strip_prefix("::")) else {
            continue;
        };
        names.push(name);
        if let Some((plain, number)) = name.rsplit_once(" #")
            && number.parse::<usize>().is_ok()
        {
            names.push(plain);
        }
    }
    names
}

/// What was traced, with the ids that the report gives. Equal names are told apart by their order,
/// which holds only when each of them was traced.
fn identified(file: &str, lines: &[u8], results: &[TestResult]) -> Vec<(TestId, Traced)> {
    let traced: Vec<Traced> = lines
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let ids: BTreeSet<&str> = results.iter().map(|result| result.id.0.as_str()).collect();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for one in &traced {
        *count.entry(one.names.clone()).or_default() += 1;
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut identified = Vec::new();
    for one in traced {
        let nth = seen.entry(one.names.clone()).or_default();
        *nth += 1;
        let plain = format!("{file}::{}", one.names);
        let all = count.get(&one.names).copied().unwrap_or_default();
        if ids.contains(format!("{plain} #{}", all + 1).as_str()) {
            continue;
        }
        let id = if *nth == 1 { plain } else { format!("{plain} #{nth}") };
        identified.push((TestId(id), one));
    }
    identified
}

fn add(
    spectrum: &mut Spectrum,
    scope: &Scope,
    id: TestId,
    passed: bool,
    lines: BTreeMap<String, Vec<u32>>,
) {
    let Some(index) = spectrum.test(id, passed) else { return };
    for (path, numbers) in lines {
        let Some(path) = scope.person(Path::new(&path)) else { continue };
        spectrum.hit(index, path, numbers);
    }
}
