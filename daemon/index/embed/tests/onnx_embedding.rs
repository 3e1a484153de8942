//! Embedding for real: ONNX Runtime, a model of a few words, and all-MiniLM-L6-v2.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use greenlit_embed::test_util::write_tiny_model;
use greenlit_embed::{
    Accelerator, EmbedError, Embedder, Installed, Model, ModelError, OnnxEmbedder, Overrides,
    Pooling, Prober, Quantization, Runtime, RuntimeError, Search, Trials, find,
};

fn from_environment(name: &str) -> PathBuf {
    let path = std::env::var_os(name);
    path.unwrap_or_else(|| panic!("{name} is not set; `cargo xtask test` sets it")).into()
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let configured = Some(from_environment("GREENLIT_TEST_ONNXRUNTIME"));
        let search = Search { configured, accelerator: Accelerator::None, directories: Vec::new() };
        let prober = Prober::new(env!("CARGO_BIN_EXE_greenlit-embed-probe").into(), Vec::new());
        Runtime::load(&find(&search, &prober).unwrap()).unwrap()
    })
}

fn load(dir: &Path, overrides: &Overrides) -> Result<OnnxEmbedder, EmbedError> {
    OnnxEmbedder::load(Model::open(dir, overrides).unwrap(), runtime(), 1)
}

/// The model of four words.
fn tiny() -> (tempfile::TempDir, OnnxEmbedder) {
    let dir = tempfile::tempdir().unwrap();
    write_tiny_model(dir.path()).unwrap();
    let embedder = load(dir.path(), &Overrides::default()).unwrap();
    (dir, embedder)
}

