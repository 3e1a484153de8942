//! Models and adapters on disk, with tiny real ones.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use greenlit_host::{AdapterAdd, Shelf, ShelfError};
use greenlit_protocol::{AdapterKind, Evaluation};
use greenlit_serving::check::Architecture;
use greenlit_serving::tiny;

const SEED: u64 = 7;

struct Scene {
    dir: tempfile::TempDir,
    shelf: Shelf,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(dir.path().join("engine"));
        tiny::model(&dir.path().join("tiny"), Architecture::Qwen2, SEED).unwrap();
        Self { shelf, dir }
    }

    fn with_model() -> Self {
        let scene = Self::new();
        scene.add("tiny").unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn add(&self, name: &str) -> Result<String, ShelfError> {
        self.shelf.add_model(&self.path(name), None, None, &|| true)
    }

    fn adapter(&self, name: &str, letter: u8) -> AdapterAdd<'static> {
        let place = self.path(name);
        tiny::always(&place, SEED, letter).unwrap();
        let place: &'static Path = Box::leak(place.into_boxed_path());
        let kind = AdapterKind::Functional;
        AdapterAdd { place, name: None, version: None, model: None, kind }
    }
}

#[test]
fn a_model_is_kept_with_what_it_hashes_to_and_only_used_as_it_was() {
    let scene = Scene::with_model();
    let again = Shelf::open(scene.path("engine"));
    let model = again.model("tiny").unwrap();
    assert_eq!((model.architecture.as_str(), model.context), ("Qwen2ForCausalLM", 1024));
    assert_eq!(model.digest.len(), 64);
    assert!(model.bytes > 1 << 20);
    fs::write(scene.path("tiny/config.json"), "{}").unwrap();
    let error = again.model("tiny").unwrap_err();
    assert!(error.to_string().contains("config.json is not what it was"), "{error}");
    fs::remove_dir_all(scene.path("tiny")).unwrap();
    assert!(matches!(again.model("tiny"), Err(ShelfError::Changed { .. })));
    again.remove_model("tiny").unwrap();
    let error = again.model("tiny").unwrap_err();
    assert!(error.to_string().contains("there is no language model `tiny`"), "{error}");
}

#[test]
fn what_cannot_be_used_is_refused_by_the_name_of_the_file() {
    let scene = Scene::new();
    fs::remove_file(scene.path("tiny/tokenizer.json")).unwrap();
    let error = scene.add("tiny").unwrap_err().to_string();
    assert!(error.contains("tokenizer.json is missing"), "{error}");
    fs::write(scene.path("m.gguf"), "GGUF").unwrap();
    let error = scene.add("m.gguf").unwrap_err().to_string();
    assert!(error.contains("m.gguf: is truncated"), "{error}");
    assert!(scene.shelf.models().is_empty());
}

#[test]
fn a_gguf_file_is_a_model_of_its_name_until_it_changes() {
    let scene = Scene::new();
    let path = scene.path("small.gguf");
    tiny::gguf::gguf(&path, Architecture::Qwen2, SEED, tiny::gguf::Numbers::Q8).unwrap();
    scene.add("small.gguf").unwrap();
    let (name, model) = scene.shelf.models().remove(0);
    assert_eq!((name.as_str(), &model.directory), ("small", &path));
    assert_eq!(model.bytes, fs::metadata(&path).unwrap().len());
    let adapter = AdapterAdd { model: Some("small"), ..scene.adapter("style", b'a') };
    let error = scene.shelf.add_adapter(&adapter).unwrap_err().to_string();
    assert!(error.contains("original weights"), "{error}");
    fs::write(&path, "GGUF").unwrap();
    let error = scene.shelf.model("small").unwrap_err().to_string();
    assert!(error.contains("small.gguf is not what it was"), "{error}");
}

