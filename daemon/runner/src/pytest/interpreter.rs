//! Finds the Python interpreter that the person would use for a project.
//!
//! Order: `VIRTUAL_ENV`, `.venv` or `venv` between the project and the workspace root, then
//! `python3` and `python` on `PATH`. A virtual environment inside the checkout is read, not run:
//! only its base interpreter, which lies elsewhere, is asked where it lives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::environment::Environment;
use crate::host;
use crate::scope::normalize;

/// How long an interpreter may take to introduce itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks an interpreter where it lives and what it can import. Isolated mode (`-I`) hides the
/// user's site directory, which is added back for the look-up only.
const PROBE: &str = r#"
import importlib.util, json, site, sys
base = user = None
try:
    base, user = site.getuserbase(), site.getusersitepackages()
    sys.path.append(user)
except Exception:
    pass
def has(name):
    try:
        return importlib.util.find_spec(name) is not None
    except Exception:
        return False
version = None
if has("pytest"):
    version = ""
    try:
        from importlib.metadata import version as of
        version = of("pytest")
    except Exception:
        pass
print(json.dumps({
    "executable": sys.executable, "prefix": sys.prefix, "base_prefix": sys.base_prefix,
    "version": "%d.%d" % sys.version_info[:2], "user_base": base, "path": sys.path,
    "pytest": version, "xdist": has("xdist"), "cov": has("pytest_cov"),
    "randomly": has("pytest_randomly"),
}))
"#;

#[derive(Debug, Deserialize)]
struct Answer {
    executable: PathBuf,
    prefix: PathBuf,
    base_prefix: PathBuf,
    version: String,
    user_base: Option<PathBuf>,
    path: Vec<PathBuf>,
    pytest: Option<String>,
    xdist: bool,
    cov: bool,
    randomly: bool,
}

/// An interpreter with pytest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// What to run inside the sandbox.
    pub(crate) program: PathBuf,
    /// Where it comes from, for people: `.venv` or its path.
    pub(crate) origin: String,
    /// `3.11`
    pub(crate) version: String,
    /// pytest's version; empty when it could not be told.
    pub(crate) pytest: String,
    /// Whether pytest-xdist is installed.
    pub(crate) xdist: bool,
    /// Whether pytest-cov is installed.
    pub(crate) cov: bool,
    /// Whether pytest-randomly is installed.
    pub(crate) randomly: bool,
    /// What must be visible inside, apart from the checkout.
    pub(crate) readable: Vec<PathBuf>,
    /// `PYTHONUSERBASE`, because the home directory is another one inside.
    pub(crate) user_base: Option<PathBuf>,
}

/// Finds the interpreter for the project in `dir`. The error says what is missing and how to get
/// it.
pub(crate) fn find(
    root: &Path,
    dir: &Path,
    environment: &Environment,
) -> Result<Interpreter, String> {
    if let Some(active) = environment.get("VIRTUAL_ENV").map(|venv| normalize(Path::new(venv)))
        && active.is_absolute()
        && program_of(&active).is_some()
    {
        return in_venv(root, &active, environment);
    }
    for directory in dir.ancestors().take_while(|directory| directory.starts_with(root)) {
        for name in [".venv", "venv"] {
            let venv = directory.join(name);
            if venv.join("pyvenv.cfg").is_file() && program_of(&venv).is_some() {
                return in_venv(root, &venv, environment);
            }
        }
    }
    let mut seen = None;
    for name in ["python3", "python"] {
        let Some(program) = host::tool(environment, root, name) else { continue };
        let Some(answer) = ask(&program, dir, environment) else { continue };
        match from_answer(root, answer, None) {
            Ok(interpreter) => return Ok(interpreter),
            Err(message) => seen = seen.or(Some(message)),
        }
    }
    Err(seen.unwrap_or_else(|| {
        "no Python interpreter was found: none in VIRTUAL_ENV, .venv or venv, and no working \
         `python3` on PATH"
            .to_owned()
    }))
}

fn program_of(venv: &Path) -> Option<PathBuf> {
    ["bin/python", "bin/python3", "Scripts/python.exe"]
        .iter()
        .map(|name| venv.join(name))
        .find(|program| program.exists())
}

fn in_venv(root: &Path, venv: &Path, environment: &Environment) -> Result<Interpreter, String> {
    let program = program_of(venv).ok_or_else(|| missing_python(venv))?;
    let origin = match venv.strip_prefix(root) {
        Ok(inner) if !inner.as_os_str().is_empty() => inner.display().to_string(),
        _ => venv.display().to_string(),
    };
    let inside = fs::canonicalize(venv).is_ok_and(|real| real.starts_with(root));
    if !inside {
        let answer = ask(&program, root, environment).ok_or_else(|| missing_python(venv))?;
        let mut interpreter = from_answer(root, answer, Some(origin))?;
        // The name inside the environment, not what it links to: that is how Python finds it.
        interpreter.readable.extend(host::link_chain(&program));
        interpreter.program = program;
        return Ok(interpreter);
    }
    let base = base_of(root, venv, &program).ok_or_else(|| missing_python(venv))?;
    let answer = ask(&base, root, environment).ok_or_else(|| missing_python(venv))?;
    let mut pytest = installed(venv, "pytest");
    let mut xdist = installed(venv, "xdist").is_some();
    let mut cov = installed(venv, "pytest_cov").is_some();
    let mut randomly = installed(venv, "pytest_randomly").is_some();
    if pytest.is_none() && system_site_packages(venv) {
        pytest = answer.pytest.clone();
        xdist |= answer.xdist;
        cov |= answer.cov;
        randomly |= answer.randomly;
    }
    let Some(pytest) = pytest else { return Err(missing_pytest(&program)) };
    let mut readable = vec![answer.base_prefix.clone(), answer.prefix];
    // Links inside the checkout are there anyway, and must not name anything else as readable.
    readable.extend(host::link_chain(&base));
    readable.sort();
    readable.dedup();
    let version = answer.version;
    let user_base = answer.user_base.filter(|_| system_site_packages(venv));
    readable.extend(user_base.clone().filter(|base| base.exists()));
    Ok(Interpreter { program, origin, version, pytest, xdist, cov, randomly, readable, user_base })
}

