//! An engine in a process of its own, and tiny models for it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use greenlit_protocol::engine::{
    Constraint, EngineAnswer, EngineFailureKind, EngineRequest, Generate, Generated, Keep,
    LoadModel, Precision, Prompt, Sampling,
};
use greenlit_serving::check::Architecture;
use greenlit_serving::{CallError, Client, tiny};
use tokio::process::{Child, Command};

pub(crate) const SEED: u64 = 7;

pub(crate) struct Engine {
    pub(crate) client: Client,
    pub(crate) process: Child,
    /// Where it keeps quantized weights.
    pub(crate) keep: Option<Keep>,
    scratch: Scratch,
}

impl Engine {
    pub(crate) async fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_greenlit-engine"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (output, input) = (process.stdout.take().unwrap(), process.stdin.take().unwrap());
        let client = Client::connect(output, input).await.unwrap();
        Self { client, process, keep: None, scratch: Scratch::new() }
    }

    /// An engine with a model in memory.
    pub(crate) async fn with(architecture: Architecture, precision: Precision) -> Self {
        let engine = Self::start().await;
        let directory = engine.path("model");
        tiny::model(&directory, architecture, SEED).unwrap();
        engine.load("m", directory, precision).await.unwrap();
        engine
    }

    /// What its process has in memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.0.join(name)
    }

    pub(crate) async fn load(
        &self,
        model: &str,
        directory: PathBuf,
        precision: Precision,
    ) -> Result<EngineAnswer, CallError> {
        let (context, memory, adapter_memory) = (None, None, None);
        let keep = self.keep.clone();
        let model = model.to_owned();
        let load = LoadModel { model, directory, precision, context, memory, adapter_memory, keep };
        self.client.ask(EngineRequest::Load(load)).await
    }

    /// Loads an adapter that writes one letter for ever.
    pub(crate) async fn load_letter(
        &self,
        adapter: &str,
        letter: u8,
    ) -> Result<EngineAnswer, CallError> {
        tiny::always(&self.path(adapter), SEED, letter).unwrap();
        self.load_adapter(adapter).await
    }

    /// Loads an adapter from the directory of its name.
    pub(crate) async fn load_adapter(&self, adapter: &str) -> Result<EngineAnswer, CallError> {
        self.load_adapters(adapter, &[adapter]).await
    }

    /// Loads adapters as one, from the directories of their names.
    pub(crate) async fn load_adapters(
        &self,
        adapter: &str,
        names: &[&str],
    ) -> Result<EngineAnswer, CallError> {
        let directories = names.iter().map(|name| self.path(name)).collect();
        let (model, adapter) = ("m".into(), adapter.into());
        self.client.ask(EngineRequest::LoadAdapter { model, adapter, directories }).await
    }

    pub(crate) async fn unload(&self, adapter: &str) {
        let (model, adapter) = ("m".into(), adapter.into());
        self.client.ask(EngineRequest::UnloadAdapter { model, adapter }).await.unwrap();
    }

    /// What is written, and what is told at the end.
    pub(crate) async fn write(&self, job: Generate) -> Result<(String, Generated), CallError> {
        let mut call = self.client.call(EngineRequest::Generate(job));
        let mut text = String::new();
        while let Some(piece) = call.piece().await {
            text.push_str(&piece);
        }
        match call.end().await? {
            EngineAnswer::Generated(generated) => Ok((text, generated)),
            other => panic!("{other:?}"),
        }
    }

    /// What is written with the likeliest tokens.
    pub(crate) async fn greedy(&self, adapter: Option<&str>, prompt: &str) -> String {
        self.write(job(adapter, prompt, 24)).await.unwrap().0
    }
}

/// A directory that goes with its test. Not by `tempfile`: it would ask for another feature of a crate far
/// below, so that the library would be compiled twice, for the executable and for its tests.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("engine-{}-{count}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The likeliest tokens, without a constraint.
pub(crate) fn job(adapter: Option<&str>, prompt: &str, max_tokens: u32) -> Generate {
    Generate {
        model: "m".into(),
        adapter: adapter.map(str::to_owned),
        prompt: Prompt::Text(prompt.into()),
        constraint: Constraint::None,
        sampling: Sampling { temperature: 0.0, top_p: 1.0, max_tokens },
    }
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
