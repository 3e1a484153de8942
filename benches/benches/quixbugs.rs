//! QuixBugs Python through the product's command line, every second test case hidden.
//!
//! The judge runs all cases by plain pytest, outside the product. The data set is not part of this
//! repository: `--dataset` names a checkout of github.com/jkoppel/QuixBugs.
//! `cargo xtask bench quixbugs -- --help` says what can be chosen.
#![expect(clippy::print_stdout, reason = "a benchmark reports")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use greenlit_benches::features::Features;
use greenlit_benches::machine::Machine;
use greenlit_benches::options::Common;
use greenlit_benches::product::{Ask, Product};
use greenlit_benches::{median, process};
use serde::Serialize;

/// What the cases are run with.
const PYTEST: &str = "pytest==9.2.0";
/// A case that runs longer than this loops for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// QuixBugs, half of the cases hidden.
#[derive(Debug, Parser)]
#[command(name = "quixbugs")]
struct Args {
    /// A checkout of github.com/jkoppel/QuixBugs
    #[arg(long, value_name = "DIR")]
    dataset: Option<PathBuf>,
    /// Program; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    program: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// What became of one program.
#[derive(Debug, Default, Serialize)]
struct Row {
    program: String,
    /// Cases shown and hidden.
    shown: usize,
    hidden: usize,
    /// For each offered fix, best first: whether all cases pass with it.
    right: Vec<bool>,
    /// Template family of the first.
    rule: Option<String>,
    /// What else is known of each offered fix.
    features: Vec<Features>,
    generated: u64,
    run: u64,
    seconds: f64,
    /// What the product said instead of an answer.
    error: Option<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    dataset_commit: String,
    budget_secs: u64,
    programs: &'a [Row],
}

fn main() -> Result<()> {
    let args = Args::parse();
    greenlit_benches::enter()?;
    let dataset = dataset(args.dataset.as_deref())?;
    let cache = args.common.output.cache()?;
    let python = cache.python(&[PYTEST.to_owned()])?;
    let product = args.common.product()?;
    let machine = Machine::probe(product.program(), Some(&python));
    let mut git = process::command("git");
    git.args(["rev-parse", "HEAD"]).current_dir(&dataset);
    let found = process::run(&mut git, PATIENCE)?;
    let commit = if found.success() { found.stdout.trim() } else { "of unknown commit" }.to_owned();
    println!("QuixBugs Python {commit}, budget {} s, every second case hidden", args.common.budget);
    println!("{}\n", machine.head());

    let bench = Bench { args: &args, dataset: &dataset, python: &python, product: &product };
    let mut rows = Vec::new();
    for program in programs(&dataset)? {
        if args.program.is_empty() || args.program.contains(&program) {
            let row = bench.program(&program).unwrap_or_else(|error| Row {
                program: program.clone(),
                error: Some(format!("{error:#}")),
                ..Row::default()
            });
            println!("{}", line(&row));
            rows.push(row);
        }
    }
    println!("\n{}", totals(&rows));
    args.common.output.write(&Report {
        machine: &machine,
        dataset_commit: commit,
        budget_secs: args.common.budget,
        programs: &rows,
    })
}

fn dataset(given: Option<&Path>) -> Result<PathBuf> {
    const REMEDY: &str =
        "`git clone https://github.com/jkoppel/QuixBugs DIR`, then `--dataset DIR`";
    let Some(dir) = given else {
        bail!("QuixBugs is not part of this repository: {REMEDY}");
    };
    if !dir.join("python_programs").is_dir() || !dir.join("python_testcases").is_dir() {
        bail!("{} is no checkout of QuixBugs: {REMEDY}", dir.display());
    }
    Ok(dir.canonicalize()?)
}

/// The programs that have tests.
fn programs(dataset: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dataset.join("python_programs"))? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let test = dataset.join(format!("python_testcases/test_{stem}.py"));
        if path.extension().is_some_and(|extension| extension == "py") && test.is_file() {
            found.push(stem.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

struct Bench<'a> {
    args: &'a Args,
    dataset: &'a Path,
    python: &'a Path,
    product: &'a Product,
}

impl Bench<'_> {
    fn program(&self, program: &str) -> Result<Row> {
        let scratch = tempfile::Builder::new().prefix("glq").tempdir()?;
        let work = scratch.path().canonicalize()?.join(program);
        self.set_up(&work, program)?;
        let judge = scratch.path().join("judge");
        let ids = self.collect(&work)?;
        let mut halves =
            [0, 1].map(|odd| -> Vec<String> { ids.iter().skip(odd).step_by(2).cloned().collect() });
        // The product needs a failing test to start from.
        if self.green(&work, &halves[0])? {
            halves.reverse();
        }
        let [shown, hidden] = halves;
        let budget = Duration::from_secs(self.args.common.budget);
        let env = self.env()?;
        let ask = Ask {
            root: &work,
            env: &env,
            visible: &shown,
            budget,
            limit: budget + Duration::from_secs(240),
        };
        let started = Instant::now();
        let answer = self.product.fix(&ask);
        let mut row = Row {
            program: program.to_owned(),
            shown: shown.len(),
            hidden: hidden.len(),
            seconds: started.elapsed().as_secs_f64(),
            ..Row::default()
        };
        let report = match answer {
            Ok(report) => report,
            Err(error) => {
                row.error = Some(format!("{error:#}"));
                return Ok(row);
            }
        };
        row.generated = report.stats.candidates.generated;
        row.run = report.stats.candidates.run;
        row.features = report.fixes.iter().map(Features::of).collect();
        row.rule = report.fixes.first().and_then(|fix| fix.source.rule.clone());
        for fix in &report.fixes {
            if judge.exists() {
                fs::remove_dir_all(&judge)?;
            }
            self.set_up(&judge, program)?;
            let patch = scratch.path().join("patch");
            fs::write(&patch, &fix.diff)?;
            let mut git = process::command("git");
            git.args(["apply", "--whitespace=nowarn"]).arg(&patch).current_dir(&judge);
            let applied = process::run(&mut git, PATIENCE)?;
            if !applied.success() {
                bail!("an offered diff does not apply: {}", applied.tail());
            }
            row.right.push(self.green(&judge, &[])?);
        }
        Ok(row)
    }

    /// One program as a project of its own: the tests choose between two packages at run time, a
    /// person's project would import the module.
    fn set_up(&self, dir: &Path, program: &str) -> Result<()> {
        fs::create_dir_all(dir)?;
        let from = |path: &str| self.dataset.join(path);
        for name in [program, "node"] {
            let file = format!("{name}.py");
            fs::copy(from(&format!("python_programs/{file}")), dir.join(file))?;
        }
        let test = fs::read_to_string(from(&format!("python_testcases/test_{program}.py")))?;
        fs::write(dir.join(format!("test_{program}.py")), plain_imports(&test))?;
        fs::copy(from("conftest.py"), dir.join("conftest.py"))?;
        let loader = fs::read_to_string(from("python_testcases/load_testdata.py"))?;
        let loader = loader.replace("parent / \"..\"", "parent");
        fs::write(dir.join("load_testdata.py"), loader)?;
        let cases = format!("json_testcases/{program}.json");
        if from(&cases).is_file() {
            fs::create_dir_all(dir.join("json_testcases"))?;
            fs::copy(from(&cases), dir.join(&cases))?;
        }
        Ok(())
    }

    fn pytest(&self, dir: &Path) -> Result<std::process::Command> {
        let mut command = process::command(self.python);
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"]);
        command.current_dir(dir).envs(self.env()?);
        Ok(command)
    }

    fn collect(&self, dir: &Path) -> Result<Vec<String>> {
        let finished = process::run(self.pytest(dir)?.arg("--collect-only"), PATIENCE)?;
        let ids: Vec<_> =
            finished.stdout.lines().filter(|l| l.contains("::")).map(str::to_owned).collect();
        if ids.is_empty() {
            bail!("pytest finds no cases: {}", finished.tail());
        }
        Ok(ids)
    }

    fn green(&self, dir: &Path, ids: &[String]) -> Result<bool> {
        Ok(process::run(self.pytest(dir)?.arg("-x").args(ids), PATIENCE)?.success())
    }

    fn env(&self) -> Result<Vec<(OsString, OsString)>> {
        let bin = self.python.parent().context("an interpreter lies in a directory")?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = [bin.to_owned()].into_iter().chain(std::env::split_paths(&path));
        Ok(vec![
            ("PATH".into(), std::env::join_paths(all)?),
            ("VIRTUAL_ENV".into(), bin.parent().unwrap_or(bin).into()),
            ("PYTHONDONTWRITEBYTECODE".into(), "1".into()),
        ])
    }
}

/// `if pytest.use_correct: … else: from python_programs.x import y` becomes `from x import y`.
fn plain_imports(test: &str) -> String {
    let mut text = String::new();
    for line in test.lines() {
        match line.trim_start().strip_prefix("from python_programs.") {
            Some(rest) => text.push_str(&format!("from {rest}\n")),
            None if line.contains("correct_python_programs")
                || line.starts_with("if pytest.use_correct")
                || line == "else:" => {}
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

fn line(row: &Row) -> String {
    let first = match (&row.error, row.right.first()) {
        (Some(error), _) => format!("no answer: {error}"),
        (None, None) => "nothing offered".into(),
        (None, Some(true)) => format!("first right ({})", row.rule.as_deref().unwrap_or("?")),
        (None, Some(false)) if row.right.contains(&true) => "first wrong, another right".into(),
        (None, Some(false)) => format!("wrong, {} offered", row.right.len()),
    };
    format!(
        "{:34} {:3} shown {:3} hidden  {:5} of {:5} candidates run  {:6.1} s  {first}",
        row.program, row.shown, row.hidden, row.run, row.generated, row.seconds,
    )
}

fn totals(rows: &[Row]) -> String {
    let all = rows.len();
    let count = |wanted: fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count();
    let seconds = median(rows.iter().map(|row| row.seconds).collect()).unwrap_or_default();
    let run = median(rows.iter().map(|row| row.run as f64).collect()).unwrap_or_default();
    format!(
        "offered {}/{all}\nfirst offered right on all cases {}/{all}\nany offered right {}/{all}\n\
         no answer {}/{all}\nmedian {seconds:.1} s, {run:.0} candidates run",
        count(|row| !row.right.is_empty()),
        count(|row| row.right.first() == Some(&true)),
        count(|row| row.right.contains(&true)),
        count(|row| row.error.is_some()),
    )
}
