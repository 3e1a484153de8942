//! A backend that writes what its prompt says, and the two ends of a connection to it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use greenlit_protocol::engine::{
    Constraint, EngineAnswer, EngineFailure, EngineFailureKind, EngineRequest, Finish, Generate,
    Generated, LoadModel, Precision, Prompt, Sampling, Usage,
};
use greenlit_serving::check::Architecture;
use greenlit_serving::{Backend, CallError, Client, Plan, Runner, cancelled, failure, serve, tiny};
use tokio_util::sync::CancellationToken;

/// What a script backend was asked to do.
#[derive(Default)]
pub(crate) struct Script {
    /// Runners that were made and not closed.
    pub(crate) open: AtomicUsize,
    /// Loads that run at this moment, and the most that ever did.
    loading: AtomicUsize,
    pub(crate) most_loading: AtomicUsize,
    /// Threads that loaded.
    pub(crate) threads: Mutex<Vec<std::thread::ThreadId>>,
    /// What the next load does instead.
    pub(crate) next_load: Mutex<Option<&'static str>>,
}

pub(crate) struct ScriptBackend(pub(crate) Arc<Script>);

struct ScriptRunner {
    script: Arc<Script>,
    /// Whose weights: the adapter's file, or nothing.
    voice: String,
    closed: std::sync::atomic::AtomicBool,
}

impl Backend for ScriptBackend {
    fn name(&self) -> String {
        "a script".into()
    }

    fn device(&self) -> &'static str {
        "cpu"
    }

    fn load(&self, plan: &Plan) -> Result<Arc<dyn Runner>, EngineFailure> {
        let script = &self.0;
        let now = script.loading.fetch_add(1, Ordering::SeqCst) + 1;
        script.most_loading.fetch_max(now, Ordering::SeqCst);
        script.threads.lock().unwrap().push(std::thread::current().id());
        let instead = script.next_load.lock().unwrap().take();
        script.loading.fetch_sub(1, Ordering::SeqCst);
        match instead {
            Some("fail") => return Err(failure(EngineFailureKind::Backend, "the script says so")),
            Some(words) => panic!("{words}"),
            None => {}
        }
        script.open.fetch_add(1, Ordering::SeqCst);
        let directories = plan.adapters.iter().map(|one| one.weights.parent().unwrap());
        let names = directories.map(|own| own.file_name().unwrap().to_string_lossy());
        let voice = names.collect::<Vec<_>>().join("+");
        Ok(Arc::new(ScriptRunner { script: Arc::clone(script), voice, closed: false.into() }))
    }
}

impl Runner for ScriptRunner {
    fn count(&self, text: &str) -> Result<u64, EngineFailure> {
        Ok(text.len() as u64)
    }

    /// Writes its voice and the prompt, word by word; two words are instructions.
    fn generate<'a>(
        &'a self,
        job: &'a Generate,
        stop: &'a CancellationToken,
        piece: &'a (dyn Fn(String) + Send + Sync),
    ) -> BoxFuture<'a, Result<Generated, EngineFailure>> {
        Box::pin(async move {
            assert!(!self.closed.load(Ordering::SeqCst), "a closed runner was asked");
            let Prompt::Text(prompt) = &job.prompt else { panic!("the script takes texts") };
            piece(self.voice.clone());
            for word in prompt.split(' ') {
                tokio::task::yield_now().await;
                match word {
                    "until-cancelled" => {
                        stop.cancelled().await;
                        return Err(cancelled());
                    }
                    "panic" => panic!("the script panics"),
                    word => piece(word.to_owned()),
                }
            }
            assert!(!self.closed.load(Ordering::SeqCst), "a runner was closed while it wrote");
            Ok(Generated {
                usage: Usage { prompt_tokens: 1, completion_tokens: 1 },
                finish: Finish::Stop,
                first_token_ms: 0.0,
                total_ms: 0.0,
            })
        })
    }

    fn close(&self) {
        assert!(!self.closed.swap(true, Ordering::SeqCst), "closed twice");
        self.script.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An engine in this process, and the files that it may load.
pub(crate) struct Engine {
    pub(crate) client: Client,
    pub(crate) script: Arc<Script>,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) const SEED: u64 = 7;

impl Engine {
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Script::default());
        let backend = Arc::new(ScriptBackend(Arc::clone(&script)));
        let (near, far) = tokio::io::duplex(1 << 16);
        let (far_read, far_write) = tokio::io::split(far);
        tokio::spawn(async move {
            serve(backend, "none".into(), far_read, far_write).await.unwrap();
        });
        let (read, write) = tokio::io::split(near);
        let client = Client::connect(read, write).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        tiny::model(&dir.path().join("model"), Architecture::Qwen2, SEED).unwrap();
        Self { client, script, dir }
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.dir.path().join("model")
    }

    pub(crate) fn adapter(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        if !path.exists() {
            tiny::always(&path, SEED, b'a').unwrap();
        }
        path
    }

    pub(crate) async fn load(
        &self,
        name: &str,
        directory: &Path,
    ) -> Result<EngineAnswer, CallError> {
        self.client.ask(EngineRequest::Load(request(name, directory))).await
    }

    pub(crate) async fn load_adapter(&self, name: &str) -> Result<EngineAnswer, CallError> {
        let directories = vec![self.adapter(name)];
        let (model, adapter) = ("m".into(), name.into());
        self.client.ask(EngineRequest::LoadAdapter { model, adapter, directories }).await
    }

    /// What is written for a prompt.
    pub(crate) async fn text(
        &self,
        adapter: Option<&str>,
        prompt: &str,
    ) -> Result<String, CallError> {
        let mut call = self.client.call(generate(adapter, prompt));
        let mut text = String::new();
        while let Some(piece) = call.piece().await {
            text.push_str(&piece);
        }
        call.end().await.map(|_| text)
    }
}

pub(crate) fn request(name: &str, directory: &Path) -> LoadModel {
    LoadModel {
        model: name.into(),
        directory: directory.into(),
        precision: Precision::Four,
        context: None,
        memory: None,
        adapter_memory: None,
        keep: None,
    }
}

pub(crate) fn generate(adapter: Option<&str>, prompt: &str) -> EngineRequest {
    EngineRequest::Generate(Generate {
        model: "m".into(),
        adapter: adapter.map(str::to_owned),
        prompt: Prompt::Text(prompt.into()),
        constraint: Constraint::None,
        sampling: Sampling { temperature: 0.0, top_p: 1.0, max_tokens: 10 },
    })
}

/// The kind of a failure, and what it says.
pub(crate) fn failed<T: std::fmt::Debug>(
    result: Result<T, CallError>,
) -> (EngineFailureKind, String) {
    match result {
        Err(CallError::Failed(failure)) => (failure.kind, failure.message),
        other => panic!("not a failure: {other:?}"),
    }
}
