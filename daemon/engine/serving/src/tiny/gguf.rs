//! The models of [`super::model`] as GGUF files: the same numbers, under the names of that format.

use std::path::Path;

use serde_json::Value;

use super::{BYTES, CONTEXT, HEAD, HEADS, HIDDEN, INTERMEDIATE, KV_HEADS, LAYERS, VOCABULARY};
use super::{TEMPLATE, Tensors, tokenizer, weights};
use crate::check::Architecture;

/// A value of a head.
#[derive(Debug, Clone)]
pub enum Field {
    /// A 32-bit number without sign.
    Count(u32),
    /// A 32-bit number with a point.
    Float(f32),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of 32-bit numbers with sign.
    Numbers(Vec<i32>),
}

/// Names and values, in the order of the file.
pub type Fields = Vec<(String, Field)>;

/// How the numbers of a matrix are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// As they are.
    F32,
    /// Blocks of 32 numbers of eight bits.
    Q8,
}

/// Writes a model file.
pub fn gguf(
    path: &Path,
    architecture: Architecture,
    seed: u64,
    numbers: Numbers,
) -> std::io::Result<()> {
    let tensors = tensors(architecture, seed);
    std::fs::write(path, file(&fields(architecture), &tensors, numbers))
}

/// The tokenizer of these models, to lie beside a file.
pub fn tokenizer_json() -> String {
    tokenizer().to_string()
}

/// The head of [`gguf`].
pub fn fields(architecture: Architecture) -> Fields {
    let name = match architecture {
        Architecture::Llama => "llama",
        Architecture::Qwen2 => "qwen2",
        Architecture::Qwen3 => "qwen3",
    };
    let mut fields = vec![("general.architecture".to_owned(), Field::Text(name.into()))];
    let counts = [
        ("block_count", LAYERS),
        ("context_length", CONTEXT),
        ("embedding_length", HIDDEN),
        ("feed_forward_length", INTERMEDIATE),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("attention.key_length", HEAD),
        ("attention.value_length", HEAD),
        ("rope.dimension_count", HEAD),
    ];
    let count = |value: usize| Field::Count(u32::try_from(value).expect("tiny"));
    fields.extend(counts.map(|(field, value)| (format!("{name}.{field}"), count(value))));
    let floats = [("rope.freq_base", 10_000.0), ("attention.layer_norm_rms_epsilon", 1e-6)];
    fields.extend(floats.map(|(field, value)| (format!("{name}.{field}"), Field::Float(value))));
    let tokens = tokens();
    let kinds = (0..tokens.len()).map(|id| if id < BYTES { 1 } else { 3 }).collect();
    let of_tokenizer = [
        ("model", Field::Text("gpt2".into())),
        ("pre", Field::Text("qwen2".into())),
        ("tokens", Field::Texts(tokens)),
        ("token_type", Field::Numbers(kinds)),
        ("merges", Field::Texts(Vec::new())),
        ("eos_token_id", count(BYTES)),
    ];
    fields.extend(of_tokenizer.map(|(field, value)| (format!("tokenizer.ggml.{field}"), value)));
    fields.push(("tokenizer.chat_template".to_owned(), Field::Text(TEMPLATE.into())));
    fields
}

fn tokens() -> Vec<String> {
    let mut tokens = vec![String::new(); VOCABULARY];
    let tokenizer = tokenizer();
    let mut put = |id: &Value, word: &str| {
        let id = id.as_u64().and_then(|id| usize::try_from(id).ok()).expect("an id");
        word.clone_into(&mut tokens[id]);
    };
    for (word, id) in tokenizer["model"]["vocab"].as_object().expect("words") {
        put(id, word);
    }
    for added in tokenizer["added_tokens"].as_array().expect("a list") {
        put(&added["id"], added["content"].as_str().expect("a word"));
    }
    tokens
}

