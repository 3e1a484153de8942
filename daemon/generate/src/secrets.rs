//! What looks like a secret, and must not be learnt by a model.
//!
//! The shapes are those that their issuers document. What has no shape is only recognized where a name
//! says what it is: a filter like this one finds less than everything.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

/// Shapes, and what they are of.
const SHAPES: &[(&str, &str)] = &[
    (r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY", "a private key"),
    (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", "an AWS access key"),
    (r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})", "a GitHub token"),
    (r"\bglpat-[A-Za-z0-9_-]{20,}", "a GitLab token"),
    (r"\bxox[abeprs]-[A-Za-z0-9-]{10,}", "a Slack token"),
    (r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}", "a Stripe key"),
    (r"\bAIza[0-9A-Za-z_-]{35}", "a Google key"),
    (r"\bsk-[A-Za-z0-9_-]{20,}", "a key of a model provider"),
    (r"\bhf_[A-Za-z0-9]{30,}", "a Hugging Face token"),
    (r"\b(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})", "a registry token"),
    (r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", "a signed token"),
    (
        r"\b[a-z][a-z0-9+.-]*://[^\s/:@]*:(?:[^\s/@]{3,}|[^\s/@]+@[^\s@]+)@",
        "a password in an address",
    ),
];

static SET: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new(SHAPES.iter().map(|(shape, _)| shape)).expect("the shapes are valid")
});

/// A name that says secret, and the text that it gets: with a type between them or not, as a key of a table,
/// in a file of settings without quotes.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    let names = "secret|passwd|password|token|api[_-]?key|private[_-]?key|access[_-]?key";
    let typed = r"(?::\s*[&'\w<>\[\]|. ]{1,40})?";
    let quoted = r#"["'`]([^"'`\s]{16,})["'`]"#;
    // To the end of the line, or a remark or a command behind it. What begins with a colon is a path of names.
    let plain = r"([^\s\x22'`(),;:=][^\s\x22'`(),;]{15,})(?:[ \t]+[^\s=].*|[ \t]*)\r?$";
    let named = format!(
        r#"(?im)(?:{names})[\w-]*["']?\]?[ \t]*{typed}[ \t]*(?::=|=>|=|:)[ \t]*(?:{quoted}|{plain})"#
    );
    Regex::new(&named).expect("the shape is valid")
});

/// What a text seems to hold, if anything.
pub(crate) fn find(text: &str) -> Option<&'static str> {
    if let Some(index) = SET.matches(text).iter().next() {
        return SHAPES.get(index).map(|(_, kind)| *kind);
    }
    let mixed = |value: &str| {
        let has = |of: fn(&char) -> bool| value.chars().any(|c| of(&c));
        has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
    };
    // Without quotes it may be code: short names, one in the other.
    let whole = |value: &str| value.split(['.', ':']).any(|part| part.len() >= 16);
    let mut named = NAMED.captures_iter(text).filter_map(|found| match found.get(1) {
        Some(quoted) => Some(quoted),
        None => found.get(2).filter(|plain| whole(plain.as_str())),
    });
    named.any(|value| mixed(value.as_str())).then_some("a secret with a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_shapes_or_names() {
        // Put together here, so that nothing in this file has such a shape itself.
        let joined = |parts: &[&str]| parts.concat();
        for (text, kind) in [
            (joined(&["key = 'AK", "IAABCDEFGHIJKLMNOP'"]), "an AWS access key"),
            (joined(&["-----BEG", "IN RSA PRIVATE KEY-----\nMII"]), "a private key"),
            (joined(&["url = 'postgres://app", ":hunter2@db/app'"]), "a password in an address"),
            (joined(&["\"api_", "key\": \"0123456789abcdefABCD\""]), "a secret with a name"),
            (joined(&["ghp", "_", &"a1".repeat(20)]), "a GitHub token"),
            (joined(&["API_", "KEY: str = \"0123456789abcdefABCD\""]), "a secret with a name"),
            (
                joined(&["const API_", "KEY: &'static str = \"0123456789abcdefAB\""]),
                "a secret with a name",
            ),
            (
                joined(&["const api", "Key: string = \"0123456789abcdefABCD\""]),
                "a secret with a name",
            ),
            (
                joined(&["os.environ[\"SECRET", "_KEY\"] = \"0123456789abcdefAB\""]),
                "a secret with a name",
            ),
            (
                joined(&["headers[\"X-Api", "-Key\"] = '0123456789abcdefABCD'"]),
                "a secret with a name",
            ),
            (joined(&["PORT=1\nAPI", "_KEY=0123456789abcdefABCD\nHOST=a"]), "a secret with a name"),
            (joined(&["API", "_KEY=0123456789abcdefABCD\r\nHOST=a"]), "a secret with a name"),
            (joined(&["API", "_KEY=0123456789abcdefABCD  # prod"]), "a secret with a name"),
            (joined(&["API", "_KEY=0123456789abcdefABCD make all"]), "a secret with a name"),
            (joined(&["const api", "Key = `0123456789abcdefABCD`"]), "a secret with a name"),
            (joined(&["redis:/", "/:hunter22@host"]), "a password in an address"),
            (joined(&["postgres:/", "/app:p@ss/word1@db"]), "a password in an address"),
        ] {
            assert_eq!(find(&text), Some(kind), "{text}");
        }
    }

    #[test]
    fn plain_code_has_none() {
        for text in [
            "password = 'correct horse'",
            "def test_token():\n    assert token('a') == 'aaaaaaaaaaaaaaaaaaaaaaaa'",
            "https://example.org/a:b@c",
            "# `api_key_env`: the variable that holds the key",
            "tokens = ['0123456789abcdef0123']",
            "let token = next_token_of_line_1(input)",
            "token = self.tokens2.next_of_all()",
            "def f(token: Optional[str] = None):",
            "http://localhost:8080/a@b",
            "lexer::token::tests::scans_u8_literal",
            "auth::password::tests::hashes_with_sha256",
            "tests/test_auth.py::TestPassword::test_rejects_sha1_hashes",
            "    crate::token::Kind::Int64Literal",
            "token_embedding = self.layer2.embedding",
            "token:\n    result.base64_value_of_it",
            "let token: Token = lexer2.next_one_of_them()?;",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
