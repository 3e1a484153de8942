//! Applies a view: mounts it on a fresh root and leaves the host's root behind.
//!
//! Every host path is bound to a plain name before it becomes a layer of an overlay, so no path of
//! the user's ever stands in a mount option.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use super::Unbuildable;
use super::store::Cache;
use super::sys;
use super::view::{SCRATCH, Step, TMP, View};
use crate::spec::Limits;

/// Where things are while the view is being built.
const HOST: &str = "/host";
const NEW: &str = "/new";
const STAGE: &str = "/stage";
const UPPER: &str = "/stage/upper";

const PRIVATE: MsFlags = MsFlags::MS_REC.union(MsFlags::MS_PRIVATE);
const BIND: MsFlags = MsFlags::MS_BIND.union(MsFlags::MS_REC);
const HARMLESS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// The kernel takes nothing below its reserved numbers.
const LEAST_PID_MAX: u64 = 301;
/// Parts of `/proc` that act on the whole machine; for a user who is root outside, their files are
/// his own.
const PROC_READ_ONLY: [&str; 7] = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"];
const PROC_HIDDEN: [&str; 7] =
    ["kcore", "kmsg", "keys", "timer_list", "sched_debug", "latency_stats", "kallsyms"];

/// Builds the view as process 1 of fresh user, mount and process namespaces. Returns what had to be
/// left out.
pub(super) fn build(view: &View, root: &Path, limits: &Limits) -> Result<Vec<String>, Unbuildable> {
    let mut notes = Vec::new();
    let overlay = Overlays { root, count: 0 };
    build_steps(view, overlay, limits, &mut notes).map_err(|(what, error)| Unbuildable {
        reason: format!("{what}: {error}"),
        remedy: remedy(&error),
    })?;
    Ok(notes)
}

type Failed = (String, io::Error);

trait Named<T> {
    fn named(self, what: impl FnOnce() -> String) -> Result<T, Failed>;
}

impl<T, E: Into<io::Error>> Named<T> for Result<T, E> {
    fn named(self, what: impl FnOnce() -> String) -> Result<T, Failed> {
        self.map_err(|error| (what(), error.into()))
    }
}

fn build_steps(
    view: &View,
    mut overlays: Overlays<'_>,
    limits: &Limits,
    notes: &mut Vec<String>,
) -> Result<(), Failed> {
    leave_host()?;
    tmpfs(Path::new(UPPER), limits.disk_bytes)?;
    fs::create_dir(Path::new(STAGE).join("nothing")).named(|| "staging".to_owned())?;
    File::create(Path::new(STAGE).join("empty")).named(|| "staging".to_owned())?;
    devices(limits.disk_bytes / 4)?;
    processes(limits.processes)?;
    for step in &view.steps {
        match step {
            Step::Bind { source, target } => bind_read_only(&host(source), target)?,
            Step::Symlink { target, to } => symlink(target, to)?,
            Step::Tmpfs { target, bytes } => tmpfs(&inside(target), *bytes)?,
            Step::Hide { target, directory } => hide(target, *directory)?,
            Step::Checkout { target } => overlays.checkout(target)?,
            Step::Cache(cache) => overlays.cache(cache, notes)?,
        }
    }
    for directory in [Path::new(SCRATCH), &view.home] {
        fs::create_dir_all(inside(directory)).named(|| directory.display().to_string())?;
    }
    enter()
}

fn host(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}

fn inside(path: &Path) -> PathBuf {
    Path::new(NEW).join(path.strip_prefix("/").unwrap_or(path))
}

/// Puts a small file system of our own at the root, with the host's root below it.
fn leave_host() -> Result<(), Failed> {
    let none = None::<&str>;
    mount(none, "/", none, PRIVATE, none).named(|| "making mounts private".to_owned())?;
    // Mounted over the host's `/tmp` only until it becomes the root, then nothing is covered.
    let base = Path::new("/tmp");
    let options = Some("mode=755,size=16m,nr_inodes=65536");
    mount(Some("tmpfs"), base, Some("tmpfs"), HARMLESS, options)
        .named(|| "mounting a temporary file system".to_owned())?;
    for directory in [HOST, NEW, STAGE] {
        fs::create_dir(base.join(&directory[1..])).named(|| "staging".to_owned())?;
    }
    pivot_root(base, &base.join(&HOST[1..])).named(|| "changing the root".to_owned())?;
    chdir("/").named(|| "changing the root".to_owned())?;
    let options = Some("mode=755,size=16m,nr_inodes=65536");
    mount(Some("tmpfs"), NEW, Some("tmpfs"), HARMLESS, options)
        .named(|| "mounting the new root".to_owned())
}

