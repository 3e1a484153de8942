//! Which manifests are projects of their own, and where cargo puts its products. Manifests are
//! parsed, cargo is not run.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use toml::Value;

use crate::detect::configuration;
use crate::environment::Environment;
use crate::scope::normalize;

/// A workspace, or a package that belongs to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workspace {
    pub(crate) dir: PathBuf,
    /// Whether the manifest has a `[workspace]` section.
    pub(crate) is_workspace: bool,
    /// Names of the packages at and below `dir` that may be members.
    pub(crate) packages: Vec<String>,
}

struct Manifest {
    dir: PathBuf,
    name: Option<String>,
    workspace: Option<Vec<PathBuf>>,
}

/// Groups manifests. Packages below a `[workspace]` belong to it unless it excludes them; packages
/// that lie in another package's `tests`, `benches` or `examples` are its data.
pub(crate) fn workspaces(manifests: &[PathBuf]) -> Vec<Workspace> {
    let mut parsed: Vec<Manifest> = manifests.iter().filter_map(|path| manifest(path)).collect();
    parsed.sort_by(|a, b| a.dir.cmp(&b.dir));
    let packages: BTreeSet<PathBuf> =
        parsed.iter().filter(|m| m.name.is_some()).map(|m| m.dir.clone()).collect();
    let mut found: Vec<(Workspace, Vec<PathBuf>)> = Vec::new();
    for manifest in parsed {
        let is_data = manifest.dir.ancestors().skip(1).any(|outer| {
            packages.contains(outer)
                && manifest.dir.strip_prefix(outer).is_ok_and(|inner| {
                    matches!(inner.components().next(), Some(Component::Normal(name))
                        if name == "tests" || name == "benches" || name == "examples")
                })
        });
        let owner = found.iter_mut().find(|(workspace, excluded)| {
            workspace.is_workspace
                && manifest.dir.starts_with(&workspace.dir)
                && !excluded.iter().any(|excluded| manifest.dir.starts_with(excluded))
        });
        match owner {
            Some((workspace, _)) => workspace.packages.extend(manifest.name),
            None if is_data => {}
            None => {
                let is_workspace = manifest.workspace.is_some();
                if is_workspace || manifest.name.is_some() {
                    let packages = manifest.name.into_iter().collect();
                    let workspace = Workspace { dir: manifest.dir, is_workspace, packages };
                    found.push((workspace, manifest.workspace.unwrap_or_default()));
                }
            }
        }
    }
    found.into_iter().map(|(workspace, _)| workspace).collect()
}

fn manifest(path: &Path) -> Option<Manifest> {
    let value: toml::Table = configuration(path).parse().ok()?;
    let dir = path.parent()?.to_owned();
    let name = value.get("package").and_then(|p| p.get("name")).and_then(Value::as_str);
    let workspace = value.get("workspace").map(|workspace| {
        let excluded = workspace.get("exclude").and_then(Value::as_array);
        excluded
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|excluded| normalize(&dir.join(excluded)))
            .collect()
    });
    Some(Manifest { name: name.map(str::to_owned), workspace, dir })
}

/// The target directory: `CARGO_TARGET_DIR`, else `build.target-dir` of the nearest configuration
/// in the checkout, else `target` beside the manifest. Only one inside the checkout is taken: a
/// directory shared with other checkouts must never hold products of a sandbox.
pub(crate) fn target_directory(root: &Path, dir: &Path, environment: &Environment) -> PathBuf {
    let named = environment.get("CARGO_TARGET_DIR").map(|named| dir.join(named));
    let configured = || {
        dir.ancestors().take_while(|level| level.starts_with(root)).find_map(|level| {
            ["config.toml", "config"].iter().find_map(|name| {
                let text = configuration(&level.join(".cargo").join(name));
                let value: toml::Table = text.parse().ok()?;
                let target = value.get("build")?.get("target-dir")?.as_str()?.to_owned();
                Some(level.join(target))
            })
        })
    };
    named
        .or_else(configured)
        .map(|target| normalize(&target))
        .filter(|target| target.starts_with(root) && target != root)
        .unwrap_or_else(|| dir.join("target"))
}

/// Whether a configuration file of cargo's holds a secret.
pub(crate) fn holds_token(path: &Path) -> bool {
    fn within(value: &Value) -> bool {
        match value {
            Value::Table(table) => table
                .iter()
                .any(|(key, value)| key == "token" || key == "secret-key" || within(value)),
            Value::Array(values) => values.iter().any(within),
            _ => false,
        }
    }
    configuration(path).parse::<toml::Table>().is_ok_and(|table| within(&Value::Table(table)))
}

/// Names of the test targets of a manifest that do without libtest, by kind.
pub(crate) fn without_harness(manifest: &str) -> BTreeSet<(String, String)> {
    let Ok(value) = manifest.parse::<toml::Table>() else { return BTreeSet::new() };
    let mut names = BTreeSet::new();
    for kind in ["lib", "bin", "test", "example", "bench"] {
        let targets: Vec<&Value> = match value.get(kind) {
            Some(Value::Array(targets)) => targets.iter().collect(),
            Some(target) => vec![target],
            None => Vec::new(),
        };
        for target in targets {
            if target.get("harness").and_then(Value::as_bool) == Some(false) {
                let name = target.get("name").and_then(Value::as_str).unwrap_or_default();
                names.insert((kind.to_owned(), name.to_owned()));
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn members_belong_to_their_workspace() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for (path, text) in [
            ("Cargo.toml", "[workspace]\nmembers = ['a']\nexclude = ['tools/x']"),
            ("a/Cargo.toml", "[package]\nname = 'a'"),
            ("tools/x/Cargo.toml", "[package]\nname = 'x'"),
            ("tools/x/tests/data/Cargo.toml", "[package]\nname = 'data'"),
            ("broken/Cargo.toml", "[package"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let manifests: Vec<PathBuf> = [
            "Cargo.toml",
            "a/Cargo.toml",
            "broken/Cargo.toml",
            "tools/x/Cargo.toml",
            "tools/x/tests/data/Cargo.toml",
        ]
        .iter()
        .map(|path| root.join(path))
        .collect();
        let found: Vec<(PathBuf, Vec<String>)> =
            workspaces(&manifests).into_iter().map(|w| (w.dir, w.packages)).collect();
        assert_eq!(
            found,
            [(root.to_owned(), vec!["a".to_owned()]), (root.join("tools/x"), vec!["x".to_owned()])]
        );
    }

    #[test]
    fn a_target_directory_outside_the_checkout_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let with = |value: &str| {
            let mut environment = Environment::default();
            environment.vars.insert("CARGO_TARGET_DIR".into(), value.into());
            target_directory(root, root, &environment)
        };
        assert_eq!(with("build/out"), root.join("build/out"));
        assert_eq!(with("/var/shared/target"), root.join("target"));
        assert_eq!(with("../shared"), root.join("target"));
        fs::create_dir(root.join(".cargo")).unwrap();
        fs::write(root.join(".cargo/config.toml"), "build.target-dir = 'b'").unwrap();
        assert_eq!(target_directory(root, root, &Environment::default()), root.join("b"));
    }

    #[test]
    fn tokens_are_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "[source.x]\nregistry = 'sparse+http://x'").unwrap();
        assert!(!holds_token(file.path()));
        fs::write(file.path(), "[registries.x]\ntoken = 's'").unwrap();
        assert!(holds_token(file.path()));
    }
}
