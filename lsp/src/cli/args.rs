//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use greenlit_protocol::Tier;

/// Verified fixes for failing tests.
#[derive(Debug, Parser)]
#[command(name = "greenlit", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve an editor on standard input and output.
    Lsp(LspArgs),
    /// Look for verified fixes of failing tests.
    ///
    /// Exits with 0 when every failing test has a verified fix, 1 when some have none, 2 on an
    /// error.
    Fix(FixArgs),
    /// Run tests as the daemon would, in its sandbox.
    ///
    /// Exits with 0 when all pass, 1 when some fail, 2 on an error.
    Test(TestArgs),
    /// Search the files of a workspace by words, names and, where there is a model, meaning.
    ///
    /// Finds what is on the branch one is on. Exits with 1 when nothing is found.
    Search(SearchArgs),
    /// Show or steer the index that searches use.
    ///
    /// Exits with 1 when the index has failed.
    Index(IndexArgs),
    /// Show, download, add, remove and measure models: embedding models, which search by meaning uses, and
    /// language models, which write fixes.
    Model(ModelArgs),
    /// Show what was tried, why it fell, what was offered and what became of it.
    Trace(TraceArgs),
    /// Show, add, activate and remove adapters (LoRA) of language models.
    Adapter(AdapterArgs),
    /// Show the daemon, its sessions and workspaces.
    ///
    /// Exits with 3 when no daemon runs; never starts one.
    Status(StatusArgs),
    /// Check what Greenlit needs on this machine and in this workspace.
    ///
    /// Exits with 1 when a check failed.
    Doctor(DoctorArgs),
    /// Print the end of the daemon's log.
    Logs(LogsArgs),
    /// Let the daemon finish its requests and end; waits until it is gone.
    Stop(StopArgs),
    /// Stop the daemon and start it anew.
    Restart(StopArgs),
}

