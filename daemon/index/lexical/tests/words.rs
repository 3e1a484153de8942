//! What is found, filtered, removed.
#![expect(clippy::unwrap_used, reason = "tests")]

use greenlit_lexical::{Document, Filter, Lexical, Query};
use proptest::prelude::*;

fn document(id: u64, path: &str, names: &[&str], text: &str) -> Document {
    Document {
        id,
        path: path.to_owned(),
        symbol: names.iter().take(1).map(|n| (*n).to_owned()).collect(),
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        text: text.to_owned(),
        language: path.rsplit('.').next().unwrap().to_owned(),
        kind: if names.is_empty() { "text" } else { "function" }.to_owned(),
    }
}

fn corpus() -> Lexical {
    let lexical = Lexical::in_memory().unwrap();
    let documents = [
        document(
            1,
            "src/http/server.rs",
            &["parseHttpHeader"],
            "fn parseHttpHeader() { read_line() }",
        ),
        document(
            2,
            "src/io/lines.py",
            &["read_line"],
            "def read_line(stream): return stream.next()",
        ),
        document(3, "docs/guide.md", &[], "How the server reads each line of a header."),
        document(1 << 40, "src/index.rs", &["IndexWriter", "index_reader"], "struct IndexWriter;"),
        document(5, "src/index/writer.rs", &["write_index_file"], "fn write_index_file() {}"),
    ];
    lexical.apply(&[], &documents).unwrap();
    lexical
}

fn found(lexical: &Lexical, text: &str, filter: Filter<'_>) -> Vec<u64> {
    let hits = lexical.search(&Query { text, filter, k: 10 }).unwrap();
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    hits.into_iter().map(|hit| hit.id).collect()
}

#[test]
fn words_of_identifiers_are_found_however_they_are_written() {
    let lexical = corpus();
    for query in ["parse_http_header", "parseHttpHeader", "PARSE http", "the http parse"] {
        assert_eq!(found(&lexical, query, Filter::default())[0], 1, "{query}");
    }
    assert_eq!(found(&lexical, "read_line", Filter::default())[..2], [2, 1]);
    assert_eq!(found(&lexical, "guide", Filter::default()), [3]);
    assert_eq!(found(&lexical, "absent", Filter::default()), [0; 0]);
    assert_eq!(found(&lexical, "the", Filter::default()), [3]);
    let one = lexical.search(&Query { text: "line", k: 1, ..Query::default() }).unwrap();
    assert_eq!(one.len(), 1);
}

/// A long text scores little for each of its words, and names and short texts that share parts of the
/// identifier score much.
#[test]
fn an_identifier_is_found_first_in_a_long_text_too() {
    let lexical = corpus();
    let filler = |n: usize| format!("word{} ", char::from(b'a' + u8::try_from(n % 26).unwrap()));
    let long: String = (0..2000).map(filler).collect();
    let wanted = format!("{long} // retry40jitter\n{long}");
    let mut documents = vec![
        document(100, "a.rs", &[], &wanted),
        document(101, "b.rs", &["using_1_40"], "fn using_1_40() -> bool { 40 > 1 }"),
    ];
    let like = |n: u64| document(200 + n, "c.rs", &[], &format!("// retry{n}jitter"));
    documents.extend((0..30).map(like));
    lexical.apply(&[], &documents).unwrap();
    assert_eq!(found(&lexical, "retry40jitter", Filter::default())[0], 100);
    assert_eq!(found(&lexical, "where is retry40jitter used", Filter::default())[0], 100);
}

