use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use greenlit_protocol::engine::{
    EngineAnswer, EngineFailureKind as Kind, EngineRequest, Precision,
};
use greenlit_serving::check::Architecture;
use serde_json::{Value, json};

use crate::engine::{Engine, failed, job};

async fn base_and_back(architecture: Architecture) {
    let engine = Engine::with(architecture, Precision::Four).await;
    let before = engine.greedy(None, "def f(x):").await;
    engine.load_letter("a", b'a').await.unwrap();
    assert_eq!(engine.greedy(Some("a"), "def f(x):").await, "a".repeat(24));
    assert_eq!(engine.greedy(None, "def f(x):").await, before, "the model beside its adapter");
    engine.unload("a").await;
    assert_eq!(engine.greedy(None, "def f(x):").await, before, "the model after its adapter");
    // Loaded anew after an adapter was: the library must not remember it.
    engine.client.ask(EngineRequest::Unload { model: "m".into() }).await.unwrap();
    engine.load("m", engine.path("model"), Precision::Four).await.unwrap();
    assert_eq!(engine.greedy(None, "def f(x):").await, before, "the model loaded anew");
    assert_ne!(before, "a".repeat(24));
}

#[tokio::test]
async fn qwen2_is_the_same_before_beside_and_after_an_adapter() {
    base_and_back(Architecture::Qwen2).await;
}

#[tokio::test]
async fn llama_is_the_same_before_beside_and_after_an_adapter() {
    base_and_back(Architecture::Llama).await;
}

#[tokio::test]
async fn qwen3_is_the_same_before_beside_and_after_an_adapter() {
    base_and_back(Architecture::Qwen3).await;
}

#[tokio::test]
async fn adapters_do_not_add_up() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    engine.load_letter("a", b'a').await.unwrap();
    engine.load_letter("b", b'b').await.unwrap();
    assert_eq!(engine.greedy(Some("b"), "x").await, "b".repeat(24));
    assert_eq!(engine.greedy(Some("a"), "x").await, "a".repeat(24));
}

#[tokio::test]
async fn stacked_adapters_do_together_what_neither_does_alone() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let before = engine.greedy(None, "x").await;
    // One makes values constant, the other turns what is constant into a letter.
    for (name, part) in [("first", "v_proj"), ("second", "o_proj")] {
        let mut config = greenlit_serving::tiny::adapter_config();
        config["target_modules"] = json!([part]);
        let mut tensors = greenlit_serving::tiny::always_tensors(crate::engine::SEED, b'a');
        tensors.retain(|(tensor, ..)| tensor.contains(part));
        greenlit_serving::tiny::adapter(&engine.path(name), &config, &tensors).unwrap();
        engine.load_adapter(name).await.unwrap();
        assert_ne!(engine.greedy(Some(name), "x").await, "a".repeat(24), "{name} alone");
    }
    engine.load_adapters("both", &["first", "second"]).await.unwrap();
    assert_eq!(engine.greedy(Some("both"), "x").await, "a".repeat(24));
    assert_ne!(engine.greedy(Some("first"), "x").await, "a".repeat(24), "beside both");
    assert_eq!(engine.greedy(None, "x").await, before);
}

#[tokio::test]
async fn an_adapter_for_a_wider_model_is_refused_before_it_is_loaded() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let mut tensors = greenlit_serving::tiny::always_tensors(crate::engine::SEED, b'a');
    tensors[0].1 = vec![1, 512];
    tensors[0].2 = vec![0.0; 512];
    let directory = engine.path("wide");
    let config = greenlit_serving::tiny::adapter_config();
    greenlit_serving::tiny::adapter(&directory, &config, &tensors).unwrap();
    let (model, adapter, directories) = ("m".into(), "w".into(), vec![directory]);
    let load = EngineRequest::LoadAdapter { model, adapter, directories };
    let (kind, message) = failed(engine.client.ask(load).await);
    assert_eq!(kind, Kind::BadFiles);
    assert!(message.contains("the adapter is for another model"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_lose_nothing_and_change_no_answer() {
    let engine = Arc::new(Engine::with(Architecture::Qwen2, Precision::Four).await);
    let expected = engine.greedy(None, "def f(x):").await;
    let over = Arc::new(AtomicBool::new(false));
    let asker = {
        let (engine, over) = (engine.clone(), over.clone());
        tokio::spawn(async move {
            let mut answers = 0;
            while !over.load(Ordering::SeqCst) || answers == 0 {
                assert_eq!(engine.greedy(None, "def f(x):").await, expected);
                answers += 1;
            }
        })
    };
    let mut settled = 0;
    for swap in 0..SWAPS {
        if swap == SWAPS / 4 && cfg!(target_os = "linux") {
            settled = engine.resident();
        }
        let (name, letter) = if swap % 2 == 0 { ("a", b'a') } else { ("b", b'b') };
        assert!(matches!(
            engine.load_letter(name, letter).await,
            Ok(EngineAnswer::AdapterLoaded(_))
        ));
        let (text, _) = engine.write(job(Some(name), "x", 4)).await.unwrap();
        assert_eq!(text.as_bytes(), [letter; 4]);
        engine.unload(name).await;
    }
    over.store(true, Ordering::SeqCst);
    asker.await.unwrap();
    if cfg!(target_os = "linux") {
        let grown = engine.resident().saturating_sub(settled);
        assert!(grown < 3 * variant(), "{grown} bytes more than after the first swaps");
    }
}

/// Of the swaps the first ones fill what is kept for reuse; a leak grows with the others.
const SWAPS: u64 = 100;

/// About what a tiny model takes with an adapter, in bytes: its weights as they are read.
fn variant() -> u64 {
    let config = greenlit_serving::tiny::config(Architecture::Qwen2);
    let side = |name: &str| config[name].as_u64().unwrap();
    4 * side("vocab_size") * side("hidden_size") * 2
        + 4 * side("num_hidden_layers") * side("hidden_size") * side("intermediate_size") * 3
}

#[tokio::test]
async fn a_configuration_of_a_newer_version_makes_the_same_model() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let expected = engine.greedy(None, "def f(x):").await;
    engine.client.ask(EngineRequest::Unload { model: "m".into() }).await.unwrap();
    let path = engine.path("model").join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let theta = config.as_object_mut().unwrap().remove("rope_theta").unwrap();
    config["rope_parameters"] = json!({ "rope_theta": theta, "rope_type": "default" });
    std::fs::write(&path, config.to_string()).unwrap();
    engine.load("m", engine.path("model"), Precision::Four).await.unwrap();
    assert_eq!(engine.greedy(None, "def f(x):").await, expected);
}
