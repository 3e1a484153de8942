//! Directories that must be refused, each by the name of the file and what is wrong with it.

use std::path::{Path, PathBuf};

use greenlit_serving::check::{self, Architecture, Format};
use greenlit_serving::tiny::{self, Tensors};
use serde_json::{Value, json};

use crate::script::SEED;

fn model() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    tiny::model(&path, Architecture::Qwen2, SEED).unwrap();
    (dir, path)
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

/// What is said of a model after a change to it.
#[track_caller]
fn refused(change: impl FnOnce(&Path), words: &[&str]) {
    let (_dir, path) = model();
    change(&path);
    let message = check::model(&path).unwrap_err().to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[track_caller]
fn config_refused(change: impl FnOnce(&mut Value), word: &str) {
    refused(|path| edit(&path.join("config.json"), change), &["config.json", word]);
}

#[test]
fn models_of_every_architecture_are_accepted() {
    for architecture in Architecture::ALL {
        let dir = tempfile::tempdir().unwrap();
        tiny::model(dir.path(), architecture, SEED).unwrap();
        let files = check::model(dir.path()).unwrap();
        assert_eq!(files.shape.architecture, architecture);
        assert_eq!(files.shape.context, 1024);
    }
}

#[test]
fn configurations_of_newer_versions_are_read_in_older_words() {
    let newer = |config: &mut Value, more: Value| {
        let mut rope = json!({ "rope_theta": 10000.0, "rope_type": "default" });
        rope.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config["rope_parameters"] = rope;
        config.as_object_mut().unwrap().remove("rope_theta");
    };
    let (_dir, path) = model();
    let rewritten = || match check::model(&path).unwrap().format {
        Format::Safetensors(beside) => beside.rewritten,
        Format::Gguf { .. } => panic!("a directory"),
    };
    assert_eq!(rewritten(), None);
    edit(&path.join("config.json"), |config| newer(config, json!({})));
    let written: Value = serde_json::from_str(&rewritten().unwrap()).unwrap();
    assert_eq!((&written["rope_theta"], &written["rope_scaling"]), (&json!(10000.0), &Value::Null));
    // What the library does not read is refused in these words too.
    let scaled = json!({ "rope_type": "yarn", "factor": 4.0 });
    config_refused(|config| newer(config, scaled), "`rope_scaling`");
    config_refused(
        |config| drop(config.as_object_mut().unwrap().remove("rope_theta")),
        "rope_theta",
    );
}

#[test]
fn weights_in_parts_are_accepted_when_all_are_there() {
    let (_dir, path) = model();
    let whole = path.join("model.safetensors");
    std::fs::rename(&whole, path.join("model-00001-of-00002.safetensors")).unwrap();
    let message = check::model(&path).unwrap_err().to_string();
    assert!(message.contains("model-00002-of-00002.safetensors is missing"), "{message}");
    let empty = tiny::safetensors(&Vec::new());
    std::fs::write(path.join("model-00002-of-00002.safetensors"), empty).unwrap();
    assert_eq!(check::model(&path).unwrap().weights.len(), 2);
}

#[test]
fn missing_files_are_named() {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        refused(|path| std::fs::remove_file(path.join(name)).unwrap(), &[name, "is missing"]);
    }
    refused(|path| std::fs::remove_dir_all(path).unwrap(), &["model is missing"]);
}

#[test]
fn a_directory_in_place_of_a_file_is_refused() {
    refused(
        |path| {
            std::fs::remove_file(path.join("tokenizer.json")).unwrap();
            std::fs::create_dir(path.join("tokenizer.json")).unwrap();
        },
        &["tokenizer.json", "is not a regular file"],
    );
}

#[test]
fn truncated_weights_are_refused_wherever_they_end() {
    let (_dir, path) = model();
    let file = path.join("model.safetensors");
    let whole = std::fs::read(&file).unwrap();
    for length in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let message = check::model(&path).unwrap_err().to_string();
        assert!(message.contains("model.safetensors"), "{message}");
        assert!(message.contains("truncated"), "{length}: {message}");
    }
    std::fs::write(&file, [whole.as_slice(), b"more"].concat()).unwrap();
    assert!(check::model(&path).unwrap_err().to_string().contains("is too long"));
}

