//! A pipeline from files that were checked. Must run on a fresh thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use greenlit_protocol::engine::{EngineFailure, EngineFailureKind as Kind, Precision};
use greenlit_serving::check::{Adapter, Beside, Format};
use greenlit_serving::keep::Place;
use greenlit_serving::{Plan, failure};
use mistralrs_core::{
    AdapterPaths, DeviceMapSetting, GGUFLoaderBuilder, GGUFSpecificConfig, IsqType,
    LocalModelPaths, LoraAdapterPaths, ModelDType, ModelPaths, NormalLoaderBuilder,
    NormalSpecificConfig, Pipeline, TokenSource,
};
use serde_json::json;
use tempfile::NamedTempFile;

pub(super) type SharedPipeline = Arc<tokio::sync::Mutex<dyn Pipeline + Send + Sync>>;

/// Reads quantized weights where they were kept; else loads, quantizes, and keeps them for the next time.
/// Whatever is wrong with that costs time and no model.
pub(super) fn pipeline(
    plan: &Plan,
    device: &Device,
    library: &str,
) -> Result<SharedPipeline, EngineFailure> {
    let beside = match &plan.files.format {
        Format::Safetensors(beside) => beside,
        Format::Gguf { tokenizer, ends } => {
            return from_gguf(plan, tokenizer.as_deref(), ends, device);
        }
    };
    let place = plan.keep.as_ref();
    let place = place.and_then(|keep| Place::of(keep, plan.precision, &plan.adapters, library));
    let Some(place) = place else { return from_files(plan, beside, device, None) };
    if let Some(kept) = place.find() {
        match apart(|| from_kept(&kept, device)) {
            Ok(pipeline) => return Ok(pipeline),
            Err(error) => {
                tracing::warn!(error = error.message, "kept weights are of no use");
                place.discard();
            }
        }
    }
    // They are in memory twice while they are written, beside what is read at once.
    let room = greenlit_serving::free() > plan.weights.saturating_mul(5) / 2;
    if let Some(unfinished) = room.then(|| place.begin(plan.weights)).flatten() {
        match apart(|| from_files(plan, beside, device, Some(&unfinished))) {
            Ok(pipeline) => {
                if let Err(error) = with_settings(beside, &unfinished).and_then(|()| place.finish())
                {
                    tracing::warn!(%error, "quantized weights are not kept");
                    place.abandon();
                }
                return Ok(pipeline);
            }
            Err(error) => {
                tracing::warn!(error = error.message, "loaded again without keeping weights");
                place.abandon();
            }
        }
    }
    from_files(plan, beside, device, None)
}

/// The library writes a template that has a file of its own, and forgets what it reads beside it: which the
/// special tokens are.
fn with_settings(beside: &Beside, kept: &Path) -> std::io::Result<()> {
    let Some(settings) = &beside.tokenizer_config else { return Ok(()) };
    let copy = kept.join("tokenizer_config.json");
    if !copy.exists() {
        std::fs::copy(settings, copy)?;
    }
    Ok(())
}

/// On a thread of its own: what the library keeps per thread goes with it, so another attempt is as good as
/// the first.
fn apart<T: Send>(
    work: impl FnOnce() -> Result<T, EngineFailure> + Send,
) -> Result<T, EngineFailure> {
    std::thread::scope(|scope| {
        let joined = scope.spawn(work).join();
        joined.unwrap_or_else(|_| Err(failure(Kind::Backend, "the inference library gave up")))
    })
}

/// What [`from_files`] wrote. Merged adapters are in it: it is a plain model.
fn from_kept(directory: &Path, device: &Device) -> Result<SharedPipeline, EngineFailure> {
    let name = directory.display().to_string();
    let broken = |error: anyhow::Error| failure(Kind::Backend, format!("{name}: {error:#}"));
    let entries = std::fs::read_dir(directory).map_err(|error| broken(error.into()))?;
    let names = entries.flatten().map(|entry| PathBuf::from(entry.file_name()));
    let mut parts: Vec<_> =
        names.filter(|name| name.extension().is_some_and(|end| end == "uqff")).collect();
    parts.sort();
    let specific = NormalSpecificConfig { from_uqff: Some(parts), ..Default::default() };
    let builder = NormalLoaderBuilder::new(specific, None, None, Some(name.clone()), false, None);
    let loader = builder.build(None).map_err(broken)?;
    // The only way that reads such files. Everything that it looks for is in the directory, which it finds
    // to be one: it asks no hub.
    loader
        .load_model_from_hf(
            None,
            TokenSource::None,
            &numbers(device),
            device,
            true,
            DeviceMapSetting::dummy(),
            None,
            None,
        )
        .map_err(broken)
}

fn numbers(device: &Device) -> ModelDType {
    if device.is_cpu() { ModelDType::F32 } else { ModelDType::Auto }
}

