//! What is to be seen inside: decided outside, on the host's own paths, before anything is mounted.
//!
//! Everything that is shown is on a list; what no step names does not exist inside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::Unbuildable;
use super::store::Cache;
use crate::wire::Open;

/// Where `/tmp` and the private scratch directory are inside.
pub(super) const TMP: &str = "/tmp";
pub(super) const SCRATCH: &str = "/tmp/greenlit-scratch";
/// The home directory of a user whose own cannot be shown.
const SPARE_HOME: &str = "/tmp/home";

/// System directories that hold programs and their data.
const SYSTEM: [&str; 14] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/run/current-system",
    "/sys/devices/system/cpu",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Never shown, whoever asks: keys and passwords of the machine.
const SYSTEM_SECRETS: [&str; 12] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/krb5.keytab",
    "/etc/security/opasswd",
    "/etc/NetworkManager/system-connections",
    "/etc/wireguard",
];

/// Toolchains and registries in the home directory, shown read-only.
const HOME_READABLE: [&str; 34] = [
    ".cargo/bin",
    ".cargo/registry",
    ".cargo/git",
    ".cargo/config.toml",
    ".cargo/config",
    ".cargo/env",
    ".rustup",
    ".pyenv",
    ".nvm",
    ".nodenv",
    ".rbenv",
    ".asdf",
    ".volta",
    ".fnm",
    ".bun/bin",
    ".deno/bin",
    ".local/bin",
    ".local/lib",
    ".local/pipx",
    ".local/share/uv",
    ".local/share/mise",
    ".local/share/fnm",
    ".local/share/pipx",
    ".local/share/virtualenvs",
    ".virtualenvs",
    ".conda/envs",
    "miniconda3",
    "miniforge3",
    "anaconda3",
    "go/bin",
    "go/pkg/mod",
    ".sdkman/candidates",
    ".m2/repository",
    ".ghcup/bin",
];

/// Hidden even where a readable directory of the caller's contains them.
const HOME_SECRETS: [&str; 16] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".docker/config.json",
    ".config/gh",
    ".config/git/credentials",
    ".config/gcloud",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".m2/settings.xml",
];

/// One step in building the view; steps are applied in order, parents before children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Shows a file or directory of the host, with what is mounted below it, read-only.
    Bind { source: PathBuf, target: PathBuf },
    /// A symbolic link of the host's root, as it is there.
    Symlink { target: PathBuf, to: PathBuf },
    /// An empty writable directory of bounded size.
    Tmpfs { target: PathBuf, bytes: u64 },
    /// Covers a file with an empty one, or a directory with an empty one.
    Hide { target: PathBuf, directory: bool },
    /// The checkout, with the writes thrown away.
    Checkout { target: PathBuf },
    /// A build cache inside the checkout.
    Cache(Cache),
}

impl Step {
    fn target(&self) -> &Path {
        match self {
            Self::Bind { target, .. }
            | Self::Symlink { target, .. }
            | Self::Tmpfs { target, .. }
            | Self::Hide { target, .. }
            | Self::Checkout { target } => target,
            Self::Cache(cache) => &cache.path,
        }
    }
}

/// The whole view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) steps: Vec<Step>,
    /// `HOME` inside.
    pub(super) home: PathBuf,
    /// Directories that may be written, as seen from inside.
    pub(super) writable: Vec<PathBuf>,
    pub(super) notes: Vec<String>,
}

/// Plans the view for a specification. `as_root` says that the host's user is root, for whom file
/// permissions hide nothing.
pub(super) fn plan(open: &Open, caches: Vec<Cache>, as_root: bool) -> Result<View, Unbuildable> {
    let root = &open.spec.root;
    let disk = open.spec.limits.disk_bytes;
    let mut notes = Vec::new();
    let mut steps = system_steps();
    steps.push(Step::Tmpfs { target: TMP.into(), bytes: disk });
    steps.push(Step::Symlink { target: "/var/tmp".into(), to: TMP.into() });

    let home = usable_home(&open.home);
    if let Some(home) = &home {
        if home.starts_with(root) {
            return Err(Unbuildable::new(format!(
                "the checkout {} contains the home directory",
                root.display()
            )));
        }
        steps.push(Step::Tmpfs { target: home.clone(), bytes: disk / 4 });
        for relative in HOME_READABLE {
            bind_where_it_is(&mut steps, &home.join(relative));
        }
        if open.home != *home && !is_system(&open.home) {
            steps.push(Step::Symlink { target: open.home.clone(), to: home.clone() });
        }
    }
    for readable in &open.spec.readable {
        if readable.starts_with(root) {
            continue;
        }
        let Ok(real) = readable.canonicalize() else {
            notes.push(format!("{} does not exist and is not shown", readable.display()));
            continue;
        };
        if real.parent().is_none() {
            return Err(Unbuildable::new("the whole root directory cannot be shown"));
        }
        if !is_system(readable) && *readable != real {
            steps.push(Step::Bind { source: real.clone(), target: readable.clone() });
        }
        steps.push(Step::Bind { source: real.clone(), target: real });
    }
    for directory in git_directories(root) {
        steps.push(Step::Bind { source: directory.clone(), target: directory });
    }
    if let Some(home) = &home {
        hide_home_secrets(&mut steps, home);
    }
    hide_system_secrets(&mut steps, as_root);
    steps.push(Step::Checkout { target: root.clone() });
    steps.extend(caches.into_iter().map(Step::Cache));

    // Stable, so that for one target the later step lies on top: a home directory that somebody
    // names as readable is still covered.
    steps.sort_by_key(|step| (step.target().components().count(), rank(step)));
    let home = home.unwrap_or_else(|| PathBuf::from(SPARE_HOME));
    let writable = vec![root.clone(), TMP.into(), home.clone(), "/dev/shm".into()];
    Ok(View { steps, home, writable, notes })
}