impl Command {
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Lsp(_) => false,
            Self::Fix(args) => args.json,
            Self::Test(args) => args.json,
            Self::Search(args) => args.json,
            Self::Index(args) => args.json,
            Self::Model(args) => args.json,
            Self::Trace(args) => args.json,
            Self::Adapter(args) => args.json,
            Self::Status(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Logs(args) => args.json,
            Self::Stop(args) | Self::Restart(args) => args.json,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LspArgs {
    /// What some editors add; it is the only way there is.
    #[arg(long, hide = true)]
    stdio: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FixArgs {
    /// Workspace root [default: the nearest directory with .git or a project file]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Failing test to fix; may be repeated [default: every failing test]
    #[arg(long = "test", value_name = "ID")]
    pub(crate) tests: Vec<String>,
    /// Highest tier to use
    #[arg(long, value_enum, default_value_t = TierArg::Auto)]
    pub(crate) tier: TierArg,
    /// Seconds to spend on candidates [default: as configured]
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) budget: Option<u64>,
    /// The only tests that may be run; may be repeated [default: all]
    #[arg(long = "visible-tests", value_name = "ID")]
    pub(crate) visible: Vec<String>,
    /// File with more of them, one per line: thousands do not fit on a command line
    #[arg(long = "visible-tests-from", value_name = "FILE")]
    pub(crate) visible_from: Option<PathBuf>,
    /// Apply the best fix of each failing test to the files
    #[arg(long)]
    pub(crate) apply: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TierArg {
    /// Deterministic templates
    Template,
    /// A small local model
    Small,
    /// A bigger or remote model
    Large,
    /// Whatever is configured, cheapest first
    Auto,
}

impl From<TierArg> for Tier {
    fn from(tier: TierArg) -> Self {
        match tier {
            TierArg::Template => Self::Template,
            TierArg::Small => Self::Small,
            TierArg::Large => Self::Large,
            TierArg::Auto => Self::Auto,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Workspace root [default: the nearest directory with .git or a project file]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Words, names, or what is meant
    #[arg(required = true)]
    pub(crate) query: Vec<String>,
    /// How many hits
    #[arg(short = 'k', value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) hits: u32,
    /// Workspace root [default: the nearest directory with .git or a project file]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Only files whose path from the root matches; may be repeated
    #[arg(long = "path", value_name = "GLOB")]
    pub(crate) paths: Vec<String>,
    /// Only this language (python, cpp, …, or what its files end with); may be repeated
    #[arg(long = "language", value_name = "NAME")]
    pub(crate) languages: Vec<String>,
    /// Only this kind of definition (function, class, section, …); may be repeated
    #[arg(long = "kind", value_name = "NAME")]
    pub(crate) kinds: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// What to do
    #[arg(value_enum)]
    pub(crate) verb: IndexVerb,
    /// Workspace root [default: the nearest directory with .git or a project file]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IndexVerb {
    /// Show how it is
    Status,
    /// Throw it away and start over
    Rebuild,
    /// Follow no more changes until resumed
    Pause,
    /// Follow changes again
    Resume,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    #[command(subcommand)]
    pub(crate) verb: ModelVerb,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelVerb {
    /// Show the models that are here and those that can be downloaded.
    List,
    /// Download a model.
    ///
    /// An embedding model comes with what runs it where that is missing, and is used from then on. Shows sizes and licences and asks first. What was interrupted goes on where it stopped. A running
    /// daemon takes the model without a restart.
    Pull(PullArgs),
    /// Use a model that is in a directory or a GGUF file of this machine.
    ///
    /// It stays where it is. A directory with model.onnx is an embedding model; else it is a language model,
    /// which needs config.json, tokenizer.json and safetensors. A GGUF file has everything in it.
    Add {
        /// The directory, or the GGUF file
        path: PathBuf,
        /// What to call it [default: the directory's or the file's name]
        #[arg(long)]
        name: Option<String>,
    },
    /// Remove a model that was downloaded, forget one that was added.
    Remove {
        /// Its name
        name: String,
    },
    /// Bring a language model into memory. A repair does that by itself.
    Load {
        /// Its name
        name: String,
    },
    /// Take a language model out of memory.
    Unload {
        /// Its name [default: all, and the engine ends]
        name: Option<String>,
        /// End the engine at once, whatever it does
        #[arg(long, conflicts_with = "name")]
        kill: bool,
    },
    /// Measure how quick a language model is on this machine.
    Bench {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AdapterArgs {
    #[command(subcommand)]
    pub(crate) verb: AdapterVerb,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdapterVerb {
    /// Show adapters, and which one a workspace uses.
    List {
        /// Workspace root [default: the nearest directory with .git or a project file]
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
    /// Take in a copy of an adapter from a PEFT directory.
    ///
    /// What the engine would ignore (DoRA, rank patterns, …) is refused by name.
    Add {
        /// The directory
        path: PathBuf,
        /// What to call it [default: the directory's name]
        #[arg(long)]
        name: Option<String>,
        /// Its version [default: the next number]
        #[arg(long)]
        version: Option<String>,
        /// The language model that it is for [default: the only one]
        #[arg(long)]
        model: Option<String>,
        /// What it is for
        #[arg(long, value_enum, default_value_t = KindArg::Functional)]
        kind: KindArg,
    },
    /// Use an adapter for a workspace from now on. Nothing that runs is interrupted.
    Activate {
        /// NAME@VERSION, or NAME for the newest
        adapter: String,
        /// Workspace root [default: the nearest directory with .git or a project file]
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// Also where an evaluation says that the model is better without it
        #[arg(long)]
        force: bool,
    },
    /// Write accepted fixes as examples to train an adapter on, one JSON object a line.
    ///
    /// Each fix is set up and verified again, and what a model would be told of it is written with the
    /// reply that it should give. Of about every fourth fault nothing is written, so that `evaluate`
    /// measures what was not learnt.
    Dataset {
        /// Workspace root [default: the nearest directory with .git or a project file]
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// Write here [default: the standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Also what is held out for `evaluate`
        #[arg(long)]
        all: bool,
    },
    /// Let a model mend recorded faults of a workspace, with an adapter and without.
    ///
    /// Tests of the workspace in the background wait meanwhile. An adapter that mends fewer than the model
    /// alone is not activated there without `--force`.
    Evaluate {
        /// NAME@VERSION, or NAME for the newest
        adapter: String,
        /// Workspace root [default: the nearest directory with .git or a project file]
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// Also with faults that the adapter may have been trained on
        #[arg(long)]
        all: bool,
        /// At most so many faults, the newest ones
        #[arg(long, short = 'n', value_name = "N", default_value_t = 40)]
        limit: u32,
    },
    /// Use an adapter no more for a workspace, or none.
    Deactivate {
        /// NAME@VERSION, or NAME [default: all that are active]
        adapter: Option<String>,
        /// Workspace root [default: the nearest directory with .git or a project file]
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
    /// Remove an adapter's files, and forget it.
    Remove {
        /// NAME@VERSION, or NAME for the newest
        adapter: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// It makes the model better at something
    Functional,
    /// It keeps the model from something
    Guardrail,
}

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// A model of `greenlit model list`, `OWNER/NAME[@REVISION]` for any other language model of the hub, or
    /// `onnxruntime` for what runs embedding models alone [default: the first]
    pub(crate) name: Option<String>,
    /// Agree to the download without being asked
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Another model hub, with the paths of huggingface.co
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Another file host of the Python registry, for ONNX Runtime
    #[arg(long, value_name = "URL")]
    pub(crate) packages: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Workspace root [default: the nearest directory with .git or a project file]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    #[command(subcommand)]
    pub(crate) verb: TraceVerb,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TraceVerb {
    /// List attempts, newest first.
    List {
        #[command(flatten)]
        filter: TraceFilterArgs,
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 30,
              value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Show everything about one attempt: search, prompt, model call, candidate, verdict, what became of it.
    Show {
        /// Its number, or the id of a fix
        id: String,
        /// Print the whole prompt and reply
        #[arg(long)]
        texts: bool,
    },
    /// Verify the candidate of an attempt once more and compare.
    ///
    /// Files that are others by now come from the record and are shown to the sandbox alone. Exits with 1
    /// when the verdict differs.
    Replay {
        /// Its number, or the id of a fix
        id: String,
    },
    /// Print everything about many attempts, oldest first, one JSON object per line.
    Export {
        #[command(flatten)]
        filter: TraceFilterArgs,
    },
    /// Remove everything that quotes code from an attempt, for good.
    Redact {
        /// Its number, or the id of a fix
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TraceFilterArgs {
    /// Of this workspace only
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Not older than this: 90s, 15m, 2h, 7d
    #[arg(long, value_name = "AGO", value_parser = super::trace::ago)]
    pub(crate) since: Option<i64>,
    /// Of this tier only: template, small, large, checker
    #[arg(long)]
    pub(crate) tier: Option<String>,
    /// Only what was offered
    #[arg(long)]
    pub(crate) offered: bool,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct StatusArgs {
    /// Print everything that is measured, in Prometheus' text format
    #[arg(long, conflicts_with = "json")]
    pub(crate) metrics: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on printing what is added
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) follow: bool,
    /// How many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) lines: usize,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Do not wait for running requests
    #[arg(long)]
    pub(crate) kill: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tests_may_be_repeated() {
        let cli = Cli::try_parse_from(["greenlit", "fix", "--test", "a", "--test", "b"]).unwrap();
        let Command::Fix(args) = cli.command else { panic!() };
        assert_eq!(args.tests, ["a", "b"]);
        assert_eq!(args.tier, TierArg::Auto);
    }
}
