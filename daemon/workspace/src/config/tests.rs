use super::*;

fn load(workspace: &str, user: &str, settings: Option<&str>) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE_NAME), workspace).unwrap();
    let user_file = dir.path().join("user.toml");
    fs::write(&user_file, user).unwrap();
    Config::load(dir.path(), Some(&user_file), settings)
        .map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

#[test]
fn nothing_is_required() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.toml");
    assert_eq!(Config::load(dir.path(), Some(&missing), None).unwrap(), Config::default());
    assert_eq!(load("", "", Some("null")).unwrap(), Config::default());
    assert_eq!(load("", "", Some("{\"run\":{\"env\":null}}")).unwrap(), Config::default());
}

#[test]
fn later_layers_win_key_by_key() {
    let config = load(
        "[fix]\nbudget_secs = 5\n[run]\non_open = false",
        "[fix]\nbudget_secs = 9\nmax_fixes = 2\n[sandbox]\nlayer = 'none'\nmemory_mb = 64",
        Some(r#"{"run": {"on_open": true, "debounce_ms": 1}, "fix": {"tier": "template"}}"#),
    )
    .unwrap();
    assert_eq!(config.fix.budget_secs, 5);
    assert_eq!(config.fix.max_fixes, 2);
    assert_eq!(config.fix.tier, Tier::Template);
    assert!(config.run.on_open);
    assert_eq!(config.run.debounce_ms, 1);
    assert_eq!(config.sandbox.layer, Layer::None);
    assert_eq!(config.sandbox.memory_mb, Some(64));
}

#[test]
fn a_workspace_does_not_set_the_daemons_life() {
    let config = load("[daemon]\nidle_exit_secs = 1", "", None).unwrap();
    assert_eq!(config.daemon, Daemon::default());
}

#[test]
fn a_workspace_does_not_say_what_others_may_keep() {
    let config = load("[index]\nstore_mb = 0", "[index]\nstore_mb = 9", None).unwrap();
    assert_eq!(config.index, Index { store_mb: 9 });
}

#[test]
fn a_workspace_does_not_name_a_library_that_the_daemon_loads() {
    let own = "[embedding]\nmodel = '/mine'\n[network]\noffline = true";
    let theirs = "[embedding]\nmodel = '/theirs'\nonnxruntime = '/theirs.so'\n\
                  [network]\noffline = false";
    let config = load(theirs, own, None).unwrap();
    assert!(config.network.offline);
    let mine = Some("/mine".to_owned());
    assert_eq!(config.embedding, Embedding { model: mine, ..Embedding::default() });
}

#[test]
fn workspaces_and_editors_add_private_paths_and_decide_nothing_else_about_the_record() {
    let own = "[evidence]\nstore_mb = 7\nprivate = ['/mine']\n[metrics]\nport = 9000";
    let theirs =
        "[evidence]\nkeep = false\nstore_mb = 1\nprivate = ['theirs/']\n[metrics]\nport = 1";
    let settings =
        r#"{"evidence": {"texts": false, "private": ["editor"]}, "metrics": {"port": 2}}"#;
    let config = load(theirs, own, Some(settings)).unwrap();
    let private = ["/mine", "theirs/", "editor"].map(str::to_owned).to_vec();
    assert_eq!(config.evidence, Evidence { store_mb: 7, private, ..Evidence::default() });
    assert_eq!(config.metrics, Metrics { port: Some(9000) });
    let config = load(theirs, "", None).unwrap();
    assert_eq!(config.evidence.private, ["theirs/"]);
    assert!(config.evidence.keep);
}

#[test]
fn workspaces_and_editors_add_paths_and_take_none_back() {
    let own = "[paths]\nnever = ['/mine']";
    let theirs = "[paths]\nnever = ['vendor/']\nlocal = ['secret/']";
    let settings = r#"{"paths": {"local": ["*.key.py"]}}"#;
    let config = load(theirs, own, Some(settings)).unwrap();
    assert_eq!(config.paths.never, ["/mine", "vendor/"]);
    assert_eq!(config.paths.local, ["secret/", "*.key.py"]);
    for key in ["paths]\nnever", "paths]\nlocal", "evidence]\nprivate"] {
        let error = load(&format!("[{key} = ['!/mine']"), own, None).unwrap_err();
        assert!(error.ends_with("`!/mine` makes an exception, and there are none here"), "{error}");
        let error = load("", &format!("[{key} = ['[z-a]']"), None).unwrap_err();
        assert!(error.contains("`[z-a]` is no pattern for paths"), "{error}");
        assert!(load(&format!("[{key} = 'a'"), "", None).is_err());
    }
}

#[test]
fn a_workspace_does_not_name_a_program_that_the_daemon_starts() {
    let theirs = "[engine]\nprogram = '/theirs'\nidle_unload_secs = 0";
    let settings = r#"{"engine": {"program": "/theirs"}}"#;
    let config = load(theirs, "", Some(settings)).unwrap();
    assert_eq!(config.engine, Engine::default());
    let config = load(theirs, "[engine]\nprogram = '/mine'", Some(settings)).unwrap();
    assert_eq!(config.engine.program.as_deref(), Some(Path::new("/mine")));
}

#[test]
fn a_workspace_does_not_say_where_source_code_is_sent() {
    let tier = |endpoint: &str| {
        format!("[tier.small]\nprovider = 'openai'\nendpoint = '{endpoint}'\nmodel = 'm'\n")
    };
    let settings =
        r#"{"tier": {"small": {"provider": "openai", "endpoint": "http://theirs", "model": "m"}}}"#;
    let config = load(&tier("http://theirs"), "", Some(settings)).unwrap();
    assert_eq!(config.tier, Tiers::default());
    let config = load(&tier("http://theirs"), &tier("http://mine"), Some(settings)).unwrap();
    let small = config.tier.small.unwrap();
    assert_eq!(small.endpoint.as_deref(), Some("http://mine"));
    assert_eq!((small.samples, small.plan), (4, false));
    assert_eq!(small.api_key_env, None);
}

#[test]
fn a_tier_with_an_unknown_key_or_without_a_model_is_an_error() {
    let error = load(
        "",
        "[tier.small]\nprovider = 'openai'\nendpoint = 'x'\nmodel = 'm'\napi_key = 'k'",
        None,
    );
    let error = error.unwrap_err();
    assert!(error.contains("unknown field `api_key`") && error.contains("api_key_env"), "{error}");
    assert!(
        load("", "[tier.small]\nprovider = 'openai'", None).unwrap_err().contains("missing field")
    );
    assert!(
        load("", "[tier.huge]\nmodel = 'm'", None).unwrap_err().contains("unknown key `tier.huge`")
    );
}

#[test]
fn unknown_keys_name_the_nearest_key_and_the_line() {
    let error = |text| load(text, "", None).unwrap_err();
    assert_eq!(
        error("# comment\n[run]\non_sav = true"),
        "greenlit.toml:3: unknown key `run.on_sav`, did you mean `run.on_save`?"
    );
    assert_eq!(
        error("[sandbx]\nlayer = 'auto'"),
        "greenlit.toml:1: unknown key `sandbx`, did you mean `sandbox`?"
    );
    assert_eq!(
        error("on_save = true"),
        "greenlit.toml:1: unknown key `on_save`, did you mean `run.on_save`?"
    );
    assert_eq!(error("[fix]\nqqq = 1"), "greenlit.toml:2: unknown key `fix.qqq`");
    assert_eq!(
        load("", "", Some(r#"{"fix": {"max_fix": 1}}"#)).unwrap_err(),
        "editor settings: unknown key `fix.max_fix`, did you mean `fix.max_fixes`?"
    );
}

#[test]
fn wrong_values_name_their_line() {
    let error = |text| load(text, "", None).unwrap_err();
    assert_eq!(
        error("[run]\non_save = 'yes'"),
        "greenlit.toml:2: invalid type: string \"yes\", expected a boolean"
    );
    assert!(error("[fix]\n\njobs = -1").starts_with("greenlit.toml:3: invalid value: "));
    assert!(error("[fix]\ntier = 'huge'").starts_with("greenlit.toml:2: unknown variant `huge`"));
    assert!(error("[fix").starts_with("greenlit.toml:1: "));
    assert!(error("fix = 3").starts_with("greenlit.toml:1: invalid type: integer"));
    let settings = load("", "", Some(r#"{"run": {"on_save": 3}}"#)).unwrap_err();
    assert_eq!(
        settings,
        "editor settings: in `run`: invalid type: integer `3`, expected a boolean"
    );
    assert!(load("", "", Some("[1]")).unwrap_err().contains("expected an object"));
    assert!(load("", "", Some("{")).unwrap_err().starts_with("editor settings: "));
}

#[test]
fn a_workspace_cannot_waive_the_sandbox() {
    assert!(
        load("[sandbox]\nlayer = 'none'", "", None)
            .unwrap_err()
            .starts_with("greenlit.toml:2: `sandbox.layer = \"none\"` is not taken")
    );
}
