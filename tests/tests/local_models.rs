//! Language models on this machine through the real daemon, with an engine that follows a script.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use greenlit_serving::check::Architecture;
use greenlit_serving::tiny;
use greenlit_tests::{Installation, ModelHub, Project, Ran, binary, python_project};
use serde_json::{Value, json};

const SEED: u64 = 7;

/// Templates do not know what is wanted: they would have to write whole phrases.
fn project() -> Project {
    Project::named("bill")
        .file("pyproject.toml", "[project]\nname = \"bill\"\nversion = \"1\"\n")
        .file("bill.py", "def line(items):\n    return None\n")
        .file(
            "test_bill.py",
            "from bill import line\n\n\n\
             def test_line():\n    assert line([('tea', 3), ('cup', 4)]) == 'tea, cup: 7'\n\n\n\
             def test_other():\n    assert callable(line)\n",
        )
}

const RIGHT: &str = "{\"version\":1,\"path\":\"bill.py\",\"operation\":\"replace-function\",\"symbol\":\"line\"}\n\
```python\n\
def line(items):\n    names = ', '.join(name for name, _ in items)\n    return f'{names}: {sum(price for _, price in items)}'\n\
```\n";

/// A tiny model that says what the script says, with room for real prompts.
fn model(directory: &Path, script: &Value) {
    tiny::model(directory, Architecture::Qwen2, SEED).unwrap();
    let path = directory.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["max_position_embeddings"] = json!(8192);
    std::fs::write(path, config.to_string()).unwrap();
    rewrite(directory, script);
}

fn rewrite(directory: &Path, script: &Value) {
    std::fs::write(directory.join("script.json"), script.to_string()).unwrap();
}

fn says(words: &str) -> Value {
    json!({ "replies": [{ "say": words }] })
}

fn adapter(directory: &Path, words: &str) {
    let mut config = tiny::adapter_config();
    config["script"] = json!(words);
    tiny::adapter(directory, &config, &tiny::always_tensors(SEED, b'a')).unwrap();
}

fn configure(installation: &Installation, more: &str) {
    let engine = env!("CARGO_BIN_EXE_scripted-engine");
    let text = format!(
        "[engine]\nprogram = '{engine}'\n{more}\n[tier.small]\nprovider = 'engine'\nmodel = 'tiny'\n\
         samples = 2\nrounds = 2\nmax_tokens = 512\n"
    );
    std::fs::write(installation.path("greenlit.toml"), text).unwrap();
}

/// An installation with a model that follows a script.
fn installed(script: &Value) -> (Installation, PathBuf) {
    let installation = Installation::new();
    configure(&installation, "");
    let directory = installation.path("tiny");
    model(&directory, script);
    run(&installation, &["model", "add", directory.to_str().unwrap()]);
    (installation, directory)
}

/// Runs a command that succeeds.
fn run(installation: &Installation, arguments: &[&str]) -> Value {
    let ran = installation.greenlit([arguments, &["--json"]].concat());
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    ran.json()
}

/// What a command that is refused says.
fn refused(installation: &Installation, arguments: &[&str]) -> String {
    let ran = installation.greenlit([arguments, &["--json"]].concat());
    assert_eq!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
    let error = &ran.json()["error"];
    format!("{} {}", error["message"].as_str().unwrap(), error["hint"].as_str().unwrap_or_default())
}

fn fix(installation: &Installation, project: &Project, more: &[&str]) -> Ran {
    let root = project.root().to_str().unwrap();
    installation.greenlit([&["fix", "--json", "--root", root, "--budget", "240"], more].concat())
}

fn entry(report: &Value, name: &str) -> Value {
    let models = report["models"].as_array().unwrap();
    models.iter().find(|model| model["name"] == name).unwrap_or(&Value::Null).clone()
}

