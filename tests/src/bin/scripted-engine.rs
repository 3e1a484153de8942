//! An engine that writes what the directory of its model says, in place of `greenlit-engine`.
//!
//! Requests, files, memory and swaps are handled by what the real one uses; only inference is a script:
//! `script.json` beside the weights, and `script` in an adapter's configuration. What it is asked goes to
//! `asked.jsonl` there.
#![expect(clippy::unwrap_used, reason = "a test's helper may panic")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use greenlit_protocol::engine::{EngineFailure, Finish, Generate, Generated, Prompt, Usage};
use greenlit_serving::{Backend, Plan, Runner, cancelled, serve};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Script {
    /// The first whose `when` is in the prompt is said.
    replies: Vec<Reply>,
    /// What loading does instead of working.
    load: Option<Act>,
    /// What writing does instead.
    write: Option<Act>,
}

#[derive(Clone, Deserialize)]
struct Reply {
    #[serde(default)]
    when: String,
    say: String,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Act {
    /// The process dies.
    Die,
    /// The process dies the first time.
    DieOnce,
    /// Nothing happens until somebody does not want it any more.
    Wait,
}

struct Scripted;

struct Voice {
    directory: PathBuf,
    adapter: Option<String>,
    script: Script,
}

impl Backend for Scripted {
    fn name(&self) -> String {
        "a script".to_owned()
    }

    fn device(&self) -> &'static str {
        "cpu"
    }

    fn load(&self, plan: &Plan) -> Result<Arc<dyn Runner>, EngineFailure> {
        let directory = plan.files.place.clone();
        let mut script: Script = read(&directory.join("script.json")).unwrap_or_default();
        act(&directory, script.load);
        // The last one speaks for all.
        let adapter = plan.adapters.last().map(|adapter| {
            let own = adapter.weights.parent().unwrap();
            let config: Value = read(&own.join("adapter_config.json")).unwrap();
            let say = config["script"].as_str().unwrap_or_default().to_owned();
            script =
                Script { replies: vec![Reply { when: String::new(), say }], ..Script::default() };
            own.file_name().unwrap().to_string_lossy().into_owned()
        });
        Ok(Arc::new(Voice { directory, adapter, script }))
    }
}

impl Runner for Voice {
    fn count(&self, text: &str) -> Result<u64, EngineFailure> {
        Ok(text.len().div_ceil(4) as u64)
    }

    fn generate<'a>(
        &'a self,
        job: &'a Generate,
        stop: &'a CancellationToken,
        piece: &'a (dyn Fn(String) + Send + Sync),
    ) -> BoxFuture<'a, Result<Generated, EngineFailure>> {
        Box::pin(async move {
            let prompt = match &job.prompt {
                Prompt::Text(text) => text.clone(),
                Prompt::Chat(messages) => {
                    messages.iter().map(|message| message.content.as_str()).collect()
                }
            };
            self.note(&json!({
                "adapter": job.adapter,
                "digest": self.adapter,
                "constraint": job.constraint,
                "sampling": job.sampling,
                "prompt": prompt,
            }));
            act(&self.directory, self.script.write);
            if self.script.write == Some(Act::Wait) {
                piece("a".to_owned());
                stop.cancelled().await;
                self.note(&json!({ "cancelled": true }));
                return Err(cancelled());
            }
            let reply = self.script.replies.iter().find(|reply| prompt.contains(&reply.when));
            let words = reply.map_or("nothing", |reply| reply.say.as_str());
            let mut tokens = 0;
            for word in words.split_inclusive(' ') {
                tokens += 1;
                piece(word.to_owned());
                tokio::task::yield_now().await;
            }
            let prompt_tokens = self.count(&prompt)?;
            Ok(Generated {
                usage: Usage { prompt_tokens, completion_tokens: tokens },
                finish: Finish::Stop,
                first_token_ms: 2.0,
                total_ms: 2.0 + tokens as f64,
            })
        })
    }

    fn close(&self) {}
}

impl Voice {
    fn note(&self, line: &Value) {
        let path = self.directory.join("asked.jsonl");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        // In one piece: somebody may be reading.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    Some(serde_json::from_slice(&std::fs::read(path).ok()?).unwrap())
}

fn act(directory: &Path, act: Option<Act>) {
    let died = directory.join("died");
    if act == Some(Act::Die) || (act == Some(Act::DieOnce) && !died.exists()) {
        std::fs::write(died, "").unwrap();
        std::process::abort();
    }
}

#[tokio::main]
async fn main() {
    let served =
        serve(Arc::new(Scripted), "none".to_owned(), tokio::io::stdin(), tokio::io::stdout());
    served.await.unwrap();
    // A thread still waits for standard input.
    std::process::exit(0);
}
