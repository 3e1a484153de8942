//! Greenlit's daemon: one per user, owner of all state; editors and commands connect to it.
//!
//! The composition root: [`lifecycle`] is the process (alone, ready, connections, log, end),
//! [`state`] is the main loop that owns everything else, [`jobs`] what it has running.

mod doctor;
mod engine;
mod jobs;
mod keys;
mod lifecycle;
mod models;
mod state;
mod tiers;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = lifecycle::Args::parse();
    match &args.command {
        Some(lifecycle::Command::ProbeOnnxruntime { library, device, model, usage }) => {
            match model.as_ref().zip(usage.as_ref()) {
                Some((model, usage)) => greenlit_embed::trial_child(library, device, model, usage),
                None => greenlit_embed::probe_child(library, device),
            }
        }
        None => lifecycle::run(&args),
    }
}
