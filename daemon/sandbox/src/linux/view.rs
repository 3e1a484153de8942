//! What is to be seen inside: decided outside, on the host's own paths, before anything is mounted.
//!
//! Everything that is shown is on a list; what no step names does not exist inside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::Unbuildable;
use super::catalogue::{HOME_READABLE, HOME_SECRETS, NEVER, SYSTEM, SYSTEM_SECRETS};
use super::store::Cache;
use crate::wire::Open;

/// Where `/tmp` and the private scratch directory are inside.
pub(super) const TMP: &str = "/tmp";
pub(super) const SCRATCH: &str = "/tmp/greenlit-scratch";
/// The home directory of a user whose own cannot be shown.
const SPARE_HOME: &str = "/tmp/home";

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
        if real.parent().is_none() || NEVER.iter().any(|never| real.starts_with(never)) {
            notes.push(format!("{} is never shown", real.display()));
            continue;
        }
        // Below another readable directory the link is there already, as it is on the host.
        let within = |outer: &PathBuf| outer != readable && readable.starts_with(outer);
        let shown = open.spec.readable.iter().any(within);
        if !is_system(readable) && !shown && *readable != real {
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
        for (directory, depth) in [("/etc", 4), ("/usr/local/etc", 4), ("/opt", 1)] {
            closed_entries(Path::new(directory), depth, &mut hidden);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Isolation, Layer, Limits, SandboxSpec};

    fn open(root: &Path, home: &Path, readable: Vec<PathBuf>) -> Open {
        let spec = SandboxSpec {
            root: root.to_owned(),
            files: Vec::new(),
            caches: Vec::new(),
            readable,
            isolation: Isolation::Auto,
            limits: Limits::default(),
        };
        Open { layer: Layer::Namespaces, spec, home: home.to_owned(), temp: "/tmp".into() }
    }

    fn position(view: &View, wanted: impl Fn(&Step) -> bool) -> usize {
        view.steps.iter().position(wanted).expect("the step is there")
    }

    #[test]
    fn parents_come_before_children_and_covers_last() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().canonicalize().unwrap();
        fs::create_dir_all(home.join(".cargo/bin")).unwrap();
        fs::create_dir_all(home.join("code/app")).unwrap();
        fs::write(home.join(".cargo/credentials.toml"), "x").unwrap();
        let root = home.join("code/app");
        let readable = vec![home.clone(), home.join(".cargo"), root.join("inside")];
        let view = plan(&open(&root, &home, readable), Vec::new(), false).unwrap();
        let tmpfs =
            position(&view, |step| matches!(step, Step::Tmpfs { target, .. } if *target == home));
        let bind =
            position(&view, |step| matches!(step, Step::Bind { target, .. } if *target == home));
        let checkout = position(&view, |step| *step == Step::Checkout { target: root.clone() });
        let secret = home.join(".cargo/credentials.toml");
        let hide =
            position(&view, |step| matches!(step, Step::Hide { target, .. } if *target == secret));
        let cargo = position(
            &view,
            |step| matches!(step, Step::Bind { target, .. } if *target == home.join(".cargo")),
        );
        assert!(bind < tmpfs && tmpfs < cargo && cargo < hide && tmpfs < checkout);
        assert!(!view.steps.iter().any(|step| step.target().starts_with(root.join("inside"))));
        assert_eq!(view.home, home);
    }

    #[test]
    fn what_is_never_shown_is_noted() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let readable = vec!["/".into(), "/proc".into(), "/run".into(), "/does/not/exist".into()];
        let view = plan(&open(&root, Path::new("/nonexistent"), readable), Vec::new(), false);
        let view = view.unwrap();
        assert_eq!(view.notes.len(), 4, "{:?}", view.notes);
        assert_eq!(view.home, Path::new(SPARE_HOME));
        assert!(!view.steps.iter().any(|step| {
            matches!(step, Step::Bind { target, .. } if target == Path::new("/proc"))
        }));
    }

    #[test]
    fn a_home_that_would_hide_the_system_is_replaced() {
        for home in ["/", "/usr", "/nonexistent", "/tmp"] {
            assert_eq!(usable_home(Path::new(home)), None, "{home}");
        }
    }

    #[test]
    fn for_root_everything_that_is_closed_to_others_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        for (name, mode) in [("open", 0o644), ("closed", 0o600), ("group", 0o640)] {
            fs::write(base.join(name), "x").unwrap();
            fs::set_permissions(base.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(base.join("private")).unwrap();
        fs::set_permissions(base.join("private"), fs::Permissions::from_mode(0o700)).unwrap();
        let mut found = Vec::new();
        closed_entries(base, 2, &mut found);
        found.sort();
        assert_eq!(found, ["closed", "group", "private"].map(|name| base.join(name)));
    }

    #[test]
    fn git_pointers_are_believed_only_when_they_point_back() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        let (root, git) = (base.join("tree"), base.join("main/.git"));
        let private = git.join("worktrees/tree");
        for made in [&root, &private, &git.join("objects"), &git.join("refs")] {
            fs::create_dir_all(made).unwrap();
        }
        for head in [&git, &private] {
            fs::write(head.join("HEAD"), "ref: refs/heads/main").unwrap();
        }
        fs::write(private.join("commondir"), "../..\n").unwrap();
        fs::write(root.join(".git"), format!("gitdir: {}\n", private.display())).unwrap();
        assert_eq!(git_directories(&root), Vec::<PathBuf>::new(), "nothing points back");
        fs::write(private.join("gitdir"), format!("{}/.git\n", root.display())).unwrap();
        assert_eq!(git_directories(&root), [git]);
        for forged in
            ["gitdir: /etc\n", "gitdir: /etc/passwd", "gitdir:", "", "\0", "gitdir: ../main"]
        {
            fs::write(root.join(".git"), forged).unwrap();
            assert_eq!(git_directories(&root), Vec::<PathBuf>::new(), "{forged:?}");
        }
    }
}
