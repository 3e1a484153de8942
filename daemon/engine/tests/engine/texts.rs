use greenlit_protocol::engine::{
    Constraint, EngineAnswer, EngineFailureKind as Kind, EngineRequest, Finish, Message, Precision,
    Prompt, Role,
};
use greenlit_serving::check::Architecture;
use greenlit_serving::{CallError, tiny};

use crate::engine::{Engine, failed, job};

#[tokio::test]
async fn every_precision_loads_and_writes() {
    for precision in [Precision::Four, Precision::Eight, Precision::Full] {
        let engine = Engine::with(Architecture::Qwen2, precision).await;
        let (_, generated) = engine.write(job(None, "x", 8)).await.unwrap();
        assert_eq!(generated.finish, Finish::Length, "{precision:?}");
    }
}

#[tokio::test]
async fn tokens_are_counted_exactly() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let (_, generated) = engine.write(job(None, "four", 8)).await.unwrap();
    assert_eq!((generated.usage.prompt_tokens, generated.usage.completion_tokens), (4, 8));
    assert!(generated.first_token_ms > 0.0 && generated.first_token_ms <= generated.total_ms);
    let texts = vec!["four".to_owned(), "é".to_owned(), String::new()];
    let counted = engine.client.ask(EngineRequest::Count { model: "m".into(), texts }).await;
    assert_eq!(counted, Ok(EngineAnswer::Counted(vec![4, 2, 0])));
}

#[tokio::test]
async fn messages_go_through_the_chat_template() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let messages = [(Role::System, "be short"), (Role::User, "hello")];
    let messages = messages.map(|(role, content)| Message { role, content: content.into() });
    let mut chat = job(None, "", 8);
    chat.prompt = Prompt::Chat(messages.to_vec());
    let (_, generated) = engine.write(chat).await.unwrap();
    // <|start|>system\nbe short<|stop|> <|start|>user\nhello<|stop|> <|start|>assistant; a template's own
    // last line end does not count.
    assert_eq!(generated.usage.prompt_tokens, (1 + 7 + 8 + 1) + (1 + 5 + 5 + 1) + (1 + 9));
}

#[tokio::test]
async fn a_schema_is_kept_by_a_model_that_knows_nothing() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let schema = r#"{"type":"object","properties":{"intent":{"enum":["fix","explain"]},
        "lines":{"type":"array","items":{"type":"integer","minimum":0,"maximum":9},"minItems":1,
        "maxItems":3}},"required":["intent","lines"],"additionalProperties":false}"#;
    for temperature in [0.0, 1.0] {
        let mut constrained = job(None, "{", 200);
        constrained.constraint = Constraint::JsonSchema(schema.into());
        constrained.sampling.temperature = temperature;
        let (text, generated) = engine.write(constrained).await.unwrap();
        assert_eq!(generated.finish, Finish::Stop, "{text}");
        assert!(!text.contains(char::is_whitespace), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(["fix", "explain"].contains(&value["intent"].as_str().unwrap()));
        assert!((1..=3).contains(&value["lines"].as_array().unwrap().len()));
    }
}

#[tokio::test]
async fn grammars_and_patterns_are_kept() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    for constraint in [
        Constraint::Regex("(yes|no)!".into()),
        Constraint::Lark("start: (\"yes\" | \"no\") \"!\"".into()),
    ] {
        let mut constrained = job(None, "x", 50);
        constrained.constraint = constraint;
        let (text, _) = engine.write(constrained).await.unwrap();
        assert!(["yes!", "no!"].contains(&text.as_str()), "{text:?}");
    }
}

#[tokio::test]
async fn invalid_constraints_are_told_and_harm_nobody() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let before = engine.greedy(None, "x").await;
    for constraint in [
        Constraint::JsonSchema("no json".into()),
        Constraint::JsonSchema(r#"{"type":"nothing"}"#.into()),
        Constraint::Lark("start: (".into()),
        Constraint::Regex("(".into()),
    ] {
        let mut constrained = job(None, "x", 8);
        constrained.constraint = constraint.clone();
        assert_eq!(
            failed(engine.write(constrained).await).0,
            Kind::BadConstraint,
            "{constraint:?}"
        );
    }
    assert_eq!(engine.greedy(None, "x").await, before);
}

#[tokio::test]
async fn a_prompt_longer_than_the_context_is_refused_and_an_answer_is_cut() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let long = "x".repeat(tiny::CONTEXT + 1);
    let (kind, message) = failed(engine.write(job(None, &long, 8)).await);
    assert_eq!(kind, Kind::TooLong);
    assert!(message.contains("1025 tokens") && message.contains("at least 2"), "{message}");
    let (_, generated) = engine.write(job(None, &long[..tiny::CONTEXT - 4], 100)).await.unwrap();
    assert_eq!((generated.finish, generated.usage.completion_tokens), (Finish::Length, 4));
}

