//! The person's environment variables, and which of them a sandboxed command may see.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Variables that change how tools are found or behave. Everything else (tokens, agents, sockets)
/// stays outside: the list names what is let in, not what is kept out.
const ALLOWED: &[&str] = &[
    "CC",
    "CFLAGS",
    "CXX",
    "CXXFLAGS",
    "CARGO_BUILD_JOBS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_HOME",
    "CARGO_INCREMENTAL",
    "DJANGO_SETTINGS_MODULE",
    "LANG",
    "LANGUAGE",
    "LDFLAGS",
    "LD_LIBRARY_PATH",
    "NODE_ENV",
    "NODE_PATH",
    "PATH",
    "PKG_CONFIG_PATH",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS",
    "PYTHONPATH",
    "RUSTFLAGS",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUST_MIN_STACK",
    "TZ",
    "VIRTUAL_ENV",
];

/// Families of variables that are let in: locale and compiler profiles.
const ALLOWED_PREFIXES: &[&str] = &["LC_", "CARGO_PROFILE_"];

/// The person's environment as their editor or shell has it (never the daemon's own).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Every variable; the runner lets only a fixed list of names through to commands.
    pub vars: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The environment of the calling process, for command lines that run in the person's shell.
    pub fn of_this_process() -> Self {
        Self { vars: env::vars_os().collect() }
    }

    /// The value of a variable, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The variables that a sandboxed command may see. `PATH` keeps absolute entries only: a
    /// relative one would mean another directory inside.
    pub fn allowed(&self) -> BTreeMap<OsString, OsString> {
        let mut allowed = BTreeMap::new();
        for (name, value) in &self.vars {
            let Some(text) = name.to_str() else { continue };
            let listed = ALLOWED.contains(&text)
                || ALLOWED_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
            if listed {
                allowed.insert(name.clone(), value.clone());
            }
        }
        allowed.insert("PATH".into(), self.path());
        allowed
    }

    /// The absolute entries of `PATH`.
    pub fn path_entries(&self) -> Vec<PathBuf> {
        self.get("PATH")
            .map(|path| env::split_paths(path).filter(|entry| entry.is_absolute()).collect())
            .unwrap_or_default()
    }

    /// Finds a program on the person's `PATH`.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        which::which_in(program, Some(self.path()), Path::new("/")).ok()
    }

    /// The person's home directory, where the variable is set.
    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
    }

    fn path(&self) -> OsString {
        env::join_paths(self.path_entries()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&str, &str)]) -> Environment {
        Environment { vars: vars.iter().map(|(k, v)| (k.into(), v.into())).collect() }
    }

    #[test]
    fn tokens_and_unknown_names_stay_outside() {
        let environment = environment(&[
            ("PATH", "/usr/bin"),
            ("GITHUB_TOKEN", "secret"),
            ("CARGO_REGISTRY_TOKEN", "secret"),
            ("CARGO_REGISTRIES_MINE_TOKEN", "secret"),
            ("SSH_AUTH_SOCK", "/run/agent"),
            ("NODE_OPTIONS", "--require /evil.js"),
            ("LC_ALL", "C.UTF-8"),
            ("CARGO_PROFILE_DEV_DEBUG", "0"),
        ]);
        let names: Vec<_> =
            environment.allowed().into_keys().map(|name| name.into_string().unwrap()).collect();
        assert_eq!(names, ["CARGO_PROFILE_DEV_DEBUG", "LC_ALL", "PATH"]);
    }

    #[test]
    fn relative_path_entries_are_dropped() {
        let environment = environment(&[("PATH", "node_modules/.bin:/usr/bin::.:/bin")]);
        assert_eq!(environment.allowed()[OsStr::new("PATH")], "/usr/bin:/bin");
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(environment(&[("VIRTUAL_ENV", "")]).get("VIRTUAL_ENV"), None);
    }
}
