//! Embedding with ONNX Runtime, through fastembed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use fastembed::{InitOptionsUserDefined, TextEmbedding};
use tokenizers::Tokenizer;

use crate::embedder::{EmbedError, Embedder, Identity};
use crate::model::{Model, Quantization};
use crate::runtime::{Runtime, said};

/// Texts in a batch. Of short texts a batch is a third faster than one by one; more cost memory only.
const BATCH: usize = 8;
/// Bytes in a batch, about 500 tokens. Long texts are no faster in batches (measured at 256 tokens).
const BATCH_BYTES: usize = 2048;

/// A model in ONNX Runtime. One batch at a time; callers wait for each other.
pub struct OnnxEmbedder {
    identity: Identity,
    /// The same tokenizer without truncation and padding
    counter: Tokenizer,
    /// Tokens that the model adds around each text
    marks: usize,
    query_prefix: String,
    batch: usize,
    session: Mutex<TextEmbedding>,
}

impl OnnxEmbedder {
    /// Loads a model and embeds one word with it. `threads` bounds the processor cores that one
    /// batch keeps busy.
    ///
    /// # Errors
    /// When the runtime does not take the model, or the model does not do what is wanted.
    pub fn load(model: Model, runtime: &Runtime, threads: usize) -> Result<Self, EmbedError> {
        let backend = format!("{}/{}", runtime.backend(), model.quantization.name());
        let options = InitOptionsUserDefined::new()
            .with_environment(runtime.environment())
            .with_execution_providers(runtime.found().device.providers())
            .with_max_length(model.max_tokens)
            .with_intra_threads(threads.max(1))
            // Waiting threads must not burn a core between batches.
            .with_session_config("session.intra_op.allow_spinning", "0");
        let files = model.files;
        let session = guarded(move || TextEmbedding::try_new_from_user_defined(files, options))?;
        let mut counter = session.tokenizer.clone();
        counter.with_padding(None);
        counter.with_truncation(None).map_err(|error| tokenization(&error))?;
        let batch = if model.quantization == Quantization::Dynamic { 1 } else { BATCH };
        // The tokenizer may allow less than was asked for.
        let max_tokens = session
            .tokenizer
            .get_truncation()
            .map_or(model.max_tokens, |truncation| truncation.max_length);
        let mut embedder = Self {
            identity: Identity {
                name: model.name,
                model: model.digest,
                backend,
                dims: 0,
                max_tokens,
            },
            marks: counter.encode_fast("", true).map_or(0, |encoding| encoding.len()),
            counter,
            query_prefix: model.query_prefix,
            batch,
            session: Mutex::new(session),
        };
        let first = embedder.run(&["function"])?;
        let found = first.first().map_or(0, Vec::len);
        match model.dims {
            Some(described) if described != found => {
                return Err(EmbedError::Described { described, found });
            }
            _ => embedder.identity.dims = found,
        }
        embedder.embed(&["function"])?;
        Ok(embedder)
    }

    /// The parts that a text is read in, each within the model's window; one for most.
    fn parts<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let most = self.identity.max_tokens;
        // No token is shorter than a byte.
        if text.len() + self.marks <= most {
            return vec![text];
        }
        let Ok(encoding) = self.counter.encode_fast(text, false) else { return vec![text] };
        // Without offsets `encode_fast` only counts.
        if encoding.len() + self.marks <= most {
            return vec![text];
        }
        match self.counter.encode(text, false) {
            Ok(encoding) => {
                windows(text, encoding.get_offsets(), most.saturating_sub(self.marks).max(1))
            }
            // What cannot be read as tokens cannot be embedded either, and says so there.
            Err(_) => vec![text],
        }
    }

    /// The vectors of texts, each of unit length.
    fn vectors(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let (mut parts, mut of) = (Vec::new(), Vec::new());
        for (index, text) in texts.iter().enumerate() {
            let some = self.parts(text);
            of.extend(std::iter::repeat_n(index, some.len()));
            parts.extend(some);
        }
        let mut sums: Vec<Option<Vec<f32>>> = vec![None; texts.len()];
        for batch in batches(&parts, self.batch) {
            let texts: Vec<&str> = batch.iter().map(|&part| parts[part]).collect();
            for (&part, vector) in batch.iter().zip(self.run(&texts)?) {
                let index = of[part];
                let vector = checked(vector, index, self.identity.dims)?;
                match &mut sums[index] {
                    // All parts of a text have about one length.
                    Some(sum) => sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x),
                    sum @ None => *sum = Some(vector),
                }
            }
        }
        let vectors = sums.into_iter().map(|sum| sum.expect("every text has a part")).enumerate();
        vectors.map(|(index, sum)| checked(sum, index, self.identity.dims)).collect()
    }

    /// One call of the runtime: as many vectors as texts.
    fn run(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let vectors = guarded(|| session.embed(texts, Some(texts.len())))?;
        if vectors.len() != texts.len() {
            return Err(EmbedError::Count { texts: texts.len(), found: vectors.len() });
        }
        Ok(vectors)
    }
}

impl Embedder for OnnxEmbedder {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.vectors(texts)
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let text = format!("{}{text}", self.query_prefix);
        let vectors = self.vectors(&[&text])?;
        Ok(vectors.into_iter().next().expect("as many vectors as texts"))
    }

    fn count_tokens(&self, text: &str) -> usize {
        // A text that cannot be read as tokens cannot be embedded either: nobody counts on it.
        self.counter.encode_fast(text, true).map_or(usize::MAX, |encoding| encoding.len())
    }
}

