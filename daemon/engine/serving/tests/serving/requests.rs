use std::sync::atomic::Ordering;

use greenlit_protocol::engine::{
    EngineAnswer, EngineFailureKind as Kind, EngineRequest, Precision, Prompt,
};
use greenlit_serving::CallError;

use crate::script::{Engine, failed, generate, request};

#[tokio::test]
async fn a_text_comes_in_pieces_and_ends_once() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    let mut call = engine.client.call(generate(None, "one two"));
    assert_eq!(call.piece().await.as_deref(), Some(""));
    assert_eq!(call.piece().await.as_deref(), Some("one"));
    assert_eq!(call.piece().await.as_deref(), Some("two"));
    assert_eq!(call.piece().await, None);
    assert!(matches!(call.end().await, Ok(EngineAnswer::Generated(_))));
}

#[tokio::test]
async fn nothing_is_written_without_a_model() {
    let engine = Engine::start().await;
    let (kind, message) = failed(engine.text(None, "one").await);
    assert_eq!((kind, message.as_str()), (Kind::NotLoaded, "the model m is not loaded"));
}

#[tokio::test]
async fn senseless_requests_are_refused() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    let change = |change: fn(&mut greenlit_protocol::engine::Generate)| {
        let EngineRequest::Generate(mut job) = generate(None, "one") else { unreachable!() };
        change(&mut job);
        engine.client.ask(EngineRequest::Generate(job))
    };
    for request in [
        change(|job| job.sampling.temperature = f64::NAN),
        change(|job| job.sampling.temperature = -1.0),
        change(|job| job.sampling.top_p = 0.0),
        change(|job| job.sampling.max_tokens = 0),
        change(|job| job.prompt = Prompt::Text(String::new())),
        change(|job| job.prompt = Prompt::Chat(Vec::new())),
    ] {
        assert_eq!(failed(request.await).0, Kind::BadRequest);
    }
}

#[tokio::test]
async fn a_cancelled_text_ends_and_others_go_on() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    let mut slow = engine.client.call(generate(None, "one until-cancelled"));
    assert_eq!(slow.piece().await.as_deref(), Some(""));
    assert_eq!(slow.piece().await.as_deref(), Some("one"));
    slow.cancel();
    assert_eq!(failed(slow.end().await).0, Kind::Cancelled);
    assert_eq!(engine.text(None, "two").await.unwrap(), "two");
}

#[tokio::test]
async fn a_text_that_is_dropped_is_cancelled() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    drop(engine.client.call(generate(None, "until-cancelled")));
    // Draining waits for everything that goes on.
    assert_eq!(engine.client.ask(EngineRequest::Drain).await, Ok(EngineAnswer::Drained));
}

#[tokio::test]
async fn a_panic_ends_its_own_request_only() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    let (kind, message) = failed(engine.text(None, "panic").await);
    assert_eq!(kind, Kind::Backend);
    assert!(message.contains("the script panics"), "{message}");
    assert_eq!(engine.text(None, "two").await.unwrap(), "two");
}

#[tokio::test]
async fn a_load_that_panics_or_fails_is_told_and_leaves_nothing() {
    let engine = Engine::start().await;
    for (instead, words) in [("out of luck", "out of luck"), ("fail", "the script says so")] {
        *engine.script.next_load.lock().unwrap() = Some(instead);
        let (kind, message) = failed(engine.load("m", &engine.model()).await);
        assert_eq!(kind, Kind::Backend);
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(failed(engine.text(None, "one").await).0, Kind::NotLoaded);
    engine.load("m", &engine.model()).await.unwrap();
    assert_eq!(engine.text(None, "one").await.unwrap(), "one");
}

#[tokio::test]
async fn two_loads_at_once_run_one_after_the_other_on_threads_of_their_own() {
    let engine = Engine::start().await;
    let model = engine.model();
    let (first, second, same) =
        tokio::join!(engine.load("m", &model), engine.load("n", &model), engine.load("m", &model));
    assert_eq!(first.unwrap(), same.unwrap(), "the second load of a model finds the first");
    second.unwrap();
    assert_eq!(engine.script.open.load(Ordering::SeqCst), 2);
    assert_eq!(engine.script.most_loading.load(Ordering::SeqCst), 1);
    let threads = engine.script.threads.lock().unwrap();
    assert_eq!(threads.len(), 2);
    assert_ne!(threads[0], threads[1]);
}

#[tokio::test]
async fn another_model_of_the_same_name_is_refused() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    let other = engine.dir.path().join("other");
    let (kind, message) = failed(engine.load("m", &other).await);
    assert_eq!(kind, Kind::BadRequest);
    assert!(message.contains("unload it first"), "{message}");
}

