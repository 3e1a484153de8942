//! The daemon's side of the engine, with an engine that follows a script in a process of its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use greenlit_generate::{
    Completion, Constraint, Finish, Identity, Message, Model, ModelError, Request, Role, Sampling,
};
use greenlit_host::{Engine, EngineError, LocalModel, MOST_CRASHES, Options, Program, Wanted};
use greenlit_protocol::EngineState;
use greenlit_protocol::engine::{EngineFailureKind, EngineRequest, Precision};
use greenlit_serving::check::Architecture;
use greenlit_serving::tiny;
use serde_json::{Value, json};

const SEED: u64 = 7;

struct Scene {
    dir: tempfile::TempDir,
    options: Options,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let configured = Some(PathBuf::from(env!("CARGO_BIN_EXE_scripted-engine")));
        let options = Options {
            program: Program { configured, ..Program::default() },
            log: dir.path().join("engine.log"),
            precision: Precision::Four,
            context: 1024,
            memory: None,
            adapter_memory: None,
            keep: None,
            idle_unload: None,
            health: Duration::from_secs(600),
        };
        Self { dir, options }
    }

    fn model(&self, name: &str, script: &Value) -> Wanted {
        let directory = self.dir.path().join(name);
        tiny::model(&directory, Architecture::Qwen2, SEED).unwrap();
        rewrite(&directory, script);
        let digest = name.to_owned();
        Wanted { model: name.to_owned(), directory, digest, adapter: None }
    }

    fn engine(&self) -> Engine {
        Engine::new(self.options.clone())
    }
}

/// What a model says from its next load on.
fn rewrite(directory: &Path, script: &Value) {
    std::fs::write(directory.join("script.json"), script.to_string()).unwrap();
}

fn says(words: &str) -> Value {
    json!({ "replies": [{ "say": words }] })
}

