use greenlit_protocol::engine::{
    Constraint, EngineAnswer, EngineFailureKind as Kind, EngineRequest, Finish, Message, Precision,
    Prompt, Role,
};
use greenlit_serving::check::Architecture;
use greenlit_serving::tiny;
use greenlit_serving::tiny::gguf::{self, Field, Numbers};

use crate::engine::{Engine, SEED, failed, job};

/// An engine with a model from a file in memory.
async fn with(architecture: Architecture, numbers: Numbers) -> Engine {
    let engine = Engine::start().await;
    gguf::gguf(&engine.path("tiny.gguf"), architecture, SEED, numbers).unwrap();
    load(&engine).await;
    engine
}

async fn load(engine: &Engine) {
    // Four bits are asked for, and have no meaning here.
    let answer = engine.load("m", engine.path("tiny.gguf"), Precision::Four).await.unwrap();
    let EngineAnswer::Loaded(loaded) = answer else { panic!("{answer:?}") };
    assert_eq!((loaded.precision, loaded.context), (Precision::Stored, 1024));
}

async fn the_same_as_from_safetensors(architecture: Architecture) {
    let plain = Engine::with(architecture, Precision::Full).await;
    let file = with(architecture, Numbers::F32).await;
    for prompt in ["def f(x):", "{", "a longer line, with é and a number 1234\n"] {
        let expected = plain.greedy(None, prompt).await;
        assert_eq!(file.greedy(None, prompt).await, expected, "{prompt:?}");
    }
}

#[tokio::test]
async fn a_qwen2_file_writes_what_the_same_numbers_write_from_safetensors() {
    the_same_as_from_safetensors(Architecture::Qwen2).await;
}

#[tokio::test]
async fn a_qwen3_file_writes_what_the_same_numbers_write_from_safetensors() {
    the_same_as_from_safetensors(Architecture::Qwen3).await;
}

#[tokio::test]
async fn a_llama_file_writes_what_the_same_numbers_write_from_safetensors() {
    the_same_as_from_safetensors(Architecture::Llama).await;
}

#[tokio::test]
async fn a_quantized_file_counts_chats_keeps_a_schema_and_gives_its_memory_back() {
    let engine = with(Architecture::Qwen2, Numbers::Q8).await;
    let texts = vec!["four".to_owned(), "é".to_owned(), String::new()];
    let counted = engine.client.ask(EngineRequest::Count { model: "m".into(), texts }).await;
    assert_eq!(counted, Ok(EngineAnswer::Counted(vec![4, 2, 0])));

    let mut chat = job(None, "", 8);
    chat.prompt = Prompt::Chat(vec![Message { role: Role::User, content: "hello".into() }]);
    let (_, generated) = engine.write(chat).await.unwrap();
    // <|start|>user\nhello<|stop|> <|start|>assistant
    assert_eq!(generated.usage.prompt_tokens, (1 + 5 + 5 + 1) + (1 + 9));

    let mut constrained = job(None, "{", 50);
    constrained.constraint = Constraint::Regex("(yes|no)!".into());
    let (text, generated) = engine.write(constrained).await.unwrap();
    assert!(["yes!", "no!"].contains(&text.as_str()), "{text:?}");
    assert_eq!(generated.finish, Finish::Stop);

    let before = engine.greedy(None, "x").await;
    engine.client.ask(EngineRequest::Unload { model: "m".into() }).await.unwrap();
    let empty = engine.resident();
    for _ in 0..5 {
        load(&engine).await;
        assert_eq!(engine.greedy(None, "x").await, before);
        engine.client.ask(EngineRequest::Unload { model: "m".into() }).await.unwrap();
    }
    let grown = engine.resident().saturating_sub(empty);
    assert!(grown < 50 << 20, "{grown} bytes more after five loads");
}

#[tokio::test]
async fn a_file_with_its_tokenizer_beside_it_writes_and_ends_alike() {
    let engine = with(Architecture::Llama, Numbers::F32).await;
    let expected = engine.greedy(None, "def f(x):").await;
    engine.client.ask(EngineRequest::Unload { model: "m".into() }).await.unwrap();
    let mut fields = gguf::fields(Architecture::Llama);
    for (name, value) in &mut fields {
        if name == "tokenizer.ggml.pre" {
            *value = Field::Text("llama-bpe".into());
        }
    }
    let tensors = gguf::tensors(Architecture::Llama, SEED);
    std::fs::write(engine.path("tiny.gguf"), gguf::file(&fields, &tensors, Numbers::F32)).unwrap();
    std::fs::write(engine.path("tokenizer.json"), gguf::tokenizer_json()).unwrap();
    load(&engine).await;
    assert_eq!(engine.greedy(None, "def f(x):").await, expected);
    let mut constrained = job(None, "{", 50);
    constrained.constraint = Constraint::Regex("(yes|no)!".into());
    let (text, _) = engine.write(constrained).await.unwrap();
    assert!(["yes!", "no!"].contains(&text.as_str()), "{text:?}");
}

#[tokio::test]
async fn an_adapter_for_a_file_is_refused_and_the_model_goes_on() {
    let engine = with(Architecture::Qwen2, Numbers::F32).await;
    tiny::always(&engine.path("a"), SEED, b'a').unwrap();
    let (kind, message) = failed(engine.load_adapter("a").await);
    assert_eq!(kind, Kind::BadFiles);
    assert!(message.contains("original weights"), "{message}");
    assert!(!engine.greedy(None, "x").await.is_empty());
}