#[tokio::test]
async fn a_cancelled_text_ends_at_the_next_token_and_the_next_one_is_right() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    engine.load_letter("a", b'a').await.unwrap();
    let mut endless = engine.client.call(EngineRequest::Generate(job(Some("a"), "x", 1000)));
    assert_eq!(endless.piece().await.as_deref(), Some("a"));
    endless.cancel();
    let mut more = 0;
    while endless.piece().await.is_some() {
        more += 1;
    }
    assert_eq!(failed(endless.end().await).0, Kind::Cancelled);
    assert!(more < 990, "{more} tokens after it was cancelled");
    assert_eq!(engine.greedy(Some("a"), "y").await, "a".repeat(24));
}

#[tokio::test]
async fn a_daemon_that_goes_away_ends_the_engine_in_the_middle_of_a_text() {
    let mut engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    engine.load_letter("a", b'a').await.unwrap();
    let mut endless = engine.client.call(EngineRequest::Generate(job(Some("a"), "x", 1000)));
    assert_eq!(endless.piece().await.as_deref(), Some("a"));
    drop(endless);
    drop(engine.client);
    assert!(engine.process.wait().await.unwrap().success());
}

#[tokio::test]
async fn an_engine_that_is_killed_is_noticed() {
    let mut engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    engine.load_letter("a", b'a').await.unwrap();
    let mut endless = engine.client.call(EngineRequest::Generate(job(Some("a"), "x", 1000)));
    assert_eq!(endless.piece().await.as_deref(), Some("a"));
    engine.process.kill().await.unwrap();
    while endless.piece().await.is_some() {}
    assert_eq!(endless.end().await, Err(CallError::Gone));
}

#[tokio::test]
async fn two_models_at_once_answer_as_alone() {
    let engine = Engine::start().await;
    let (first, second) = (engine.path("model"), engine.path("other"));
    tiny::model(&first, Architecture::Qwen2, crate::engine::SEED).unwrap();
    tiny::model(&second, Architecture::Llama, 8).unwrap();
    let (one, two) = tokio::join!(
        engine.load("m", first, Precision::Four),
        engine.load("n", second, Precision::Eight)
    );
    one.unwrap();
    two.unwrap();
    let other = || {
        let mut other = job(None, "x", 24);
        other.model = "n".into();
        other
    };
    let (alone, _) = engine.write(other()).await.unwrap();
    let mine = engine.greedy(None, "x").await;
    let (together, again) = tokio::join!(engine.write(other()), engine.greedy(None, "x"));
    assert_eq!((together.unwrap().0, again), (alone, mine));
}

#[tokio::test]
async fn memory_comes_back_when_a_model_is_unloaded() {
    let engine = Engine::with(Architecture::Qwen2, Precision::Four).await;
    let resident = async || match engine.client.ask(EngineRequest::Health).await {
        Ok(EngineAnswer::Health(health)) => health.resident_bytes.unwrap(),
        other => panic!("{other:?}"),
    };
    engine.load_letter("a", b'a').await.unwrap();
    engine.unload("a").await;
    let before = resident().await;
    for _ in 0..10 {
        engine.load_letter("a", b'a').await.unwrap();
        engine.unload("a").await;
    }
    let grown = resident().await.saturating_sub(before);
    assert!(grown < 50 << 20, "{grown} bytes more after ten swaps");
}

#[tokio::test]
async fn a_constrained_text_ends_though_the_model_ends_differently() {
    let engine = Engine::start().await;
    let directory = engine.path("model");
    tiny::model(&directory, Architecture::Qwen2, crate::engine::SEED).unwrap();
    let edit = |file: &str, from: &str, to: &str| {
        let path = directory.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(from, to)).unwrap();
    };
    edit("tokenizer_config.json", tiny::END, "<|stop|>");
    edit("generation_config.json", "256", "258");
    engine.load("m", directory.clone(), Precision::Four).await.unwrap();
    let mut constrained = job(None, "x", 50);
    constrained.constraint = Constraint::Regex("(yes|no)!".into());
    let (text, generated) = engine.write(constrained.clone()).await.unwrap();
    assert!(["yes!", "no!"].contains(&text.as_str()), "{text:?}");
    assert_eq!(generated.finish, Finish::Stop);

    // Without an end that grammars know there is none.
    edit("tokenizer.json", tiny::END, "<|fin|>");
    engine.client.ask(EngineRequest::Unload { model: "m".into() }).await.unwrap();
    engine.load("m", directory.clone(), Precision::Four).await.unwrap();
    let (kind, message) = failed(engine.write(constrained).await);
    assert_eq!(kind, Kind::BadConstraint);
    assert!(message.contains(tiny::END), "{message}");
    assert!(engine.write(job(None, "x", 4)).await.is_ok());
}