/// The interpreter that a virtual environment inside the checkout stands on. The checkout says
/// where it is, so it is only believed when that lies outside and is named like an interpreter.
fn base_of(root: &Path, venv: &Path, program: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(program).ok()?;
    if is_foreign_python(root, &real) {
        return Some(real);
    }
    let home = setting(venv, "home").map(PathBuf::from)?;
    ["python3", "python"].iter().find_map(|name| {
        let real = fs::canonicalize(home.join(name)).ok()?;
        is_foreign_python(root, &real).then_some(real)
    })
}

fn is_foreign_python(root: &Path, real: &Path) -> bool {
    let named = real.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
        let rest = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
        rest.is_some_and(|rest| {
            rest.trim_end_matches(".exe").chars().all(|c| c.is_ascii_digit() || ".mtd".contains(c))
        })
    });
    named && real.is_absolute() && real.is_file() && !real.starts_with(root)
}

fn setting(venv: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(venv.join("pyvenv.cfg")).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn system_site_packages(venv: &Path) -> bool {
    setting(venv, "include-system-site-packages").is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

/// The version of a package installed in a virtual environment, empty when it cannot be told.
fn installed(venv: &Path, package: &str) -> Option<String> {
    let mut libraries = vec![venv.join("Lib").join("site-packages")];
    for entry in fs::read_dir(venv.join("lib")).into_iter().flatten().flatten() {
        libraries.push(entry.path().join("site-packages"));
    }
    let library = libraries.into_iter().find(|library| library.join(package).is_dir())?;
    let prefix = format!("{package}-");
    let version = fs::read_dir(library).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version = name.strip_prefix(&prefix)?.strip_suffix(".dist-info")?.to_owned();
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
    });
    Some(version.unwrap_or_default())
}

fn ask(program: &Path, dir: &Path, environment: &Environment) -> Option<Answer> {
    let mut command = Command::new(program);
    command.args(["-I", "-c", PROBE]).env_clear().envs(environment.allowed());
    if let Some(home) = environment.home() {
        command.env("HOME", home);
    }
    // pyenv looks for `.python-version` from here on; the working directory is elsewhere.
    command.env("PYENV_DIR", dir).env_remove("PYTHONPATH");
    serde_json::from_slice(&host::ask(command, PATIENCE)?).ok()
}

fn from_answer(root: &Path, answer: Answer, origin: Option<String>) -> Result<Interpreter, String> {
    let Some(pytest) = answer.pytest else { return Err(missing_pytest(&answer.executable)) };
    let mut readable = vec![answer.base_prefix, answer.prefix];
    readable.extend(host::link_chain(&answer.executable));
    // Editable installs and `.pth` files lead to other places.
    readable.extend(answer.path.into_iter().filter(|path| path.is_absolute()));
    readable.retain(|path| path.exists() && !path.starts_with(root) && path != Path::new("/"));
    readable.sort();
    readable.dedup();
    let user_base = answer.user_base.filter(|base| base.exists());
    Ok(Interpreter {
        origin: origin.unwrap_or_else(|| answer.executable.display().to_string()),
        program: answer.executable,
        version: answer.version,
        pytest,
        xdist: answer.xdist,
        cov: answer.cov,
        randomly: answer.randomly,
        readable,
        user_base,
    })
}

fn missing_pytest(program: &Path) -> String {
    let program = program.display();
    format!("pytest is not installed for {program}; to get it: {program} -m pip install pytest")
}

fn missing_python(venv: &Path) -> String {
    let venv = venv.display();
    format!("the interpreter of the virtual environment {venv} does not work; create it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_interpreters_outside_the_checkout_are_believed() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let outside = tempfile::tempdir().unwrap();
        let outside = fs::canonicalize(outside.path()).unwrap();
        for (path, believed) in [
            (root.join("python3"), false),
            (outside.join("python3.11"), true),
            (outside.join("python"), true),
            (outside.join("python-evil"), false),
            (outside.join("rm"), false),
        ] {
            fs::write(&path, "").unwrap();
            assert_eq!(is_foreign_python(&root, &path), believed, "{}", path.display());
        }
    }

    #[test]
    fn a_checkout_cannot_make_other_places_readable_through_its_venv() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let venv = root.join(".venv");
        fs::create_dir_all(venv.join("bin")).unwrap();
        let secret = tempfile::tempdir().unwrap();
        fs::write(venv.join("pyvenv.cfg"), format!("home = {}\n", secret.path().display()))
            .unwrap();
        // An interpreter of the checkout's own: never run outside the sandbox.
        fs::write(venv.join("bin/python"), "#!/bin/sh\ntouch \"$0.ran\"\n").unwrap();
        let error = find(&root, &root, &Environment::default()).unwrap_err();
        assert!(error.contains("does not work"), "{error}");
        assert!(!venv.join("bin/python.ran").exists());
    }
}
