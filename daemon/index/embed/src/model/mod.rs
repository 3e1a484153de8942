//! A model as files in a directory: the network, its tokenizer, and how they are used.

mod catalogue;
mod error;
mod hub;
mod settings;
mod shelf;

use std::fs;
use std::io;
use std::path::Path;

use fastembed::{TokenizerFiles, UserDefinedEmbeddingModel};
use memchr::memmem;
use serde::{Deserialize, Serialize};

pub(crate) use catalogue::digest as digest_of_text;
pub use catalogue::{Catalogue, ModelKind, Recommended};
pub use error::ModelError;
pub use hub::{Consent, Hub};
pub use settings::Overrides;
pub use shelf::{Installed, Shelf};

/// A file of more cannot be one ONNX message.
const LARGEST: u64 = 2 << 30;

/// How the vectors of tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean
    Mean,
    /// The first one
    Cls,
}

/// The arithmetic of a network, seen from its operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// Floats
    Float,
    /// Integers with scales that are part of the model
    Static,
    /// Integers with scales taken from each batch: only batches of one give the same vector each time
    Dynamic,
}

impl Quantization {
    /// Operators are named in the file as text; a wrong guess costs speed or the last bits only.
    fn of(onnx: &[u8]) -> Self {
        let has = |name: &str| memmem::find(onnx, name.as_bytes()).is_some();
        if has("DynamicQuantize") {
            Self::Dynamic
        } else if has("DequantizeLinear") || has("QLinearMatMul") || has("MatMulNBits") {
            Self::Static
        } else {
            Self::Float
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Static => "int-static",
            Self::Dynamic => "int-dynamic",
        }
    }
}

/// A model that was read, not yet loaded into a runtime.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) name: String,
    pub(crate) files: UserDefinedEmbeddingModel,
    pub(crate) quantization: Quantization,
    pub(crate) max_tokens: usize,
    pub(crate) query_prefix: String,
    pub(crate) dims: Option<usize>,
    pub(crate) digest: [u8; 32],
}

impl Model {
    /// Reads a directory with the layout of sentence-transformers: `model.onnx` (or
    /// `onnx/model.onnx`), `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`,
    /// `config.json`; and, unless `overrides` say it, `1_Pooling/config.json`,
    /// `sentence_bert_config.json` and `config_sentence_transformers.json` for how the model is used.
    ///
    /// # Errors
    /// When a file is missing or makes no sense.
    pub fn open(dir: &Path, overrides: &Overrides) -> Result<Self, ModelError> {
        let settings = settings::read(dir, overrides)?;
        let onnx = read_onnx(dir)?;
        let file = |name: &str| {
            let path = dir.join(name);
            fs::read(&path).map_err(|source| ModelError::File { path, source })
        };
        let tokenizer = TokenizerFiles {
            tokenizer_file: file("tokenizer.json")?,
            config_file: file("config.json")?,
            special_tokens_map_file: file("special_tokens_map.json")?,
            tokenizer_config_file: file("tokenizer_config.json")?,
        };
        let name = match &overrides.name {
            Some(name) => name.clone(),
            None => dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let quantization = Quantization::of(&onnx);
        let pooling = match settings.pooling {
            Pooling::Mean => fastembed::Pooling::Mean,
            Pooling::Cls => fastembed::Pooling::Cls,
        };
        let files = UserDefinedEmbeddingModel::new(onnx, tokenizer).with_pooling(pooling);
        let digest = digest(&files, &settings);
        Ok(Self {
            name,
            files,
            quantization,
            max_tokens: settings.max_tokens,
            query_prefix: settings.query_prefix,
            dims: overrides.dims,
            digest,
        })
    }

    /// Of everything in the model that a vector of a text depends on.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The arithmetic.
    #[must_use]
    pub fn quantization(&self) -> Quantization {
        self.quantization
    }
}

fn read_onnx(dir: &Path) -> Result<Vec<u8>, ModelError> {
    let places = [dir.join("model.onnx"), dir.join("onnx/model.onnx")];
    let path = places.iter().find(|path| path.exists()).unwrap_or(&places[0]);
    if path.with_extension("onnx_data").exists() || path.with_extension("onnx.data").exists() {
        return Err(ModelError::External { path: path.clone() });
    }
    let failed = |source| ModelError::File { path: path.clone(), source };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 2 GiB")));
    }
    fs::read(path).map_err(failed)
}

fn digest(files: &UserDefinedEmbeddingModel, settings: &settings::Settings) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("greenlit embedding model 2");
    let tokenizer = &files.tokenizer_files;
    let usage = format!("{:?} {}", settings.pooling, settings.max_tokens);
    let parts: [&[u8]; 6] = [
        &files.onnx_file,
        &tokenizer.tokenizer_file,
        &tokenizer.config_file,
        &tokenizer.special_tokens_map_file,
        &tokenizer.tokenizer_config_file,
        usage.as_bytes(),
    ];
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}