#[test]
fn filters_hold_by_path_language_kind_and_live_set() {
    let lexical = corpus();
    let all = Filter::default();
    let of = |filter| {
        let mut ids = found(&lexical, "line header index server", filter);
        ids.sort_unstable();
        ids
    };
    assert_eq!(of(all), [1, 2, 3, 5, 1 << 40]);
    assert_eq!(of(Filter { paths: &["src/"], ..all }), [1, 2, 5, 1 << 40]);
    assert_eq!(of(Filter { paths: &["src/*.rs"], ..all }), [1 << 40]);
    assert_eq!(of(Filter { paths: &["**/*.rs", "docs"], ..all }), [1, 3, 5, 1 << 40]);
    assert_eq!(of(Filter { paths: &["src/i?/*"], ..all }), [2]);
    assert_eq!(of(Filter { paths: &["a(b[c.+\\"], ..all }), [0; 0]);
    assert_eq!(of(Filter { languages: &["py", "md"], ..all }), [2, 3]);
    assert_eq!(of(Filter { kinds: &["text"], ..all }), [3]);
    assert_eq!(of(Filter { kinds: &["function"], languages: &["md"], ..all }), [0; 0]);
    assert_eq!(of(Filter { live: Some(&|id| id != 1), paths: &["src/http"], ..all }), [0; 0]);
    assert_eq!(of(Filter { live: Some(&|id| id > 3), ..all }), [5, 1 << 40]);
}

#[test]
fn the_best_live_documents_are_found_behind_many_better_dead_ones() {
    let lexical = Lexical::in_memory().unwrap();
    let text = |n: u64| format!("word {}", "filler ".repeat(n as usize % 50));
    let documents: Vec<_> = (0..3000).map(|n| document(n, "a.rs", &[], &text(n))).collect();
    lexical.apply(&[], &documents).unwrap();
    let filter = Filter { live: Some(&|id| id % 50 == 49), ..Filter::default() };
    let hits = lexical.search(&Query { text: "word", filter, k: 100 }).unwrap();
    assert_eq!(hits.len(), 60);
    assert!(hits.iter().all(|hit| hit.id % 50 == 49));
}

#[test]
fn names_are_found_whole_by_their_beginning_and_by_humps() {
    let lexical = corpus();
    let named = |name: &str| -> Vec<u64> {
        let hits = lexical.symbols(name, &Filter::default(), 10).unwrap();
        hits.into_iter().map(|hit| hit.id).collect()
    };
    assert_eq!(named("IndexWriter"), [1 << 40]);
    assert_eq!(named("indexwriter"), [1 << 40]);
    assert_eq!(named("index"), [1 << 40]);
    assert_eq!(named("parse"), [1]);
    assert_eq!(named("IW"), [1 << 40]);
    assert_eq!(named("InWr"), [1 << 40]);
    assert_eq!(named("wif"), [5]);
    assert_eq!(named("wr_in"), [5]);
    assert_eq!(named("pHH"), [1]);
    assert_eq!(named("Writer"), [0; 0]);
    assert_eq!(named(" "), [0; 0]);
    let filter = Filter { paths: &["docs"], ..Filter::default() };
    assert!(lexical.symbols("index", &filter, 10).unwrap().is_empty());
    let filter = Filter { live: Some(&|id| id == 5), ..Filter::default() };
    assert!(lexical.symbols("index", &filter, 10).unwrap().is_empty());
}

#[test]
fn removed_and_replaced_documents_are_gone_at_once() {
    let lexical = corpus();
    lexical.apply(&[2], &[document(1, "src/b.rs", &["other"], "fn other() {}")]).unwrap();
    assert_eq!(lexical.len(), 4);
    assert_eq!(found(&lexical, "read_line parseHttpHeader", Filter::default()), [3]);
    assert_eq!(found(&lexical, "other", Filter::default()), [1]);
    assert!(lexical.symbols("read_line", &Filter::default(), 9).unwrap().is_empty());
    lexical.apply(&[1, 3, 5, 1 << 40, 77], &[]).unwrap();
    assert!(lexical.is_empty());
    assert!(found(&lexical, "other index", Filter::default()).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_is_an_error(text in "\\PC{0,40}|[-+*\"(){}\\[\\]:^~?\\\\/ a-z&|!]{0,40}") {
        let lexical = corpus();
        lexical.search(&Query { text: &text, filter: Filter::default(), k: 5 }).unwrap();
        lexical.symbols(&text, &Filter::default(), 5).unwrap();
        let filter = Filter { paths: &[&text], ..Filter::default() };
        lexical.search(&Query { text: "line", filter, k: 5 }).unwrap();
    }
}