/// Makes the view the root, drops the host's tree and seals what is ours.
fn enter() -> Result<(), Failed> {
    let what = || "entering the view".to_owned();
    chdir(NEW).named(what)?;
    pivot_root(".", ".").named(what)?;
    umount2(".", MntFlags::MNT_DETACH).named(what)?;
    chdir("/").named(what)?;
    for (sealed, more) in [("/", MsFlags::MS_NODEV), ("/dev", MsFlags::empty())] {
        let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
        let flags = again | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | more;
        mount(None::<&str>, sealed, None::<&str>, flags, None::<&str>).named(what)?;
    }
    Ok(())
}

fn tmpfs(target: &Path, bytes: u64) -> Result<(), Failed> {
    let what = || format!("mounting a temporary file system at {}", target.display());
    fs::create_dir_all(target).named(what)?;
    let shared = [inside(Path::new(TMP)), inside(Path::new("/dev/shm"))].contains(&target.into());
    let mode = if shared { "1777" } else { "755" };
    let options = format!("mode={mode},size={},nr_inodes={}", bytes.max(4096), inodes(bytes));
    mount(Some("tmpfs"), target, Some("tmpfs"), HARMLESS, Some(options.as_str())).named(what)
}

/// Enough for a tree of small files, and a bound on the kernel memory that empty files take.
fn inodes(bytes: u64) -> u64 {
    (bytes / 4096).clamp(1024, 400_000)
}

/// Creates the place that something is to be mounted on.
fn place(target: &Path, directory: bool) -> io::Result<()> {
    if directory {
        return fs::create_dir_all(target);
    }
    if target.exists() {
        return Ok(());
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create(target).map(drop)
}

fn bind_read_only(source: &Path, target: &Path) -> Result<(), Failed> {
    let what = || format!("showing {}", target.display());
    let target = &inside(target);
    let directory = fs::metadata(source).named(what)?.is_dir();
    place(target, directory).named(what)?;
    mount(Some(source), target, None::<&str>, BIND, None::<&str>).named(what)?;
    sys::seal_mount_tree(target).named(what)
}

fn symlink(target: &Path, to: &Path) -> Result<(), Failed> {
    let what = || format!("linking {}", target.display());
    let target = inside(target);
    if target.symlink_metadata().is_ok() {
        return Ok(());
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).named(what)?;
    }
    std::os::unix::fs::symlink(to, target).named(what)
}

fn hide(target: &Path, directory: bool) -> Result<(), Failed> {
    let what = || format!("hiding {}", target.display());
    let target = &inside(target);
    // What is not shown need not be hidden.
    if target.symlink_metadata().is_err() {
        return Ok(());
    }
    let cover = Path::new(STAGE).join(if directory { "nothing" } else { "empty" });
    mount(Some(&cover), target, None::<&str>, BIND, None::<&str>).named(what)?;
    sys::seal_mount_tree(target).named(what)
}

fn devices(shm_bytes: u64) -> Result<(), Failed> {
    let dev = inside(Path::new("/dev"));
    let what = || "building /dev".to_owned();
    fs::create_dir(&dev).named(what)?;
    let options = Some("mode=755,size=64k,nr_inodes=64");
    let flags = MsFlags::MS_NOSUID;
    mount(Some("tmpfs"), &dev, Some("tmpfs"), flags, options).named(what)?;
    for name in DEVICES {
        let target = dev.join(name);
        File::create(&target).named(what)?;
        let source = host(Path::new("/dev")).join(name);
        let flags = MsFlags::MS_BIND;
        mount(Some(&source), &target, None::<&str>, flags, None::<&str>).named(what)?;
        // A device can still be written to, but its node, which is the host's, keeps its mode.
        let again = flags | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
        mount(None::<&str>, &target, None::<&str>, again, None::<&str>).named(what)?;
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, to) in links {
        std::os::unix::fs::symlink(to, dev.join(name)).named(what)?;
    }
    tmpfs(&dev.join("shm"), shm_bytes)?;
    let pts = dev.join("pts");
    fs::create_dir(&pts).named(what)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = Some("newinstance,ptmxmode=0666,mode=600");
    // A program that wants a terminal of its own does without where the kernel refuses this.
    let _ = mount(Some("devpts"), &pts, Some("devpts"), flags, options);
    Ok(())
}

