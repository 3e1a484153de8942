//! `greenlit adapter`.

mod learn;

use std::path::{Path, PathBuf};

use greenlit_protocol::{
    AdapterAction, AdapterEntry, AdapterKind, AdapterReport, LearnAction, Request, Response,
};

use super::args::{AdapterArgs, AdapterVerb, KindArg};
use super::failure::Failure;
use super::output::{self, BOLD, DIM, GREEN, RESET};
use super::{daemon, root};

/// Runs the command.
pub(crate) async fn run(args: &AdapterArgs) -> Result<u8, Failure> {
    match &args.verb {
        AdapterVerb::Dataset { root, output, all } => {
            return learn::dataset(root.as_deref(), output.as_deref(), *all, args.json).await;
        }
        AdapterVerb::Evaluate { adapter, root, all, limit } => {
            let action = LearnAction::Evaluate {
                adapter: adapter.clone(),
                root: root::resolve(root.as_deref())?,
                all: *all,
                most: *limit,
            };
            return learn::evaluate(action, args.json).await;
        }
        _ => {}
    }
    let action = action(&args.verb)?;
    let connection = daemon::open("adapter", Vec::new()).await?;
    let response = daemon::ask(&connection, Request::Adapter(action)).await?;
    let Response::Adapters(report) = response else { return Err(daemon::unexpected(&response)) };
    if args.json {
        output::json(&report);
    } else {
        print(&report);
    }
    Ok(0)
}

fn action(verb: &AdapterVerb) -> Result<AdapterAction, Failure> {
    let resolve = |named: &Option<PathBuf>| root::resolve(named.as_deref());
    Ok(match verb {
        AdapterVerb::List { root } => AdapterAction::List { root: Some(resolve(root)?) },
        AdapterVerb::Add { path, name, version, model, kind } => AdapterAction::Add {
            path: std::path::absolute(path)
                .map_err(Failure::io(format_args!("cannot use {}", path.display())))?,
            name: name.clone(),
            version: version.clone(),
            model: model.clone(),
            kind: match kind {
                KindArg::Functional => AdapterKind::Functional,
                KindArg::Guardrail => AdapterKind::Guardrail,
            },
        },
        AdapterVerb::Activate { adapter, root, force } => AdapterAction::Activate {
            adapter: adapter.clone(),
            root: resolve(root)?,
            force: *force,
        },
        AdapterVerb::Deactivate { adapter, root } => {
            AdapterAction::Deactivate { root: resolve(root)?, adapter: adapter.clone() }
        }
        AdapterVerb::Remove { adapter } => AdapterAction::Remove { adapter: adapter.clone() },
        AdapterVerb::Dataset { .. } | AdapterVerb::Evaluate { .. } => {
            unreachable!("answered before")
        }
    })
}

fn print(report: &AdapterReport) {
    for entry in &report.adapters {
        let AdapterEntry { name, model, rank, targets, digest, .. } = entry;
        let active = report.active.contains(name);
        let state = if active { format!("  {GREEN}active here{RESET}") } else { String::new() };
        let resident = if entry.resident { ", in memory" } else { "" };
        let kind = match entry.kind {
            AdapterKind::Functional => "functional",
            AdapterKind::Guardrail => "guardrail",
        };
        let size = entry.bytes as f64 / 1e6;
        output::line(format_args!(
            "{BOLD}{name}{RESET}{state}  {DIM}{kind}, for {model}, {size:.1} MB{resident}{RESET}"
        ));
        let targets = targets.join(", ");
        output::line(format_args!("   {DIM}rank {rank} on {targets}; {digest:.16}{RESET}"));
        for (root, found) in &entry.evaluations {
            let (with, faults) = (found.with, found.faults);
            let without = found.without;
            let root = display(root);
            output::line(format_args!(
                "   mends {with} of {faults} recorded faults of {root}, its model alone {without}"
            ));
        }
        let elsewhere: Vec<_> = entry.active_in.iter().map(|root| display(root)).collect();
        if !elsewhere.is_empty() {
            output::line(format_args!("   used in {}", elsewhere.join(", ")));
        }
    }
    if report.adapters.is_empty() {
        output::line("no adapters; `greenlit adapter add DIR` takes one in");
    }
    for note in &report.notes {
        output::notice(format_args!("note: {note}"));
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}
