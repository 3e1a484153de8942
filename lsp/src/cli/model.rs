//! `greenlit model`.

use std::io::{BufRead, IsTerminal};

use greenlit_protocol::{
    ModelAction, ModelEntry, ModelReport, PullPlan, PullRequest, Request, Response,
};

use super::args::{ModelArgs, ModelVerb, PullArgs};
use super::failure::Failure;
use super::output::{self, BOLD, DIM, GREEN, RESET, YELLOW};
use super::{daemon, engine};

/// Runs the command.
pub(crate) async fn run(args: &ModelArgs) -> Result<u8, Failure> {
    let connection = daemon::open("model", Vec::new()).await?;
    let ask = |action| daemon::ask(&connection, Request::Model(action));
    let response = match &args.verb {
        ModelVerb::List => ask(ModelAction::List).await?,
        ModelVerb::Pull(pull) => {
            let request = PullRequest {
                name: pull.name.clone(),
                endpoint: pull.endpoint.clone(),
                packages: pull.packages.clone(),
                agreed: false,
            };
            match ask(ModelAction::Pull(request.clone())).await? {
                Response::PullPlan(plan) => {
                    agree(&plan, pull, args.json)?;
                    ask(ModelAction::Pull(PullRequest { agreed: true, ..request })).await?
                }
                nothing_missing => nothing_missing,
            }
        }
        ModelVerb::Add { path, name } => {
            let path = std::path::absolute(path)
                .map_err(Failure::io(format_args!("cannot use {}", path.display())))?;
            ask(ModelAction::Add { path, name: name.clone() }).await?
        }
        ModelVerb::Remove { name } => ask(ModelAction::Remove { name: name.clone() }).await?,
        ModelVerb::Load { name } => ask(ModelAction::Load { name: name.clone() }).await?,
        ModelVerb::Unload { name, kill } => {
            ask(ModelAction::Unload { name: name.clone(), kill: *kill }).await?
        }
        ModelVerb::Bench { name } => ask(ModelAction::Bench { name: name.clone() }).await?,
    };
    if let Response::Bench(report) = &response {
        match args.json {
            true => output::json(report),
            false => engine::bench(report),
        }
        return Ok(0);
    }
    let Response::Models(report) = response else { return Err(daemon::unexpected(&response)) };
    if args.json {
        output::json(&report);
    } else {
        print(&report);
    }
    Ok(0)
}

/// Shows what would be downloaded; an error unless the person agrees.
fn agree(plan: &PullPlan, pull: &PullArgs, json: bool) -> Result<(), Failure> {
    for item in &plan.items {
        output::notice(format_args!(
            "{BOLD}{}{RESET}  {}, licence {}, from {}",
            item.name,
            size(item.bytes),
            item.licence,
            item.from
        ));
    }
    if pull.yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if json || !stdin.is_terminal() {
        let what = format!("{} would be downloaded", size(plan.bytes));
        return Err(Failure::usage(what).hint("say `--yes` to agree"));
    }
    output::notice(format_args!("Download {}? [y/N]", size(plan.bytes)));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(Failure::io("cannot read the answer"))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::interrupted()),
    }
}

fn print(report: &ModelReport) {
    for entry in &report.models {
        let state = match (entry.in_use, entry.installed) {
            (true, _) if entry.kind == "language" => format!("{GREEN}in memory{RESET}"),
            (true, _) => format!("{GREEN}in use{RESET}"),
            (false, true) => "installed".to_owned(),
            (false, false) => format!("{DIM}not installed{RESET}"),
        };
        output::line(format_args!("{BOLD}{}{RESET}  {state}  {}", entry.name, facts(entry)));
        output::line(format_args!("   {}", entry.about));
        if let Some(path) = entry.path.as_ref().filter(|_| entry.installed) {
            output::line(format_args!("   {DIM}{}{RESET}", path.display()));
        }
        if let Some(fit) = &entry.fit {
            output::line(format_args!("   {}", engine::fit(fit)));
        }
        if let Some(problem) = &entry.problem {
            output::line(format_args!("   {YELLOW}{problem}{RESET}"));
        }
    }
    if let Some(report) = &report.engine {
        engine::print(report);
    }
    if report.configured {
        output::notice("note: `embedding.model` in your configuration says which model is used");
    }
    if report.offline {
        output::notice("note: `network.offline` in your configuration forbids downloads");
    }
    if let Some(why) = &report.degraded {
        output::notice(format_args!("{YELLOW}note:{RESET} {why}"));
    }
}

fn facts(entry: &ModelEntry) -> String {
    let facts = [Some(entry.kind.clone()), entry.bytes.map(size), entry.licence.clone()];
    format!("{DIM}{}{RESET}", facts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// As registries show sizes: decimal.
fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
