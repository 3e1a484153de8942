//! How quick a model is: `speed RUNTIME MODEL_DIR [TOKENS] [SECONDS]`, one thread.
//!
//! Prints the load time, texts per second in the batches that the embedder chooses, and memory.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use greenlit_embed::{
    Accelerator, Embedder, Model, OnnxEmbedder, Overrides, Prober, Runtime, Search, find,
    probe_child,
};

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, library, device] = &arguments[..]
        && word == "probe"
    {
        let _ = probe_child(library.as_ref(), device);
        return Ok(());
    }
    let number = |place: usize, otherwise| -> Result<u64, Box<dyn Error>> {
        Ok(arguments.get(place).map_or(Ok(otherwise), |text| text.parse())?)
    };
    let [runtime, model] = [0, 1].map(|place| arguments.get(place).map(PathBuf::from));
    let (tokens, seconds) = (number(2, 256)?, number(3, 10)?);
    let started = Instant::now();
    let search =
        Search { configured: runtime, accelerator: Accelerator::None, ..Search::default() };
    let prober = Prober::new(std::env::current_exe()?, vec!["probe".into()]);
    let found = find(&search, &prober)?;
    println!("probe: {:?}", started.elapsed());
    let runtime = Runtime::load(&found)?;
    println!("memory before the model: {}", memory());
    let started = Instant::now();
    let model = Model::open(&model.ok_or("no model directory")?, &Overrides::default())?;
    println!("read and hashed: {:?}", started.elapsed());
    let embedder = OnnxEmbedder::load(model, &runtime, 1)?;
    println!("loaded: {:?}; memory: {}", started.elapsed(), memory());
    println!("{:?}", embedder.identity());

    let mut text = String::new();
    while (embedder.count_tokens(&text) as u64) < tokens {
        text.push_str("let total = items.iter().sum(); ");
    }
    println!("{} tokens a text", embedder.count_tokens(&text));
    let texts = [text.as_str(); 8];
    let (started, mut done) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(seconds) {
        done += embedder.embed(&texts)?.len();
    }
    println!("{:.1} texts/s; memory: {}", done as f64 / started.elapsed().as_secs_f64(), memory());
    Ok(())
}

/// Resident and peak, where the system tells.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines =
        status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}
