//! Models behind an endpoint on this machine, with the real binaries and real tests.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use greenlit_tests::{Editor, Endpoint, Installation, Project, Ran};
use serde_json::{Value, json};

/// Templates do not know what is wanted: they would have to write whole phrases.
fn project() -> Project {
    Project::named("bill")
        .file("pyproject.toml", "[project]\nname = \"bill\"\nversion = \"1\"\n")
        .file("bill.py", "def line(items):\n    return None\n")
        .file(
            "test_bill.py",
            "from bill import line\n\n\n\
             def test_line():\n    assert line([('tea', 3), ('cup', 4)]) == 'tea, cup: 7'\n\n\n\
             def test_empty():\n    assert line([]) == ': 0'\n\n\n\
             def test_other():\n    assert callable(line)\n",
        )
}

const RIGHT: &str = "{\"version\":1,\"path\":\"bill.py\",\"operation\":\"replace-function\",\"symbol\":\"line\"}\n\
```python\n\
def line(items):\n    names = ', '.join(name for name, _ in items)\n    return f'{names}: {sum(price for _, price in items)}'\n\
```\n";

fn configure(installation: &Installation, tier: &str, endpoint: &Endpoint) {
    let text = format!(
        "[network]\noffline = true\n[tier.{tier}]\nprovider = 'openai'\nendpoint = '{}'\nmodel = 'tiny'\nsamples = 2\nrounds = 2\n",
        endpoint.url
    );
    std::fs::write(installation.path("greenlit.toml"), text).unwrap();
}

fn fix(installation: &Installation, project: &Project, more: &[&str]) -> Ran {
    let root = project.root().to_str().unwrap();
    installation.greenlit([&["fix", "--json", "--root", root, "--budget", "240"], more].concat())
}