#[tokio::test]
async fn a_model_that_does_not_fit_is_refused_with_the_arithmetic() {
    let engine = Engine::start().await;
    let mut small = request("m", &engine.model());
    small.memory = Some(10 << 20);
    let (kind, message) = failed(engine.client.ask(EngineRequest::Load(small)).await);
    assert_eq!(kind, Kind::DoesNotFit);
    assert!(message.contains("for keys and values of 1024 tokens"), "{message}");
    assert!(message.contains("it may take 10 MiB"), "{message}");
    assert_eq!(engine.script.open.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn unloading_waits_for_what_is_being_written() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    let mut slow = engine.client.call(generate(None, "until-cancelled"));
    assert_eq!(slow.piece().await.as_deref(), Some(""));
    let unload = engine.client.call(EngineRequest::Unload { model: "m".into() });
    // The next answer is a later request's: the model is not found any more, and still open.
    let mut gone = false;
    while !gone {
        gone = matches!(engine.text(None, "one").await, Err(CallError::Failed(f)) if f.kind == Kind::NotLoaded);
    }
    assert_eq!(engine.script.open.load(Ordering::SeqCst), 1);
    slow.cancel();
    assert_eq!(unload.end().await, Ok(EngineAnswer::Unloaded));
    assert_eq!(engine.script.open.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn draining_lets_work_end_and_refuses_more() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    let mut slow = engine.client.call(generate(None, "one until-cancelled"));
    assert_eq!(slow.piece().await.as_deref(), Some(""));
    let shutdown = engine.client.call(EngineRequest::Shutdown);
    assert_eq!(failed(engine.text(None, "two").await).0, Kind::Draining);
    assert!(matches!(engine.client.ask(EngineRequest::Health).await, Ok(EngineAnswer::Health(_))));
    slow.cancel();
    assert_eq!(shutdown.end().await, Ok(EngineAnswer::Drained));
    // The engine ended by itself.
    assert_eq!(engine.client.ask(EngineRequest::Health).await, Err(CallError::Gone));
    assert!(engine.client.is_gone());
}

#[tokio::test]
async fn texts_are_counted_in_tokens() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    let texts = vec!["one".into(), String::new()];
    let counted = engine.client.ask(EngineRequest::Count { model: "m".into(), texts }).await;
    assert_eq!(counted, Ok(EngineAnswer::Counted(vec![3, 0])));
}

#[tokio::test]
async fn health_says_what_is_resident() {
    let engine = Engine::start().await;
    engine.load("m", &engine.model()).await.unwrap();
    engine.load_adapter("a").await.unwrap();
    engine.load_adapter("b").await.unwrap();
    engine.text(Some("a"), "one").await.unwrap();
    let Ok(EngineAnswer::Health(health)) = engine.client.ask(EngineRequest::Health).await else {
        panic!("no health");
    };
    assert_eq!(health.active, 0);
    assert!(health.resident_bytes.unwrap() > 1 << 20);
    assert_eq!(health.models.len(), 1);
    assert_eq!(health.models[0].adapters, ["b", "a"]);
    assert_eq!(health.models[0].loaded.precision, Precision::Four);
    assert_eq!(health.models[0].loaded.context, 1024);
}
