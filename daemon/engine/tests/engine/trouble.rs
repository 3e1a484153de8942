//! What goes wrong, and that the next request is right.

use greenlit_protocol::engine::{
    Constraint, EngineAnswer, EngineFailureKind as Kind, EngineRequest, Precision,
};
use greenlit_serving::check::Architecture;
use greenlit_serving::{CallError, tiny};

use crate::engine::{Engine, failed, job};

#[tokio::test]
async fn texts_at_once_are_what_they_are_alone() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    // Of one length, so that the library would put them into one batch.
    let prompts = ["def f(x):", "def g(y):", "return 42", "import os "];
    let mut alone = Vec::new();
    for prompt in prompts {
        alone.push(engine.greedy(None, prompt).await);
    }
    let mut bad = job(None, "def h(z):", 24);
    bad.constraint = Constraint::Lark("start: (".into());
    let dropped = engine.client.call(EngineRequest::Generate(job(None, "def i(a):", 200)));
    let ((), refused, texts) = tokio::join!(
        async move {
            let mut dropped = dropped;
            dropped.piece().await;
        },
        engine.write(bad),
        futures::future::join_all(prompts.map(|prompt| engine.greedy(None, prompt))),
    );
    assert_eq!(failed(refused).0, Kind::BadConstraint);
    assert_eq!(texts, alone);
}

#[tokio::test]
async fn who_goes_away_in_mid_stream_harms_nobody() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    engine.load_letter("a", b'a').await.unwrap();
    let before = engine.greedy(None, "x").await;
    for _ in 0..5 {
        let mut left = engine.client.call(EngineRequest::Generate(job(Some("a"), "x", 1000)));
        assert_eq!(left.piece().await.as_deref(), Some("a"));
        drop(left);
    }
    assert_eq!(engine.greedy(Some("a"), "y").await, "a".repeat(24));
    assert_eq!(engine.greedy(None, "x").await, before);
    // Waits until nobody uses it any more.
    engine.unload("a").await;
}

#[tokio::test]
async fn broken_directories_are_refused_by_file_and_the_next_one_loads() {
    let engine = Engine::start().await;
    let directory = engine.path("model");
    for (file, change) in [
        ("model.safetensors", "cut"),
        ("tokenizer.json", "remove"),
        ("config.json", "cut"),
        ("model.safetensors", "remove"),
    ] {
        tiny::model(&directory, Architecture::Llama, 7).unwrap();
        let path = directory.join(file);
        if change == "cut" {
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        let loaded = engine.load("m", directory.clone(), Precision::Four).await;
        let (kind, message) = failed(loaded);
        assert_eq!(kind, Kind::BadFiles, "{change} {file}");
        assert!(message.contains(file), "{change} {file}: {message}");
    }
    tiny::model(&directory, Architecture::Llama, 7).unwrap();
    engine.load("m", directory, Precision::Four).await.unwrap();
    assert!(engine.write(job(None, "x", 4)).await.is_ok());
}

#[tokio::test]
async fn a_directory_that_is_removed_under_a_loaded_model_takes_nothing_but_new_loads() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let before = engine.greedy(None, "x").await;
    std::fs::remove_dir_all(engine.path("model")).unwrap();
    assert_eq!(engine.greedy(None, "x").await, before);
    let adapter = engine.load_letter("a", b'a').await;
    let (_, message) = failed(adapter);
    assert!(message.contains("model"), "{message}");
    assert_eq!(engine.greedy(None, "x").await, before);
}

#[tokio::test]
async fn one_model_loaded_twice_at_once_is_one_model() {
    let engine = Engine::start().await;
    let directory = engine.path("model");
    tiny::model(&directory, Architecture::Qwen2, 7).unwrap();
    let (one, two) = tokio::join!(
        engine.load("m", directory.clone(), Precision::Four),
        engine.load("m", directory.clone(), Precision::Four)
    );
    assert_eq!(one.unwrap(), two.unwrap());
    match engine.client.ask(EngineRequest::Health).await {
        Ok(EngineAnswer::Health(health)) => assert_eq!(health.models.len(), 1),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_schema_that_nothing_satisfies_is_told() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let before = engine.greedy(None, "x").await;
    let mut constrained = job(None, "x", 50);
    constrained.constraint = Constraint::JsonSchema(r#"{"type":"string","enum":[1]}"#.into());
    assert_eq!(failed(engine.write(constrained).await).0, Kind::BadConstraint);
    assert_eq!(engine.greedy(None, "x").await, before);
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_written_and_ends_the_engine_well() {
    let mut engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let mut text = engine.client.call(EngineRequest::Generate(job(None, "x", 40)));
    text.piece().await;
    let (text, drained) = tokio::join!(text.end(), engine.client.ask(EngineRequest::Shutdown));
    assert!(matches!(text, Ok(EngineAnswer::Generated(_))), "{text:?}");
    assert_eq!(drained, Ok(EngineAnswer::Drained));
    let late = engine.client.ask(EngineRequest::Health).await;
    assert!(matches!(late, Err(CallError::Gone)), "{late:?}");
    assert!(engine.process.wait().await.unwrap().success());
}
