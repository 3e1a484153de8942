//! `greenlit-embed-probe LIBRARY DEVICE`: tries an ONNX Runtime. What the tests start.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match &arguments[..] {
        [library, device] => {
            greenlit_embed::probe_child(Path::new(library), &device.to_string_lossy())
        }
        _ => ExitCode::from(2),
    }
}
