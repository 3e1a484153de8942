//! How long chunks get in the tokens of a model, when they are cut by an estimate of these.
//!
//! `cargo run -p greenlit-embed --example budget -- TOKENIZER.json WINDOW DIR…`
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use greenlit_syntax::chunk::{HEAD_BYTES, SourceKind, chunks, skip, tokens};
use tokenizers::Tokenizer;

/// Its name, the budget of a chunk, and how tokens are counted.
type Estimate = (&'static str, usize, fn(&str) -> usize);

/// What could be counted with. The last one is what the index counts with.
const ESTIMATES: [Estimate; 3] = [
    ("bytes / 4", 256, |text| text.len().div_ceil(4)),
    ("bytes / 3", 256, |text| text.len().div_ceil(3)),
    ("words and signs", 192, tokens),
];

#[derive(Default)]
struct Lengths {
    chunks: u64,
    tokens: u64,
    over: u64,
    /// Tokens beyond the window
    lost: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: budget TOKENIZER.json WINDOW DIR…";
    let (Some(tokenizer), Some(window)) = (arguments.next(), arguments.next()) else {
        return Err(usage.into());
    };
    let window: usize = window.parse()?;
    let mut tokenizer = Tokenizer::from_file(tokenizer).map_err(|error| error.to_string())?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    arguments.for_each(|directory| collect(Path::new(&directory), &mut files));
    println!(
        "{:<16} {:<12} {:>8} {:>7} {:>8} {:>8}",
        "estimate", "kind", "chunks", "tokens", "over %", "lost %"
    );
    for (name, budget, estimate) in ESTIMATES {
        let mut kinds: BTreeMap<String, Lengths> = BTreeMap::new();
        for path in &files {
            let Some(kind) = SourceKind::from_path(path) else { continue };
            let Ok(text) = std::fs::read_to_string(path) else { continue };
            let head = &text.as_bytes()[..text.len().min(HEAD_BYTES)];
            if skip(path, head, text.len() as u64).is_some() {
                continue;
            }
            let Ok(cut) = chunks(&text, kind, budget, &estimate) else { continue };
            for chunk in cut {
                let embedded = chunk.embedded_text(&text);
                let encoding = tokenizer.encode_fast(embedded, true);
                let count = encoding.map_err(|error| error.to_string())?.len();
                for kind in [format!("{kind:?}"), "all".to_owned()] {
                    let lengths = kinds.entry(kind).or_default();
                    lengths.chunks += 1;
                    lengths.tokens += count as u64;
                    lengths.over += u64::from(count > window);
                    lengths.lost += count.saturating_sub(window) as u64;
                }
            }
        }
        for (kind, lengths) in kinds {
            let of = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
            println!(
                "{name:<16} {kind:<12.12} {:>8} {:>7.0} {:>8.2} {:>8.2}",
                lengths.chunks,
                lengths.tokens as f64 / lengths.chunks.max(1) as f64,
                of(lengths.over, lengths.chunks),
                of(lengths.lost, lengths.tokens),
            );
        }
    }
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