#[test]
fn a_name_stands_for_one_directory() {
    let scene = Scene::with_model();
    scene.add("tiny").unwrap();
    tiny::model(&scene.path("other/tiny"), Architecture::Llama, SEED).unwrap();
    assert!(matches!(scene.add("other/tiny"), Err(ShelfError::Taken { .. })));
    let name = scene.shelf.add_model(&scene.path("other/tiny"), Some("../x"), None, &|| true);
    assert!(matches!(name, Err(ShelfError::Name { .. })));
    let unwanted = scene.shelf.add_model(&scene.path("other/tiny"), Some("b"), None, &|| false);
    assert!(matches!(unwanted, Err(ShelfError::Cancelled)));
    scene.shelf.add_model(&scene.path("other/tiny"), Some("b"), None, &|| true).unwrap();
    assert_eq!(scene.shelf.models().len(), 2);
}

#[test]
fn adapters_are_copied_numbered_and_used_by_workspace() {
    let scene = Scene::with_model();
    let first = scene.shelf.add_adapter(&scene.adapter("style", b'a')).unwrap();
    let second = scene.shelf.add_adapter(&scene.adapter("style", b'b')).unwrap();
    assert_eq!((first.as_str(), second.as_str()), ("style@1", "style@2"));
    fs::remove_dir_all(scene.path("style")).unwrap();
    let root = Path::new("/repo");
    scene.shelf.activate("style", root, false).unwrap();
    let again = Shelf::open(scene.path("engine"));
    assert_eq!(again.active(root), ["style@2"]);
    let wanted = again.wanted("tiny", Some(root)).unwrap();
    let (name, directories) = wanted.adapter.unwrap();
    let [directory] = <[PathBuf; 1]>::try_from(directories).unwrap();
    assert_eq!(name, "style@2");
    assert!(directory.starts_with(scene.path("engine")) && directory.is_dir());
    assert_eq!(again.wanted("tiny", Some(Path::new("/else"))).unwrap().adapter, None);
    again.remove_adapter("style@2").unwrap();
    assert!(again.active(root).is_empty());
    assert!(!directory.exists());
    assert!(again.adapter("style@2").is_err() && again.adapter("style").is_ok());
}

#[test]
fn a_version_stands_for_one_content_and_equal_contents_share_their_files() {
    let scene = Scene::with_model();
    let mut add = scene.adapter("style", b'a');
    add.version = Some("one");
    assert_eq!(scene.shelf.add_adapter(&add).unwrap(), "style@one");
    assert_eq!(scene.shelf.add_adapter(&add).unwrap(), "style@one");
    add.name = Some("twin");
    scene.shelf.add_adapter(&add).unwrap();
    let mut other = scene.adapter("style", b'b');
    other.version = Some("one");
    assert!(matches!(scene.shelf.add_adapter(&other), Err(ShelfError::Taken { .. })));
    scene.shelf.remove_adapter("twin@one").unwrap();
    let (full, record) = scene.shelf.adapter("style@one").unwrap();
    scene.shelf.wanted_with(&full, &record).unwrap();
}

#[test]
fn an_adapter_belongs_to_the_weights_that_it_was_checked_against() {
    let scene = Scene::new();
    let add = scene.adapter("style", b'a');
    assert!(matches!(scene.shelf.add_adapter(&add), Err(ShelfError::WhichModel { .. })));
    scene.add("tiny").unwrap();
    scene.shelf.add_adapter(&add).unwrap();
    tiny::model(&scene.path("tiny"), Architecture::Qwen2, SEED + 1).unwrap();
    scene.add("tiny").unwrap();
    let error = scene.shelf.activate("style", Path::new("/repo"), false).unwrap_err();
    assert!(matches!(error, ShelfError::OtherWeights { .. }), "{error}");
}