#[test]
fn heads_that_lie_are_refused() {
    let lie = |head: Value| {
        move |path: &Path| {
            let head = head.to_string();
            let file = [&(head.len() as u64).to_le_bytes()[..], head.as_bytes(), &[0; 16]].concat();
            std::fs::write(path.join("model.safetensors"), file).unwrap();
        }
    };
    let tensor = |dtype: &str, shape: Value, offsets: Value| json!({ "x": { "dtype": dtype, "shape": shape, "data_offsets": offsets } });
    refused(lie(tensor("F32", json!([5]), json!([0, 16]))), &["has a damaged head"]);
    refused(lie(tensor("F32", json!([2]), json!([8, 16]))), &["no tensor begins at byte 0"]);
    refused(lie(tensor("F32", json!([4]), json!([16, 0]))), &["has a damaged head"]);
    refused(
        lie(tensor("F32", json!([1_u64 << 40, 1_u64 << 40]), json!([0, 16]))),
        &["has a damaged head"],
    );
    refused(lie(tensor("U8", json!([16]), json!([0, 16]))), &["not quantized"]);
    refused(lie(json!({ "x": 1 })), &["has a damaged head"]);
    refused(lie(json!([])), &["has a damaged head"]);
}

#[test]
fn a_head_longer_than_any_is_refused_unread() {
    refused(
        |path| std::fs::write(path.join("model.safetensors"), [0xFF; 64]).unwrap(),
        &["is no safetensors file"],
    );
}

#[test]
fn weights_that_the_configuration_does_not_mean_are_refused() {
    config_or_weights("num_hidden_layers", json!(3), "model.layers.2.self_attn.q_proj.weight");
    config_or_weights("intermediate_size", json!(768), "has shape [512, 256]");
    config_or_weights("num_key_value_heads", json!(4), "k_proj");
}

#[track_caller]
fn config_or_weights(field: &str, value: Value, word: &str) {
    let change = |path: &Path| edit(&path.join("config.json"), |config| config[field] = value);
    refused(change, &["model.safetensors", word]);
}

#[test]
fn absurd_configurations_are_refused() {
    config_refused(|config| config["hidden_size"] = json!(0), "`hidden_size` is 0");
    config_refused(
        |config| config["num_hidden_layers"] = json!(1_u64 << 60),
        "`num_hidden_layers`",
    );
    config_refused(|config| config["vocab_size"] = json!(-1), "is not valid");
    config_refused(|config| config["num_key_value_heads"] = json!(3), "not a multiple");
    config_refused(|config| config["num_attention_heads"] = json!(3), "multiple of");
    config_refused(|config| config["rope_theta"] = json!(0.0), "`rope_theta`");
    config_refused(|config| config["hidden_act"] = json!("gelu"), "only silu");
    config_refused(|config| config["max_position_embeddings"] = json!(1000), "multiple of 512");
    config_refused(|config| *config = json!("nothing"), "is not valid");
}

#[test]
fn what_the_library_would_ignore_or_not_know_is_refused() {
    config_refused(
        |config| config["architectures"] = json!(["MambaForCausalLM"]),
        "is not supported",
    );
    config_refused(|config| config["architectures"] = json!([]), "must name one architecture");
    config_refused(
        |config| config["quantization_config"] = json!({ "bits": 4 }),
        "quantized already",
    );
    config_refused(|config| config["rope_scaling"] = json!({ "type": "yarn" }), "`rope_scaling`");
}

#[test]
fn tokenizers_that_do_not_fit_are_refused() {
    let tokenizer =
        |change: fn(&mut Value)| move |path: &Path| edit(&path.join("tokenizer.json"), change);
    refused(tokenizer(|value| value["decoder"] = json!(null)), &["tokenizer.json", "ByteLevel"]);
    refused(
        tokenizer(|value| value["model"]["vocab"] = json!(7)),
        &["tokenizer.json", "is not valid"],
    );
    refused(
        tokenizer(|value| value["model"]["vocab"]["zz"] = json!(320)),
        &["tokenizer.json", "has the id 320"],
    );
    refused(
        |path| std::fs::write(path.join("tokenizer.json"), "{").unwrap(),
        &["tokenizer.json", "is not valid"],
    );
}

