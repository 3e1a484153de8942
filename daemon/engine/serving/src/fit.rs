//! How much memory a model takes, and whether there is as much.

use greenlit_protocol::engine::Precision;

use crate::check::{Format, ModelFiles, Shape, Tensor};

/// An allowance, not measured: tokenizer, grammar tables, threads, and what the library holds besides
/// tensors.
const BASE: u64 = 128 << 20;
/// Which share of the memory found may be taken where nothing else is said: tests and editors run
/// beside it.
const SHARE: (u64, u64) = (7, 10);
/// Eight bits are taken where they need at most this share of the limit: they are slower, so they must
/// cost nothing else.
const EASILY: (u64, u64) = (2, 3);

/// What a model takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// How weights are kept; never [`Precision::Auto`].
    pub precision: Precision,
    /// Weights as they are kept.
    pub weights: u64,
    /// Keys and values of one sequence as long as the context.
    pub cache: u64,
    /// Besides: while loading, or while computing.
    pub working: u64,
}

impl Need {
    /// Everything together.
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.cache).saturating_add(self.working)
    }
}

/// A model that needs more memory than it may take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "needs {}: {} for weights ({}), {} for keys and values of {context} tokens, {} to work with; \
     it may take {}. {}",
    size(need.total()),
    size(need.weights),
    label(need.precision),
    size(need.cache),
    size(need.working),
    size(*limit),
    remedy(need, *limit)
)]
pub struct DoesNotFit {
    /// What it needs.
    pub need: Need,
    /// What it may take.
    pub limit: u64,
    /// For how long a sequence, in tokens.
    pub context: u64,
}

/// The most that may be taken of `free` bytes where nothing else is said.
pub fn share(free: u64) -> u64 {
    free / SHARE.1 * SHARE.0
}

/// Chooses how weights are kept, so that everything fits into `limit` bytes. Those that are quantized already stay
/// as they are.
pub fn choose(
    wanted: Precision,
    files: &ModelFiles,
    context: u64,
    limit: u64,
) -> Result<Need, DoesNotFit> {
    let ModelFiles { format, shape, tensors, .. } = files;
    let wanted = match format {
        Format::Safetensors(_) => wanted,
        Format::Gguf { .. } => Precision::Stored,
    };
    chosen(wanted, shape, tensors, context, limit)
}

fn chosen(
    wanted: Precision,
    shape: &Shape,
    tensors: &[Tensor],
    context: u64,
    limit: u64,
) -> Result<Need, DoesNotFit> {
    let need = |precision| need(precision, shape, tensors, context);
    let chosen = match wanted {
        Precision::Auto => {
            let eight = need(Precision::Eight);
            if eight.total() <= limit / EASILY.1 * EASILY.0 { eight } else { need(Precision::Four) }
        }
        named => need(named),
    };
    if chosen.total() > limit {
        return Err(DoesNotFit { need: chosen, limit, context });
    }
    Ok(chosen)
}

fn need(precision: Precision, shape: &Shape, tensors: &[Tensor], context: u64) -> Need {
    let kept = |tensor: &Tensor| match tensor.shape.last() {
        // The library widens the embedding, and keeps it as it is as well where it is the output.
        _ if precision == Precision::Stored && tensor.name == "token_embd.weight" => {
            tensor.elements() * 4 + if shape.tied { tensor.bytes } else { 0 }
        }
        _ if precision == Precision::Stored => tensor.bytes,
        Some(inner) if quantized(&tensor.name) => bytes(precision, tensor.elements(), *inner),
        _ => tensor.elements() * 4,
    };
    let weights = tensors.iter().map(kept).sum();
    let cache = [context, shape.layers, shape.kv_heads, shape.head, 2, 4]
        .into_iter()
        .fold(1, u64::saturating_mul);
    // Loading widens a few tensors at a time, and computing needs less than that. With three of the
    // widest a model of 1.5 billion weights comes out at 4.6 GB besides keys and values; 4.5 GB were seen.
    let wide = |tensor: &Tensor| match precision {
        Precision::Stored => tensor.bytes,
        _ => tensor.elements() * 4,
    };
    let widest = tensors.iter().map(wide).max().unwrap_or(0);
    let working = BASE + 3 * widest + shape.context * shape.head * 4;
    Need { precision, weights, cache, working }
}

/// The library quantizes linear layers, by name.
fn quantized(name: &str) -> bool {
    name.ends_with("_proj.weight") || name == "lm_head.weight"
}

