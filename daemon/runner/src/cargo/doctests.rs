//! Examples in documentation, which `cargo test` would run as tests and this adapter does not.

/// How many fenced examples the line comments of documentation (`///`, `//!`) have that rustdoc would
/// compile or run. Indented ones and those of block comments are not seen.
pub(crate) fn count(text: &str) -> usize {
    let mut fence: Option<&str> = None;
    let mut found = 0;
    for line in text.lines() {
        let line = line.trim_start();
        let Some(doc) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            fence = None;
            continue;
        };
        let doc = doc.trim();
        let marks = &doc[..doc.len() - doc.trim_start_matches(['`', '~']).len()];
        match fence {
            Some(open) if doc == marks && marks.starts_with(open) => fence = None,
            Some(_) => {}
            None if marks.len() >= 3 => {
                fence = Some(marks);
                found += usize::from(is_run(&doc[marks.len()..]));
            }
            None => {}
        }
    }
    found
}

/// Whether rustdoc compiles an example with these words behind its fence.
fn is_run(words: &str) -> bool {
    words.split([',', ' ']).filter(|word| !word.is_empty()).all(|word| {
        matches!(word, "rust" | "should_panic" | "no_run" | "compile_fail" | "standalone_crate")
            || word.starts_with("edition")
            || word.strip_prefix('E').is_some_and(|code| code.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_rustdoc_would_compile_counts() {
        let text = "//! ```\n//! a\n//! ```\n\n/// ```rust,should_panic\n/// b\n/// ```\n/// ```text\n/// ```\n\
                    /// ~~~ignore\n/// ~~~\nfn f() {}\n/// ````no_run\n/// ```\n/// ````\nfn g() {\n    // ```\n}\n";
        assert_eq!(count(text), 3);
        assert_eq!(count("fn f() -> &'static str {\n    \"```\"\n}\n"), 0);
        let unended =
            "/// ```compile_fail,E0382,edition2021\n/// never ended\nfn f() {}\n/// ```toml\n";
        assert_eq!(count(unended), 1);
    }
}
