//! The layers that work on a copy of the checkout, in the host's own view.
//!
//! [`Layer::Copy`] is Landlock, a system call filter and limits: files outside are not readable or
//! writable, and no socket can be made (a private network needs namespaces). What Landlock does not
//! know, it cannot stop: modes, owners, times and attributes of files of the same user; so where
//! that user is root, the commands run as nobody. [`Layer::None`] has limits only. Both kill what a command leaves behind as far as it can be found.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::prctl;
use nix::unistd::geteuid;

use super::confine::Confinement;
use super::processes::Tree;
use super::serve::{Places, Server, Setting};
use super::view::{self, TMP};
use super::{Control, Unbuildable};
use crate::spec::Layer;
use crate::wire::Open;

/// The user of files that belong to nobody, by convention.
const NOBODY: u32 = 65534;

/// A private directory, removed when serving ends however it ends.
struct Private(PathBuf);

impl Drop for Private {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.0).is_err() {
            // A command may have taken its own write permission away.
            make_removable(&self.0);
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Copies the checkout and serves until the daemon hangs up.
pub(super) fn serve(open: &Open, control: &mut Control) -> Result<(), Unbuildable> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Unbuildable::new(format!("{what}: {error}"));
    prctl::set_dumpable(false).map_err(|error| failed("hiding", &error))?;
    prctl::set_child_subreaper(true).map_err(|error| failed("adopting orphans", &error))?;
    let mut notes = Vec::new();
    let temp = open.temp.canonicalize().map_err(|error| failed("temporary directory", &error))?;
    let private = tempfile::Builder::new()
        .prefix("greenlit-sandbox-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(temp)
        .map_err(|error| failed("temporary directory", &error))?;
    let private = Private(private.keep());
    let checkout = private.0.join("checkout");
    let tmp = private.0.join("tmp");
    let scratch = tmp.join("scratch");
    copy_tree(&open.spec.root, &checkout).map_err(|error| failed("copying", &error))?;
    fs::create_dir_all(&scratch).map_err(|error| failed("temporary directory", &error))?;
    // Landlock leaves modes, owners and times alone, and root owns most of the machine: there the
    // commands run as somebody who owns only the copy.
    let identity = (open.layer == Layer::Copy && geteuid().is_root()).then_some(NOBODY);
    let mut home = open.home.clone();
    if let Some(owner) = identity {
        home = tmp.join("home");
        fs::create_dir(&home).map_err(|error| failed("home directory", &error))?;
        give_tree(&private.0, owner).map_err(|error| failed("giving the copy away", &error))?;
    }
    for cache in &open.spec.caches {
        notes.push(format!(
            "the store of {} is not used: this layer works on a copy",
            cache.path.display()
        ));
    }
    let limits = &open.spec.limits;
    let confinement = if open.layer == Layer::Copy {
        notes.push("no sockets: this layer has no network of its own".to_owned());
        let weakness = match identity {
            Some(_) => "commands run as nobody: toolchains in root's home are out of reach",
            None => "modes and times of the user's own files are not protected",
        };
        notes.push(weakness.to_owned());
        let (readable, more) = readable(open)?;
        notes.extend(more);
        let writable = [checkout.clone(), tmp.clone()];
        Confinement::on_host(&readable, &writable, limits, identity, &mut notes)?
    } else {
        notes.push("no isolation: commands can reach everything that the user can".to_owned());
        Confinement::none(limits)
    };
    let mut places = Places::elsewhere(&open.spec.root, &checkout, TMP.as_ref(), &tmp);
    places.owner = identity;
    let setting = Setting {
        layer: open.layer,
        places,
        home,
        tmp,
        scratch,
        tree: Tree::Descendants,
        confinement,
        limits: limits.clone(),
    };
    Server::new(setting, control)?.serve(notes);
    Ok(())
}

/// What may be read: the same list as in the other layers, without what they cover.
fn readable(open: &Open) -> Result<(Vec<PathBuf>, Vec<String>), Unbuildable> {
    let view = view::plan(open, Vec::new(), geteuid().is_root())?;
    let mut shown: Vec<PathBuf> = vec![open.spec.root.clone(), "/proc".into(), "/dev".into()];
    let mut hidden = Vec::new();
    for step in view.steps {
        match step {
            view::Step::Bind { source, .. } => shown.push(source),
            view::Step::Hide { target, .. } => hidden.push(target),
            _ => {}
        }
    }
    let mut readable = Vec::new();
    for path in shown {
        without(&path, &hidden, &mut readable);
    }
    Ok((readable, view.notes))
}

/// Rules give whole trees, so a tree with something hidden in it is given child by child.
fn without(path: &Path, hidden: &[PathBuf], readable: &mut Vec<PathBuf>) {
    if hidden.iter().any(|hidden| path.starts_with(hidden)) {
        return;
    }
    if !hidden.iter().any(|hidden| hidden.starts_with(path)) {
        readable.push(path.to_owned());
        return;
    }
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        // A rule on a link would be one on whatever it points to.
        if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
            without(&entry.path(), hidden, readable);
        }
    }
}

/// Copies a tree: file contents by reflink where the file system can, links as links, modes and
/// modification times kept (build tools compare them). Special files are left out.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            copy_file(&source, &target)?;
        }
    }
    let metadata = fs::metadata(from)?;
    let mode = metadata.permissions().mode() & 0o777;
    fs::set_permissions(to, Permissions::from_mode(mode | 0o700))
}

fn give_tree(path: &Path, owner: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(owner), Some(owner))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_tree(&entry?.path(), owner)?;
        }
    }
    Ok(())
}

fn copy_file(source: &Path, target: &Path) -> io::Result<()> {
    let metadata = match fs::metadata(source) {
        Ok(metadata) => metadata,
        // The checkout is alive: what vanished meanwhile is not there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    reflink_copy::reflink_or_copy(source, target)?;
    let mode = metadata.permissions().mode() & 0o777;
    fs::set_permissions(target, Permissions::from_mode(mode | 0o200))?;
    File::options().write(true).open(target)?.set_modified(metadata.modified()?)?;
    fs::set_permissions(target, Permissions::from_mode(mode))
}

fn make_removable(directory: &Path) {
    let _ = fs::set_permissions(directory, Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_removable(&entry.path());
        }
    }
}