/// The tensors of [`gguf`].
pub fn tensors(architecture: Architecture, seed: u64) -> Tensors {
    let renamed = |(name, shape, numbers): (String, Vec<usize>, Vec<f32>)| {
        let name = in_gguf(&name);
        let heads = match name.split('.').nth(2) {
            Some("attn_q") => HEADS,
            Some("attn_k") => KV_HEADS,
            _ => 0,
        };
        // In this format the two halves of each head of a Llama lie between each other.
        let numbers = match architecture {
            Architecture::Llama if heads > 0 => interleaved(&numbers, heads),
            _ => numbers,
        };
        (name, shape, numbers)
    };
    weights(architecture, seed).into_iter().map(renamed).collect()
}

fn in_gguf(name: &str) -> String {
    let whole = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("post_attention_layernorm", "ffn_norm"),
        ("input_layernorm", "attn_norm"),
    ];
    whole.into_iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// Rows of the second half of each head between those of the first.
fn interleaved(numbers: &[f32], heads: usize) -> Vec<f32> {
    let row = HIDDEN;
    let half = numbers.len() / row / heads / 2;
    let mut mixed = Vec::with_capacity(numbers.len());
    for head in 0..heads {
        for at in 0..half {
            for part in 0..2 {
                let from = (head * 2 * half + part * half + at) * row;
                mixed.extend_from_slice(&numbers[from..][..row]);
            }
        }
    }
    mixed
}

/// The bytes of a file.
pub fn file(fields: &Fields, tensors: &Tensors, numbers: Numbers) -> Vec<u8> {
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((fields.len() as u64).to_le_bytes());
    for (name, value) in fields {
        text(&mut file, name);
        field(&mut file, value);
    }
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        text(&mut file, name);
        file.extend(u32::try_from(shape.len()).expect("few").to_le_bytes());
        for side in shape.iter().rev() {
            file.extend((*side as u64).to_le_bytes());
        }
        data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
        let at = data.len() as u64;
        let kind: u32 = if numbers == Numbers::Q8 && shape.len() > 1 {
            values.chunks(32).for_each(|block| eight_bits(&mut data, block));
            8
        } else {
            values.iter().for_each(|value| data.extend(value.to_le_bytes()));
            0
        };
        file.extend(kind.to_le_bytes());
        file.extend(at.to_le_bytes());
    }
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    file.extend(data);
    file
}

const ALIGNMENT: usize = 32;

/// A block of `Q8_0`: a scale of 16 bits, and 32 numbers of eight.
fn eight_bits(data: &mut Vec<u8>, block: &[f32]) {
    let largest = block.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let scale = largest / 127.0;
    data.extend(half(scale).to_le_bytes());
    for value in block {
        #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
        let code = if scale > 0.0 { (value / scale).round() as i8 } else { 0 };
        data.push(code.cast_unsigned());
    }
}

/// The bits of a small positive number in 16 bits, rounded down.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = (bits >> 23).saturating_sub(127 - 15);
    if exponent == 0 || value <= 0.0 {
        return 0;
    }
    u16::try_from(exponent << 10 | (bits >> 13 & 0x3ff)).expect("a small number")
}

fn field(file: &mut Vec<u8>, value: &Field) {
    let kind = |file: &mut Vec<u8>, kind: u32| file.extend(kind.to_le_bytes());
    match value {
        Field::Count(value) => {
            kind(file, 4);
            file.extend(value.to_le_bytes());
        }
        Field::Float(value) => {
            kind(file, 6);
            file.extend(value.to_le_bytes());
        }
        Field::Text(value) => {
            kind(file, 8);
            text(file, value);
        }
        Field::Texts(texts) => {
            kind(file, 9);
            kind(file, 8);
            file.extend((texts.len() as u64).to_le_bytes());
            texts.iter().for_each(|value| text(file, value));
        }
        Field::Numbers(numbers) => {
            kind(file, 9);
            kind(file, 5);
            file.extend((numbers.len() as u64).to_le_bytes());
            numbers.iter().for_each(|value| file.extend(value.to_le_bytes()));
        }
    }
}

fn text(file: &mut Vec<u8>, value: &str) {
    file.extend((value.len() as u64).to_le_bytes());
    file.extend(value.bytes());
}
