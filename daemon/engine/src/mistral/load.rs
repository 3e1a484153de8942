//! A pipeline from files that were checked. Must run on a fresh thread.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;
use greenlit_protocol::engine::{EngineFailure, EngineFailureKind as Kind, Precision};
use greenlit_serving::check::{Adapter, ModelFiles};
use greenlit_serving::{Plan, failure};
use mistralrs_core::{
    AdapterPaths, DeviceMapSetting, IsqType, LocalModelPaths, LoraAdapterPaths, ModelDType,
    ModelPaths, NormalLoaderBuilder, NormalSpecificConfig, Pipeline,
};
use serde_json::json;
use tempfile::NamedTempFile;

pub(super) type SharedPipeline = Arc<tokio::sync::Mutex<dyn Pipeline + Send + Sync>>;

/// Loads and quantizes. Paths are given one by one: given a directory, the library would take any file
/// with `model` and `safetensors` in its name, and ask the hub for adapters even if they are here.
pub(super) fn pipeline(plan: &Plan, device: &Device) -> Result<SharedPipeline, EngineFailure> {
    let files = &plan.files;
    let name = files.directory.display().to_string();
    let builder = NormalLoaderBuilder::new(
        NormalSpecificConfig::default(),
        None,
        None,
        Some(name.clone()),
        false,
        None,
    );
    // No names: it only sets the kind of loader.
    let builder = if plan.adapter.is_some() { builder.with_lora(Vec::new()) } else { builder };
    let broken = |error: anyhow::Error| failure(Kind::Backend, format!("{name}: {error:#}"));
    let loader = builder.build(None).map_err(broken)?;
    // Read while it loads.
    let config = files.rewritten.as_deref().map(written).transpose().map_err(broken)?;
    let mut paths = paths(files, plan.adapter.as_ref()).map_err(broken)?;
    if let Some(config) = &config {
        config.path().clone_into(&mut paths.config_filename);
    }
    let paths: Box<dyn ModelPaths> = Box::new(paths);
    let numbers = if device.is_cpu() { ModelDType::F32 } else { ModelDType::Auto };
    loader
        .load_model_from_path(
            &paths,
            &numbers,
            device,
            true,
            DeviceMapSetting::dummy(),
            quantization(plan.precision),
            None,
        )
        .map_err(broken)
}

/// A configuration in a file of its own, which goes with it.
fn written(config: &str) -> anyhow::Result<NamedTempFile> {
    let file = NamedTempFile::with_suffix(".json")?;
    std::fs::write(file.path(), config)?;
    Ok(file)
}

fn paths(
    files: &ModelFiles,
    adapter: Option<&Adapter>,
) -> anyhow::Result<LocalModelPaths<PathBuf>> {
    let adapter_paths = match adapter {
        None => AdapterPaths::None,
        Some(adapter) => AdapterPaths::Lora(vec![LoraAdapterPaths {
            lora_config: serde_json::from_value(json!({
                "r": adapter.rank,
                "lora_alpha": adapter.alpha,
                "target_modules": adapter.targets,
            }))?,
            adapter_path: adapter.weights.clone(),
        }]),
    };
    Ok(LocalModelPaths {
        tokenizer_filename: files.tokenizer.clone(),
        config_filename: files.config.clone(),
        template_filename: files.template.clone(),
        filenames: files.weights.clone(),
        adapter_paths,
        gen_conf: files.generation.clone(),
        preprocessor_config: None,
        processor_config: None,
        chat_template_json_filename: None,
    })
}

fn quantization(precision: Precision) -> Option<IsqType> {
    match precision {
        Precision::Four => Some(IsqType::Q4K),
        Precision::Eight => Some(IsqType::Q8_0),
        Precision::Auto | Precision::Full => None,
    }
}
