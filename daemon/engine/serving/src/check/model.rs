//! A model directory as a whole.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::safetensors::{self, Tensor};
use super::{BadFile, Shape, config, gguf, tokenizer};

/// The files of a model that can be loaded.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    /// Its directory, or its GGUF file.
    pub place: PathBuf,
    /// What comes beside the weights.
    pub format: Format,
    /// Files with weights, in order.
    pub weights: Vec<PathBuf>,
    /// The sizes of the model.
    pub shape: Shape,
    /// What the weights' heads say.
    pub tensors: Vec<Tensor>,
}

/// How a model is written down.
#[derive(Debug, Clone)]
pub enum Format {
    /// Safetensors, with the files beside them.
    Safetensors(Beside),
    /// GGUF: quantized, with everything in it.
    Gguf {
        /// `tokenizer.json`, where the library does not read the one in the file as it should.
        tokenizer: Option<PathBuf>,
        /// Tokens that end a text, by id.
        ends: Vec<u64>,
    },
}

/// What lies beside safetensors.
#[derive(Debug, Clone)]
pub struct Beside {
    /// `config.json`.
    pub config: PathBuf,
    /// The same in the words that the library knows, where they are newer ones.
    pub rewritten: Option<String>,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// `chat_template.jinja`, else `tokenizer_config.json`.
    pub template: Option<PathBuf>,
    /// `tokenizer_config.json`, which names special tokens.
    pub tokenizer_config: Option<PathBuf>,
    /// `generation_config.json`.
    pub generation: Option<PathBuf>,
}

/// Checks a model: a directory, or a GGUF file.
pub fn model(place: &Path) -> Result<ModelFiles, BadFile> {
    if gguf::is_gguf(place) { gguf::gguf(place) } else { directory(place) }
}

fn directory(directory: &Path) -> Result<ModelFiles, BadFile> {
    if !directory.is_dir() {
        return Err(BadFile::Missing {
            path: directory.to_owned(),
            remedy: "name a GGUF file, or a directory with config.json, tokenizer.json and safetensors",
        });
    }
    let config = directory.join("config.json");
    let tokenizer = directory.join("tokenizer.json");
    let (shape, rewritten) = config::shape(&config)?;
    let vocabulary = tokenizer::vocabulary(&tokenizer, shape.vocabulary)?;

    let present = |name: &str| Some(directory.join(name)).filter(|path| path.exists());
    let tokenizer_config = present("tokenizer_config.json");
    let generation = present("generation_config.json");
    let mut ends = false;
    if let Some(path) = &tokenizer_config {
        ends |= vocabulary.end_word(path)?;
    }
    if let Some(path) = &generation {
        ends |= vocabulary.end_ids(path)?;
    }
    if !ends {
        return Err(BadFile::Missing {
            path: directory.join("generation_config.json"),
            remedy: "without an `eos_token_id` there, or an `eos_token` in tokenizer_config.json, no \
                     text would ever end",
        });
    }

    let weights = weights(directory)?;
    let mut tensors = Vec::new();
    for path in &weights {
        tensors.extend(safetensors::tensors(
            path,
            "the weights are not complete: download them again",
        )?);
    }
    fits(&weights[0], "config.json", &tensors, shape.tensors())?;
    let format = Format::Safetensors(Beside {
        template: present("chat_template.jinja").or(tokenizer_config.clone()),
        tokenizer_config,
        config,
        rewritten,
        tokenizer,
        generation,
    });
    Ok(ModelFiles { place: directory.to_owned(), format, weights, shape, tensors })
}

/// The files with weights: one, or all parts of a set.
fn weights(directory: &Path) -> Result<Vec<PathBuf>, BadFile> {
    let unreadable = |error| BadFile::unreadable(directory, error);
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let Some(name) = name.to_str().filter(|name| name.ends_with(".safetensors")) else {
            continue;
        };
        if name.starts_with("adapter_") {
            return Err(BadFile::invalid(
                &directory.join(name),
                "is an adapter in a model's directory; move it to a directory of its own",
            ));
        }
        if let Some(part) = part(name) {
            parts.push(part);
        }
    }
    let single = directory.join("model.safetensors");
    let Some((_, of)) = parts.first().copied() else {
        return Ok(vec![single]);
    };
    if single.exists() || parts.iter().any(|(_, other)| *other != of) {
        return Err(BadFile::invalid(directory, "holds more than one set of weights; keep one"));
    }
    Ok((1..=of)
        .map(|part| directory.join(format!("model-{part:05}-of-{of:05}.safetensors")))
        .collect())
}

/// `model-00001-of-00003.safetensors`
fn part(name: &str) -> Option<(u32, u32)> {
    let (part, of) =
        name.strip_prefix("model-")?.strip_suffix(".safetensors")?.split_once("-of-")?;
    let number = |text: &str| if text.len() == 5 { text.parse::<u32>().ok() } else { None };
    Some((number(part)?, number(of)?))
}

/// Whether the tensors are those that `who` asks for.
pub(super) fn fits(
    path: &Path,
    who: &str,
    tensors: &[Tensor],
    wanted: Vec<(String, Vec<u64>)>,
) -> Result<(), BadFile> {
    let mut found = HashMap::new();
    for tensor in tensors {
        if found.insert(tensor.name.as_str(), &tensor.shape).is_some() {
            return Err(BadFile::invalid(path, format!("{} is there twice", tensor.name)));
        }
    }
    for (name, wanted) in wanted {
        match found.get(name.as_str()) {
            None => {
                return Err(BadFile::invalid(
                    path,
                    format!("the tensor {name}, which {who} asks for, is missing"),
                ));
            }
            Some(is) if **is != wanted => {
                return Err(BadFile::invalid(
                    path,
                    format!("{name} has shape {is:?}, {who} asks for {wanted:?}"),
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