fn processes(limit: u64) -> Result<(), Failed> {
    let proc = inside(Path::new("/proc"));
    let what = || "mounting /proc for the sandbox's own processes".to_owned();
    fs::create_dir(&proc).named(what)?;
    let flags = HARMLESS | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &proc, Some("proc"), flags, None::<&str>).named(what)?;
    // Bounds the process numbers of this namespace where the kernel can (Linux 6.14): unlike the
    // process limit of a user, it binds root, too. A kernel that cannot refuses, and the watchdog
    // counts.
    let _ = fs::write(proc.join("sys/kernel/pid_max"), limit.max(LEAST_PID_MAX).to_string());
    for name in PROC_READ_ONLY.iter().chain(&PROC_HIDDEN) {
        let target = proc.join(name);
        if !target.exists() {
            continue;
        }
        let empty = Path::new(STAGE).join("empty");
        let source = if PROC_HIDDEN.contains(name) { &empty } else { &target };
        mount(Some(source), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>).named(what)?;
        sys::seal_mount_tree(&target).named(what)?;
    }
    Ok(())
}

/// Builds overlays, one after the other.
struct Overlays<'a> {
    root: &'a Path,
    count: usize,
}

impl Overlays<'_> {
    fn checkout(&mut self, target: &Path) -> Result<(), Failed> {
        let what = || format!("mounting an overlay at {}", target.display());
        let number = self.next();
        let lower = self.stage(number, "lower", &host(self.root)).named(what)?;
        let layers = throw_away(number, &[&lower]).named(what)?;
        overlay(&inside(target), &layers).named(what)
    }

    fn cache(&mut self, cache: &Cache, notes: &mut Vec<String>) -> Result<(), Failed> {
        let what = || format!("mounting the build cache {}", cache.path.display());
        let number = self.next();
        let own = match &cache.own {
            Some(own) => self.stage(number, "own", &host(own)).named(what)?,
            None => Path::new(STAGE).join("nothing"),
        };
        let target = inside(&cache.path);
        fs::create_dir_all(&target).named(what)?;
        let store = match &cache.store {
            Some(store) => Some(self.stage(number, "store", &host(store)).named(what)?),
            None => None,
        };
        if let (true, Some(store)) = (cache.keep, &store) {
            let layers = format!(
                "lowerdir={},upperdir={},workdir={}",
                own.display(),
                store.join("upper").display(),
                store.join("work").display()
            );
            match overlay(&target, &layers) {
                Ok(()) => return Ok(()),
                Err(error) => notes.push(format!(
                    "what is built in {} is not kept: the store's file system refuses to be an \
                     upper layer: {error}",
                    cache.path.display()
                )),
            }
        }
        let upper = store.map(|store| Cache::store_upper(&store));
        let lowers: Vec<&Path> = upper.as_deref().into_iter().chain([own.as_path()]).collect();
        let layers = throw_away(number, &lowers).named(what)?;
        overlay(&target, &layers).named(what)
    }

    fn next(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    /// Gives a directory of the host a plain name.
    fn stage(&self, number: usize, kind: &str, source: &Path) -> io::Result<PathBuf> {
        let plain = Path::new(STAGE).join(format!("{kind}{number}"));
        fs::create_dir(&plain)?;
        mount(Some(source), &plain, None::<&str>, BIND, None::<&str>)?;
        Ok(plain)
    }
}

/// Options for an overlay whose writes land in memory.
fn throw_away(number: usize, lowers: &[&Path]) -> io::Result<String> {
    let upper = Path::new(UPPER).join(format!("upper{number}"));
    let work = Path::new(UPPER).join(format!("work{number}"));
    fs::create_dir(&upper)?;
    fs::create_dir(&work)?;
    // The top of an overlay shows the attributes of its upper directory.
    if let Some(bottom) = lowers.last() {
        fs::set_permissions(&upper, fs::metadata(bottom)?.permissions())?;
    }
    let lowers: Vec<String> = lowers.iter().map(|lower| lower.display().to_string()).collect();
    let lowers = lowers.join(":");
    Ok(format!("lowerdir={lowers},upperdir={},workdir={}", upper.display(), work.display()))
}

fn overlay(target: &Path, layers: &str) -> io::Result<()> {
    fs::create_dir_all(target)?;
    let options = format!("{layers},userxattr");
    let kind = Some("overlay");
    Ok(mount(kind, target, kind, HARMLESS, Some(options.as_str()))?)
}

fn remedy(error: &io::Error) -> Option<String> {
    let text = match error.raw_os_error()? {
        libc::EPERM | libc::EACCES => {
            "run where mounting inside a user namespace is allowed (in a container: with an \
             unmasked /proc and without a seccomp or AppArmor profile that forbids mount)"
        }
        libc::EINVAL | libc::ENOSYS => {
            "Linux 5.12 or newer, and no other file system mounted inside the checkout"
        }
        _ => return None,
    };
    Some(text.to_owned())
}
