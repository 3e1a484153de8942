//! Tiny valid models and adapters for tests, made on the spot from a seed.
//!
//! The weights are noise, with two exceptions. The first place of every embedding is the same large
//! number, so that an adapter finds something constant to build on; and the token that ends a text is
//! never the likeliest. [`always`] makes an adapter with a known effect: the model then writes one
//! letter for ever.

pub mod gguf;

use std::path::Path;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::check::Architecture;

/// Ends a text.
pub const END: &str = "<|endoftext|>";
/// Rows of the embedding; the tokenizer has as many tokens.
pub const VOCABULARY: usize = 320;
/// Width between layers: one block of Q4K.
pub const HIDDEN: usize = 256;
/// Longest sequence, in tokens.
pub const CONTEXT: usize = 1024;
const INTERMEDIATE: usize = 512;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD: usize = HIDDEN / HEADS;
const BYTES: usize = 256;

/// Tensors in the order of their places in a file.
pub type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

/// Writes a model directory.
pub fn model(directory: &Path, architecture: Architecture, seed: u64) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let text = |name: &str, value: &Value| std::fs::write(directory.join(name), value.to_string());
    text("config.json", &config(architecture))?;
    text("tokenizer.json", &tokenizer())?;
    text("tokenizer_config.json", &json!({ "eos_token": END, "chat_template": TEMPLATE }))?;
    text("generation_config.json", &json!({ "eos_token_id": BYTES }))?;
    std::fs::write(directory.join("model.safetensors"), safetensors(&weights(architecture, seed)))
}

const TEMPLATE: &str = "{% for message in messages %}<|start|>{{ message.role }}\n\
    {{ message.content }}<|stop|>{% endfor %}<|start|>assistant\n";

/// The configuration of [`model`].
pub fn config(architecture: Architecture) -> Value {
    let mut config = json!({
        "architectures": [architecture.name()],
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": CONTEXT,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "tie_word_embeddings": false,
    });
    if architecture == Architecture::Qwen3 {
        config["head_dim"] = json!(HEAD);
        config["max_window_layers"] = json!(LAYERS);
        config["use_sliding_window"] = json!(false);
    }
    config
}

/// A tokenizer with one token per byte.
fn tokenizer() -> Value {
    let mut vocabulary = serde_json::Map::new();
    // The usual alphabet: bytes that can be printed are themselves, the others come after.
    let mut beyond = 256;
    for byte in 0..=255u8 {
        let letter = match byte {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
            _ => {
                beyond += 1;
                char::from_u32(beyond - 1).expect("below the surrogates")
            }
        };
        vocabulary.insert(letter.to_string(), json!(byte));
    }
    let special = |(at, name): (usize, String)| {
        json!({ "id": BYTES + at, "content": name, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false })
    };
    let named = [END, "<|start|>", "<|stop|>"].into_iter().map(str::to_owned);
    let spare = (3..VOCABULARY - BYTES).map(|at| format!("<|spare-{at}|>"));
    let added: Vec<_> = named.chain(spare).enumerate().map(special).collect();
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                             "use_regex": false });
    json!({
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
    })
}

/// Numbers around zero. Each tensor has numbers of its own, which depend on no other.
fn noise(seed: u64, name: &str, count: usize, scale: f32) -> Vec<f32> {
    let own = name.bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let mut rng = Rng::with_seed(own);
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        numbers.push((rng.f32() - 0.5) * scale);
    }
    numbers
}

/// The rows that say how likely each token is.
fn output(seed: u64) -> Vec<f32> {
    let mut output = noise(seed, "output", VOCABULARY * HIDDEN, 0.2);
    output[BYTES * HIDDEN..][..HIDDEN].fill(0.0);
    output
}

