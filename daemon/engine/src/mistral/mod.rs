//! mistralrs 0.8.1, with its traps avoided.
//!
//! - Each model, and each model with an adapter, is a `MistralRs` of its own. It could hold many, but
//!   then refuses to remove the last, and removes under a lock that blocks requests to the others.
//! - Adapters are merged into the weights while these are loaded; `set_adapters` of a request does
//!   nothing. When requests can name adapters (0.9), a runner can share its base's model instead.
//! - One request at a time per runner ([`runner`]): an error in one sequence makes the library skip
//!   its neighbours of the same batch, whose caches then hold a token too many.
//! - No prefix cache on a CPU: it never evicts, and can match a token without a row.
//! - A grammar ends texts with a token that it finds by name ([`prompt::ENDS`]), which need not be one that
//!   the model ends with: so it is named as a stop token.
//! - On a CPU the experts of a mixture are placeholders that fail at the first token, unless all of a layer lie in
//!   one tensor, as in no model that is published; from GGUF files it panics. So `check` knows no mixture.
//! - 32-bit activations on a CPU: its own choice would be 16 bits.

mod load;
mod prompt;
mod runner;
mod watch;

use std::sync::Arc;

use candle_core::Device;
use greenlit_protocol::engine::EngineFailure;
use greenlit_serving::{Backend, Plan, Runner};

/// The library.
pub(crate) struct Mistral {
    device: Device,
}

impl Mistral {
    /// Finds the device that this executable was built for.
    pub(crate) fn start() -> anyhow::Result<Self> {
        #[cfg(feature = "cuda")]
        let device = anyhow::Context::context(
            Device::new_cuda(0),
            "there is no usable NVIDIA device; use the build for the CPU",
        )?;
        #[cfg(not(feature = "cuda"))]
        let device = Device::Cpu;
        Ok(Self { device })
    }
}

impl Backend for Mistral {
    fn name(&self) -> String {
        "mistralrs 0.8.1".to_owned()
    }

    fn device(&self) -> &'static str {
        if self.device.is_cpu() { "cpu" } else { "cuda" }
    }

    fn load(&self, plan: &Plan) -> Result<Arc<dyn Runner>, EngineFailure> {
        let pipeline = load::pipeline(plan, &self.device, &self.name())?;
        Ok(Arc::new(runner::MistralRunner::new(pipeline, plan)?))
    }
}