/// What a matrix takes. Where a row does not divide into the blocks of a type, the library takes
/// another one.
fn bytes(precision: Precision, elements: u64, inner: u64) -> u64 {
    match precision {
        Precision::Auto | Precision::Full | Precision::Stored => elements * 4,
        Precision::Four if inner.is_multiple_of(256) => elements / 256 * 144,
        Precision::Four if inner.is_multiple_of(32) => elements / 32 * 20,
        Precision::Eight if inner.is_multiple_of(32) => elements / 32 * 34,
        Precision::Four | Precision::Eight => elements * 4,
    }
}

fn label(precision: Precision) -> &'static str {
    match precision {
        Precision::Auto => "any",
        Precision::Four => "4 bits",
        Precision::Eight => "8 bits",
        Precision::Full => "32 bits",
        Precision::Stored => "as in the file",
    }
}

fn remedy(need: &Need, limit: u64) -> &'static str {
    if need.total() - need.cache <= limit {
        "Set a smaller context"
    } else if matches!(need.precision, Precision::Four | Precision::Stored) {
        "Take a smaller model, or free memory"
    } else {
        "Set 4 bits, take a smaller model, or free memory"
    }
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib >= 0.95 { format!("{gib:.1} GiB") } else { format!("{} MiB", bytes.div_ceil(1 << 20)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Architecture;

    fn shape(context: u64) -> Shape {
        Shape {
            architecture: Architecture::Qwen2,
            vocabulary: 1024,
            hidden: 256,
            intermediate: 512,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head: 64,
            context,
            tied: true,
        }
    }

    fn tensors(side: u64) -> Vec<Tensor> {
        let tensor = |name: &str| Tensor { name: name.into(), shape: vec![side, side], bytes: 0 };
        vec![tensor("model.layers.0.mlp.up_proj.weight"), tensor("model.embed_tokens.weight")]
    }

    #[test]
    fn quantized_matrices_take_the_bytes_of_their_blocks() {
        let need = |precision, side| need(precision, &shape(512), &tensors(side), 512).weights;
        let embedding = 256 * 256 * 4;
        assert_eq!(need(Precision::Four, 256), 256 * 144 + embedding);
        assert_eq!(need(Precision::Eight, 256), 256 * 8 * 34 + embedding);
        assert_eq!(need(Precision::Full, 256), 2 * embedding);
        // Rows of 288: four bits with other blocks. Rows of 250: not quantized.
        assert_eq!(need(Precision::Four, 288), 288 * 9 * 20 + 288 * 288 * 4);
        assert_eq!(need(Precision::Four, 250), 2 * 250 * 250 * 4);
    }

    #[test]
    fn what_is_quantized_already_takes_what_it_takes_in_its_file_but_for_the_embedding() {
        let tensor =
            |name: &str| Tensor { name: name.into(), shape: vec![256, 256], bytes: 36_864 };
        let tensors = [tensor("blk.0.ffn_up.weight"), tensor("token_embd.weight")];
        let weights = |shape: &Shape| need(Precision::Stored, shape, &tensors, 512).weights;
        assert_eq!(weights(&shape(512)), 36_864 + 256 * 256 * 4 + 36_864);
        assert_eq!(weights(&Shape { tied: false, ..shape(512) }), 36_864 + 256 * 256 * 4);
    }

    #[test]
    fn keys_and_values_grow_with_the_context() {
        let need = need(Precision::Four, &shape(4096), &tensors(256), 4096);
        assert_eq!(need.cache, 4096 * 2 * 2 * 64 * 2 * 4);
    }

    #[test]
    fn eight_bits_are_taken_where_they_fit_easily_and_four_where_they_fit_at_all() {
        let tensors = tensors(8192);
        let choose = |limit| chosen(Precision::Auto, &shape(512), &tensors, 512, limit);
        assert_eq!(choose(64 << 30).unwrap().precision, Precision::Eight);
        let four = need(Precision::Four, &shape(512), &tensors, 512).total();
        assert_eq!(choose(four).unwrap().precision, Precision::Four);
        assert_eq!(choose(four - 1).unwrap_err().need.total(), four);
        let refused = choose(four / 2).unwrap_err();
        assert!(refused.to_string().contains("Take a smaller model"), "{refused}");
    }

    #[test]
    fn a_context_that_is_too_long_is_named_as_the_reason() {
        let refused = chosen(Precision::Eight, &shape(1 << 22), &tensors(256), 1 << 22, 2 << 30);
        assert!(refused.unwrap_err().to_string().contains("Set a smaller context"));
    }
}
