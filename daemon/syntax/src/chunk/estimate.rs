//! How many tokens a text has, without a model.

/// Letters of a word that are one token of a model for text. Names in code are cut finer than prose.
const LETTERS: usize = 5;
/// The same for digits.
const DIGITS: usize = 3;

/// Tokens of a text as models count them, roughly, and rather too many: words by their length, every
/// sign, letters of other scripts one by one. Borders that follow it are the same whatever model there
/// is; `cargo run -p greenlit-embed --example budget` measures it against a model's own count.
pub fn tokens(text: &str) -> usize {
    let (mut tokens, mut letters, mut digits) = (0, 0, 0_usize);
    for letter in text.chars() {
        match letter {
            'a'..='z' | 'A'..='Z' => letters += 1,
            '0'..='9' => digits += 1,
            _ => {
                tokens += word(letters, digits) + usize::from(!letter.is_whitespace());
                (letters, digits) = (0, 0);
            }
        }
    }
    tokens + word(letters, digits)
}

fn word(letters: usize, digits: usize) -> usize {
    letters.div_ceil(LETTERS) + digits.div_ceil(DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_signs_and_other_scripts_are_counted() {
        for (text, wanted) in [
            ("", 0),
            ("  \n\t", 0),
            ("a", 1),
            ("return x", 3),
            ("parse_http_url(x)", 8),
            ("0x1f600", 3),
            ("12345", 2),
            ("日本語", 3),
            ("};", 2),
        ] {
            assert_eq!(tokens(text), wanted, "{text}");
        }
    }
}
