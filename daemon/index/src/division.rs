//! Texts as words: identifiers whole and in their parts, in lower case.

/// A longer word is no word that somebody types.
const MAX_LEN: usize = 64;

/// The words of a text with blanks between.
pub(crate) fn divided(text: &str) -> String {
    words(text).join(" ")
}

/// The words of a text, each identifier followed by its parts where there are several.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for identifier in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
        let parts = parts(identifier);
        let whole = identifier.trim_matches('_');
        if parts.len() > 1 && whole.len() <= MAX_LEN {
            words.push(whole.to_lowercase());
        }
        words.extend(parts.into_iter().filter(|p| p.len() <= MAX_LEN).map(str::to_lowercase));
    }
    words
}

/// The last name of a path of names, in lower case.
pub(crate) fn name(symbol: &str) -> String {
    symbol.rsplit(['.', ':']).next().unwrap_or_default().to_lowercase()
}

/// `parse`, `HTTP`, `Header` and `2` of `parseHTTPHeader_2`.
fn parts(identifier: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for piece in identifier.split('_').filter(|piece| !piece.is_empty()) {
        let characters: Vec<(usize, char)> = piece.char_indices().collect();
        let mut start = 0;
        for window in 1..characters.len() {
            let (at, this) = characters[window];
            let before = characters[window - 1].1;
            let next = characters.get(window + 1).map(|(_, next)| *next);
            let hump = this.is_uppercase() && !before.is_uppercase();
            let acronym = this.is_uppercase()
                && before.is_uppercase()
                && next.is_some_and(char::is_lowercase);
            let digit = this.is_numeric() != before.is_numeric();
            if hump || acronym || digit {
                parts.push(&piece[start..at]);
                start = at;
            }
        }
        parts.push(&piece[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn humps_underscores_acronyms_and_digits_divide() {
        assert_eq!(
            words("parseHTTPHeader_2(x)"),
            ["parsehttpheader_2", "parse", "http", "header", "2", "x"]
        );
        assert_eq!(words("__init__ SHOUT"), ["init", "shout"]);
        assert_eq!(words("ÄrgerÜber été"), ["ärgerüber", "ärger", "über", "été"]);
        assert_eq!(words("  \n ,;"), [""; 0]);
        assert_eq!(words(&"x".repeat(100)), [""; 0]);
        assert_eq!(name("A.b::parseIt"), "parseit");
    }
}
