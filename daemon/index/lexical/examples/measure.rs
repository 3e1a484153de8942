//! How fast the word index is written and searched, and how large it is.
//!
//! `cargo run -p greenlit-lexical --example measure -- DIR... [--chunks N]`: the files below the
//! directories are cut every 30 lines, which is about what a chunk is. Of each directory directly
//! below one that was named (a package) at most 500 chunks are taken: a few crates of generated
//! bindings would else be most of the text. Says nothing about a build that is not optimized.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(clippy::unwrap_used, reason = "an example")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use greenlit_lexical::{Document, Filter, Lexical, Query};

const MAX_PER_PACKAGE: usize = 500;

const QUERIES: [&str; 12] = [
    "parse http header",
    "read the next line of a file",
    "hash map insert entry",
    "error when the connection is closed",
    "spawn a thread and join it",
    "get_unchecked",
    "IndexWriter",
    "convert string to integer",
    "test for empty input",
    "iterate over children of node",
    "serialize struct to json",
    "lock poisoned mutex",
];

fn main() {
    let mut roots: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let mut wanted = 100_000;
    if let Some(at) = roots.iter().position(|r| r == Path::new("--chunks")) {
        wanted = roots[at + 1].to_str().unwrap().parse().unwrap();
        roots.drain(at..=at + 1);
    }
    let mut packages: Vec<PathBuf> = roots.iter().flat_map(|root| entries(root)).collect();
    packages.sort();
    let mut documents = Vec::new();
    let mut used = 0;
    for package in packages {
        if documents.len() >= wanted {
            break;
        }
        let most = documents.len() + MAX_PER_PACKAGE;
        let mut open = vec![package];
        while let Some(path) = open.pop().filter(|_| documents.len() < most) {
            if path.is_dir() {
                open.extend(entries(&path));
            } else if let Ok(text) = std::fs::read_to_string(&path)
                && path.extension().is_some_and(|e| e == "rs" || e == "py" || e == "md")
            {
                cut(&path, &text, &mut documents);
            }
        }
        documents.truncate(most);
        used += 1;
    }
    println!("{used} packages");
    documents.truncate(wanted);
    let bytes: usize = documents.iter().map(|d| d.text.len()).sum();
    println!("{} documents, {} MB of text", documents.len(), bytes / 1_000_000);

    let dir = tempfile::tempdir().unwrap();
    let lexical = Lexical::open(dir.path()).unwrap();
    let start = Instant::now();
    for batch in documents.chunks(20_000) {
        lexical.apply(&[], batch).unwrap();
    }
    let took = start.elapsed().as_secs_f64();
    println!("apply: {took:.1} s, {:.0} documents/s", documents.len() as f64 / took);

    let one = |id: u64| Document { id, ..documents[id as usize % documents.len()].clone() };
    let file = |n: u64| (n * 8..n * 8 + 8).map(one).collect::<Vec<_>>();
    let mut times: Vec<f64> = (0..20)
        .map(|n| {
            let start = Instant::now();
            lexical.apply(&[], &file(n)).unwrap();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    report("one file of 8 chunks replaced and stored", &mut times);
    let held = |name: &str| {
        let mut times: Vec<f64> = (0..200)
            .map(|n| {
                let start = Instant::now();
                lexical.hold(&[], file(n)).unwrap();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        report(name, &mut times);
    };
    held("one file of 8 chunks replaced and held");
    std::thread::scope(|scope| {
        let folding = scope.spawn(|| {
            let start = Instant::now();
            lexical.fold().unwrap();
            start.elapsed().as_secs_f64() * 1e3
        });
        held("the same while 200 of them are stored");
        println!("stored in {:.0} ms", folding.join().unwrap());
    });
    lexical.fold().unwrap();

    for (name, filter) in [
        ("search, k 10", Filter::default()),
        (
            "search, half of the documents live",
            Filter { live: Some(&|id| id % 2 == 0), ..Filter::default() },
        ),
        ("search, with a path pattern", Filter { paths: &["**/src/**"], ..Filter::default() }),
    ] {
        let mut times: Vec<f64> = (0..50)
            .flat_map(|_| QUERIES)
            .map(|text| {
                let start = Instant::now();
                lexical.search(&Query { text, filter, k: 10 }).unwrap();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        report(name, &mut times);
    }
    let mut times: Vec<f64> = (0..50)
        .flat_map(|_| ["new", "HashM", "gU", "read_line", "x", "test_"])
        .map(|name| {
            let start = Instant::now();
            lexical.symbols(name, &Filter::default(), 20).unwrap();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    report("names, k 20", &mut times);
    println!(
        "{:.1} MB, {} bytes per document",
        lexical.bytes().unwrap() as f64 / 1e6,
        lexical.bytes().unwrap() / lexical.len()
    );
    drop(lexical);
    let files = entries(dir.path()).iter().map(|f| f.metadata().unwrap().len()).sum::<u64>();
    println!("{:.1} MB of files", files as f64 / 1e6);
    let start = Instant::now();
    let lexical = Lexical::open(dir.path()).unwrap();
    lexical.search(&Query { text: QUERIES[0], k: 10, ..Query::default() }).unwrap();
    println!("open, verify and first search: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|e| e.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    found.sort();
    found
}

fn cut(path: &Path, text: &str, documents: &mut Vec<Document>) {
    let lines: Vec<&str> = text.lines().collect();
    for lines in lines.chunks(30) {
        let name = lines.iter().find_map(|l| l.split_once("fn ").or_else(|| l.split_once("def ")));
        let name = name.map(|(_, rest)| rest.split(['(', '<']).next().unwrap_or(rest).to_owned());
        documents.push(Document {
            id: documents.len() as u64,
            path: path.to_string_lossy().into_owned(),
            symbol: name.iter().cloned().collect(),
            names: name.into_iter().collect(),
            text: lines.join("\n"),
            language: "rust".to_owned(),
            kind: "function".to_owned(),
        });
    }
}

fn report(what: &str, times: &mut [f64]) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms, {} times",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    );
}