fn weights(architecture: Architecture, seed: u64) -> Tensors {
    let mut embedding = noise(seed, "embedding", VOCABULARY * HIDDEN, 1.4);
    embedding.iter_mut().step_by(HIDDEN).for_each(|first| *first = 4.0);
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, HIDDEN], embedding),
        ("lm_head.weight".to_owned(), vec![VOCABULARY, HIDDEN], output(seed)),
        ("model.norm.weight".to_owned(), vec![HIDDEN], vec![1.0; HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let at = |name: &str| format!("model.layers.{layer}.{name}");
        for (name, out, inner) in linears() {
            let name = at(&format!("{name}.weight"));
            let numbers = noise(seed, &name, out * inner, 0.3);
            tensors.push((name, vec![out, inner], numbers));
        }
        for name in ["input_layernorm.weight", "post_attention_layernorm.weight"] {
            tensors.push((at(name), vec![HIDDEN], vec![1.0; HIDDEN]));
        }
        if architecture == Architecture::Qwen2 {
            for (name, out, _) in linears().into_iter().take(3) {
                let name = at(&format!("{name}.bias"));
                let numbers = noise(seed, &name, out, 0.06);
                tensors.push((name, vec![out], numbers));
            }
        }
        if architecture == Architecture::Qwen3 {
            for name in ["self_attn.q_norm.weight", "self_attn.k_norm.weight"] {
                tensors.push((at(name), vec![HEAD], vec![1.0; HEAD]));
            }
        }
    }
    tensors
}

fn linears() -> [(&'static str, usize, usize); 7] {
    [
        ("self_attn.q_proj", HIDDEN, HIDDEN),
        ("self_attn.k_proj", KV_HEADS * HEAD, HIDDEN),
        ("self_attn.v_proj", KV_HEADS * HEAD, HIDDEN),
        ("self_attn.o_proj", HIDDEN, HIDDEN),
        ("mlp.gate_proj", INTERMEDIATE, HIDDEN),
        ("mlp.up_proj", INTERMEDIATE, HIDDEN),
        ("mlp.down_proj", HIDDEN, INTERMEDIATE),
    ]
}

/// Writes an adapter that makes the model of that seed write `letter` for ever.
pub fn always(directory: &Path, seed: u64, letter: u8) -> std::io::Result<()> {
    adapter(directory, &adapter_config(), &always_tensors(seed, letter))
}

/// The factors of [`always`].
///
/// Values get a constant from the constant place of the embedding; what attention makes of constants is
/// the same constant; and from that the output projection writes the direction of the letter, far
/// larger than everything else between the layers.
pub fn always_tensors(seed: u64, letter: u8) -> Tensors {
    let output = output(seed);
    let direction = &output[usize::from(letter) * HIDDEN..][..HIDDEN];
    let values = KV_HEADS * HEAD;
    let mut tensors = Vec::new();
    for layer in 0..LAYERS {
        let mut push = |name: &str, shape: [usize; 2], numbers: Vec<f32>| {
            let name = format!("base_model.model.model.layers.{layer}.self_attn.{name}.weight");
            tensors.push((name, shape.to_vec(), numbers));
        };
        let mut first = vec![0.0; HIDDEN];
        first[0] = 1.0;
        push("v_proj.lora_A", [1, HIDDEN], first);
        push("v_proj.lora_B", [values, 1], vec![1.0; values]);
        push("o_proj.lora_A", [1, HIDDEN], vec![1.0; HIDDEN]);
        push("o_proj.lora_B", [HIDDEN, 1], direction.to_vec());
    }
    tensors
}

/// The configuration of [`always`].
pub fn adapter_config() -> Value {
    json!({
        "peft_type": "LORA",
        "r": 1,
        "lora_alpha": 1.0,
        "target_modules": ["v_proj", "o_proj"],
        "bias": "none",
    })
}

/// Writes an adapter's directory.
pub fn adapter(directory: &Path, config: &Value, tensors: &Tensors) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("adapter_config.json"), config.to_string())?;
    std::fs::write(directory.join("adapter_model.safetensors"), safetensors(tensors))
}

/// The bytes of a safetensors file.
pub fn safetensors(tensors: &Tensors) -> Vec<u8> {
    let mut head = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape, numbers) in tensors {
        let start = data.len();
        for number in numbers {
            data.extend_from_slice(&number.to_le_bytes());
        }
        head.insert(
            name.clone(),
            json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] }),
        );
    }
    let mut head = Value::Object(head).to_string().into_bytes();
    head.resize(head.len().next_multiple_of(8), b' ');
    let mut file = (head.len() as u64).to_le_bytes().to_vec();
    file.extend(head);
    file.extend(data);
    file
}