/// What lies on top where two steps have the same target.
fn rank(step: &Step) -> u8 {
    match step {
        Step::Symlink { .. } | Step::Bind { .. } => 0,
        Step::Tmpfs { .. } => 1,
        Step::Checkout { .. } => 2,
        Step::Cache(_) => 3,
        Step::Hide { .. } => 4,
    }
}

fn system_steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for path in SYSTEM.map(PathBuf::from) {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                if let Ok(to) = fs::read_link(&path) {
                    steps.push(Step::Symlink { target: path, to });
                }
            }
            Ok(_) => steps.push(Step::Bind { source: path.clone(), target: path }),
            Err(_) => {}
        }
    }
    steps
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}

/// The canonical home directory, unless it is missing or would hide the system itself.
fn usable_home(home: &Path) -> Option<PathBuf> {
    let home = home.canonicalize().ok()?;
    let covers_system = SYSTEM.iter().any(|system| Path::new(system).starts_with(&home));
    let covers_tmp = Path::new(TMP).starts_with(&home);
    (home.is_dir() && !covers_system && !covers_tmp).then_some(home)
}

/// Binds a file or directory at its own path. The source is resolved here: inside the mount
/// namespace an absolute link would lead elsewhere.
fn bind_where_it_is(steps: &mut Vec<Step>, path: &Path) {
    if let Ok(source) = path.canonicalize() {
        steps.push(Step::Bind { source, target: path.to_owned() });
    }
}

fn hide_home_secrets(steps: &mut Vec<Step>, home: &Path) {
    let shown: Vec<PathBuf> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Bind { target, .. } if target.starts_with(home) => Some(target.clone()),
            _ => None,
        })
        .collect();
    for relative in HOME_SECRETS {
        let secret = home.join(relative);
        if shown.iter().any(|shown| secret.starts_with(shown))
            && let Ok(metadata) = fs::metadata(&secret)
        {
            steps.push(Step::Hide { target: secret, directory: metadata.is_dir() });
        }
    }
}

fn hide_system_secrets(steps: &mut Vec<Step>, as_root: bool) {
    let mut hidden: Vec<PathBuf> = SYSTEM_SECRETS.map(PathBuf::from).to_vec();
    if as_root {
        closed_entries(Path::new("/etc"), 4, &mut hidden);
    }
    hidden.sort();
    hidden.dedup();
    for target in hidden {
        if let Ok(metadata) = fs::symlink_metadata(&target)
            && !metadata.is_symlink()
        {
            steps.push(Step::Hide { target, directory: metadata.is_dir() });
        }
    }
}

/// Files and directories that an ordinary user could not read: for root permissions hide nothing.
fn closed_entries(directory: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_symlink() {
            continue;
        }
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let needed = if kind.is_dir() { 0o005 } else { 0o004 };
        if metadata.permissions().mode() & needed != needed {
            found.push(entry.path());
        } else if kind.is_dir() && depth > 0 {
            closed_entries(&entry.path(), depth - 1, found);
        }
    }
}

/// The directories outside the checkout that a work tree's or submodule's `.git` file leads to.
///
/// The file's content is the repository's, so it proves nothing: the target must be a git directory
/// that in turn names this checkout, or lie among the modules of a repository above it.
pub(super) fn git_directories(root: &Path) -> Vec<PathBuf> {
    let pointer = root.join(".git");
    let Ok(text) = fs::read_to_string(&pointer) else {
        return Vec::new();
    };
    let Some(named) = text.strip_prefix("gitdir:").map(str::trim) else {
        return Vec::new();
    };
    let Ok(directory) = root.join(named).canonicalize() else {
        return Vec::new();
    };
    if directory.starts_with(root) || !directory.join("HEAD").is_file() {
        return Vec::new();
    }
    match fs::read_to_string(directory.join("commondir")) {
        Ok(common) => {
            let back = fs::read_to_string(directory.join("gitdir")).unwrap_or_default();
            let Ok(common) = directory.join(common.trim()).canonicalize() else {
                return Vec::new();
            };
            let belongs = Path::new(back.trim()).canonicalize().is_ok_and(|back| back == pointer)
                && directory.parent() == Some(&common.join("worktrees"))
                && is_repository(&common);
            if belongs { vec![common] } else { Vec::new() }
        }
        Err(_) => {
            let above = root
                .ancestors()
                .skip(1)
                .any(|ancestor| directory.starts_with(ancestor.join(".git").join("modules")));
            if above && is_repository(&directory) { vec![directory] } else { Vec::new() }
        }
    }
}

fn is_repository(directory: &Path) -> bool {
    directory.join("HEAD").is_file()
        && directory.join("objects").is_dir()
        && directory.join("refs").is_dir()
}

/// Whether no component of `path` below `root` is a symbolic link.
pub(super) fn is_plain_below(root: &Path, path: &Path) -> bool {
    let Ok(rest) = path.strip_prefix(root) else {
        return false;
    };
    let mut current = root.to_owned();
    for component in rest.components() {
        let Component::Normal(name) = component else {
            return false;
        };
        current.push(name);
        match fs::symlink_metadata(&current) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return false,
            Err(_) => return true,
        }
    }
    true
}