/// What the engine was asked.
fn asked(wanted: &Wanted) -> Vec<Value> {
    let text = std::fs::read_to_string(wanted.directory.join("asked.jsonl")).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn local(engine: &Engine, wanted: &Wanted) -> LocalModel {
    LocalModel {
        engine: engine.clone(),
        wanted: wanted.clone(),
        identity: Identity { name: wanted.model.clone(), ..Identity::default() },
        context: 1024,
        stop: Arc::new(|| false),
        until: Instant::now() + Duration::from_secs(60),
    }
}

/// What a model writes.
async fn text(
    engine: &Engine,
    wanted: &Wanted,
    stop: Arc<AtomicBool>,
) -> (String, Result<Completion, ModelError>) {
    let model = local(engine, wanted);
    let work = move || {
        let messages = [Message { role: Role::User, content: "mend it".to_owned() }];
        let constraint = Constraint::JsonSchema("{}".to_owned());
        let sampling = Sampling { temperature: 0.5, top_p: 0.9, max_tokens: 64, seed: 1 };
        let stop = || stop.load(Ordering::SeqCst);
        let request =
            Request { messages: &messages, constraint: &constraint, sampling, stop: &stop };
        let mut said = String::new();
        let completion = model.generate(&request, &mut |piece| {
            said.push_str(piece);
            ControlFlow::Continue(())
        });
        (said, completion)
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn answered(engine: &Engine, wanted: &Wanted) -> String {
    let (said, completion) = text(engine, wanted, Arc::default()).await;
    assert_eq!(completion.unwrap().finish, Finish::Stop);
    said
}

async fn error(engine: &Engine, wanted: &Wanted) -> (bool, EngineError) {
    let (_, completion) = text(engine, wanted, Arc::default()).await;
    let Err(ModelError::Unavailable { lasting, source, .. }) = completion else {
        panic!("it answered: {completion:?}");
    };
    (lasting, *source.downcast::<EngineError>().unwrap())
}

#[cfg(unix)]
fn signal(engine: &Engine, signal: nix::sys::signal::Signal) {
    let pid = i32::try_from(engine.report().pid.unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_started_when_it_is_needed_and_asked_as_the_repair_wants() {
    let scene = Scene::new();
    let (engine, wanted) = (scene.engine(), scene.model("m", &says("one two three")));
    assert_eq!(engine.report().state, EngineState::Stopped);
    let (said, completion) = text(&engine, &wanted, Arc::default()).await;
    assert_eq!(said, "one two three");
    let completion = completion.unwrap();
    assert_eq!((completion.usage.completion_tokens, completion.usage.estimated), (3, false));
    assert_eq!(completion.first_token, Some(Duration::from_millis(2)));
    let report = engine.report();
    assert_eq!(report.state, EngineState::Ready, "{}", report.detail);
    assert_eq!((report.models[0].name.as_str(), report.crashes), ("m", 0));
    #[cfg(target_os = "linux")]
    {
        // Behind editors and tests, and the first to go when memory runs out.
        let of =
            |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", report.pid.unwrap()));
        assert_eq!(of("oom_score_adj").unwrap().trim(), "800");
        let nice = |stat: String| -> i64 {
            let numbers = stat.rsplit_once(')').unwrap().1;
            numbers.split_whitespace().nth(16).unwrap().parse().unwrap()
        };
        let own = nice(std::fs::read_to_string("/proc/self/stat").unwrap());
        assert_eq!(nice(of("stat").unwrap()), (own + 5).min(19));
    }
    let asked = &asked(&wanted)[0];
    assert_eq!(asked["constraint"], json!({ "json-schema": "{}" }));
    assert_eq!((&asked["sampling"]["max_tokens"], &asked["adapter"]), (&json!(64), &Value::Null));
    // The same process answers again, and counts tokens as the model does.
    assert_eq!(answered(&engine, &wanted).await, "one two three");
    assert_eq!(engine.report().pid, report.pid);
    let model = local(&engine, &wanted);
    let count = move || model.count_tokens("twelve bytes");
    assert_eq!(tokio::task::spawn_blocking(count).await.unwrap(), 3);
    engine.shutdown().await;
    let report = engine.report();
    assert_eq!((report.state, report.crashes, report.pid), (EngineState::Stopped, 0, None));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_request_it_says_so_and_the_next_one_works() {
    let scene = Scene::new();
    let (engine, wanted) = (scene.engine(), scene.model("m", &json!({ "write": "wait" })));
    let request = {
        let (engine, wanted) = (engine.clone(), wanted.clone());
        tokio::spawn(async move { error(&engine, &wanted).await })
    };
    while asked(&wanted).is_empty() {
        tokio::task::yield_now().await;
    }
    let before = engine.report().pid;
    rewrite(&wanted.directory, &says("again"));
    signal(&engine, nix::sys::signal::SIGKILL);
    let (lasting, error) = request.await.unwrap();
    assert!(!lasting);
    assert_eq!(error.to_string(), "the engine was ended by signal 9");
    assert!(error.remedy().unwrap().contains("engine.log"));
    let report = engine.report();
    assert_eq!((report.state, report.crashes), (EngineState::Crashed, 1), "{}", report.detail);
    assert_eq!(answered(&engine, &wanted).await, "again");
    let report = engine.report();
    assert_eq!((report.state, report.crashes), (EngineState::Ready, 0));
    assert_ne!(report.pid, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_three_crashes_in_a_row_it_is_left_alone_and_the_log_is_named() {
    let scene = Scene::new();
    let (engine, wanted) = (scene.engine(), scene.model("m", &json!({ "load": "die" })));
    for crashes in 1..=MOST_CRASHES {
        let (lasting, error) = error(&engine, &wanted).await;
        assert!(!lasting && error.to_string().contains("signal 6"), "{error}");
        assert_eq!(engine.report().crashes, crashes);
    }
    std::fs::remove_file(wanted.directory.join("died")).unwrap();
    let (lasting, error) = error(&engine, &wanted).await;
    assert!(lasting && matches!(error, EngineError::GivenUp { crashes: 3, .. }), "{error}");
    assert!(error.remedy().unwrap().contains("engine.log"));
    assert!(!wanted.directory.join("died").exists(), "it was not even started");
    let report = engine.report();
    assert_eq!(report.state, EngineState::GivenUp);
    assert!(report.detail.contains("engine.log"), "{}", report.detail);
    // A person insists.
    rewrite(&wanted.directory, &says("at last"));
    engine.forgive();
    assert_eq!(answered(&engine, &wanted).await, "at last");
    assert_eq!(engine.report().crashes, 0);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_answer_any_more_is_ended_and_started_anew() {
    let mut scene = Scene::new();
    scene.options.health = Duration::from_secs(2);
    let (engine, wanted) = (scene.engine(), scene.model("m", &says("here")));
    assert_eq!(answered(&engine, &wanted).await, "here");
    signal(&engine, nix::sys::signal::SIGSTOP);
    let (lasting, error) = error(&engine, &wanted).await;
    assert!(!lasting);
    assert_eq!(error.to_string(), "the engine did not answer for 2s and was ended");
    assert_eq!(answered(&engine, &wanted).await, "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_crash_while_loading_is_survived() {
    let scene = Scene::new();
    let mut script = says("here");
    script["load"] = json!("die-once");
    let (engine, wanted) = (scene.engine(), scene.model("m", &script));
    let (lasting, _) = error(&engine, &wanted).await;
    assert!(!lasting);
    assert_eq!(answered(&engine, &wanted).await, "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_uses_leaves_the_memory_and_comes_back() {
    let mut scene = Scene::new();
    scene.options.idle_unload = Some(Duration::from_millis(30));
    let (engine, wanted) = (scene.engine(), scene.model("m", &says("here")));
    // As long as somebody uses it, it stays.
    let used = engine.ready(&wanted).await.unwrap();
    let other = engine.ready(&scene.model("other", &says("there"))).await.unwrap();
    drop(other);
    engine.until(|report| report.models.len() == 1).await;
    assert_eq!(engine.report().models[0].name, "m");
    drop(used);
    let report = engine.until(|report| report.pid.is_none()).await;
    assert_eq!((report.state, report.crashes), (EngineState::Stopped, 0), "{}", report.detail);
    assert_eq!(answered(&engine, &wanted).await, "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_engine_is_told_with_the_way_to_get_one() {
    let mut scene = Scene::new();
    scene.options.program = Program::default();
    let (engine, wanted) = (scene.engine(), scene.model("m", &says("here")));
    let (lasting, error) = error(&engine, &wanted).await;
    assert!(lasting && matches!(error, EngineError::Absent(_)), "{error}");
    let report = engine.report();
    assert_eq!(report.state, EngineState::Absent);
    assert!(report.remedy.unwrap().contains("cargo xtask engine"));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn something_else_than_an_engine_is_told_by_what_it_wrote_last() {
    use std::os::unix::fs::PermissionsExt;

    let mut scene = Scene::new();
    let program = scene.dir.path().join("not-an-engine");
    std::fs::write(&program, "#!/bin/sh\necho 'this processor is too old' >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    scene.options.program.configured = Some(program);
    let (engine, wanted) = (scene.engine(), scene.model("m", &says("here")));
    let (lasting, error) = error(&engine, &wanted).await;
    assert!(lasting && matches!(error, EngineError::Unusable(_)), "{error}");
    assert!(error.to_string().contains("this processor is too old"), "{error}");
    assert_eq!(engine.report().state, EngineState::GivenUp);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_fit_is_refused_with_the_arithmetic() {
    let mut scene = Scene::new();
    scene.options.memory = Some(1 << 20);
    let (engine, wanted) = (scene.engine(), scene.model("m", &says("here")));
    let (lasting, error) = error(&engine, &wanted).await;
    assert!(lasting);
    let said = error.to_string();
    assert!(said.contains("for weights (4 bits)") && said.contains("it may take 1 MiB"), "{said}");
    let report = engine.report();
    assert_eq!(report.state, EngineState::OutOfMemory);
    assert!(report.detail.contains("it may take 1 MiB") && report.crashes == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_wants_any_more_is_ended_in_the_engine_too() {
    let scene = Scene::new();
    let (engine, wanted) = (scene.engine(), scene.model("m", &json!({ "write": "wait" })));
    let stop = Arc::new(AtomicBool::new(false));
    let request = {
        let (engine, wanted, stop) = (engine.clone(), wanted.clone(), stop.clone());
        tokio::spawn(async move { text(&engine, &wanted, stop).await })
    };
    while asked(&wanted).is_empty() {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::SeqCst);
    let (said, completion) = request.await.unwrap();
    assert_eq!(completion.unwrap().finish, Finish::Cancelled);
    // Whether the first piece was here before that is chance.
    assert!("a".starts_with(&said), "{said}");
    while asked(&wanted).len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked(&wanted)[1], json!({ "cancelled": true }));
    assert_eq!(engine.report().state, EngineState::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_loads_at_once_share_one_process() {
    let scene = Scene::new();
    let engine = scene.engine();
    let (a, b) = (scene.model("a", &says("A")), scene.model("b", &says("B")));
    let (first, second, third) = tokio::join!(engine.ready(&a), engine.ready(&b), engine.ready(&a));
    let all = [first.unwrap(), second.unwrap(), third.unwrap()];
    assert_eq!(all.map(|used| used.loaded.model.clone()), ["a", "b", "a"]);
    let (said, other) = tokio::join!(answered(&engine, &a), answered(&engine, &b));
    assert_eq!((said.as_str(), other.as_str()), ("A", "B"));
    assert_eq!(engine.report().models.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_files_go_away_writes_on_and_is_missed_at_the_next_load() {
    let scene = Scene::new();
    let (engine, wanted) = (scene.engine(), scene.model("m", &says("still here")));
    assert_eq!(answered(&engine, &wanted).await, "still here");
    let aside = scene.dir.path().join("aside");
    std::fs::rename(&wanted.directory, &aside).unwrap();
    std::fs::create_dir(&wanted.directory).unwrap();
    assert_eq!(answered(&engine, &wanted).await, "still here");
    engine.kill().await;
    let (lasting, error) = error(&engine, &wanted).await;
    assert!(lasting && error.to_string().contains("config.json is missing"), "{error}");
    let report = engine.report();
    assert_eq!((report.state, report.crashes), (EngineState::Ready, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_is_brought_in_beside_the_model_and_named_in_each_request() {
    let scene = Scene::new();
    let (engine, base) = (scene.engine(), scene.model("m", &says("plain")));
    let directory = scene.dir.path().join("adapter");
    let mut config = tiny::adapter_config();
    config["script"] = json!("special");
    tiny::adapter(&directory, &config, &tiny::always_tensors(SEED, b'a')).unwrap();
    let with = Wanted { adapter: Some(("style@1".to_owned(), vec![directory])), ..base.clone() };
    assert_eq!(answered(&engine, &base).await, "plain");
    assert_eq!(answered(&engine, &with).await, "special");
    assert_eq!(answered(&engine, &base).await, "plain");
    assert_eq!(engine.report().models[0].adapters, ["style@1"]);
    let adapters: Vec<_> = asked(&base).iter().map(|line| line["adapter"].clone()).collect();
    assert_eq!(adapters, [Value::Null, json!("style@1"), Value::Null]);
    engine.unload_adapter("m", "style@1").await.unwrap();
    assert!(engine.report().models[0].adapters.is_empty());
    assert_eq!(answered(&engine, &with).await, "special");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_left_between_two_questions_is_loaded_again() {
    let scene = Scene::new();
    let (engine, wanted) = (scene.engine(), scene.model("m", &says("here")));
    let used = engine.ready(&wanted).await.unwrap();
    // Behind the supervisor's back.
    used.client().ask(EngineRequest::Unload { model: "m".to_owned() }).await.unwrap();
    assert_eq!(answered(&engine, &wanted).await, "here");
    drop(used);
    engine.unload("m").await.unwrap();
    let again = engine.unload("m").await.unwrap_err();
    let EngineError::Failed(failure) = again else { panic!("{again}") };
    assert_eq!(failure.kind, EngineFailureKind::NotLoaded);
}

#[tokio::test(flavor = "multi_thread")]
async fn swaps_of_adapters_under_load_lose_no_request() {
    let scene = Scene::new();
    let (engine, base) = (scene.engine(), scene.model("m", &says("plain")));
    let adapters: Vec<_> = (1..=3)
        .map(|version| {
            let directory = scene.dir.path().join(format!("style{version}"));
            let mut config = tiny::adapter_config();
            config["script"] = json!(format!("special {version}"));
            tiny::adapter(&directory, &config, &tiny::always_tensors(SEED, b'a')).unwrap();
            Wanted { adapter: Some((format!("style@{version}"), vec![directory])), ..base.clone() }
        })
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..3)
        .map(|_| {
            let (engine, base, over) = (engine.clone(), base.clone(), over.clone());
            tokio::spawn(async move {
                let mut answers = 0;
                while !over.load(Ordering::SeqCst) {
                    assert_eq!(answered(&engine, &base).await, "plain");
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    for round in 0..4 {
        for (at, wanted) in adapters.iter().enumerate() {
            assert_eq!(answered(&engine, wanted).await, format!("special {}", at + 1));
            let (name, _) = wanted.adapter.as_ref().unwrap();
            if (round + at) % 2 == 0 {
                engine.unload_adapter("m", name).await.unwrap();
            }
        }
    }
    over.store(true, Ordering::SeqCst);
    for task in load {
        assert!(task.await.unwrap() > 0);
    }
    assert_eq!(engine.report().crashes, 0);
}
