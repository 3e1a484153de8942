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
        let mut vectors = vec![Vec::new(); texts.len()];
        for batch in batches(texts, self.batch) {
            let texts: Vec<&str> = batch.iter().map(|&index| texts[index]).collect();
            for (&index, vector) in batch.iter().zip(self.run(&texts)?) {
                vectors[index] = checked(vector, index, self.identity.dims)?;
            }
        }
        Ok(vectors)
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let text = format!("{}{text}", self.query_prefix);
        let vectors = self.run(&[&text])?;
        let vector = vectors.into_iter().next().expect("as many vectors as texts");
        checked(vector, 0, self.identity.dims)
    }

    fn count_tokens(&self, text: &str) -> usize {
        // A text that cannot be read as tokens cannot be embedded either: nobody counts on it.
        self.counter.encode_fast(text, true).map_or(usize::MAX, |encoding| encoding.len())
    }
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
    fn a_panic_is_an_error() {
        let error = guarded::<()>(|| panic!("the library said {}", 7)).unwrap_err();
        assert_eq!(error.to_string(), "the runtime gave up: the library said 7");
    }
}
