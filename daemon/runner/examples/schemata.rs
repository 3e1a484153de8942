//! What a candidate costs: many in one build against one build each.
//!
//! `cargo run -p greenlit-runner --example schemata -- DIR FILE FUNCTION TEST-ID [COUNT]` copies
//! nothing and changes nothing: the package in DIR is shown to a sandbox. Variants are made by
//! replacing one word or number of the function with another word of the function, so that many
//! do not compile, as with real candidates.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use greenlit_runner::{Environment, Prepared, RunState, TestId, TestRun, detect};
use greenlit_sandbox::{CacheMode, FileWrite, Helper, Isolation, Limits, Sandbox, SandboxSpec};

const WALL: Duration = Duration::from_secs(300);
/// Variants that are also built one by one, to compare.
const ONE_BY_ONE: usize = 12;

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG).init();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [dir, file, function, test, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: schemata DIR FILE FUNCTION TEST-ID [COUNT]");
    };
    let count = rest.first().map_or(Ok(200), |count| count.parse())?;
    let root = fs::canonicalize(dir)?;
    let path = root.join(file);
    let text = fs::read_to_string(&path)?;
    let texts = variants(&text, function, count).context("no such function")?;
    let variants: Vec<Vec<FileWrite>> = texts.iter().map(|text| vec![write(&path, text)]).collect();
    let tests = [TestId(test.clone())];

    let mut environment = Environment::of_this_process();
    // What cargo sets for this example is not the person's.
    environment.vars.retain(|name, _| {
        let name = name.to_string_lossy();
        name == "CARGO_HOME"
            || name.starts_with("CARGO_PROFILE_")
            || !(name.starts_with("CARGO") || name == "LD_LIBRARY_PATH")
    });
    let project = detect(&root, &environment).projects.into_iter().next().context("no project")?;
    let store = tempfile::tempdir()?;
    let needs = project.needs(&store.path().join("store"), CacheMode::Discard);
    let spec = SandboxSpec {
        root,
        files: Vec::new(),
        caches: needs.caches,
        readable: needs.readable,
        isolation: Isolation::Auto,
        limits: Limits::default(),
    };
    let sandbox = Sandbox::open(&spec, &Helper::locate()?)?;
    let started = Instant::now();
    let mut trials = project.trials(sandbox, &tests, WALL)?;
    println!("open: {:?}", started.elapsed());
    let plain = trials.attempt(&[], &tests, WALL)?;
    ensure!(plain.state == RunState::Completed, "{:?}", plain.state);

    let started = Instant::now();
    let prepared = trials.prepare(&variants)?;
    let built = started.elapsed();
    let count = |wanted: fn(&Prepared) -> bool| prepared.iter().filter(|p| wanted(p)).count();
    println!(
        "{} variants: {} ready, {} invalid, {} alone; prepared in {built:?}",
        variants.len(),
        count(|p| *p == Prepared::Ready),
        count(|p| matches!(p, Prepared::Invalid(_))),
        count(|p| *p == Prepared::Alone),
    );
    let started = Instant::now();
    let mut words = vec![String::new(); variants.len()];
    let mut slowest = Duration::ZERO;
    for (index, _) in prepared.iter().enumerate().filter(|(_, p)| **p == Prepared::Ready) {
        let run = trials.attempt_prepared(index, &tests, Duration::from_secs(2))?;
        slowest = slowest.max(run.wall);
        words[index] = word(&run);
    }
    let ran = started.elapsed();
    let ready = u32::try_from(count(|p| *p == Prepared::Ready))?.max(1);
    println!("attempts: {:?} each, the slowest {slowest:?}", ran / ready);
    println!("per candidate: {:?}", (built + ran) / u32::try_from(variants.len())?);

    let (mut single, mut differ, mut tried) = (Duration::ZERO, 0, 0);
    let step = (variants.len() / ONE_BY_ONE).max(1);
    for index in (0..variants.len()).step_by(step) {
        let run = trials.attempt(&variants[index], &tests, Duration::from_secs(2))?;
        single += run.wall;
        tried += 1;
        let agree = match (&prepared[index], &run.state) {
            (Prepared::Ready, _) => words[index] == word(&run),
            (Prepared::Invalid(_), RunState::BuildFailed { .. }) | (Prepared::Alone, _) => true,
            _ => false,
        };
        if !agree {
            differ += 1;
            println!("differs: {:?} {} / {:?}", prepared[index], words[index], word(&run));
        }
    }
    println!("one by one: {:?} each; {differ} of {tried} judged differently", single / tried);
    Ok(())
}

fn word(run: &TestRun) -> String {
    match (&run.state, run.results.first()) {
        (RunState::Completed, Some(result)) => {
            format!("{:?}", result.outcome).chars().take(6).collect()
        }
        (state, _) => format!("{state:?}").chars().take(6).collect(),
    }
}

fn write(path: &Path, text: &str) -> FileWrite {
    FileWrite { path: path.to_owned(), content: Some(text.as_bytes().to_vec()) }
}

/// The text with one word of the function replaced by another, `count` times.
fn variants(text: &str, function: &str, count: usize) -> Option<Vec<String>> {
    let start = text.find(&format!("fn {function}"))?;
    let open = start + text[start..].find('{')?;
    let mut depth = 0;
    let mut close = open;
    for (at, letter) in text[open..].char_indices() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if depth == 0 {
            close = open + at;
            break;
        }
    }
    let mut words = Vec::new();
    let mut from = None;
    for (at, letter) in text[open..close].char_indices() {
        match (letter.is_alphanumeric() || letter == '_', from) {
            (true, None) => from = Some(at),
            (false, Some(start)) => {
                words.push(open + start..open + at);
                from = None;
            }
            _ => {}
        }
    }
    let keywords = ["let", "mut", "if", "else", "for", "in", "while", "match", "return", "fn"];
    words.retain(|word| !keywords.contains(&&text[word.clone()]));
    let mut names: Vec<&str> = words.iter().map(|word| &text[word.clone()]).collect();
    names.extend(["0", "1", "2", "true"]);
    names.sort_unstable();
    names.dedup();
    let all = words.iter().flat_map(|word| {
        let others = names.iter().filter(|name| **name != &text[word.clone()]);
        others.map(|name| format!("{}{name}{}", &text[..word.start], &text[word.end..]))
    });
    let all: Vec<String> = all.collect();
    // Spread over the whole function.
    let step = (all.len() / count).max(1);
    Some(all.into_iter().step_by(step).take(count).collect())
}
