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
    let sides = [
        ("vocab_size", config.vocab_size, MAX_SIDE),
        ("hidden_size", config.hidden_size, MAX_SIDE),
        ("intermediate_size", config.intermediate_size, MAX_SIDE),
        ("num_hidden_layers", config.num_hidden_layers, MAX_LAYERS),
        ("num_attention_heads", config.num_attention_heads, MAX_SIDE),
        ("num_key_value_heads", config.num_key_value_heads, MAX_SIDE),
        ("head_dim", config.head_dim.unwrap_or(1), MAX_SIDE),
        ("max_position_embeddings", config.max_position_embeddings, MAX_CONTEXT),
    ];
    for (field, value, most) in sides {
        if value == 0 || value > most {
            return invalid(format!("`{field}` is {value}; it must be between 1 and {most}"));
        }
    }
    for (field, value) in [("rope_theta", config.rope_theta), ("rms_norm_eps", config.rms_norm_eps)]
    {
        if !(value.is_finite() && value > 0.0) {
            return invalid(format!("`{field}` is {value}; it must be above 0"));
        }
    }
    if !config.num_attention_heads.is_multiple_of(config.num_key_value_heads) {
        return invalid(format!(
            "`num_attention_heads` ({}) is not a multiple of `num_key_value_heads` ({})",
            config.num_attention_heads, config.num_key_value_heads
        ));
    }
    let head = match config.head_dim {
        Some(head) if architecture == Architecture::Qwen3 => head,
        Some(head) if head * config.num_attention_heads != config.hidden_size => {
            return invalid(format!(
                "`head_dim` is {head}; for {name} it must be `hidden_size` / `num_attention_heads`"
            ));
        }
        _ if !config.hidden_size.is_multiple_of(config.num_attention_heads) => {
            return invalid("`hidden_size` is not a multiple of `num_attention_heads`".into());
        }
        _ => config.hidden_size / config.num_attention_heads,
    };
    if !head.is_multiple_of(2) {
        return invalid(format!("the width of a head is {head}; it must be even"));
    }
    if !config.max_position_embeddings.is_multiple_of(512) {
        return invalid(format!(
            "`max_position_embeddings` is {}; it must be a multiple of 512: lower it to {}",
            config.max_position_embeddings,
            (config.max_position_embeddings / 512).max(1) * 512
        ));
    }
    Ok(Shape {
        architecture,
        vocabulary: config.vocab_size,
        hidden: config.hidden_size,
        intermediate: config.intermediate_size,
        layers: config.num_hidden_layers,
        heads: config.num_attention_heads,
        kv_heads: config.num_key_value_heads,
        head,
        context: config.max_position_embeddings,
        tied: config.tie_word_embeddings,
    })
}

impl Shape {
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