/// Cuts a text, whose tokens lie at these bytes, into parts of at most so many tokens and about one length;
/// at a blank where there is one near.
fn windows<'a>(text: &'a str, tokens: &[(usize, usize)], most: usize) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let (mut first, mut start) = (0, 0);
    while first < tokens.len() {
        let left = tokens.len() - first;
        let wanted = left.div_ceil(left.div_ceil(most));
        let end = first + wanted;
        if end >= tokens.len() {
            break;
        }
        let begins_word = |token: &usize| {
            let at = tokens[*token].0;
            text[..at].ends_with(char::is_whitespace)
        };
        // A cut inside a word makes other tokens of its halves. Some are spared for the parts to come.
        let cut = (first + wanted.div_ceil(2)..=end).rev().find(begins_word).unwrap_or(end);
        let at = tokens[cut].0;
        // Tokens that share a character lie at the same place.
        if at <= start || !text.is_char_boundary(at) {
            break;
        }
        parts.push(&text[start..at]);
        (first, start) = (cut, at);
    }
    parts.push(&text[start..]);
    parts
}

/// The places of the texts, in batches of at most `most` of about one length: the shorter ones are padded
/// to the longest.
fn batches(texts: &[&str], most: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&index| texts[index].len());
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for index in order {
        let fits = |batch: &Vec<usize>| {
            batch.len() < most && (batch.len() + 1) * texts[index].len() <= BATCH_BYTES
        };
        match batches.last_mut().filter(|batch| fits(batch)) {
            Some(batch) => batch.push(index),
            None => batches.push(vec![index]),
        }
    }
    batches
}

/// The vector at unit length, if it is one.
fn checked(mut vector: Vec<f32>, index: usize, dims: usize) -> Result<Vec<f32>, EmbedError> {
    if vector.len() != dims {
        return Err(EmbedError::Shape { index, dims, found: vector.len() });
    }
    let squares: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if !squares.is_finite() {
        return Err(EmbedError::NotFinite { index });
    }
    let norm = squares.sqrt();
    if norm < 1e-6 {
        return Err(EmbedError::NoDirection { index });
    }
    for x in &mut vector {
        *x = (f64::from(*x) / norm) as f32;
    }
    Ok(vector)
}

/// A panic of the bindings is an error of the call.
fn guarded<T>(call: impl FnOnce() -> fastembed::Result<T>) -> Result<T, EmbedError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| EmbedError::Failed(Box::new(error))),
        Err(panic) => Err(EmbedError::Panicked(said(&*panic))),
    }
}

fn tokenization(error: &tokenizers::Error) -> EmbedError {
    EmbedError::Failed(Box::new(fastembed::Error::Tokenization(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directions_come_out() {
        assert_eq!(checked(vec![3.0, -4.0], 0, 2).unwrap(), [0.6, -0.8]);
        let huge = checked(vec![f32::MAX, f32::MAX], 0, 2).unwrap();
        assert!((huge[0] - 0.5_f32.sqrt()).abs() < 1e-6);
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = checked(vec![1.0, wrong], 7, 2).unwrap_err();
            assert!(matches!(error, EmbedError::NotFinite { index: 7 }), "{error}");
        }
        let error = checked(vec![0.0, 0.0], 3, 2).unwrap_err();
        assert!(matches!(error, EmbedError::NoDirection { index: 3 }), "{error}");
        let error = checked(vec![1.0], 3, 2).unwrap_err();
        assert!(matches!(error, EmbedError::Shape { found: 1, .. }), "{error}");
    }

    #[test]
    fn batches_have_every_text_once_and_long_ones_alone() {
        let long = "x".repeat(1500);
        let texts = [&long, "a", "", &long, "bb", &long[..1000], &long[..900], "c"];
        assert_eq!(batches(&texts, 8), [vec![2, 1, 7, 4], vec![6, 5], vec![0], vec![3]]);
        assert_eq!(batches(&texts[..2], 1), [[1], [0]]);
        assert_eq!(batches(&["a"; 20], 8).iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 4]);
        assert!(batches(&[], 8).is_empty());
    }

    #[test]
    fn a_long_text_is_cut_at_blanks_and_nothing_is_lost() {
        let text = "aa bb cc dd ee ff gg hh ii jj kk";
        let tokens: Vec<_> = (0..11).map(|word| (word * 3, word * 3 + 2)).collect();
        assert_eq!(windows(text, &tokens, 20), [text]);
        assert_eq!(windows(text, &tokens, 4), ["aa bb cc dd ", "ee ff gg hh ", "ii jj kk"]);
        let unbroken = "ääääääääää";
        let tokens: Vec<_> = (0..10).map(|letter| (letter * 2, letter * 2 + 2)).collect();
        assert_eq!(windows(unbroken, &tokens, 3).concat(), unbroken);
        assert_eq!(windows(unbroken, &tokens, 3).len(), 4);
        // All tokens in one character, as bytes of one have it.
        assert_eq!(windows("\u{1f600}", &[(0, 4); 9], 4), ["\u{1f600}"]);
        assert_eq!(windows("", &[], 4), [""]);
    }

    #[test]
    fn a_panic_is_an_error() {
        let error = guarded::<()>(|| panic!("the library said {}", 7)).unwrap_err();
        assert_eq!(error.to_string(), "the runtime gave up: the library said 7");
    }
}
