//! For tests: vectors without a model, and models without a download.

use std::fs;
use std::io;
use std::path::Path;

use crate::embedder::{EmbedError, Embedder, Identity};
use crate::tiny::{Message, Type, model, node, value};

/// Vectors from the words of a text, by feature hashing: equal words, near vectors. No meaning.
#[derive(Debug, Clone)]
pub struct HashEmbedder {
    identity: Identity,
}

impl HashEmbedder {
    /// Vectors of so many values.
    #[must_use]
    pub fn new(dims: usize) -> Self {
        let identity = Identity {
            name: "hash".to_owned(),
            model: *blake3::hash(&dims.to_le_bytes()).as_bytes(),
            backend: "hash".to_owned(),
            dims,
            max_tokens: 256,
        };
        Self { identity }
    }

    /// Under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.identity.name);
        self
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0_f32; self.identity.dims];
        // No text is without a direction.
        for word in words(text).take(self.identity.max_tokens).chain([String::new()]) {
            let hash = blake3::hash(word.as_bytes());
            let hash = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"));
            let place = (hash >> 1) as usize % vector.len();
            vector[place] += if word.is_empty() { 1e-3 } else { 1.0 - 2.0 * (hash & 1) as f32 };
        }
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if norm < 1e-6 {
            vector[0] = 1.0;
            return vector;
        }
        vector.iter().map(|x| x / norm).collect()
    }
}

impl Embedder for HashEmbedder {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(self.vector(text))
    }

    fn count_tokens(&self, text: &str) -> usize {
        words(text).count()
    }
}

/// `parseHttpUrl` and `parse_http_url` have the same three words.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for letter in text.chars() {
        if (letter.is_uppercase() && small) || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut().expect("never empty").extend(letter.to_lowercase());
        }
        small = letter.is_lowercase();
    }
    words.into_iter().filter(|word| !word.is_empty())
}

/// Writes a model of four words into a directory: `good` and `fine` have vectors, `bad` has none (the
/// root of a negative number). A text's vector is the mean of `[sqrt(3.5 - id), id]` of its words.
///
/// # Errors
/// When the files cannot be written.
pub fn write_tiny_model(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let axes = Message::default().text(1, "axes").number(8, 2).number(20, 7);
    let to_float = Message::default().text(1, "to").number(3, 1).number(20, 2);
    let last = Message::default().text(1, "axis").number(3, 2).number(20, 2);
    let limit = Message::default().number(1, 1).number(2, 1).text(8, "limit");
    let limit = limit.bytes(9, &3.5_f32.to_le_bytes());
    let nodes = vec![
        node("Cast", &["input_ids"], "floats").message(5, to_float),
        node("Unsqueeze", &["floats"], "ids").message(5, axes),
        node("Sub", &["limit", "ids"], "left"),
        node("Sqrt", &["left"], "roots"),
        node("Concat", &["roots", "ids"], "last_hidden_state").message(5, last),
    ];
    let ids = |name| value(name, Type::Int64, &["batch", "sequence"]);
    let out = value("last_hidden_state", Type::Float, &["batch", "sequence", "2"]);
    let inputs = vec![ids("input_ids"), ids("attention_mask")];
    let onnx = model(11, nodes, vec![limit], inputs, vec![out]);
    fs::write(dir.join("model.onnx"), onnx)?;
    fs::write(
        dir.join("tokenizer.json"),
        r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
            "decoder": null, "model": {"type": "WordLevel", "unk_token": "[UNK]",
            "vocab": {"[UNK]": 0, "[PAD]": 1, "good": 2, "fine": 3, "bad": 4}}}"#,
    )?;
    fs::write(dir.join("config.json"), r#"{"pad_token_id": 1}"#)?;
    fs::write(dir.join("special_tokens_map.json"), "{}")?;
    let config = r#"{"model_max_length": 4, "pad_token": "[PAD]"}"#;
    fs::write(dir.join("tokenizer_config.json"), config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_have_the_same_direction() {
        let embedder = HashEmbedder::new(64);
        let texts = ["fn parse_url(text)", "parseUrl text fn", "completely different", "", "   "];
        let vectors = embedder.embed(&texts).unwrap();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert!(dot(&vectors[0], &vectors[1]) > 0.999);
        assert!(dot(&vectors[0], &vectors[2]) < 0.9);
        assert!(vectors.iter().all(|v| (dot(v, v) - 1.0).abs() < 1e-5));
        assert_eq!(embedder.count_tokens(texts[0]), 4);
    }
}
