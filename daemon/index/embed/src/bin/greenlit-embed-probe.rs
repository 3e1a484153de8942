//! `greenlit-embed-probe LIBRARY DEVICE [MODEL USAGE]`: tries an ONNX Runtime, or a model in it. What the
//! tests start.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match &arguments[..] {
        [library, device] => {
            greenlit_embed::probe_child(Path::new(library), &device.to_string_lossy())
        }
        [library, device, model, usage] => {
            let (device, usage) = (device.to_string_lossy(), usage.to_string_lossy());
            greenlit_embed::trial_child(Path::new(library), &device, Path::new(model), &usage)
        }
        _ => ExitCode::from(2),
    }
}
