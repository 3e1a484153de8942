//! The same view built by bubblewrap, for machines where it may and we may not (it can be
//! installed with set-user-ID or an AppArmor profile of its own).

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, geteuid};

use super::confine::{Confinement, drop_capabilities};
use super::processes::Tree;
use super::serve::{Places, Server, Setting};
use super::view::{self, SCRATCH, Step, TMP, View};
use super::{Control, Unbuildable, guard, store};
use crate::spec::Layer;
use crate::wire::Open;

/// `--overlay` came with this version.
const NEEDED: (u32, u32) = (0, 11);
/// Where the helper is shown inside.
const HELPER: &str = "/run/greenlit-sandbox";
const REMEDY: &str = "install bubblewrap 0.11 or newer";

/// Why bubblewrap cannot be used, as far as that shows without running it.
fn refusal() -> Result<PathBuf, Unbuildable> {
    let absent =
        |reason: &str| Unbuildable { reason: reason.to_owned(), remedy: Some(REMEDY.to_owned()) };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join("bwrap"))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| absent("bubblewrap is not installed"))?;
    let said = Command::new(&found)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| absent(&format!("{}: {error}", found.display())))?;
    let said = String::from_utf8_lossy(&said.stdout);
    match version(&said) {
        Some(version) if version >= NEEDED => Ok(found),
        Some((major, minor)) => Err(absent(&format!(
            "bubblewrap {major}.{minor} has no overlays, they came with {}.{}",
            NEEDED.0, NEEDED.1
        ))),
        None => Err(absent(&format!("bubblewrap's version is unknown: {:?}", said.trim()))),
    }
}

fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.trim().strip_prefix("bubblewrap ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Starts bubblewrap, which starts this helper again inside, and guards it.
pub(super) fn outside(open: &Open, control: &Control) -> Result<(), Unbuildable> {
    let program = refusal()?;
    let mut caches = store::take(open);
    let view = view::plan(open, std::mem::take(&mut caches.caches), geteuid().is_root())?;
    let helper = std::env::current_exe()?;
    let signals = guard::block_child_signal()?;
    let mut command = Command::new(program);
    command.args(arguments(&view, &open.spec.root, open.spec.limits.disk_bytes, &helper));
    command
        .env_clear()
        .stdin(Stdio::from(control.as_fd().try_clone_to_owned()?))
        .stderr(Stdio::from(std::io::stderr().as_fd().try_clone_to_owned()?));
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(|_| Unbuildable::new("process number"))?;
    guard::guard(control, &signals, Pid::from_raw(pid));
    Ok(())
}

/// Serves as process 1 of what bubblewrap built.
pub(super) fn inside(open: &Open, control: &mut Control) -> Result<(), Unbuildable> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Unbuildable::new(format!("{what}: {error}"));
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| failed("tying to bubblewrap", &error))?;
    prctl::set_dumpable(false).map_err(|error| failed("hiding", &error))?;
    let mut notes = store_notes(open);
    let view = View {
        steps: Vec::new(),
        home: open.home.clone(),
        writable: vec![open.spec.root.clone(), TMP.into(), open.home.clone(), "/dev/shm".into()],
        notes: Vec::new(),
    };
    std::fs::create_dir_all(SCRATCH)?;
    let limits = &open.spec.limits;
    let confinement = Confinement::namespaced(&view.writable, limits, &mut notes)?;
    drop_capabilities()?;
    let setting = Setting {
        layer: Layer::Bubblewrap,
        places: Places::same(&open.spec.root, TMP.as_ref()),
        home: view.home,
        tmp: TMP.into(),
        scratch: SCRATCH.into(),
        tree: Tree::PidNamespace,
        confinement,
        limits: limits.clone(),
    };
    Server::new(setting, control)?.serve(notes);
    Ok(())
}

fn store_notes(open: &Open) -> Vec<String> {
    let caches = open.spec.caches.iter();
    caches
        .map(|cache| {
            format!("nothing is added to the store of {} in this layer", cache.path.display())
        })
        .collect()
}

/// bubblewrap's arguments for a view. Its options take each path as one argument, so nothing has to
/// be escaped; the helper's socket is its standard input.
fn arguments(view: &View, root: &Path, disk_bytes: u64, helper: &Path) -> Vec<OsString> {
    let mut arguments = Arguments(Vec::new());
    for flag in ["--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]
    {
        arguments.add([flag]);
    }
    arguments.add(["--cap-drop", "ALL", "--hostname", "greenlit"]);
    arguments.add(["--proc", "/proc", "--dev", "/dev"]);
    for step in &view.steps {
        arguments.step(step, root, disk_bytes);
    }
    arguments.add([OsStr::new("--ro-bind"), helper.as_os_str(), OsStr::new(HELPER)]);
    for hidden in ["/proc/sysrq-trigger", "/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        arguments.add(["--ro-bind-try", "/dev/null", hidden]);
    }
    arguments.add(["--ro-bind-try", "/proc/sys", "/proc/sys"]);
    arguments.add(["--remount-ro", "/", "--", HELPER, "inside"]);
    arguments.0
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<T: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = T>) {
        self.0.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    }

    fn step(&mut self, step: &Step, root: &Path, disk_bytes: u64) {
        match step {
            Step::Bind { source, target } => {
                self.add([OsStr::new("--ro-bind"), source.as_os_str(), target.as_os_str()]);
            }
            Step::Symlink { target, to } => {
                self.add([OsStr::new("--symlink"), to.as_os_str(), target.as_os_str()]);
            }
            Step::Tmpfs { target, bytes } => {
                let size = OsString::from(bytes.to_string());
                self.add([OsStr::new("--size"), &size, OsStr::new("--tmpfs"), target.as_os_str()]);
            }
            Step::Hide { target, directory: true } => {
                self.add([OsStr::new("--tmpfs"), target.as_os_str()]);
                self.add([OsStr::new("--remount-ro"), target.as_os_str()]);
            }
            Step::Hide { target, directory: false } => {
                self.add([OsStr::new("--ro-bind"), OsStr::new("/dev/null"), target.as_os_str()]);
            }
            Step::Checkout { target } => self.overlay(&[root], target, disk_bytes),
            Step::Cache(cache) => {
                let upper = cache.store.as_deref().map(store::Cache::store_upper);
                // bubblewrap names lower layers from the bottom up.
                let lowers: Vec<&Path> =
                    cache.own.as_deref().into_iter().chain(upper.as_deref()).collect();
                if lowers.is_empty() {
                    self.add([OsStr::new("--dir"), cache.path.as_os_str()]);
                } else {
                    self.overlay(&lowers, &cache.path, disk_bytes);
                }
            }
        }
    }

    /// bubblewrap gives its throw-away layers no size: the server watches them instead.
    fn overlay(&mut self, lowers: &[&Path], target: &Path, _disk_bytes: u64) {
        for lower in lowers {
            self.add([OsStr::new("--overlay-src"), lower.as_os_str()]);
        }
        self.add([OsStr::new("--tmp-overlay"), target.as_os_str()]);
    }
}
