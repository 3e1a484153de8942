//! Quantized weights that are kept for the next load.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use greenlit_protocol::engine::{EngineRequest, Keep, Message, Precision, Prompt, Role};
use greenlit_serving::check::Architecture;
use greenlit_serving::tiny;

use crate::engine::{Engine, SEED, job};

const PROMPT: &str = "def f(x):";

/// An engine that keeps weights, with a model and an adapter in memory.
async fn keeping(architecture: Architecture, precision: Precision) -> Engine {
    let mut engine = Engine::start().await;
    let directory = engine.path("kept/digest");
    engine.keep = Some(Keep { directory, most_bytes: 1 << 30 });
    tiny::model(&engine.path("model"), architecture, SEED).unwrap();
    engine.load("m", engine.path("model"), precision).await.unwrap();
    engine.load_letter("a", b'a').await.unwrap();
    engine
}

async fn again(engine: &Engine, precision: Precision) {
    engine.client.ask(EngineRequest::Unload { model: "m".into() }).await.unwrap();
    engine.load("m", engine.path("model"), precision).await.unwrap();
}

/// What is kept, and since when.
fn parts(engine: &Engine) -> BTreeMap<PathBuf, SystemTime> {
    let kept = std::fs::read_dir(engine.path("kept/digest")).unwrap();
    let files = kept.flat_map(|kept| std::fs::read_dir(kept.unwrap().path()).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let parts = files.filter(|file| file.extension().is_some_and(|end| end == "uqff"));
    parts.map(|part| (part.clone(), part.metadata().unwrap().modified().unwrap())).collect()
}

async fn the_same_from_the_disk(architecture: Architecture, precision: Precision) {
    let engine = keeping(architecture, precision).await;
    let expected = engine.greedy(None, PROMPT).await;
    let written = parts(&engine);
    assert_eq!(written.len(), 2, "the model, and the model with its adapter");
    again(&engine, precision).await;
    assert_eq!(engine.greedy(None, PROMPT).await, expected);
    engine.load_adapter("a").await.unwrap();
    assert_eq!(engine.greedy(Some("a"), PROMPT).await, "a".repeat(24));
    assert_eq!(engine.greedy(None, PROMPT).await, expected);
    assert_eq!(parts(&engine), written, "nothing was written again");
    // Another adapter in its place is another one.
    engine.unload("a").await;
    engine.load_letter("a", b'b').await.unwrap();
    assert_eq!(engine.greedy(Some("a"), PROMPT).await, "b".repeat(24));
    assert_eq!(parts(&engine).len(), 3);
}

#[tokio::test]
async fn qwen2_in_four_bits_is_the_same_from_the_disk() {
    the_same_from_the_disk(Architecture::Qwen2, Precision::Four).await;
}

#[tokio::test]
async fn llama_in_eight_bits_is_the_same_from_the_disk() {
    the_same_from_the_disk(Architecture::Llama, Precision::Eight).await;
}

#[tokio::test]
async fn kept_weights_that_are_damaged_are_made_anew() {
    let engine = keeping(Architecture::Qwen2, Precision::Four).await;
    let expected = engine.greedy(None, PROMPT).await;
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    for damage in [|_: &[u8]| Vec::new(), |bytes: &[u8]| vec![0xff; bytes.len()], flipped] {
        let part = engine.path("kept/digest/four/model-0.uqff");
        let whole = std::fs::read(&part).unwrap();
        std::fs::write(&part, damage(&whole)).unwrap();
        again(&engine, Precision::Four).await;
        assert_eq!(engine.greedy(None, PROMPT).await, expected);
        assert_eq!(std::fs::read(&part).unwrap(), whole, "it is whole again");
    }
}

#[tokio::test]
async fn special_tokens_are_known_where_the_template_has_a_file_of_its_own() {
    let mut engine = Engine::start().await;
    engine.keep = Some(Keep { directory: engine.path("kept/digest"), most_bytes: 1 << 30 });
    let model = engine.path("model");
    tiny::model(&model, Architecture::Qwen2, SEED).unwrap();
    let template = "{{ bos_token }}{% for message in messages %}{{ message.content }}{% endfor %}";
    std::fs::write(model.join("chat_template.jinja"), template).unwrap();
    let settings = r#"{"bos_token": "<|start|>", "eos_token": "<|stop|>"}"#;
    std::fs::write(model.join("tokenizer_config.json"), settings).unwrap();
    engine.load("m", model, Precision::Four).await.unwrap();
    for _ in 0..2 {
        let mut chat = job(None, "", 4);
        chat.prompt = Prompt::Chat(vec![Message { role: Role::User, content: "hello".to_owned() }]);
        let (_, generated) = engine.write(chat).await.unwrap();
        assert_eq!(generated.usage.prompt_tokens, 1 + 5, "one token begins, and no word `none`");
        again(&engine, Precision::Four).await;
    }
    assert_eq!(parts(&engine).len(), 1);
}

#[tokio::test]
async fn where_weights_cannot_be_kept_the_model_is_loaded_nevertheless() {
    let mut engine = Engine::start().await;
    std::fs::write(engine.path("file"), "in the way").unwrap();
    tiny::model(&engine.path("model"), Architecture::Qwen2, SEED).unwrap();
    for (directory, most_bytes) in [("file/digest", 1 << 30), ("kept/digest", 10)] {
        engine.keep = Some(Keep { directory: engine.path(directory), most_bytes });
        engine.load("m", engine.path("model"), Precision::Four).await.unwrap();
        engine.greedy(None, PROMPT).await;
        engine.client.ask(EngineRequest::Unload { model: "m".into() }).await.unwrap();
    }
    assert!(!engine.path("kept/digest").exists());
}