#[test]
fn ends_that_the_vocabulary_does_not_have_are_refused() {
    let tokens = |path: &Path| {
        edit(&path.join("tokenizer_config.json"), |it| it["eos_token"] = json!("</s>"))
    };
    refused(tokens, &["tokenizer_config.json", "`eos_token`", "</s>"]);
    let ids = |path: &Path| {
        edit(&path.join("generation_config.json"), |it| it["eos_token_id"] = json!([256, 999]))
    };
    refused(ids, &["generation_config.json", "999"]);
    let neither = |path: &Path| {
        std::fs::remove_file(path.join("generation_config.json")).unwrap();
        edit(&path.join("tokenizer_config.json"), |it| it["eos_token"] = json!(null));
    };
    refused(neither, &["no text would ever end"]);
}

#[test]
fn an_adapter_among_the_weights_is_refused() {
    let copy = |path: &Path| {
        std::fs::copy(path.join("model.safetensors"), path.join("adapter_model.safetensors"))
            .unwrap();
    };
    refused(copy, &["adapter_model.safetensors", "a directory of its own"]);
}

#[test]
fn two_sets_of_weights_are_refused() {
    let copy = |path: &Path| {
        let part = path.join("model-00001-of-00001.safetensors");
        std::fs::copy(path.join("model.safetensors"), part).unwrap();
    };
    refused(copy, &["more than one set of weights"]);
}

/// What is said of an adapter with that configuration and those tensors.
fn adapter(config: &Value, change: impl FnOnce(&mut Tensors)) -> Result<(), String> {
    let (dir, path) = model();
    let files = check::model(&path).unwrap();
    let directory = dir.path().join("adapter");
    let mut tensors = tiny::always_tensors(SEED, b'a');
    change(&mut tensors);
    tiny::adapter(&directory, config, &tensors).unwrap();
    check::adapter(&directory, &files).map(drop).map_err(|error| error.to_string())
}

#[track_caller]
fn adapter_refused(change: impl FnOnce(&mut Value), word: &str) {
    let mut config = tiny::adapter_config();
    change(&mut config);
    let message = adapter(&config, |_| ()).unwrap_err();
    assert!(message.contains(word), "{word:?} is not in {message:?}");
    assert!(message.contains("adapter_"), "no file is named in {message:?}");
}

#[test]
fn an_adapter_for_the_model_is_accepted() {
    assert_eq!(adapter(&tiny::adapter_config(), |_| ()), Ok(()));
    let mut config = tiny::adapter_config();
    config["rank_pattern"] = json!({});
    config["modules_to_save"] = json!(null);
    config["use_dora"] = json!(false);
    config["init_lora_weights"] = json!("gaussian");
    config["target_parameters"] = json!([]);
    assert_eq!(adapter(&config, |_| ()), Ok(()));
}

#[test]
fn everything_that_would_be_ignored_is_refused_by_name() {
    adapter_refused(|config| config["use_dora"] = json!(true), "`use_dora`");
    adapter_refused(|config| config["use_rslora"] = json!(true), "`use_rslora`");
    adapter_refused(|config| config["rank_pattern"] = json!({ "q": 4 }), "`rank_pattern`");
    adapter_refused(|config| config["alpha_pattern"] = json!({ "q": 4 }), "`alpha_pattern`");
    adapter_refused(|config| config["modules_to_save"] = json!(["lm_head"]), "`modules_to_save`");
    adapter_refused(|config| config["layers_to_transform"] = json!([0]), "`layers_to_transform`");
    adapter_refused(|config| config["bias"] = json!("all"), "`bias`");
    adapter_refused(|config| config["fan_in_fan_out"] = json!(true), "`fan_in_fan_out`");
    adapter_refused(|config| config["peft_type"] = json!("IA3"), "`peft_type`");
    adapter_refused(
        |config| config["alora_invocation_tokens"] = json!([1, 2]),
        "`alora_invocation",
    );
    adapter_refused(
        |config| config["trainable_token_indices"] = json!({ "e": [1] }),
        "`trainable_",
    );
    adapter_refused(|config| config["target_parameters"] = json!(["w"]), "`target_parameters`");
    adapter_refused(|config| config["kasa_config"] = json!({ "beta": 1.0 }), "`kasa_config`");
    adapter_refused(|config| config["init_lora_weights"] = json!("pissa_niter_4"), "`init_lora_");
}

