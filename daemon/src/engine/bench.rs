//! `greenlit model bench`: how quick a model is on this machine.

use greenlit_host::EngineError;
use greenlit_protocol::engine::{
    Constraint, EngineAnswer, EngineRequest, Generate, Generated, Prompt, Sampling,
};
use greenlit_protocol::{BenchReport, ErrorKind, RemoteError};
use greenlit_repair::Cancel;

use super::{Local, failed, refused};

/// Lines of the prompt; a line has some ten tokens.
const LINES: usize = 48;
/// Tokens to write.
const TOKENS: u32 = 64;

impl Local {
    /// Loads a model if need be and lets it write once.
    pub(crate) fn bench(&self, name: &str, cancel: &Cancel) -> Result<BenchReport, RemoteError> {
        let wanted = self.shelf.wanted(name, None).map_err(|error| refused(&error))?;
        self.engine.forgive();
        let used = self.block(cancel, self.engine.ready(&wanted))?.map_err(|e| failed(&e))?;
        let request = EngineRequest::Generate(Generate {
            model: name.to_owned(),
            adapter: None,
            prompt: Prompt::Text(prompt()),
            constraint: Constraint::None,
            sampling: Sampling { temperature: 0.0, top_p: 1.0, max_tokens: TOKENS },
        });
        let answer = match self.block(cancel, used.client().ask(request))? {
            Ok(answer) => answer,
            Err(error) => {
                let error: EngineError = self.block(cancel, used.failed(error))?;
                return Err(failed(&error));
            }
        };
        let EngineAnswer::Generated(generated) = answer else {
            let message = "the engine answers something else than it was asked";
            return Err(RemoteError::new(ErrorKind::Internal, message));
        };
        used.worked();
        let memory_bytes = self.block(cancel, self.engine.resident_bytes())?;
        let Generated { usage, first_token_ms, total_ms, .. } = generated;
        let rate = |tokens: u64, ms: f64| if ms > 0.0 { tokens as f64 * 1000.0 / ms } else { 0.0 };
        Ok(BenchReport {
            model: name.to_owned(),
            device: used.device().to_owned(),
            isq: used.loaded.precision,
            load_ms: used.loaded.load_ms,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            prefill_tok_s: rate(usage.prompt_tokens, first_token_ms),
            decode_tok_s: rate(
                usage.completion_tokens.saturating_sub(1),
                total_ms - first_token_ms,
            ),
            ttft_ms: first_token_ms,
            memory_bytes,
        })
    }
}

/// Something to read, always the same.
fn prompt() -> String {
    (0..LINES).map(|line| format!("def f{line}(x):\n    return x + {line}\n")).collect()
}
