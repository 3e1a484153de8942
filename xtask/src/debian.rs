//! Programs for tests and benchmarks from Debian's packages, unpacked into `.tools/` without being installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{run, say};
use crate::tools;

pub(crate) struct Program {
    /// Its directory in `.tools/`.
    pub(crate) directory: &'static str,
    pub(crate) name: &'static str,
    /// Packages to take it from: the first of these sets that can be had.
    pub(crate) packages: &'static [&'static [&'static str]],
    /// The release to take it from, with every library that it needs; without one, the machine's own
    /// sources, and the libraries that it lacks.
    pub(crate) release: Option<&'static str>,
    /// The shell script that starts it in `tree/`, beside itself.
    pub(crate) launcher: &'static str,
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Program {
    /// Where it is started; `None` where there is no Debian to take it from.
    pub(crate) fn unpacked(&self) -> Result<Option<PathBuf>> {
        let home = tools::dir().join(self.directory);
        let program = home.join(self.name);
        if program.is_file() {
            return Ok(Some(program));
        }
        let signed = self.release.is_none() || Path::new(KEYRING).is_file();
        if !signed || which::which("apt-get").is_err() || which::which("dpkg-deb").is_err() {
            return Ok(None);
        }
        say(format!("unpacking Debian's {} into .tools/{} (once)", self.name, self.directory));
        let part = tools::dir().join(format!("{}.part", self.directory));
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        fs::create_dir_all(part.join("lists/partial"))?;
        if !self.download(&part)? {
            fs::remove_dir_all(&part)?;
            return Ok(None);
        }
        self.unpack(&part)?;
        fs::rename(&part, &home)?;
        Ok(Some(program))
    }

    /// Downloads without rights, and without a trace in the system.
    fn download(&self, part: &Path) -> Result<bool> {
        let mut own = vec![format!("-oDir::State::lists={}", part.join("lists").display())];
        if let Some(release) = self.release {
            let sources = part.join("sources.list");
            let source =
                format!("deb [signed-by={KEYRING}] http://deb.debian.org/debian {release} main\n");
            fs::write(&sources, source)?;
            own.extend([
                format!("-oDir::Etc::sourcelist={}", sources.display()),
                "-oDir::Etc::sourceparts=-".to_owned(),
                "-oDir::State::status=/dev/null".to_owned(),
            ]);
        }
        fs::create_dir_all(part.join("archives/partial"))?;
        let mut updated = None;
        Ok(self.packages.iter().any(|packages| {
            let known = self.release.is_none() && fetch(part, packages, &[]);
            // Package lists that the machine lacks are fetched for this alone.
            known
                || *updated.get_or_insert_with(|| run(apt(part).args(&own).arg("update")).is_ok())
                    && fetch(part, packages, &own)
        }))
    }

    fn unpack(&self, part: &Path) -> Result<()> {
        let archives = part.join("archives");
        let tree = part.join("tree");
        for entry in fs::read_dir(&archives).context("cannot read what apt-get downloaded")? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("--extract").arg(path).arg(&tree))?;
            }
        }
        fs::remove_dir_all(archives)?;
        for scratch in ["lists", "cache"].map(|name| part.join(name)) {
            if scratch.exists() {
                fs::remove_dir_all(scratch)?;
            }
        }
        let program = part.join(self.name);
        fs::write(&program, self.launcher)?;
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
        Ok(())
    }
}

fn fetch(part: &Path, packages: &[&str], options: &[String]) -> bool {
    let mut command = apt(part);
    command.args(options);
    command.args(["--yes", "--no-install-recommends", "--download-only", "install"]);
    run(command.args(packages)).is_ok()
}

fn apt(part: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["--quiet=2", "-oDebug::NoLocking=1"]);
    command.arg(format!("-oDir::Cache={}", part.join("cache").display()));
    command.arg(format!("-oDir::Cache::archives={}", part.join("archives").display()));
    // As root it would go on as a user who may not write here.
    command.arg("-oAPT::Sandbox::User=");
    command
}
