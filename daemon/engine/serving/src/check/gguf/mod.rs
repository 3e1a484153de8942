//! A model in a GGUF file: its weights are quantized, and its configuration, tokenizer and chat template are in it.
//!
//! What the inference library would ignore silently is refused: it takes another context where the type of a value
//! surprises it, reads no scaling of positions, and cuts words for every tokenizer as for Qwen's.

mod head;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use self::head::gguf_tensors;
use self::head::{Value, head};
use super::config::Names;
use super::model::{Format, fits};
use super::{Architecture, BadFile, ModelFiles, Shape, tokenizer};

/// The tokenizer whose words the library cuts as it should.
const KNOWN_TOKENIZER: (&str, &str) = ("gpt2", "qwen2");

const NO_EXPERTS: &str = "mixtures of experts are not supported: the inference library computes them on NVIDIA devices alone";

const NAMES: Names = Names {
    vocabulary: "tokenizer.ggml.tokens",
    hidden: "embedding_length",
    intermediate: "feed_forward_length",
    layers: "block_count",
    heads: "attention.head_count",
    kv_heads: "attention.head_count_kv",
    head: "attention.key_length",
    context: "context_length",
};

/// Whether a path is that of a GGUF file, by its name.
pub(super) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Checks a file, or all parts of a set by its first.
pub(super) fn gguf(path: &Path) -> Result<ModelFiles, BadFile> {
    let weights = parts(path)?;
    let mut tensors = Vec::new();
    let mut first = None;
    for part in &weights {
        let head = head(part)?;
        tensors.extend(head.tensors);
        first.get_or_insert(head.values);
    }
    let values = Values { path, values: first.unwrap_or_default() };
    values.whole(weights.len())?;
    let tokens = values.texts("tokenizer.ggml.tokens")?;
    let shape = values.shape(tokens.len() as u64, tensors.iter().map(|tensor| &*tensor.name))?;
    fits(path, "its head", &tensors, wanted(&shape))?;
    let tokenizer = values.tokenizer(&shape, &tokens)?;
    let end = values.ends(&tokens)?;
    Ok(ModelFiles {
        place: path.to_owned(),
        format: Format::Gguf { tokenizer, ends: end },
        weights,
        shape,
        tensors,
    })
}

/// `NAME-00001-of-00003.gguf` stands for three files.
fn parts(path: &Path) -> Result<Vec<PathBuf>, BadFile> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some((stem, part, of)) = numbered(&name) else { return Ok(vec![path.to_owned()]) };
    if part != 1 {
        return Err(BadFile::invalid(path, "is not the first part of its set; name that one"));
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let at = |part: u32| path.with_file_name(format!("{stem}-{part:05}-of-{of:05}.{extension}"));
    Ok((1..=of).map(at).collect())
}

fn numbered(name: &str) -> Option<(&str, u32, u32)> {
    let (rest, of) = name.rsplit_once("-of-")?;
    let (stem, part) = rest.rsplit_once('-')?;
    let number = |text: &str| if text.len() == 5 { text.parse::<u32>().ok() } else { None };
    Some((stem, number(part)?, number(of)?))
}

/// The values of the first head.
struct Values<'a> {
    path: &'a Path,
    values: BTreeMap<String, Value>,
}

