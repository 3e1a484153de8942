//! Fills a record with many attempts and times the questions: `fill [ROWS]`, a million by default.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example for developers")]

use std::sync::Arc;
use std::time::Instant;

use greenlit_evidence::{Attempt, Decision, Limits, Options, Search, Store};
use greenlit_protocol::{FileEdit, TraceCall, TraceFilter, TraceMessage, TraceSearch};

/// Attempts of one search.
const PER_SEARCH: u64 = 200;

fn main() {
    let rows: u64 = std::env::args().nth(1).map_or(1_000_000, |rows| rows.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 8 << 30, ..Limits::default() };
    let options = || Options { limits, ..Options::new(dir.path().join("evidence.db")) };
    let store = Store::open(options());
    let started = Instant::now();
    let mut search = 0;
    for row in 0..rows {
        if row % PER_SEARCH == 0 {
            store.settle();
            search = store.next_search();
            let about = TraceSearch { kind: "tests".into(), ..TraceSearch::default() };
            store.begin(Search { id: search, root: root(search), about });
        }
        store.attempt(attempt(store.next_attempt(), search));
        if row % 1000 == 500 {
            store.decided(&format!("fix{}", row / 1000), Decision::Applied);
        }
    }
    store.settle();
    let took = started.elapsed();
    println!(
        "{rows} attempts in {:.1} s: {:.0}/s, {} dropped, {:.0} MiB",
        took.as_secs_f64(),
        rows as f64 / took.as_secs_f64(),
        store.status().dropped,
        store.status().bytes as f64 / f64::from(1 << 20)
    );
    let all = TraceFilter { limit: 20, ..TraceFilter::default() };
    let root = Some(root(7));
    let since_ms =
        store.list(&TraceFilter { limit: 1000, ..all.clone() }).unwrap().last().map(|e| e.at_ms);
    let ask = |name: &str, filter: &TraceFilter| {
        time(name, || store.list(filter).unwrap().len());
    };
    ask("list", &all);
    ask("list --root", &TraceFilter { root: root.clone(), ..all.clone() });
    ask("list --tier small", &TraceFilter { tier: Some("small".into()), ..all.clone() });
    ask("list --tier large (none)", &TraceFilter { tier: Some("large".into()), ..all.clone() });
    ask("list --offered", &TraceFilter { offered: true, ..all.clone() });
    ask("list --since", &TraceFilter { since_ms, ..all.clone() });
    ask("list --since (all)", &TraceFilter { since_ms: Some(0), ..all.clone() });
    let every = TraceFilter {
        root,
        tier: Some("template".into()),
        offered: true,
        since_ms: Some(0),
        ..all.clone()
    };
    ask("list with every filter", &every);
    time("show NUMBER", || store.show(&(rows / 2).to_string()).unwrap().edits.len());
    time("show FIX", || store.show("fix3").unwrap().edits.len());
    time("export, a page of 1000", || {
        store.export(&TraceFilter { limit: 1000, ..all.clone() }, rows / 2).unwrap().len()
    });
    time("totals", || store.totals().unwrap().len());
    time("record and settle", || {
        store.attempt(attempt(store.next_attempt(), search));
        usize::from(store.settle())
    });
    time("redact", || store.redact(&(rows / 3).to_string()).unwrap() as usize);
    time("close", || {
        store.close();
        0
    });
    time("open", || Store::open(options()).next_attempt() as usize);
}

fn root(search: u64) -> std::path::PathBuf {
    format!("/home/somebody/project{}", search % 50).into()
}

/// Mostly templates' candidates that fell; every 20th is a model's, every 100th was offered.
fn attempt(id: u64, search: u64) -> Attempt {
    let edit =
        FileEdit { path: "src/module.py".into(), start: 100, end: 101, new_text: ">=".into() };
    let model = id.is_multiple_of(20);
    let offered = id.is_multiple_of(100);
    let prompt =
        TraceMessage { role: "user".into(), content: format!("prompt {search} ").repeat(300) };
    Attempt {
        id,
        search,
        root: root(search),
        tier: if model { "small" } else { "template" }.into(),
        rule: (!model).then(|| "comparison".into()),
        model: model.then(|| "qwen".into()),
        verdict: if offered { "verified" } else { "fell" }.into(),
        reason: (!offered).then(|| "target still red".into()),
        failure: (!offered).then(|| format!("assert {id} == {}", id + 1)),
        summary: Some("replace `>` by `>=`".into()),
        edits: vec![edit],
        fix: offered.then(|| format!("fix{}", id / 1000)),
        offered,
        call: model.then(|| TraceCall {
            model: "qwen".into(),
            latency_ms: id % 3000,
            ..TraceCall::default()
        }),
        prompt: model.then(|| Arc::from([prompt])),
        reply: model.then(|| format!("reply {id}").into()),
        ..Attempt::default()
    }
}

fn time(name: &str, question: impl Fn() -> usize) {
    let started = Instant::now();
    let answer = question();
    println!("{name:32} {:9.2} ms  ({answer})", started.elapsed().as_secs_f64() * 1000.0);
}
