//! Finds the tool that a person would run on a file.

use std::path::{Path, PathBuf};

use super::ruff::Ruff;
use super::tsc::Tsc;
use super::{CheckTool, Checker, Kind};
use crate::environment::Environment;
use crate::host;
use crate::node::find_node;
use crate::project::Project;

impl Checker {
    /// The checker for `file`, an absolute path below `root`; `projects` are those of the root.
    ///
    /// - rustc, clippy: the cargo workspace that the file lies in
    /// - ruff: of `VIRTUAL_ENV`, of `.venv` or `venv` between the file and the root, on `PATH`
    /// - tsc: of `node_modules` between the file and the root, with the nearest `tsconfig.json`
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn detect(
        tool: CheckTool,
        root: &Path,
        file: &Path,
        environment: &Environment,
        projects: &[Project],
    ) -> Result<Self, String> {
        let kind = match tool {
            CheckTool::Rustc | CheckTool::Clippy => Kind::Cargo(cargo(file, projects)?),
            CheckTool::Ruff => Kind::Ruff(Ruff {
                program: ruff(root, file, environment)?,
                env: environment.allowed(),
            }),
            CheckTool::Tsc => Kind::Tsc(tsc(root, file, environment)?),
        };
        Ok(Self { tool, root: root.to_owned(), kind })
    }
}

fn cargo(file: &Path, projects: &[Project]) -> Result<Project, String> {
    let around = projects.iter().filter(|p| p.cargo().is_some() && file.starts_with(p.dir()));
    let nearest = around.max_by_key(|project| project.dir().as_os_str().len());
    nearest.cloned().ok_or_else(|| format!("no cargo package holds {}", file.display()))
}

/// The directories from the file's own up to the root.
fn directories<'p>(root: &'p Path, file: &'p Path) -> impl Iterator<Item = &'p Path> {
    file.ancestors().skip(1).take_while(move |directory| directory.starts_with(root))
}

/// Whether a program exists and may be run. What lies in the checkout must really lie there: what a
/// program links to is made readable, and a checkout must not choose that.
fn is_own(root: &Path, program: &Path) -> bool {
    let real = std::fs::canonicalize(program).ok().filter(|real| real.is_file());
    real.is_some_and(|real| !program.starts_with(root) || real.starts_with(root))
}

fn ruff(root: &Path, file: &Path, environment: &Environment) -> Result<PathBuf, String> {
    let active = environment.get("VIRTUAL_ENV").map(PathBuf::from).filter(|v| v.is_absolute());
    let own = directories(root, file).flat_map(|dir| [dir.join(".venv"), dir.join("venv")]);
    let programs = active
        .into_iter()
        .chain(own)
        .flat_map(|venv| [venv.join("bin/ruff"), venv.join("Scripts/ruff.exe")]);
    programs
        .into_iter()
        .find(|program| is_own(root, program))
        .or_else(|| host::tool(environment, root, "ruff"))
        .ok_or_else(|| {
            "ruff was not found: not in VIRTUAL_ENV, .venv or venv, and not on PATH".to_owned()
        })
}

fn tsc(root: &Path, file: &Path, environment: &Environment) -> Result<Tsc, String> {
    let script = directories(root, file)
        .map(|dir| dir.join("node_modules/.bin/tsc"))
        .find(|script| is_own(root, script))
        .ok_or("there is no node_modules/.bin/tsc; to get it: npm install typescript")?;
    let dir = directories(root, file)
        .find(|dir| dir.join("tsconfig.json").is_file())
        .ok_or_else(|| format!("no tsconfig.json covers {}", file.display()))?;
    let (node, _) = find_node(root, environment)?;
    Ok(Tsc { node, script, dir: dir.to_owned(), env: environment.allowed() })
}
