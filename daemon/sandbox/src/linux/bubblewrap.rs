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
use crate::spec::{CacheMode, Layer};
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
    if geteuid().is_root() {
        return Err(Unbuildable {
            reason: "bubblewrap shows the host's device nodes, whose modes root could change"
                .to_owned(),
            remedy: Some("run greenlit as an ordinary user".to_owned()),
        });
    }
    let mut caches = store::take(open);
    let view = view::plan(open, std::mem::take(&mut caches.caches), false)?;
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
    let kept = open.spec.caches.iter().filter(|cache| cache.mode == CacheMode::Keep);
    kept.map(|cache| {
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
    arguments.add(["--cap-drop", "ALL", "--hostname", "localhost"]);
    arguments.add(["--proc", "/proc", "--dev", "/dev"]);
    let shm = (disk_bytes / 4).to_string();
    arguments.add(["--size", shm.as_str(), "--tmpfs", "/dev/shm"]);
    for step in &view.steps {
        arguments.step(step, root);
    }
    arguments.add([OsStr::new("--ro-bind"), helper.as_os_str(), OsStr::new(HELPER)]);
    // bubblewrap itself seals what in `/proc` can be written to.
    for hidden in ["/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/kallsyms"]
    {
        if Path::new(hidden).exists() {
            arguments.add(["--ro-bind", "/dev/null", hidden]);
        }
    }
    arguments.add(["--remount-ro", "/", "--", HELPER, "inside"]);
    arguments.0
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<T: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = T>) {
        self.0.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    }

    fn step(&mut self, step: &Step, root: &Path) {
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
            Step::Checkout { target } => self.overlay(&[root], target),
            Step::Cache(cache) => {
                let upper = cache.store.as_deref().map(store::Cache::store_upper);
                // bubblewrap names lower layers from the bottom up.
                let lowers: Vec<&Path> =
                    cache.own.as_deref().into_iter().chain(upper.as_deref()).collect();
                if lowers.is_empty() {
                    self.add([OsStr::new("--dir"), cache.path.as_os_str()]);
                } else {
                    self.overlay(&lowers, &cache.path);
                }
            }
        }
    }

    /// bubblewrap gives its throw-away layers no size: the server watches them instead.
    fn overlay(&mut self, lowers: &[&Path], target: &Path) {
        for lower in lowers {
            self.add([OsStr::new("--overlay-src"), lower.as_os_str()]);
        }
        self.add([OsStr::new("--tmp-overlay"), target.as_os_str()]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Cache;
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("bubblewrap 0.11.1\n"), Some((0, 11)));
        assert!(version("bubblewrap 0.8.0").unwrap() < NEEDED);
        assert!(version("bubblewrap 1.0").unwrap() > NEEDED);
        assert_eq!(version("something else 1.0"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn each_step_becomes_arguments_with_whole_paths() {
        let steps = vec![
            Step::Bind { source: "/usr".into(), target: "/usr".into() },
            Step::Symlink { target: "/bin".into(), to: "usr/bin".into() },
            Step::Tmpfs { target: "/tmp".into(), bytes: 4096 },
            Step::Hide { target: "/etc/shadow".into(), directory: false },
            Step::Hide { target: "/etc/ssh".into(), directory: true },
            Step::Checkout { target: "/w/a:b c".into() },
            Step::Cache(Cache {
                path: "/w/a:b c/target".into(),
                own: Some("/w/a:b c/target".into()),
                store: Some("/s".into()),
                keep: true,
            }),
            Step::Cache(Cache { path: "/w/none".into(), own: None, store: None, keep: false }),
        ];
        let view = View { steps, home: "/h".into(), writable: Vec::new(), notes: Vec::new() };
        let arguments = arguments(&view, Path::new("/w/a:b c"), 4096, Path::new("/helper"));
        let arguments: Vec<&str> =
            arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
        let text = arguments.join("|");
        for expected in [
            "|--unshare-all|--die-with-parent|",
            "|--ro-bind|/usr|/usr|--symlink|usr/bin|/bin|--size|4096|--tmpfs|/tmp|",
            "|--ro-bind|/dev/null|/etc/shadow|--tmpfs|/etc/ssh|--remount-ro|/etc/ssh|",
            "|--overlay-src|/w/a:b c|--tmp-overlay|/w/a:b c|",
            "|--overlay-src|/w/a:b c/target|--overlay-src|/s/upper|--tmp-overlay|/w/a:b c/target|",
            "|--dir|/w/none|--ro-bind|/helper|/run/greenlit-sandbox|",
        ] {
            assert!(format!("|{text}").contains(expected), "{expected} in {text}");
        }
        assert!(text.ends_with("|--remount-ro|/|--|/run/greenlit-sandbox|inside"), "{text}");
    }
}
