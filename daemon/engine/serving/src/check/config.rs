//! What `config.json` says of a model.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{BadFile, json};

/// Larger numbers in a configuration are mistakes or attacks.
const MAX_SIDE: u64 = 1 << 20;
const MAX_LAYERS: u64 = 1000;
const MAX_CONTEXT: u64 = 1 << 24;

/// A kind of model that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `LlamaForCausalLM`.
    Llama,
    /// `Qwen2ForCausalLM`.
    Qwen2,
    /// `Qwen3ForCausalLM`.
    Qwen3,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    /// As configurations write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }
}

/// The sizes of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Which kind.
    pub architecture: Architecture,
    /// Rows of the embedding; the tokenizer may use fewer.
    pub vocabulary: u64,
    /// Width between layers.
    pub hidden: u64,
    /// Width inside a feed-forward layer.
    pub intermediate: u64,
    /// How many layers.
    pub layers: u64,
    /// Attention heads.
    pub heads: u64,
    /// Attention heads that keep keys and values.
    pub kv_heads: u64,
    /// Width of a head.
    pub head: u64,
    /// Longest sequence, in tokens.
    pub context: u64,
    /// Whether the output layer is the embedding.
    pub tied: bool,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architectures: Vec<String>,
    vocab_size: u64,
    hidden_size: u64,
    intermediate_size: u64,
    num_hidden_layers: u64,
    num_attention_heads: u64,
    num_key_value_heads: u64,
    head_dim: Option<u64>,
    max_position_embeddings: u64,
    rope_theta: f64,
    rms_norm_eps: f64,
    hidden_act: String,
    #[serde(default)]
    tie_word_embeddings: bool,
    max_window_layers: Option<Value>,
    use_sliding_window: Option<Value>,
    rope_scaling: Option<Value>,
    quantization_config: Option<Value>,
}

/// Reads and judges a configuration. One that is written in newer words than the library knows comes back in
/// the older ones as well.
pub(super) fn shape(path: &Path) -> Result<(Shape, Option<String>), BadFile> {
    let mut fields: Map<String, Value> =
        json(path, "a model directory holds config.json, tokenizer.json and safetensors")?;
    let rewritten = in_older_words(&mut fields).then(|| Value::from(fields.clone()).to_string());
    Ok((judged(path, fields)?, rewritten))
}

/// Since version 5 `transformers` writes `rope_parameters` in place of `rope_theta` and `rope_scaling`. Says
/// whether that was so.
fn in_older_words(fields: &mut Map<String, Value>) -> bool {
    let Some(Value::Object(mut rope)) = fields.get("rope_parameters").cloned() else {
        return false;
    };
    if fields.contains_key("rope_theta") {
        return false;
    }
    let Some(theta) = rope.remove("rope_theta") else { return false };
    fields.remove("rope_parameters");
    fields.insert("rope_theta".to_owned(), theta);
    if rope.get("rope_type").is_some_and(|kind| kind != "default") {
        fields.insert("rope_scaling".to_owned(), rope.into());
    }
    true
}

fn judged(path: &Path, fields: Map<String, Value>) -> Result<Shape, BadFile> {
    let invalid = |problem: String| Err(BadFile::invalid(path, problem));
    let config: Config = serde_json::from_value(fields.into())
        .map_err(|error| BadFile::invalid(path, format!("is not valid: {error}")))?;
    let known = || Architecture::ALL.map(Architecture::name).join(", ");
    let [name] = config.architectures.as_slice() else {
        return invalid(format!("`architectures` must name one architecture, of {}", known()));
    };
    let Some(architecture) = Architecture::ALL.into_iter().find(|known| known.name() == name)
    else {
        return invalid(format!(
            "the architecture {name} is not supported; supported: {}",
            known()
        ));
    };
    if config.quantization_config.is_some() {
        return invalid(
            "the weights are quantized already (`quantization_config`); take the original ones, \
             they are quantized when they are loaded"
                .into(),
        );
    }
    if config.rope_scaling.is_some() && architecture != Architecture::Llama {
        // The library does not read it here: longer texts would come out as noise.
        return invalid(format!(
            "`rope_scaling` is not supported for {name}; remove it to use the \
            model within its original context"
        ));
    }
    let windows = [
        ("max_window_layers", &config.max_window_layers),
        ("use_sliding_window", &config.use_sliding_window),
    ];
    for (field, value) in windows {
        if architecture == Architecture::Qwen3 && value.is_none() {
            return invalid(format!("`{field}` is missing, which {name} needs"));
        }
    }
    if config.hidden_act != "silu" {
        return invalid(format!("`hidden_act` is {}; only silu is supported", config.hidden_act));
    }
    for (field, value) in [("rope_theta", config.rope_theta), ("rms_norm_eps", config.rms_norm_eps)]
    {
        if !(value.is_finite() && value > 0.0) {
            return invalid(format!("`{field}` is {value}; it must be above 0"));
        }
    }
    let heads = config.num_attention_heads;
    let even = config.hidden_size.checked_div(heads).unwrap_or_default();
    let head = config.head_dim.unwrap_or(even);
    let shape = Shape {
        architecture,
        vocabulary: config.vocab_size,
        hidden: config.hidden_size,
        intermediate: config.intermediate_size,
        layers: config.num_hidden_layers,
        heads,
        kv_heads: config.num_key_value_heads,
        head,
        context: config.max_position_embeddings,
        tied: config.tie_word_embeddings,
    };
    shape.sound(&NAMES).map_err(|problem| BadFile::invalid(path, problem))?;
    if head * heads != config.hidden_size {
        match config.head_dim {
            Some(_) if architecture == Architecture::Qwen3 => {}
            Some(_) => {
                return invalid(format!(
                    "`head_dim` is {head}; for {name} it must be `hidden_size` / `num_attention_heads`"
                ));
            }
            None => {
                return invalid("`hidden_size` is not a multiple of `num_attention_heads`".into());
            }
        }
    }
    Ok(shape)
}