#[test]
fn target_modules_must_be_names_of_linear_layers() {
    adapter_refused(|config| config["target_modules"] = json!("all-linear"), "must be a list");
    adapter_refused(|config| config["target_modules"] = json!(["embed_tokens"]), "embed_tokens");
    adapter_refused(|config| config["target_modules"] = json!([]), "is empty");
    adapter_refused(|config| config["target_modules"] = json!(["q_proj|.*"]), "cannot be adapted");
}

#[test]
fn factors_that_the_configuration_does_not_mean_are_refused() {
    adapter_refused(|config| config["r"] = json!(2), "the adapter is for another model");
    adapter_refused(|config| config["r"] = json!(0), "`r` is 0");
    adapter_refused(|config| config["target_modules"] = json!(["v_proj"]), "belongs to nothing");
    adapter_refused(
        |config| config["target_modules"] = json!(["v_proj", "o_proj", "q_proj"]),
        "is missing",
    );
}

#[test]
fn factors_of_another_model_are_refused() {
    let wider = |tensors: &mut Tensors| {
        tensors[0].1 = vec![1, 512];
        tensors[0].2 = vec![0.0; 512];
    };
    let message = adapter(&tiny::adapter_config(), wider).unwrap_err();
    assert!(message.contains("v_proj.lora_A.weight has shape [1, 512]"), "{message}");
    let deeper = |tensors: &mut Tensors| {
        let mut more = tensors[0].clone();
        more.0 = more.0.replace("layers.0", "layers.9");
        tensors.push(more);
    };
    let message = adapter(&tiny::adapter_config(), deeper).unwrap_err();
    assert!(message.contains("layers.9") && message.contains("belongs to nothing"), "{message}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Whatever is done to an adapter's files: an answer, never a panic, never a wait.
    #[test]
    fn mangled_adapters_are_judged(
        config in proptest::bool::ANY,
        at in 0.0..1.0_f64,
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..12),
        cut in proptest::bool::ANY,
    ) {
        let (dir, files) = MODEL.with(|model| (model.0.path().join("mangled"), model.1.clone()));
        tiny::always(&dir, SEED, b'a').unwrap();
        let file = dir.join(if config { "adapter_config.json" } else { "adapter_model.safetensors" });
        let mut whole = std::fs::read(&file).unwrap();
        // Mostly in the head: the rest is numbers, and any numbers will do.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let start = (whole.len().min(2000) as f64 * at) as usize;
        let end = if cut { whole.len() } else { (start + bytes.len()).min(whole.len()) };
        whole.splice(start..end, bytes);
        std::fs::write(&file, whole).unwrap();
        if let Err(error) = check::adapter(&dir, &files) {
            let message = error.to_string();
            proptest::prop_assert!(message.contains("adapter_"), "no file is named in {message:?}");
        }
    }
}

thread_local! {
    static MODEL: (tempfile::TempDir, check::ModelFiles) = {
        let (dir, path) = model();
        let files = check::model(&path).unwrap();
        (dir, files)
    };
}

#[test]
fn a_qwen3_without_what_the_library_needs_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for field in ["max_window_layers", "use_sliding_window"] {
        tiny::model(dir.path(), Architecture::Qwen3, 1).unwrap();
        edit(&dir.path().join("config.json"), |config| {
            config.as_object_mut().unwrap().remove(field);
        });
        let refused = check::model(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("config.json") && refused.contains(field), "{refused}");
    }
}