#[test]
fn python_with_the_right_adapter_the_local_model_mends_what_it_does_not_mend_without() {
    let (installation, _) = installed(&says(&RIGHT.replace("return f", "return 'x' + f")));
    let project = project();
    let root = project.root().to_str().unwrap();
    let ran = fix(&installation, &project, &[]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);

    let place = installation.path("style");
    adapter(&place, RIGHT);
    run(&installation, &["adapter", "add", place.to_str().unwrap()]);
    let report = run(&installation, &["adapter", "activate", "style", "--root", root]);
    assert_eq!(report["active"], json!(["style@1"]), "{report:#}");
    assert_eq!(report["adapters"][0]["resident"], true, "its model is in memory");
    let ran = fix(&installation, &project, &["--apply"]);
    let report = ran.json();
    assert_eq!(ran.code, Some(0), "{report:#}\n{}", ran.stderr);
    let fix = &report["fixes"][0];
    let source = json!({ "tier": "small", "model": "tiny", "adapter": "style@1" });
    assert_eq!(fix["source"], source);
    let generation = &fix["evidence"]["generation"];
    assert_eq!((&generation["model"], &generation["adapter"]), (&json!("tiny"), &json!("style@1")));
    assert_eq!(generation["digest"].as_str().unwrap().len(), 64, "{generation}");
    assert_eq!(
        (&generation["first_token_ms"], &generation["estimated"]),
        (&json!(2), &json!(false))
    );
    assert!(project.read("bill.py").contains("names = ', '.join"));

    // A guardrail goes on top; without it is as before.
    let guard = installation.path("guard");
    adapter(&guard, "never that");
    run(&installation, &["adapter", "add", guard.to_str().unwrap(), "--kind", "guardrail"]);
    let report = run(&installation, &["adapter", "activate", "guard", "--root", root]);
    assert_eq!(report["active"], json!(["style@1", "guard@1"]), "{report:#}");
    assert!(report["adapters"].as_array().unwrap().iter().all(|one| one["resident"] == true));
    let status = installation.greenlit(["status", "--json"]).json();
    let resident = status["engine"]["models"][0]["adapters"].as_array().unwrap().clone();
    assert!(resident.contains(&json!("style@1 + guard@1")), "{status:#}");
    let report = run(&installation, &["adapter", "deactivate", "guard", "--root", root]);
    assert_eq!(report["active"], json!(["style@1"]), "{report:#}");
    run(&installation, &["adapter", "remove", "guard"]);
    let status = installation.greenlit(["status", "--json"]).json();
    assert_eq!(status["engine"]["models"][0]["adapters"], json!(["style@1"]), "{status:#}");

    // It is not the adapter of another workspace.
    let elsewhere = self::project();
    let ran = self::fix(&installation, &elsewhere, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    let report = run(&installation, &["adapter", "deactivate", "--root", root]);
    assert_eq!(report["active"], json!([]));
    run(&installation, &["adapter", "remove", "style"]);
    assert!(refused(&installation, &["adapter", "activate", "style"]).contains("no adapter"));
}

#[cfg(unix)]
#[test]
fn python_an_engine_that_is_killed_in_the_middle_costs_one_request() {
    let (installation, directory) = installed(&json!({ "write": "wait" }));
    let project = project();
    let mut command = installation.command(binary("greenlit"));
    command.args(["fix", "--json", "--budget", "240", "--root"]).arg(project.root());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !directory.join("asked.jsonl").exists() {
        std::thread::yield_now();
    }
    let status = installation.greenlit(["status", "--json"]).json();
    assert_eq!(status["engine"]["state"], "ready", "{status:#}");
    rewrite(&directory, &says(RIGHT));
    let pid = i32::try_from(status["engine"]["pid"].as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let generation = &report["fixes"][0]["evidence"]["generation"];
    assert!(generation["unusable"].to_string().contains("signal 9"), "{generation:#}");
    let status = installation.greenlit(["status", "--json"]).json();
    assert_eq!(
        (&status["engine"]["state"], &status["engine"]["crashes"]),
        (&json!("ready"), &json!(0))
    );
}

#[test]
fn python_without_an_engine_templates_mend_and_everybody_says_what_is_missing() {
    let (installation, directory) = installed(&says(RIGHT));
    run(&installation, &["stop"]);
    let text = std::fs::read_to_string(installation.path("greenlit.toml")).unwrap();
    let text = text.replace(env!("CARGO_BIN_EXE_scripted-engine"), "/nowhere/greenlit-engine");
    std::fs::write(installation.path("greenlit.toml"), text).unwrap();
    let template = python_project("people");
    let ran = fix(&installation, &template, &[]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["fixes"][0]["source"]["tier"], "template");
    let ran = fix(&installation, &project(), &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("the tier `small` is not asked"), "{}", ran.stderr);
    let status = installation.greenlit(["status", "--json"]).json();
    assert_eq!(status["engine"]["state"], "absent", "{status:#}");
    let doctor =
        installation.greenlit(["doctor", "--json", "--root", template.root().to_str().unwrap()]);
    let checks = doctor.json()["checks"].as_array().unwrap().clone();
    let engine = checks.iter().find(|check| check["name"] == "engine").unwrap();
    assert_eq!(engine["state"], "failed", "{engine:#}");
    assert!(engine["detail"].as_str().unwrap().contains("/nowhere/greenlit-engine"));
    assert!(!directory.join("asked.jsonl").exists());
}

#[test]
fn recommended_models_are_listed_with_their_licence_before_they_are_here() {
    let installation = Installation::new();
    configure(&installation, "");
    let report = run(&installation, &["model", "list"]);
    assert_eq!(report["engine"]["state"], "stopped", "{report:#}");
    for name in ["qwen2.5-coder-1.5b", "qwen2.5-coder-7b", "qwen3-coder-30b-a3b"] {
        let entry = entry(&report, name);
        assert_eq!((&entry["licence"], &entry["installed"]), (&json!("Apache-2.0"), &json!(false)));
    }
}

#[test]
fn models_are_listed_with_their_arithmetic_loaded_measured_and_unloaded() {
    let (installation, directory) = installed(&says("one two three"));
    let tiny = entry(&run(&installation, &["model", "list"]), "tiny");
    assert_eq!((&tiny["kind"], &tiny["in_use"]), (&json!("language"), &json!(false)));
    let of = |part: &str| tiny["fit"][part].as_u64().unwrap();
    assert_eq!(of("weights") + of("cache") + of("working"), of("total"));
    assert!(of("total") <= of("limit") && tiny["fit"]["fits"] == true, "{tiny:#}");

    let loaded = run(&installation, &["model", "load", "tiny"]);
    assert_eq!(entry(&loaded, "tiny")["in_use"], true);
    assert_eq!(loaded["engine"]["models"][0]["name"], "tiny", "{loaded:#}");
    let bench = run(&installation, &["model", "bench", "tiny"]);
    assert_eq!((&bench["model"], &bench["device"]), (&json!("tiny"), &json!("cpu")));
    assert_eq!((&bench["completion_tokens"], &bench["ttft_ms"]), (&json!(3), &json!(2.0)));
    // Two tokens in three milliseconds: the script says when.
    assert!((bench["decode_tok_s"].as_f64().unwrap() - 2000.0 / 3.0).abs() < 1.0, "{bench:#}");

    let unloaded = run(&installation, &["model", "unload", "tiny"]);
    assert_eq!(unloaded["engine"]["models"], json!([]));
    assert!(refused(&installation, &["model", "unload", "tiny"]).contains("not in memory"));
    run(&installation, &["model", "load", "tiny"]);
    let killed = run(&installation, &["model", "unload", "--kill"]);
    assert_eq!(
        (&killed["engine"]["state"], &killed["engine"]["crashes"]),
        (&json!("stopped"), &json!(0))
    );

    std::fs::write(directory.join("tokenizer.json"), "{}").unwrap();
    let list = run(&installation, &["model", "list"]);
    assert!(
        entry(&list, "tiny")["problem"].as_str().unwrap().contains("tokenizer.json"),
        "{list:#}"
    );
    assert!(refused(&installation, &["model", "load", "tiny"]).contains("tokenizer.json"));
    run(&installation, &["model", "remove", "tiny"]);
    assert!(directory.exists(), "a person's files are theirs");
    assert!(refused(&installation, &["model", "load", "tiny"]).contains("greenlit model add"));
}

#[test]
fn what_cannot_be_used_is_refused_with_the_file_the_reason_and_the_arithmetic() {
    let installation = Installation::new();
    configure(&installation, "memory_mb = 1");
    let directory = installation.path("tiny");
    let path = directory.to_str().unwrap();
    model(&directory, &says("here"));
    let weights = std::fs::read(directory.join("model.safetensors")).unwrap();
    std::fs::write(directory.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    assert!(refused(&installation, &["model", "add", path]).contains("model.safetensors"));
    std::fs::write(directory.join("model.safetensors"), &weights).unwrap();
    std::fs::write(installation.path("m.gguf"), "GGUF").unwrap();
    let said =
        refused(&installation, &["model", "add", installation.path("m.gguf").to_str().unwrap()]);
    assert!(said.contains("m.gguf") && said.contains("download it again"), "{said}");
    let added = run(&installation, &["model", "add", path]);
    assert_eq!(entry(&added, "tiny")["fit"]["fits"], false);
    let said = refused(&installation, &["model", "load", "tiny"]);
    assert!(said.contains("for weights") && said.contains("it may take 1 MiB"), "{said}");
    let status = installation.greenlit(["status", "--json"]).json();
    assert_eq!(status["engine"]["state"], "out-of-memory", "{status:#}");

    let place = installation.path("style");
    adapter(&place, "x");
    let mut config = tiny::adapter_config();
    config["use_dora"] = json!(true);
    std::fs::write(place.join("adapter_config.json"), config.to_string()).unwrap();
    let said = refused(&installation, &["adapter", "add", place.to_str().unwrap()]);
    assert!(said.contains("`use_dora` is not supported"), "{said}");
}

#[test]
fn a_model_is_pulled_with_consent_from_where_it_stopped_and_verified() {
    let installation = Installation::new();
    configure(&installation, "");
    let source = installation.path("source");
    model(&source, &says("pulled"));
    let hub = ModelHub::start("Team/Tiny", &source);
    let pull = ["model", "pull", "Team/Tiny", "--endpoint", &hub.url];
    let said = refused(&installation, &pull);
    assert!(said.contains("would be downloaded") && said.contains("--yes"), "{said}");
    let files = || hub.asked().into_iter().filter(|asked| asked.contains("/resolve/")).count();
    assert_eq!(files(), 0, "nothing is downloaded without consent");

    // The hub breaks off in the middle of the weights once.
    let report = run(&installation, &[&pull[..], &["--yes"]].concat());
    let tiny = entry(&report, "tiny");
    assert_eq!((&tiny["installed"], &tiny["licence"]), (&json!(true), &json!("mit")), "{tiny:#}");
    let resumed = hub.asked().into_iter().filter(|asked| asked.contains("bytes="));
    assert_eq!(resumed.count(), 1, "{:?}", hub.asked());
    let at = PathBuf::from(tiny["path"].as_str().unwrap());
    assert!(at.starts_with(installation.path("data")), "{}", at.display());
    assert_eq!(
        std::fs::read(at.join("model.safetensors")).unwrap(),
        std::fs::read(source.join("model.safetensors")).unwrap()
    );
    let loaded = run(&installation, &["model", "load", "tiny"]);
    assert_eq!(loaded["engine"]["models"][0]["name"], "tiny");
    let before = files();
    run(&installation, &[&pull[..], &["--yes"]].concat());
    assert_eq!(files(), before, "what is there is not fetched again");
    run(&installation, &["model", "remove", "tiny"]);
    assert!(!at.exists());

    hub.corrupt();
    let said = refused(&installation, &[&pull[..], &["--yes"]].concat());
    assert!(said.contains("SHA-256"), "{said}");
    let report = run(&installation, &["model", "list"]);
    assert_eq!(entry(&report, "tiny"), Value::Null);
}

#[test]
fn offline_no_model_is_asked_for_and_one_that_cannot_be_run_is_not_offered() {
    let installation = Installation::new();
    let source = installation.path("source");
    model(&source, &says("pulled"));
    let hub = ModelHub::start("Team/Tiny", &source);
    std::fs::write(installation.path("greenlit.toml"), "[network]\noffline = true\n").unwrap();
    let pull = ["model", "pull", "Team/Tiny", "--yes", "--endpoint", &hub.url];
    assert!(refused(&installation, &pull).contains("network.offline"));
    assert!(hub.asked().is_empty());
    let said = refused(&installation, &["model", "pull", "qwen3-coder-30b-a3b", "--yes"]);
    assert!(said.contains("Qwen3MoeForCausalLM"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_engine_ends_with_the_daemon_however_that_ends() {
    let (installation, _) = installed(&says("here"));
    for kill in [true, false] {
        let loaded = run(&installation, &["model", "load", "tiny"]);
        let engine = loaded["engine"]["pid"].as_i64().unwrap();
        let runs = || {
            let status = std::fs::read_to_string(format!("/proc/{engine}/status"));
            // Nobody may have waited for one that ended.
            status.is_ok_and(|text| !text.contains("State:\tZ"))
        };
        assert!(runs());
        if kill {
            let daemon = nix::unistd::Pid::from_raw(installation.daemon_pid().unwrap());
            nix::sys::signal::kill(daemon, nix::sys::signal::SIGKILL).unwrap();
        } else {
            assert_eq!(installation.greenlit(["stop"]).code, Some(0));
        }
        while runs() {
            std::thread::yield_now();
        }
    }
}

/// A project whose fault the templates mend.
fn broken_sum() -> Project {
    Project::named("sums")
        .file("pyproject.toml", "[project]\nname = \"sums\"\nversion = \"1\"\n")
        .file("sums.py", "def add(a, b):\n    return a - b\n\n\ndef none():\n    return 0\n")
        .file(
            "test_sums.py",
            "from sums import add, none\n\n\n\
             def test_add():\n    assert add(2, 3) == 5\n    assert add(1, 0) == 1\n\n\n\
             def test_none():\n    assert none() == 0\n",
        )
}

#[test]
fn python_an_accepted_fix_is_an_example_and_a_fault_to_evaluate_adapters_with() {
    let (installation, directory) = installed(&says("nothing of use"));
    let project = broken_sum();
    let root = project.root().to_str().unwrap();
    let evaluate = |adapter: &str| {
        let asked = ["adapter", "evaluate", adapter, "--all", "--root", root, "--json"];
        let ran = installation.greenlit(asked);
        (ran.code, ran.json())
    };
    assert!(refused(&installation, &["adapter", "dataset", "--root", root]).contains("--output"));
    let ran = fix(&installation, &project, &["--apply"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json()["fixes"][0]["source"]["tier"], "template");

    let file = installation.path("train.jsonl");
    let output = ["--output", file.to_str().unwrap(), "--all"];
    let written =
        run(&installation, &[&["adapter", "dataset", "--root", root][..], &output].concat());
    assert_eq!(
        (&written["examples"], &written["left_out"]),
        (&json!(1), &json!([])),
        "{written:#}"
    );
    let line: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let messages = line["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant"]);
    let prompt = messages[1]["content"].as_str().unwrap();
    assert!(prompt.contains("return a - b") && prompt.contains("test_add"), "{prompt}");
    let reply = messages[2]["content"].as_str().unwrap();
    assert!(reply.contains("\"symbol\":\"add\"") && reply.contains("return a + b"), "{reply}");
    // Nothing of that was written into the checkout.
    assert!(project.read("sums.py").contains("return a + b"));

    let place = installation.path("learnt");
    adapter(&place, reply);
    run(&installation, &["adapter", "add", place.to_str().unwrap()]);
    let (code, report) = evaluate("learnt");
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(
        [&report["faults"], &report["with"], &report["without"], &report["held_out"]],
        [&json!(1), &json!(1), &json!(0), &json!(false)]
    );
    assert_eq!(report["outcomes"][0]["attempt"], line["attempt"]);
    assert!(report["at_ms"].as_i64().unwrap() > 1_700_000_000_000);
    let listed = run(&installation, &["adapter", "list", "--root", root]);
    assert_eq!(listed["adapters"][0]["evaluations"][0][1]["with"], 1, "{listed:#}");
    run(&installation, &["adapter", "activate", "learnt", "--root", root]);

    // The model knows by now, and another adapter spoils that.
    run(&installation, &["model", "unload"]);
    rewrite(&directory, &says(reply));
    adapter(&installation.path("spoilt"), "nothing of use");
    run(&installation, &["adapter", "add", installation.path("spoilt").to_str().unwrap()]);
    let (code, report) = evaluate("spoilt");
    assert_eq!((code, &report["with"], &report["without"]), (Some(1), &json!(0), &json!(1)));
    let why = refused(&installation, &["adapter", "activate", "spoilt", "--root", root]);
    assert!(why.contains("mended 0 of 1 recorded faults") && why.contains("--force"), "{why}");
    let forced = ["adapter", "activate", "spoilt", "--force", "--root", root];
    assert_eq!(run(&installation, &forced)["active"], json!(["spoilt@1"]));
    // It was found out for this workspace alone.
    let elsewhere = self::project();
    let elsewhere = ["adapter", "activate", "spoilt", "--root", elsewhere.root().to_str().unwrap()];
    run(&installation, &elsewhere);
}

#[test]
fn python_what_cannot_be_set_up_again_is_left_out_with_its_reason() {
    let (installation, _) = installed(&says("nothing of use"));
    let project = broken_sum();
    let root = project.root().to_str().unwrap();
    let why = refused(&installation, &["adapter", "evaluate", "none-yet", "--root", root]);
    assert!(why.contains("no accepted fix is recorded"), "{why}");
    assert_eq!(fix(&installation, &project, &["--apply"]).code, Some(0));
    let why = refused(&installation, &["adapter", "evaluate", "unknown", "--all", "--root", root]);
    assert!(why.contains("no adapter `unknown`"), "{why}");
    let file = installation.path("train.jsonl");
    let dataset =
        ["adapter", "dataset", "--all", "--root", root, "--output", file.to_str().unwrap()];
    // The texts of then are set up again; what is around them is that of now.
    project.write("test_sums.py", "");
    assert_eq!(run(&installation, &dataset)["examples"], 1);
    project.write("conftest.py", "collect_ignore = ['test_sums.py']\n");
    let written = run(&installation, &dataset);
    let why = written["left_out"][0]["why"].as_str().unwrap();
    assert_eq!(why, "its tests do not fail in the tree of today");
    assert_eq!((&written["examples"], std::fs::read(&file).unwrap().len()), (&json!(0), 0));

    // A secret in what a model would be told.
    let project = broken_sum();
    let tests = project.read("test_sums.py");
    let key = "    key = 'AKIAABCDEFGHIJKLMNOP'\n    assert add(2";
    project.write("test_sums.py", tests.replace("    assert add(2", key));
    let root = project.root().to_str().unwrap();
    assert_eq!(fix(&installation, &project, &["--apply"]).code, Some(0));
    let dataset =
        ["adapter", "dataset", "--all", "--root", root, "--output", file.to_str().unwrap()];
    let written = run(&installation, &dataset);
    let why = written["left_out"][0]["why"].as_str().unwrap();
    assert_eq!(why, "its prompt holds what looks like an AWS access key");
}