impl Values<'_> {
    fn invalid<T>(&self, problem: impl Into<String>) -> Result<T, BadFile> {
        Err(BadFile::invalid(self.path, problem))
    }

    /// Whether it is a language model in as many files as there are.
    fn whole(&self, files: usize) -> Result<(), BadFile> {
        match self.values.get("split.count") {
            Some(Value::Count(count)) if *count != files as u64 => self.invalid(format!(
                "is one of {count} parts, which keep their names: NAME-00001-of-{count:05}.gguf"
            )),
            _ => Ok(()),
        }
    }

    fn shape<'t>(
        &self,
        tokens: u64,
        tensors: impl Iterator<Item = &'t str> + Clone,
    ) -> Result<Shape, BadFile> {
        let name = self.text("general.architecture")?;
        let architecture = match name {
            "llama" => Architecture::Llama,
            "qwen2" => Architecture::Qwen2,
            "qwen3" => Architecture::Qwen3,
            "qwen3moe" => return self.invalid(NO_EXPERTS),
            other => {
                return self.invalid(format!(
                    "the architecture {other} is not supported in GGUF files; supported: llama, qwen2, qwen3"
                ));
            }
        };
        let of = |field: &str| format!("{name}.{field}");
        let count = |field: &str| self.count(&of(field));
        if matches!(self.values.get(&of("expert_count")), Some(Value::Count(1..))) {
            return self.invalid(NO_EXPERTS);
        }
        let scaled = match self.values.get(&of("rope.scaling.type")) {
            None => tensors.clone().any(|name| name.starts_with("rope_freqs")),
            Some(kind) => *kind != Value::Text("none".to_owned()),
        };
        if scaled {
            return self.invalid(
                "its positions are scaled, which would not be read: take the original weights \
                 (config.json, tokenizer.json and safetensors)",
            );
        }
        let (heads, hidden) = (count("attention.head_count")?, count("embedding_length")?);
        let head = match self.values.contains_key(&of("attention.key_length")) {
            true => count("attention.key_length")?,
            false => hidden.checked_div(heads).unwrap_or_default(),
        };
        for field in ["rope.freq_base", "attention.layer_norm_rms_epsilon"] {
            match self.values.get(&of(field)) {
                Some(Value::Float(value)) if value.is_finite() && *value > 0.0 => {}
                _ => return self.invalid(format!("`{}` must be a number above 0", of(field))),
            }
        }
        for (field, only) in [("attention.value_length", head), ("rope.dimension_count", head)] {
            let given = self.values.get(&of(field));
            // Where it is absent the library takes that of the head, but for one.
            let needed = architecture == Architecture::Llama && field == "rope.dimension_count";
            if given.map_or(needed, |given| *given != Value::Count(only)) {
                return self.invalid(format!("`{}` must be {only}, as wide as a head", of(field)));
            }
        }
        let shape = Shape {
            architecture,
            vocabulary: tokens,
            hidden,
            intermediate: count("feed_forward_length")?,
            layers: count("block_count")?,
            heads,
            kv_heads: count("attention.head_count_kv")?,
            head,
            context: count("context_length")?,
            tied: !tensors.clone().any(|name| name == "output.weight"),
        };
        shape.sound(&NAMES).map_err(|problem| BadFile::invalid(self.path, problem))?;
        Ok(shape)
    }

    /// The file `tokenizer.json` beside it, where the library would not cut words as the model does.
    fn tokenizer(&self, shape: &Shape, tokens: &[String]) -> Result<Option<PathBuf>, BadFile> {
        let model = self.text("tokenizer.ggml.model")?;
        let cut = self.text("tokenizer.ggml.pre").unwrap_or_default();
        if (model, cut) == KNOWN_TOKENIZER {
            let merges = self.texts("tokenizer.ggml.merges")?;
            if merges.iter().any(|merge| !merge.contains(' ')) {
                return self.invalid("has a damaged head: `tokenizer.ggml.merges`");
            }
            return match self.values.get("tokenizer.ggml.token_type") {
                Some(Value::Numbers(kinds)) if kinds.len() == tokens.len() => Ok(None),
                _ => self.invalid("has a damaged head: `tokenizer.ggml.token_type`"),
            };
        }
        let beside = self.path.with_file_name("tokenizer.json");
        let vocabulary = tokenizer::vocabulary(&beside, shape.vocabulary).map_err(|error| {
            let problem = format!(
                "the tokenizer in it ({model}, {cut}) is not read; put the model's tokenizer.json beside it: {error}"
            );
            BadFile::invalid(self.path, problem)
        })?;
        match vocabulary.differs(tokens) {
            None => Ok(Some(beside)),
            Some((word, id)) => Err(BadFile::invalid(
                &beside,
                format!(
                    "belongs to another model than {}: {word:?} has the id {id} here only",
                    self.path.display()
                ),
            )),
        }
    }

    /// The tokens that end a text.
    fn ends(&self, tokens: &[String]) -> Result<Vec<u64>, BadFile> {
        let mut ends = vec![self.count("tokenizer.ggml.eos_token_id")?];
        for more in ["eot", "eom"] {
            if let Some(Value::Count(id)) =
                self.values.get(&format!("tokenizer.ggml.{more}_token_id"))
            {
                ends.push(*id);
            }
        }
        for name in ["eos", "bos", "unknown", "eot", "eom"] {
            let name = format!("tokenizer.ggml.{name}_token_id");
            match self.values.get(&name) {
                None => {}
                Some(Value::Count(id)) if *id < tokens.len() as u64 => {}
                Some(_) => return self.invalid(format!("`{name}` names no token")),
            }
        }
        ends.sort_unstable();
        ends.dedup();
        Ok(ends)
    }

    fn text(&self, name: &str) -> Result<&str, BadFile> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => self.invalid(format!("says no `{name}`: it is no language model's file")),
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, BadFile> {
        match self.values.get(name) {
            Some(Value::Texts(texts)) => Ok(texts.clone()),
            // A list of no texts is a list of anything.
            Some(Value::List(0)) => Ok(Vec::new()),
            _ => self.invalid(format!("has no list `{name}`")),
        }
    }

    fn count(&self, name: &str) -> Result<u64, BadFile> {
        match self.values.get(name) {
            Some(Value::Count(count)) => Ok(*count),
            _ => self.invalid(format!("has no number `{name}`")),
        }
    }
}

/// The tensors that a model of this shape must have.
fn wanted(shape: &Shape) -> Vec<(String, Vec<u64>)> {
    let mut wanted = vec![
        ("token_embd.weight".to_owned(), vec![shape.vocabulary, shape.hidden]),
        ("output_norm.weight".to_owned(), vec![shape.hidden]),
    ];
    if !shape.tied {
        wanted.push(("output.weight".to_owned(), vec![shape.vocabulary, shape.hidden]));
    }
    let names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];
    for layer in 0..shape.layers {
        let at = |name: &str| format!("blk.{layer}.{name}");
        for (name, (_, out, inner)) in names.into_iter().zip(shape.linears()) {
            wanted.push((at(&format!("{name}.weight")), vec![out, inner]));
            let biased = ["attn_q", "attn_k", "attn_v"].contains(&name);
            if biased && shape.architecture == Architecture::Qwen2 {
                wanted.push((at(&format!("{name}.bias")), vec![out]));
            }
        }
        for name in ["attn_norm.weight", "ffn_norm.weight"] {
            wanted.push((at(name), vec![shape.hidden]));
        }
        if shape.architecture == Architecture::Qwen3 {
            for name in ["attn_q_norm.weight", "attn_k_norm.weight"] {
                wanted.push((at(name), vec![shape.head]));
            }
        }
    }
    wanted
}
