use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use greenlit_protocol::engine::{
    EngineAnswer, EngineFailureKind as Kind, EngineRequest, LoadedAdapter,
};

use crate::script::{Engine, failed, generate, request};

/// Room for that many adapters.
async fn with_room(adapters: u64) -> Engine {
    let engine = Engine::start().await;
    engine.load("probe", &engine.model()).await.unwrap();
    let directories = vec![engine.adapter("a")];
    let loaded = engine
        .client
        .ask(EngineRequest::LoadAdapter { model: "probe".into(), adapter: "a".into(), directories })
        .await;
    let bytes = adapter(loaded).bytes;
    engine.client.ask(EngineRequest::Unload { model: "probe".into() }).await.unwrap();
    let mut model = request("m", &engine.model());
    model.adapter_memory = Some(bytes * adapters);
    engine.client.ask(EngineRequest::Load(model)).await.unwrap();
    engine
}

fn adapter<E: std::fmt::Debug>(answer: Result<EngineAnswer, E>) -> LoadedAdapter {
    match answer {
        Ok(EngineAnswer::AdapterLoaded(loaded)) => loaded,
        other => panic!("no adapter: {other:?}"),
    }
}

#[tokio::test]
async fn requests_go_to_the_adapter_that_they_name() {
    let engine = with_room(2).await;
    engine.load_adapter("a").await.unwrap();
    engine.load_adapter("b").await.unwrap();
    assert_eq!(engine.text(Some("a"), " one").await.unwrap(), "aone");
    assert_eq!(engine.text(Some("b"), " one").await.unwrap(), "bone");
    assert_eq!(engine.text(None, " one").await.unwrap(), "one");
    let (kind, message) = failed(engine.text(Some("c"), "one").await);
    assert_eq!((kind, message.as_str()), (Kind::NotLoaded, "the adapter c is not loaded for m"));
}

#[tokio::test]
async fn the_adapter_that_was_used_longest_ago_makes_room() {
    let engine = with_room(2).await;
    engine.load_adapter("a").await.unwrap();
    engine.load_adapter("b").await.unwrap();
    engine.text(Some("a"), "one").await.unwrap();
    assert_eq!(adapter(engine.load_adapter("c").await).evicted, ["b"]);
    assert_eq!(failed(engine.text(Some("b"), "one").await).0, Kind::NotLoaded);
    assert_eq!(engine.text(Some("a"), " one").await.unwrap(), "aone");
    assert_eq!(engine.script.open.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_adapter_that_is_larger_than_the_limit_is_refused() {
    let engine = with_room(0).await;
    let (kind, message) = failed(engine.load_adapter("a").await);
    assert_eq!(kind, Kind::DoesNotFit, "{message}");
    assert_eq!(engine.text(None, "one").await.unwrap(), "one");
}

#[tokio::test]
async fn an_adapter_of_the_same_name_replaces_the_old_one_when_it_is_ready() {
    let engine = with_room(2).await;
    engine.load_adapter("a").await.unwrap();
    // The old one is still writing while the new one comes.
    let mut old = engine.client.call(generate(Some("a"), "until-cancelled"));
    assert_eq!(old.piece().await.as_deref(), Some("a"));
    let directories = vec![engine.adapter("a2")];
    let replace =
        EngineRequest::LoadAdapter { model: "m".into(), adapter: "a".into(), directories };
    assert_eq!(adapter(engine.client.ask(replace).await).evicted, Vec::<String>::new());
    assert_eq!(engine.text(Some("a"), " one").await.unwrap(), "a2one");
    old.cancel();
    assert_eq!(failed(old.end().await).0, Kind::Cancelled);
    engine.client.ask(EngineRequest::Unload { model: "m".into() }).await.unwrap();
    assert_eq!(engine.script.open.load(Ordering::SeqCst), 0, "the old one was closed as well");
}

#[tokio::test]
async fn an_adapter_that_cannot_be_used_leaves_the_others_alone() {
    let engine = with_room(1).await;
    engine.load_adapter("a").await.unwrap();
    let directory = engine.adapter("b");
    std::fs::remove_file(directory.join("adapter_model.safetensors")).unwrap();
    let directories = vec![directory];
    let load = EngineRequest::LoadAdapter { model: "m".into(), adapter: "b".into(), directories };
    let (kind, message) = failed(engine.client.ask(load).await);
    assert_eq!(kind, Kind::BadFiles);
    assert!(message.contains("adapter_model.safetensors is missing"), "{message}");
    assert_eq!(engine.text(Some("a"), " one").await.unwrap(), "aone", "nothing was evicted for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn swaps_under_load_lose_no_request() {
    let engine = Arc::new(with_room(1).await);
    engine.load_adapter("a").await.unwrap();
    let swapped = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    // Whoever asks the base is never disturbed; whoever asks an adapter gets it, or hears that it is gone.
    let ask = |adapter: Option<&'static str>| {
        let (engine, swapped, answered) = (engine.clone(), swapped.clone(), answered.clone());
        tokio::spawn(async move {
            while !swapped.load(Ordering::SeqCst) {
                match engine.text(adapter, " one two three").await {
                    Ok(text) => assert_eq!(text, format!("{}onetwothree", adapter.unwrap_or(""))),
                    Err(error) => assert_eq!(failed::<()>(Err(error)).0, Kind::NotLoaded),
                }
                answered.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let askers = [ask(None), ask(Some("a")), ask(Some("b")), ask(None)];
    for swap in 0..100 {
        let name = if swap % 2 == 0 { "b" } else { "a" };
        assert_eq!(adapter(engine.load_adapter(name).await).evicted.len(), 1);
        assert_eq!(engine.text(Some(name), " one").await.unwrap(), format!("{name}one"));
    }
    swapped.store(true, Ordering::SeqCst);
    for asker in askers {
        asker.await.unwrap();
    }
    assert!(answered.load(Ordering::SeqCst) > 0);
    assert_eq!(engine.script.open.load(Ordering::SeqCst), 2, "the model and one adapter");
}