#[test]
fn one_of_each_kind_is_applied_to_a_model_at_a_time() {
    let scene = Scene::with_model();
    let shelf = &scene.shelf;
    for (name, letter, kind) in [
        ("guard", b'b', AdapterKind::Guardrail),
        ("style", b'a', AdapterKind::Functional),
        ("taste", b'c', AdapterKind::Functional),
    ] {
        shelf.add_adapter(&AdapterAdd { kind, ..scene.adapter(name, letter) }).unwrap();
    }
    let root = Path::new("/repo");
    let wanted = || shelf.wanted("tiny", Some(root)).unwrap().adapter;
    shelf.activate("guard", root, false).unwrap();
    let (full, style) = shelf.adapter("style").unwrap();
    let would = shelf.wanted_in(&full, &style, root).unwrap().adapter;
    shelf.activate("style", root, false).unwrap();
    let (name, directories) = wanted().unwrap();
    assert_eq!((name.as_str(), directories.len()), ("style@1 + guard@1", 2));
    assert_eq!(would, Some((name, directories)));
    // Another one of the same kind takes the place.
    shelf.activate("taste", root, false).unwrap();
    assert_eq!(wanted().unwrap().0, "taste@1 + guard@1");
    // One for another model stands beside them.
    tiny::model(&scene.path("other"), Architecture::Llama, SEED).unwrap();
    scene.add("other").unwrap();
    let other = AdapterAdd { model: Some("other"), ..scene.adapter("far", b'd') };
    shelf.add_adapter(&other).unwrap();
    shelf.activate("far", root, false).unwrap();
    assert_eq!(wanted().unwrap().0, "taste@1 + guard@1");
    assert_eq!(shelf.wanted("other", Some(root)).unwrap().adapter.unwrap().0, "far@1");

    assert_eq!(shelf.deactivate(root, Some("style")).unwrap(), Vec::<String>::new());
    assert_eq!(shelf.deactivate(root, Some("taste")).unwrap(), ["taste@1"]);
    assert_eq!(wanted().unwrap().0, "guard@1");
    shelf.remove_adapter("guard").unwrap();
    assert_eq!(wanted(), None);
    assert_eq!(shelf.deactivate(root, None).unwrap(), ["far@1"]);
    assert!(shelf.active(root).is_empty());
}

#[test]
fn a_record_from_before_adapters_could_be_stacked_is_read() {
    let scene = Scene::with_model();
    scene.shelf.add_adapter(&scene.adapter("style", b'a')).unwrap();
    scene.shelf.activate("style", Path::new("/repo"), false).unwrap();
    let file = fs::read_dir(scene.path("engine")).unwrap().flatten();
    let path = file.map(|entry| entry.path()).find(|path| path.is_file()).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    let before: String = written.split_whitespace().collect();
    let before = before.replace("[\"style@1\"]", "\"style@1\"");
    assert_ne!(before, written.split_whitespace().collect::<String>());
    fs::write(&path, before).unwrap();
    assert_eq!(Shelf::open(scene.path("engine")).active(Path::new("/repo")), ["style@1"]);
}

#[test]
fn one_that_was_found_worse_is_only_activated_by_force_and_only_there() {
    let scene = Scene::with_model();
    let add = scene.adapter("style", b'a');
    scene.shelf.add_adapter(&add).unwrap();
    let (here, there) = (Path::new("/here"), Path::new("/there"));
    let found = |with, without| Evaluation { faults: 4, with, without, ..Evaluation::default() };
    scene.shelf.evaluated("style@1", here, found(1, 2)).unwrap();
    let error = scene.shelf.activate("style", here, false).unwrap_err();
    assert!(matches!(error, ShelfError::Worse { .. }), "{error}");
    assert!(error.to_string().contains("mended 1 of 4"), "{error}");
    scene.shelf.activate("style", there, false).unwrap();
    scene.shelf.activate("style", here, true).unwrap();
    // Taken in once more it is what it was found to be; the last evaluation counts.
    assert_eq!(
        scene.shelf.add_adapter(&AdapterAdd { version: Some("1"), ..add }).unwrap(),
        "style@1"
    );
    assert!(scene.shelf.activate("style", here, false).is_err());
    scene.shelf.evaluated("style@1", here, found(2, 2)).unwrap();
    scene.shelf.activate("style", here, false).unwrap();
    assert!(scene.shelf.evaluated("other@1", here, found(2, 2)).is_err());
}

#[test]
fn what_the_library_would_ignore_is_refused_by_name() {
    let scene = Scene::with_model();
    let add = scene.adapter("style", b'a');
    let mut config = tiny::adapter_config();
    config["use_dora"] = true.into();
    fs::write(scene.path("style/adapter_config.json"), config.to_string()).unwrap();
    let error = scene.shelf.add_adapter(&add).unwrap_err().to_string();
    assert!(error.contains("`use_dora` is not supported"), "{error}");
    assert!(scene.shelf.adapters().is_empty());
}