/// Loads and quantizes; what comes out is written to a directory as well where there is one. Paths are given one by
/// one: given a directory, the library would take any file with `model` and `safetensors` in its name, and
/// ask the hub for adapters even if they are here.
fn from_files(
    plan: &Plan,
    beside: &Beside,
    device: &Device,
    write: Option<&Path>,
) -> Result<SharedPipeline, EngineFailure> {
    let name = plan.files.place.display().to_string();
    let specific = NormalSpecificConfig {
        write_uqff: write.map(|directory| directory.join("model.uqff")),
        ..Default::default()
    };
    let builder = NormalLoaderBuilder::new(specific, None, None, Some(name.clone()), false, None);
    // No names: it only sets the kind of loader.
    let builder = if plan.adapters.is_empty() { builder } else { builder.with_lora(Vec::new()) };
    let broken = |error: anyhow::Error| failure(Kind::Backend, format!("{name}: {error:#}"));
    let loader = builder.build(None).map_err(broken)?;
    // Read while it loads.
    let config = beside.rewritten.as_deref().map(written).transpose().map_err(broken)?;
    let mut paths = paths(&plan.files.weights, beside, &plan.adapters).map_err(broken)?;
    if let Some(config) = &config {
        config.path().clone_into(&mut paths.config_filename);
    }
    let paths: Box<dyn ModelPaths> = Box::new(paths);
    loader
        .load_model_from_path(
            &paths,
            &numbers(device),
            device,
            true,
            DeviceMapSetting::dummy(),
            quantization(plan.precision),
            None,
        )
        .map_err(broken)
}

/// Reads a file with everything in it, quantized already.
fn from_gguf(
    plan: &Plan,
    tokenizer: Option<&Path>,
    ends: &[u64],
    device: &Device,
) -> Result<SharedPipeline, EngineFailure> {
    let name = plan.files.place.display().to_string();
    let broken = |error: anyhow::Error| failure(Kind::Backend, format!("{name}: {error:#}"));
    let file_names = plan.files.weights.iter().map(|path| path.display().to_string()).collect();
    let specific = GGUFSpecificConfig::default();
    let builder =
        GGUFLoaderBuilder::new(None, None, name.clone(), file_names, specific, false, None);
    let loader = builder.build();
    // Of the tokens that end a text the library takes one from the file, and none if the tokenizer is beside it.
    let generation = written(&json!({ "eos_token_id": ends }).to_string()).map_err(broken)?;
    let paths: Box<dyn ModelPaths> = Box::new(LocalModelPaths {
        // With an empty path it takes the tokenizer in the file.
        tokenizer_filename: tokenizer.map(Path::to_path_buf).unwrap_or_default(),
        config_filename: PathBuf::new(),
        template_filename: None,
        filenames: plan.files.weights.clone(),
        adapter_paths: AdapterPaths::None,
        gen_conf: Some(generation.path().to_owned()),
        preprocessor_config: None,
        processor_config: None,
        chat_template_json_filename: None,
    });
    let mapper = DeviceMapSetting::dummy();
    loader
        .load_model_from_path(&paths, &numbers(device), device, true, mapper, None, None)
        .map_err(broken)
}

/// A configuration in a file of its own, which goes with it.
fn written(config: &str) -> anyhow::Result<NamedTempFile> {
    let file = NamedTempFile::with_suffix(".json")?;
    std::fs::write(file.path(), config)?;
    Ok(file)
}

fn paths(
    weights: &[PathBuf],
    beside: &Beside,
    adapters: &[Adapter],
) -> anyhow::Result<LocalModelPaths<PathBuf>> {
    let one = |adapter: &Adapter| -> anyhow::Result<LoraAdapterPaths> {
        Ok(LoraAdapterPaths {
            lora_config: serde_json::from_value(json!({
                "r": adapter.rank,
                "lora_alpha": adapter.alpha,
                "target_modules": adapter.targets,
            }))?,
            adapter_path: adapter.weights.clone(),
        })
    };
    let adapter_paths = match adapters {
        [] => AdapterPaths::None,
        // Merged one after the other.
        adapters => AdapterPaths::Lora(adapters.iter().map(one).collect::<Result<_, _>>()?),
    };
    Ok(LocalModelPaths {
        tokenizer_filename: beside.tokenizer.clone(),
        config_filename: beside.config.clone(),
        template_filename: beside.template.clone(),
        filenames: weights.to_vec(),
        adapter_paths,
        gen_conf: beside.generation.clone(),
        preprocessor_config: None,
        processor_config: None,
        chat_template_json_filename: None,
    })
}

fn quantization(precision: Precision) -> Option<IsqType> {
    match precision {
        Precision::Four => Some(IsqType::Q4K),
        Precision::Eight => Some(IsqType::Q8_0),
        Precision::Auto | Precision::Full | Precision::Stored => None,
    }
}