#[test]
fn python_a_model_mends_what_templates_cannot_and_the_tests_decide() {
    let (installation, project) = (Installation::new(), project());
    // Wrong at first, right once it hears why.
    let endpoint = Endpoint::new(|asked| match asked.contains("target still red") {
        true => RIGHT.to_owned(),
        false => RIGHT.replace("return f", "return 'x' + f"),
    });
    configure(&installation, "small", &endpoint);
    let ran = fix(&installation, &project, &[]);
    let report = ran.json();
    assert_eq!(ran.code, Some(0), "{report:#}\n{}", ran.stderr);
    let fix = &report["fixes"][0];
    assert_eq!(fix["source"]["tier"], "small");
    assert_eq!(fix["source"]["model"], "tiny");
    assert!(fix["source"].get("rule").is_none());
    let evidence = &fix["evidence"];
    assert_eq!(evidence["red_to_green"].as_array().unwrap().len(), 2);
    assert_eq!((&evidence["unchanged"], &evidence["runs"]), (&Value::from(1), &Value::from(2)));
    let generation = &evidence["generation"];
    let calls = generation["calls"].as_u64().unwrap();
    assert!(calls >= 2, "{generation}");
    assert_eq!(generation["model"], "tiny");
    assert!(generation["prompt_tokens"].as_u64().unwrap() >= 2 * 321, "{generation}");
    // The last call may have been ended before it reached the endpoint.
    assert!((2..=calls).contains(&(endpoint.asked().len() as u64)), "{calls}");
    let ran = self::fix(&installation, &project, &["--apply"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(project.read("bill.py").contains("names = ', '.join"));
}

#[test]
fn python_a_hostile_endpoint_gets_nothing_offered_and_is_told_of() {
    let (installation, project) = (Installation::new(), project());
    let attacks = [
        "{\"path\":\"test_bill.py\",\"symbol\":\"test_line\"}\n```\ndef test_line():\n    pass\n```\n",
        "{\"path\":\"../../../../tmp/evil.py\",\"operation\":\"insert-after\",\"line\":0}\n```\nx = 1\n```\n",
        "{\"path\":\"conftest.py\",\"operation\":\"insert-after\",\"line\":0}\n```\nimport os\n```\n",
        "{\"path\":\"bill.py\",\"symbol\":\"line\"}\n```\ndef line(items):\n    import os\n    os._exit(0)\n```\n",
    ];
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let endpoint = Endpoint::new(move |_| {
        attacks[turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % attacks.len()].to_owned()
    });
    configure(&installation, "small", &endpoint);
    let before = (project.read("bill.py"), project.read("test_bill.py"));
    let ran = fix(&installation, &project, &["--apply"]);
    let report = ran.json();
    assert_eq!(ran.code, Some(1), "{report:#}\n{}", ran.stderr);
    assert_eq!(report["fixes"].as_array().unwrap().len(), 0);
    assert_eq!(endpoint.asked().len(), 4);
    assert!(
        ran.stderr.contains("small (tiny): 3 of 4 calls brought nothing usable"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("a test must not be changed: test_bill.py"), "{}", ran.stderr);
    assert_eq!((project.read("bill.py"), project.read("test_bill.py")), before);
    assert!(!project.root().join("conftest.py").exists());
}

#[test]
fn python_a_model_is_asked_only_as_far_as_somebody_wants() {
    let (installation, project) = (Installation::new(), project());
    let endpoint = Endpoint::new(|_| RIGHT.to_owned());
    configure(&installation, "large", &endpoint);
    let ran = fix(&installation, &project, &["--tier", "template"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let ran = fix(&installation, &project, &["--tier", "small"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    let said = ran.json()["error"]["message"].to_string();
    assert!(said.contains("no model is configured for the tier `small`"), "{said}");
    assert!(endpoint.asked().is_empty());
    // What a repository says about models counts for nothing.
    let theirs = Endpoint::new(|_| RIGHT.to_owned());
    let text =
        format!("[tier.small]\nprovider = 'openai'\nendpoint = '{}'\nmodel = 'evil'\n", theirs.url);
    std::fs::write(project.root().join("greenlit.toml"), text).unwrap();
    let ran = fix(&installation, &project, &["--tier", "large"]);
    assert_eq!(ran.json()["fixes"][0]["source"]["tier"], "large", "{}", ran.stderr);
    assert!(theirs.asked().is_empty());
}

#[test]
fn python_a_models_fix_moves_with_edits_elsewhere_and_nobody_is_asked_again() {
    let (installation, project) = (Installation::new(), project());
    let endpoint = Endpoint::new(|_asked| RIGHT.to_owned());
    configure(&installation, "small", &endpoint);
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("bill.py", None);
    let ended = editor.job("Running tests");
    assert!(ended.contains("verified fixes") && !ended.contains(" 0 verified"), "{ended}");
    let asked = endpoint.asked().len();
    assert!(asked > 0);

    let before = project.read("bill.py");
    let edited = format!("CURRENCY = 'EUR'\n\n\n{before}\n\ndef empty():\n    return []\n");
    editor.change("bill.py", 2, &edited);
    editor.save("bill.py", &edited);
    let ended = editor.job("Running tests");
    assert!(ended.contains("verified fixes") && !ended.contains(" 0 verified"), "{ended}");
    assert_eq!(endpoint.asked().len(), asked, "it is verified again, not written again");
    let fixes = editor.ask("greenlit/fixes", &json!({}));
    let fixed = editor.applied(&json!({ "title": "x", "data": fixes[0]["data"] }), &edited);
    assert!(
        fixed.starts_with("CURRENCY = 'EUR'\n") && fixed.contains("names = ', '.join"),
        "{fixed}"
    );

    // Nobody wants it: the model has to think again.
    let dismiss = json!({ "command": "greenlit.dismissFix", "arguments": [fixes[0]["id"]] });
    editor.ask("workspace/executeCommand", &dismiss);
    let edited = edited.replace("EUR", "CHF");
    editor.change("bill.py", 3, &edited);
    editor.save("bill.py", &edited);
    editor.job("Running tests");
    let asked_again = endpoint.asked().len();
    assert!(asked_again > asked);

    // Where the lines themselves change, there is nothing to move.
    let edited = edited.replace("    return None\n", "    return ''\n");
    editor.change("bill.py", 4, &edited);
    editor.save("bill.py", &edited);
    editor.job("Running tests");
    assert!(endpoint.asked().len() > asked_again);
}

#[test]
fn python_a_tier_that_took_its_tokens_of_the_day_is_not_asked_also_by_the_next_daemon() {
    let (installation, project) = (Installation::new(), project());
    let endpoint = Endpoint::new(|_| "I do not know.".to_owned());
    configure(&installation, "large", &endpoint);
    let path = installation.path("greenlit.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}tokens_per_day = 100\n")).unwrap();
    let ran = fix(&installation, &project, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let spent = |stderr: &str| stderr.contains("`tokens_per_day` allows 100");
    // The first request was let in, and took more than is left.
    assert!(spent(&ran.stderr), "{}", ran.stderr);
    assert_eq!(endpoint.asked().len(), 1);
    assert_eq!(installation.greenlit(["stop"]).code, Some(0));
    let ran = fix(&installation, &project, &[]);
    assert!(ran.code == Some(1) && spent(&ran.stderr), "{}", ran.stderr);
    assert_eq!(endpoint.asked().len(), 1);
}

#[test]
fn python_a_key_comes_from_a_program_and_is_in_no_file() {
    let (installation, project) = (Installation::new(), project());
    let endpoint = Endpoint::new(|_| RIGHT.to_owned());
    configure(&installation, "small", &endpoint);
    let file = installation.path("greenlit.toml");
    let without = std::fs::read_to_string(&file).unwrap();
    let with = |command: &str| format!("{without}api_key_command = ['sh', '-c', '{command}']\n");
    std::fs::write(&file, with("exit 3")).unwrap();
    let ran = fix(&installation, &project, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stderr.contains("`tier.small.api_key_command` gave no key"), "{}", ran.stderr);
    assert!(endpoint.asked().is_empty());

    installation.greenlit(["stop"]);
    std::fs::write(&file, with("printf from-; echo the-ring")).unwrap();
    let ran = fix(&installation, &project, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(endpoint.asked()[0]["authorization"], "Bearer from-the-ring");
    installation.greenlit(["stop"]);
    let mut open = vec![installation.path("")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                let holds = bytes.windows(13).any(|part| part == b"from-the-ring");
                assert!(!holds, "{}", path.display());
            }
        }
    }
}
