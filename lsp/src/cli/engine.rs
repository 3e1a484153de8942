//! How the engine is, and what was measured, for people.

use greenlit_protocol::engine::Precision;
use greenlit_protocol::{BenchReport, EngineReport, EngineState, FitReport};

use super::output::{self, BOLD, DIM, GREEN, RED, RESET, YELLOW};

/// A line on the engine, and one for each model in memory.
pub(crate) fn print(report: &EngineReport) {
    let color = match report.state {
        EngineState::Ready => GREEN,
        EngineState::Absent | EngineState::Stopped => DIM,
        EngineState::Starting | EngineState::Loading => YELLOW,
        EngineState::Crashed | EngineState::GivenUp | EngineState::OutOfMemory => RED,
    };
    let pid = report.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    output::line(format_args!("engine: {color}{}{RESET}{pid}", report.detail));
    if let Some(remedy) = &report.remedy {
        output::line(format_args!("   {remedy}"));
    }
    for model in &report.models {
        let adapters = match model.adapters.is_empty() {
            true => String::new(),
            false => format!(" with {}", model.adapters.join(", ")),
        };
        output::line(format_args!(
            "   {BOLD}{}{RESET}{adapters}  {DIM}{}, {} tokens, {}{RESET}",
            model.name,
            bits(model.precision),
            model.context,
            size(model.bytes)
        ));
    }
}

/// The arithmetic of a model, on one line.
pub(crate) fn fit(fit: &FitReport) -> String {
    let verdict = match fit.fits {
        true => format!("{GREEN}fits{RESET}"),
        false => format!("{RED}does not fit{RESET}"),
    };
    format!(
        "{verdict}: {} weights ({}) + {} for {} tokens + {} to work with = {} of {}",
        size(fit.weights),
        bits(fit.precision),
        size(fit.cache),
        fit.context,
        size(fit.working),
        size(fit.total),
        size(fit.limit)
    )
}

/// What was measured.
pub(crate) fn bench(report: &BenchReport) {
    let BenchReport { model, device, isq, load_ms, prefill_tok_s, decode_tok_s, ttft_ms, .. } =
        report;
    output::line(format_args!("{BOLD}{model}{RESET} on {device}, {}", bits(*isq)));
    output::line(format_args!("   loaded in {:.1} s", *load_ms as f64 / 1000.0));
    output::line(format_args!(
        "   reads   {prefill_tok_s:.1} tokens/s ({} tokens, {ttft_ms:.0} ms to the first)",
        report.prompt_tokens
    ));
    output::line(format_args!(
        "   writes  {decode_tok_s:.1} tokens/s ({} tokens)",
        report.completion_tokens
    ));
    if let Some(bytes) = report.memory_bytes {
        output::line(format_args!("   memory  {}", size(bytes)));
    }
}

fn bits(precision: Precision) -> &'static str {
    match precision {
        Precision::Auto => "4 or 8 bits",
        Precision::Four => "4 bits",
        Precision::Eight => "8 bits",
        Precision::Full => "32 bits",
        Precision::Stored => "quantized in its file",
    }
}

/// As memory is counted: binary.
fn size(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib >= 0.95 { format!("{gib:.1} GiB") } else { format!("{} MiB", bytes.div_ceil(1 << 20)) }
}
