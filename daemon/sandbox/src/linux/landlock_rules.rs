//! File rules of the kernel's Landlock: a second wall behind the mounts, and the main one where
//! there are none.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};

/// Devices that every program may write to.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Rules that let processes read below `readable` and write below `writable`, and keep their
/// signals and abstract sockets to themselves. No network rules: they would forbid a test to listen
/// on loopback.
pub(super) fn rules(
    readable: &[PathBuf],
    writable: &[PathBuf],
) -> Result<RulesetCreated, RulesetError> {
    // Newer rights than the kernel has are left out; the last one is that of connecting to a socket
    // file, which a read-only mount does not prevent.
    let abi = ABI::V9;
    let all = AccessFs::from_all(abi);
    let read = AccessFs::from_read(abi);
    let device = read | AccessFs::WriteFile | AccessFs::IoctlDev;
    Ruleset::default()
        .handle_access(all)?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(writable, all))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(optional("/dev/pts", device))
}

fn optional(
    path: &str,
    access: BitFlags<AccessFs>,
) -> Option<Result<PathBeneath<PathFd>, RulesetError>> {
    PathFd::new(path).ok().map(|descriptor| Ok(PathBeneath::new(descriptor, access)))
}
