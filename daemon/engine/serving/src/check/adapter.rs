//! A PEFT adapter, for a model. Everything that the library would ignore is refused by name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{BadFile, Format, ModelFiles, json, safetensors};

/// An adapter that fits its model.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// Its `adapter_model.safetensors`.
    pub weights: PathBuf,
    /// Its rank.
    pub rank: u64,
    /// What its product is multiplied with, times the rank.
    pub alpha: f64,
    /// Names of the linear layers that it changes, in order.
    pub targets: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    peft_type: String,
    r: u64,
    lora_alpha: f64,
    target_modules: Value,
    bias: Option<String>,
    init_lora_weights: Option<Value>,
    /// The other settings, of any version of PEFT.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Checks an adapter's directory against its model.
pub fn adapter(directory: &Path, model: &ModelFiles) -> Result<Adapter, BadFile> {
    let path = directory.join("adapter_config.json");
    let config: Config = json(
        &path,
        "an adapter is a PEFT directory with adapter_config.json and adapter_model.safetensors",
    )?;
    let invalid = |problem: String| BadFile::invalid(&path, problem);
    if matches!(model.format, Format::Gguf { .. }) {
        return Err(invalid(format!(
            "an adapter is merged into weights before they are quantized, and those of {} are already: add the \
             model's original weights (config.json, tokenizer.json and safetensors)",
            model.place.display()
        )));
    }
    if let Some(field) = ignored(&config) {
        return Err(invalid(format!(
            "`{field}` is not supported: the adapter would be applied without it; train it \
             without, or merge it into the weights"
        )));
    }
    if config.peft_type != "LORA" {
        return Err(invalid(format!(
            "`peft_type` is {}; only LORA is supported",
            config.peft_type
        )));
    }
    if config.r == 0 || config.r > model.shape.hidden {
        return Err(invalid(format!(
            "`r` is {}; it must be between 1 and {}",
            config.r, model.shape.hidden
        )));
    }
    if !config.lora_alpha.is_finite() {
        return Err(invalid("`lora_alpha` is not a number".into()));
    }
    let targets = targets(&config.target_modules, model).map_err(invalid)?;
    let adapter = Adapter {
        weights: directory.join("adapter_model.safetensors"),
        rank: config.r,
        alpha: config.lora_alpha,
        targets,
    };
    shapes(&adapter, model)?;
    Ok(adapter)
}

/// Settings of PEFT (up to 0.21) that change what an adapter does and that the library does not read.
const UNREAD: [&str; 17] = [
    "use_dora",
    "use_rslora",
    "use_qalora",
    "use_bdlora",
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "layers_to_transform",
    "layer_replication",
    "fan_in_fan_out",
    "lora_bias",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
];
/// Beginnings that change the weights below the adapter as well.
const CHANGED_BASE: [&str; 5] = ["pissa", "olora", "corda", "lora_ga", "loftq"];

/// A setting that the adapter would be applied without.
fn ignored(config: &Config) -> Option<&'static str> {
    let set = |name: &&&str| match config.rest.get(**name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    };
    let begun = config.init_lora_weights.as_ref().and_then(Value::as_str).unwrap_or_default();
    if let Some(name) = UNREAD.iter().find(set) {
        Some(name)
    } else if config.bias.as_deref().is_some_and(|bias| bias != "none") {
        Some("bias")
    } else if CHANGED_BASE.iter().any(|way| begun.starts_with(way)) {
        Some("init_lora_weights")
    } else {
        None
    }
}

/// The linear layers that are named, by the last part of their name.
fn targets(value: &Value, model: &ModelFiles) -> Result<Vec<String>, String> {
    let Value::Array(names) = value else {
        return Err("`target_modules` must be a list of names; a pattern or `all-linear` is not \
                    supported: write the names out"
            .into());
    };
    let known: Vec<&str> = model
        .shape
        .linears()
        .map(|(name, ..)| name.rsplit('.').next().expect("split has at least one part"))
        .to_vec();
    let mut targets = Vec::new();
    for name in names {
        let name = name.as_str().filter(|name| known.contains(name)).ok_or_else(|| {
            format!(
                "`target_modules` names {name}, which cannot be adapted; {} can",
                known.join(", ")
            )
        })?;
        targets.push(name.to_owned());
    }
    if targets.is_empty() {
        return Err("`target_modules` is empty".into());
    }
    targets.sort();
    targets.dedup();
    Ok(targets)
}

/// Whether there is exactly one pair of factors for each layer that the adapter names, of the right shapes.
fn shapes(adapter: &Adapter, model: &ModelFiles) -> Result<(), BadFile> {
    let path = &adapter.weights;
    let tensors =
        safetensors::tensors(path, "the adapter is not complete: convert or copy it again")?;
    let mut found: HashMap<&str, &Vec<u64>> = HashMap::new();
    for tensor in &tensors {
        let name = tensor.name.strip_prefix("base_model.model.").unwrap_or(&tensor.name);
        if found.insert(name, &tensor.shape).is_some() {
            return Err(BadFile::invalid(path, format!("{name} is there twice")));
        }
    }
    for layer in 0..model.shape.layers {
        for (linear, out, inner) in model.shape.linears() {
            if !adapter.targets.iter().any(|target| linear.ends_with(target.as_str())) {
                continue;
            }
            let sides = [("lora_A", [adapter.rank, inner]), ("lora_B", [out, adapter.rank])];
            for (factor, wanted) in sides {
                let name = format!("model.layers.{layer}.{linear}.{factor}.weight");
                match found.remove(name.as_str()) {
                    None => {
                        return Err(BadFile::invalid(
                            path,
                            format!("the tensor {name} is missing"),
                        ));
                    }
                    Some(is) if *is != wanted => {
                        return Err(BadFile::invalid(
                            path,
                            format!(
                                "{name} has shape {is:?}; rank {} and the model in {} ask for \
                                 {wanted:?}: the adapter is for another model",
                                adapter.rank,
                                model.place.display()
                            ),
                        ));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    match found.keys().min() {
        Some(name) => Err(BadFile::invalid(
            path,
            format!("{name} belongs to nothing that `target_modules` names in this model"),
        )),
        None => Ok(()),
    }
}
