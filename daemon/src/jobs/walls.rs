//! What the configuration says of sandboxes, in the words of the crate that opens them.

use greenlit_sandbox::{Isolation, Layer, Limits};
use greenlit_workspace::config;

pub(super) fn isolation(layer: config::Layer) -> Isolation {
    match layer {
        config::Layer::Auto => Isolation::Auto,
        config::Layer::Namespaces => Isolation::Only(Layer::Namespaces),
        config::Layer::Bubblewrap => Isolation::Only(Layer::Bubblewrap),
        config::Layer::Copy => Isolation::Only(Layer::Copy),
        config::Layer::None => Isolation::Off,
    }
}

pub(super) fn limits(config: &config::Sandbox) -> Limits {
    let default = Limits::default();
    let bytes = |megabytes: Option<u64>, default| megabytes.map_or(default, |mb| mb << 20);
    Limits {
        memory_bytes: bytes(config.memory_mb, default.memory_bytes),
        processes: config.processes.unwrap_or(default.processes),
        disk_bytes: bytes(config.disk_mb, default.disk_bytes),
        output_bytes: bytes(config.output_mb, default.output_bytes),
    }
}
