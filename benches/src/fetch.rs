//! Packages from the registries, through their ordinary clients, into an ignored directory.
//!
//! Invariant: an archive whose SHA-256 is not that of the manifest is never unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::manifest::{Ecosystem, Manifest, Package};
use crate::process;

/// Downloads and installations take as long as the network does.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where downloads, environments and checkouts are kept.
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// `given`, else `.tools/bench` of the repository, which git ignores.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(given: Option<PathBuf>) -> Result<Self> {
        let dir = given.unwrap_or_else(|| crate::repository().join(".tools/bench"));
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir: dir.canonicalize()? })
    }

    /// The directory of a package's checkouts.
    pub fn place(&self, ecosystem: Ecosystem, package: &Package) -> PathBuf {
        self.dir.join("checkouts").join(ecosystem.name()).join(package.directory())
    }

    /// A directory that stays between runs.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// The archive of a package, verified.
    ///
    /// # Errors
    /// When it cannot be had or is not the one that the manifest names.
    pub fn archive(&self, ecosystem: Ecosystem, package: &Package) -> Result<PathBuf> {
        let dir = self.dir.join("archives").join(ecosystem.name());
        let archive = dir.join(format!("{}.tar.gz", package.directory()));
        if !archive.is_file() {
            let scratch = tempfile::tempdir_in(&self.dir)?;
            let found = match ecosystem {
                Ecosystem::Rust => from_crates_io(scratch.path(), package),
                Ecosystem::Python => from_pypi(scratch.path(), package),
                Ecosystem::JavaScript => from_npm(scratch.path(), package),
            }?;
            verify(&found, package)?;
            fs::create_dir_all(&dir)?;
            fs::copy(found, &archive)?;
        }
        verify(&archive, package)?;
        Ok(archive)
    }

    /// What runs the packages of a language, where that is installed here.
    ///
    /// # Errors
    /// As [`Self::python`].
    pub fn interpreter(
        &self,
        ecosystem: Ecosystem,
        manifest: &Manifest,
    ) -> Result<Option<PathBuf>> {
        match ecosystem {
            Ecosystem::Python => self.python(&manifest.environment).map(Some),
            Ecosystem::Rust | Ecosystem::JavaScript => Ok(None),
        }
    }

    /// An interpreter with the given requirements installed.
    ///
    /// # Errors
    /// When there is no Python 3 or the installation fails.
    pub fn python(&self, requirements: &[String]) -> Result<PathBuf> {
        let wanted = requirements.join("\n");
        // One per list: two benchmarks must not take each other's away.
        let venv = self.dir.join(format!("venv-{}", &sha256(wanted.as_bytes())[..12]));
        let python = venv.join("bin/python");
        let stamp = venv.join("installed");
        if python.is_file() && fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
            return Ok(python);
        }
        done(process::command("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut pip = process::command(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        done(pip.args(requirements))?;
        fs::write(stamp, wanted)?;
        Ok(python)
    }
}

/// Runs a step of the preparation; a failure is an error that shows what was said.
pub(crate) fn done(command: &mut Command) -> Result<String> {
    let finished = process::run(command, PATIENCE)?;
    if !finished.success() {
        let name = command.get_program().to_string_lossy().into_owned();
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        bail!("`{name} {}` failed: {}", words.join(" "), finished.tail());
    }
    Ok(finished.stdout)
}

fn verify(archive: &Path, package: &Package) -> Result<()> {
    let have = sha256(&fs::read(archive)?);
    if have != package.sha256 {
        bail!("{} has the checksum {have}, not {}", archive.display(), package.sha256);
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `cargo fetch` for a crate that depends on nothing else.
fn from_crates_io(scratch: &Path, package: &Package) -> Result<PathBuf> {
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n\
         [dependencies]\n{} = {{ version = \"={}\", default-features = false }}\n",
        package.name, package.version
    );
    fs::write(scratch.join("Cargo.toml"), manifest)?;
    fs::create_dir(scratch.join("src"))?;
    fs::write(scratch.join("src/lib.rs"), "")?;
    done(process::command("cargo").args(["fetch", "--quiet"]).current_dir(scratch))?;
    let mut metadata = process::command("cargo");
    metadata.args(["metadata", "--offline", "--format-version", "1"]).current_dir(scratch);
    let metadata: serde_json::Value = serde_json::from_str(&done(&mut metadata)?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let unpacked = packages
        .iter()
        .filter(|p| p["name"] == package.name.as_str() && p["version"] == package.version.as_str())
        .find_map(|p| Path::new(p["manifest_path"].as_str()?).parent())
        .context("cargo metadata does not name the package")?;
    // …/registry/src/INDEX/NAME-VERSION beside …/registry/cache/INDEX/NAME-VERSION.crate
    let index = unpacked.parent().and_then(Path::file_name).context("a registry has an index")?;
    let registry = unpacked.ancestors().nth(3).context("a registry has a directory")?;
    let name = format!("{}-{}.crate", package.name, package.version);
    Ok(registry.join("cache").join(index).join(name))
}

fn from_pypi(scratch: &Path, package: &Package) -> Result<PathBuf> {
    let mut pip = process::command("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    // Only this package as source: what builds it may come as wheels.
    pip.args(["--no-binary", &package.name, "--dest"]).arg(scratch);
    done(pip.arg(format!("{}=={}", package.name, package.version)))?;
    only_file(scratch)
}

fn from_npm(scratch: &Path, package: &Package) -> Result<PathBuf> {
    let mut npm = process::command("npm");
    npm.args(["pack", "--silent", "--pack-destination"]).arg(scratch).current_dir(scratch);
    done(npm.arg(format!("{}@{}", package.name, package.version)))?;
    only_file(scratch)
}

fn only_file(dir: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(dir)?.filter_map(Result::ok).map(|entry| entry.path());
    files.find(|path| path.is_file()).context("the client downloaded nothing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    #[test]
    fn an_archive_that_was_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().to_owned())).unwrap();
        let package = &manifest::load(Ecosystem::Rust).unwrap().package[0];
        let kept = cache.dir.join("archives/rust");
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join(format!("{}.tar.gz", package.directory())), "something else").unwrap();
        let error = cache.archive(Ecosystem::Rust, package).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
    }
}