/// How a format names the sizes of a model.
pub(super) struct Names {
    pub(super) vocabulary: &'static str,
    pub(super) hidden: &'static str,
    pub(super) intermediate: &'static str,
    pub(super) layers: &'static str,
    pub(super) heads: &'static str,
    pub(super) kv_heads: &'static str,
    pub(super) head: &'static str,
    pub(super) context: &'static str,
}

const NAMES: Names = Names {
    vocabulary: "vocab_size",
    hidden: "hidden_size",
    intermediate: "intermediate_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    kv_heads: "num_key_value_heads",
    head: "head_dim",
    context: "max_position_embeddings",
};

impl Shape {
    /// Whether there can be such a model, and the library computes with it.
    pub(super) fn sound(&self, names: &Names) -> Result<(), String> {
        let sides = [
            (names.vocabulary, self.vocabulary, MAX_SIDE),
            (names.hidden, self.hidden, MAX_SIDE),
            (names.intermediate, self.intermediate, MAX_SIDE),
            (names.layers, self.layers, MAX_LAYERS),
            (names.heads, self.heads, MAX_SIDE),
            (names.kv_heads, self.kv_heads, MAX_SIDE),
            (names.head, self.head, MAX_SIDE),
            (names.context, self.context, MAX_CONTEXT),
        ];
        for (field, value, most) in sides {
            if value == 0 || value > most {
                return Err(format!("`{field}` is {value}; it must be between 1 and {most}"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!(
                "`{}` ({}) is not a multiple of `{}` ({})",
                names.heads, self.heads, names.kv_heads, self.kv_heads
            ));
        }
        if !self.head.is_multiple_of(2) {
            return Err(format!("the width of a head is {}; it must be even", self.head));
        }
        if !self.context.is_multiple_of(512) {
            return Err(format!(
                "`{}` is {}; it must be a multiple of 512: lower it to {}",
                names.context,
                self.context,
                (self.context / 512).max(1) * 512
            ));
        }
        Ok(())
    }

    /// The tensors that such a model must have, with their shapes.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<u64>)> {
        let mut tensors = vec![
            ("model.embed_tokens.weight".to_owned(), vec![self.vocabulary, self.hidden]),
            ("model.norm.weight".to_owned(), vec![self.hidden]),
        ];
        if !self.tied {
            tensors.push(("lm_head.weight".to_owned(), vec![self.vocabulary, self.hidden]));
        }
        for layer in 0..self.layers {
            let at = |name: &str| format!("model.layers.{layer}.{name}");
            for (name, out, inner) in self.linears() {
                tensors.push((at(&format!("{name}.weight")), vec![out, inner]));
            }
            for name in ["input_layernorm", "post_attention_layernorm"] {
                tensors.push((at(&format!("{name}.weight")), vec![self.hidden]));
            }
            match self.architecture {
                Architecture::Llama => {}
                Architecture::Qwen2 => {
                    for (name, out, _) in self.linears().into_iter().take(3) {
                        tensors.push((at(&format!("{name}.bias")), vec![out]));
                    }
                }
                Architecture::Qwen3 => {
                    for name in ["self_attn.q_norm.weight", "self_attn.k_norm.weight"] {
                        tensors.push((at(name), vec![self.head]));
                    }
                }
            }
        }
        tensors
    }

    /// The linear layers inside a layer: name, width of the output, width of the input. Queries, keys
    /// and values come first. These are quantized, and these an adapter can change.
    pub fn linears(&self) -> [(&'static str, u64, u64); 7] {
        let (queries, keys) = (self.heads * self.head, self.kv_heads * self.head);
        [
            ("self_attn.q_proj", queries, self.hidden),
            ("self_attn.k_proj", keys, self.hidden),
            ("self_attn.v_proj", keys, self.hidden),
            ("self_attn.o_proj", self.hidden, queries),
            ("mlp.gate_proj", self.intermediate, self.hidden),
            ("mlp.up_proj", self.intermediate, self.hidden),
            ("mlp.down_proj", self.hidden, self.intermediate),
        ]
    }
}