/// all-MiniLM-L6-v2 as `cargo xtask test` converts it.
fn minilm(kind: &str) -> OnnxEmbedder {
    let dir = from_environment("GREENLIT_TEST_MODELS").join(kind);
    load(&dir, &Overrides::default()).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn near(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn onnx_vectors_are_the_means_of_the_words_at_unit_length() {
    let (_dir, embedder) = tiny();
    assert_eq!(embedder.identity().dims, 2);
    let unit = |words: &[f32]| {
        let mean = |of: fn(f32) -> f32| words.iter().copied().map(of).sum::<f32>();
        let (x, y) = (mean(|id| (3.5 - id).sqrt()), mean(|id| id));
        let norm = x.hypot(y);
        vec![x / norm, y / norm]
    };
    let texts = ["good", "fine fine good", "other", "good fine"];
    let vectors = embedder.embed(&texts).unwrap();
    let wanted = [unit(&[2.0]), unit(&[3.0, 3.0, 2.0]), unit(&[0.0]), unit(&[2.0, 3.0])];
    for (index, (vector, wanted)) in vectors.iter().zip(&wanted).enumerate() {
        assert!(near(vector, wanted), "{}: {vector:?}, not {wanted:?}", texts[index]);
    }
}

#[test]
fn onnx_batches_keep_the_order_of_the_texts() {
    let (_dir, embedder) = tiny();
    let texts: Vec<String> =
        (0..40).map(|n| ["good", "fine"].repeat(1 + n % 2)[..=n % 3 % 2].join(" ")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = embedder.embed(&texts).unwrap();
    for (text, vector) in texts.iter().zip(&together) {
        assert!(near(vector, &embedder.embed(&[text]).unwrap()[0]), "{text}");
    }
    assert!(embedder.embed(&[]).unwrap().is_empty());
}

#[test]
fn onnx_texts_beyond_the_window_are_read_in_parts_and_nothing_of_them_is_left_out() {
    let (_dir, embedder) = tiny();
    assert_eq!(embedder.identity().max_tokens, 4);
    let long = "good good good fine fine fine";
    assert_eq!(embedder.count_tokens(long), 6);
    let vectors = embedder.embed(&[long, "good", "fine", "good good good good"]).unwrap();
    let mean: Vec<f32> = vectors[1].iter().zip(&vectors[2]).map(|(a, b)| a + b).collect();
    let length = cosine(&mean, &mean).sqrt();
    let mean: Vec<f32> = mean.iter().map(|x| x / length).collect();
    assert!(near(&vectors[0], &mean), "{:?} {mean:?}", vectors[0]);
    assert!(near(&vectors[3], &vectors[1]));
    // The last word of many is seen, in questions as well.
    let hidden = format!("{}bad", "good ".repeat(50));
    let error = embedder.embed(&["good", &hidden]).unwrap_err();
    assert!(matches!(error, EmbedError::NotFinite { index: 1 }), "{error}");
    assert!(embedder.embed_query(&hidden).is_err());
}

#[test]
fn onnx_values_that_are_no_numbers_are_refused_with_the_text_named() {
    let (_dir, embedder) = tiny();
    for index in [0, 3, 11] {
        let mut texts = ["good"; 12];
        texts[index] = "fine bad good";
        let error = embedder.embed(&texts).unwrap_err();
        assert!(matches!(error, EmbedError::NotFinite { index: at } if at == index), "{error}");
    }
    assert!(embedder.embed_query("bad").is_err());
    embedder.embed(&["good"]).unwrap();
}

#[test]
fn onnx_questions_get_their_prefix() {
    let dir = tempfile::tempdir().unwrap();
    write_tiny_model(dir.path()).unwrap();
    let overrides = Overrides { query_prefix: Some("fine ".to_owned()), ..Overrides::default() };
    let embedder = load(dir.path(), &overrides).unwrap();
    let question = embedder.embed_query("good").unwrap();
    assert!(near(&question, &embedder.embed(&["fine good"]).unwrap()[0]));
}

#[test]
fn onnx_pooling_and_length_are_part_of_the_model_s_identity() {
    let dir = tempfile::tempdir().unwrap();
    write_tiny_model(dir.path()).unwrap();
    let digest = |overrides: &Overrides| Model::open(dir.path(), overrides).unwrap().digest();
    let plain = digest(&Overrides::default());
    assert_eq!(plain, digest(&Overrides { name: Some("x".to_owned()), ..Overrides::default() }));
    let cls = Overrides { pooling: Some(Pooling::Cls), ..Overrides::default() };
    assert_ne!(plain, digest(&cls));
    assert_ne!(plain, digest(&Overrides { max_tokens: Some(3), ..Overrides::default() }));
    let first = load(dir.path(), &cls).unwrap().embed(&["good fine", "good"]).unwrap();
    assert!(near(&first[0], &first[1]));
    let path = dir.path().join("tokenizer_config.json");
    fs::write(&path, format!("{} ", fs::read_to_string(&path).unwrap())).unwrap();
    assert_ne!(plain, digest(&Overrides::default()));
}

#[test]
fn onnx_models_that_are_broken_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    write_tiny_model(dir.path()).unwrap();
    let path = dir.path().join("model.onnx");
    let whole = fs::read(&path).unwrap();
    for part in (0..whole.len()).step_by(9) {
        fs::write(&path, &whole[..part]).unwrap();
        assert!(load(dir.path(), &Overrides::default()).is_err(), "cut at {part}");
    }
    fs::write(&path, &whole).unwrap();
    let overrides = Overrides { dims: Some(384), ..Overrides::default() };
    let error = load(dir.path(), &overrides).err().unwrap();
    assert!(matches!(error, EmbedError::Described { described: 384, found: 2 }), "{error}");
    fs::write(dir.path().join("tokenizer.json"), "{").unwrap();
    assert!(load(dir.path(), &Overrides::default()).is_err());
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    let error = Model::open(dir.path(), &Overrides::default()).unwrap_err();
    assert!(matches!(&error, ModelError::File { path, .. } if path.ends_with("tokenizer.json")));
    assert!(error.remedy().contains("tokenizer.json"));
}

#[test]
fn onnx_runtime_is_loaded_once_and_no_other_beside_it() {
    let first = runtime();
    let again = Runtime::load(first.found()).unwrap();
    assert_eq!(again.found(), first.found());
    let mut other = first.found().clone();
    other.path = "elsewhere/libonnxruntime.so".into();
    let error = Runtime::load(&other).unwrap_err();
    assert!(matches!(error, RuntimeError::Other { .. }), "{error}");
}

#[test]
fn onnx_minilm_knows_what_code_is_about() {
    let embedder = minilm("int8");
    let identity = embedder.identity();
    assert_eq!((identity.dims, identity.max_tokens), (384, 256));
    assert!(identity.backend.ends_with("/cpu/int-dynamic"), "{}", identity.backend);
    let code = [
        "def read_json(path):\n    with open(path) as file:\n        return json.load(file)",
        "def area(width, height):\n    return width * height",
        "def send_mail(to, subject, body):\n    server.sendmail(SENDER, [to], message)",
    ];
    let vectors = embedder.embed(&code).unwrap();
    let asked = [
        ("parse a configuration file", 0),
        ("compute the size of a rectangle", 1),
        ("notify the user by email", 2),
    ];
    for (question, wanted) in asked {
        let question_vector = embedder.embed_query(question).unwrap();
        let scores: Vec<_> = vectors.iter().map(|v| cosine(v, &question_vector)).collect();
        let best = (0..3).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
        assert_eq!(best, wanted, "{question}: {scores:?}");
    }
    // Two words and the marks around a text.
    assert_eq!(embedder.count_tokens("hello world"), 4);
}

#[test]
fn onnx_minilm_vectors_do_not_depend_on_the_texts_beside_them() {
    let texts = ["fn a() {}", "the quick brown fox jumps over the lazy dog", "x", "return None"];
    let long = "let value = compute(value);\n".repeat(100);
    let int8 = minilm("int8");
    let f32 = minilm("f32");
    let mut all = texts.to_vec();
    all.push(&long);
    let (by_int8, by_f32) = (int8.embed(&all).unwrap(), f32.embed(&all).unwrap());
    for (index, text) in all.iter().enumerate() {
        assert_eq!(by_int8[index], int8.embed(&[text]).unwrap()[0], "{text}");
        assert!(near(&by_f32[index], &f32.embed(&[text]).unwrap()[0]), "{text}");
        let alike = cosine(&by_int8[index], &by_f32[index]);
        assert!(alike > 0.95, "{text}: {alike}");
    }
    assert_ne!(int8.identity().model, f32.identity().model);
    assert_ne!(int8.identity().backend, f32.identity().backend);
}

#[test]
fn onnx_minilm_reads_a_long_text_to_its_end() {
    let embedder = minilm("int8");
    let filler = "let total = price * quantity;\n".repeat(60);
    assert!(embedder.count_tokens(&filler) > 256);
    let end = "send an email to the customer about the delayed parcel\n".repeat(12);
    let vectors = embedder.embed(&[&filler, &format!("{filler}{end}")]).unwrap();
    let question = embedder.embed_query("notify the buyer by mail").unwrap();
    let (without, with) = (cosine(&vectors[0], &question), cosine(&vectors[1], &question));
    assert!(with > without + 0.1, "{without} {with}");
}

#[test]
fn onnx_minilm_s_arithmetic_is_seen_from_its_file() {
    let models = from_environment("GREENLIT_TEST_MODELS");
    let of =
        |kind: &str| Model::open(&models.join(kind), &Overrides::default()).unwrap().quantization();
    assert_eq!(of("int8"), Quantization::Dynamic);
    assert_eq!(of("f32"), Quantization::Float);
}

fn prober() -> Prober {
    Prober::new(env!("CARGO_BIN_EXE_greenlit-embed-probe").into(), Vec::new())
}

fn installed(dir: &Path) -> Installed {
    let (name, directory) = ("tiny".to_owned(), dir.to_owned());
    Installed { name, directory, usage: Overrides::default(), added: true }
}

#[test]
fn onnx_model_passes_its_trial_once() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("tiny");
    write_tiny_model(&place).unwrap();
    let (installed, remembered) = (installed(&place), dir.path().join("trials"));
    let model = installed.open().unwrap();
    let found = runtime().found();
    let trials = Trials { prober: prober(), directory: Some(remembered.clone()) };
    trials.pass(&installed, &model, found).unwrap();
    assert_eq!(fs::read_dir(&remembered).unwrap().count(), 1);
    // Nobody is asked again; another model is.
    let nobody = Prober::new(dir.path().join("no-such-program"), Vec::new());
    let again = Trials { prober: nobody, ..trials };
    again.pass(&installed, &model, found).unwrap();
    let usage = Overrides { max_tokens: Some(3), ..Overrides::default() };
    let other = Installed { usage, ..installed };
    let error = again.pass(&other, &other.open().unwrap(), found).unwrap_err();
    assert!(matches!(error, EmbedError::NoTrial(_)), "{error}");
}

#[test]
fn onnx_model_that_is_junk_fails_its_trial_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    write_tiny_model(dir.path()).unwrap();
    let trials = Trials { prober: prober(), directory: None };
    let installed = installed(dir.path());
    let model = installed.open().unwrap();
    fs::write(dir.path().join("model.onnx"), [0xff; 4000]).unwrap();
    let error = trials.pass(&installed, &model, runtime().found()).unwrap_err();
    assert!(
        matches!(&error, EmbedError::Trial { reason } if reason.contains("cannot be used")),
        "{error}"
    );
    // One that was exchanged after it was read.
    write_tiny_model(dir.path()).unwrap();
    fs::write(dir.path().join("config.json"), "{\"pad_token_id\": 0}").unwrap();
    let error = trials.pass(&installed, &model, runtime().found()).unwrap_err();
    assert!(error.to_string().contains("changed while it was tried"), "{error}");
}

#[cfg(unix)]
#[test]
fn onnx_model_that_crashes_or_hangs_takes_only_the_child_down() {
    let dir = tempfile::tempdir().unwrap();
    write_tiny_model(dir.path()).unwrap();
    let installed = installed(dir.path());
    let model = installed.open().unwrap();
    let child = |script: &str| Prober::new("sh".into(), vec!["-c".into(), script.into()]);
    let patience = Duration::from_millis(200);
    let remembered = dir.path().join("trials");
    for (prober, said) in [
        (child("kill -SEGV $$"), "signal"),
        (child("echo greenlit-model works 00; exit 3"), "exit status: 3"),
        (child("echo nothing to say"), "said nothing"),
        (child("exec sleep 1000").with_patience(patience), "no answer"),
    ] {
        let trials = Trials { prober, directory: Some(remembered.clone()) };
        let error = trials.pass(&installed, &model, runtime().found()).unwrap_err();
        assert!(matches!(&error, EmbedError::Trial { reason } if reason.contains(said)), "{error}");
        assert!(!error.remedy().is_empty());
    }
    assert!(!remembered.exists());
}
