//! What earlier searches learned: patches that fell, by content hash.
//!
//! Only falls are kept, never successes: what is offered is verified anew each time. A record holds
//! for one exact state of all inputs, so nothing in it goes stale; a lost or damaged file costs time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::patch::{self, PatchedFile};
use crate::verdict::Fall;

/// Files of records that are kept; the oldest go first.
const KEPT: usize = 64;

/// Patches that fell on one state of the inputs.
#[derive(Debug, Default)]
pub struct KnownFalls {
    file: Option<PathBuf>,
    before: HashMap<String, Fall>,
    new: Mutex<Vec<(String, &'static str)>>,
}

impl KnownFalls {
    /// The records for `state`: a digest of everything that decides how tests end (inputs, target
    /// tests, runner). `dir` is the daemon's own.
    pub fn open(dir: &Path, state: &blake3::Hash) -> Self {
        let file = dir.join(format!("{}.txt", &state.to_hex()[..32]));
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let records = text.lines().filter_map(|line| {
            let (hash, word) = line.split_once(' ')?;
            Some((hash.to_owned(), fall(word)?))
        });
        Self { before: records.collect(), file: Some(file), new: Mutex::default() }
    }

    /// How the patch with this [`patch::key`] fell before.
    pub(crate) fn fall_of(&self, key: &blake3::Hash) -> Option<Fall> {
        self.before.get(&name(key)).cloned()
    }

    /// Notes a fall, if it is one that the same inputs always lead to.
    pub(crate) fn add(&self, patch: &[PatchedFile], reason: &Fall) {
        let (Some(word), true) = (word(reason), self.file.is_some()) else { return };
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        new.push((name(&patch::key(patch)), word));
    }

    /// Writes what is new. Failing to is no error: the next search only knows less.
    pub fn save(&self) {
        let Some(file) = &self.file else { return };
        let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        if new.is_empty() {
            return;
        }
        let before = self.before.iter().filter_map(|(key, fall)| Some((key.as_str(), word(fall)?)));
        let new = new.iter().map(|(key, word)| (key.as_str(), *word));
        let text: String = before.chain(new).map(|(key, word)| format!("{key} {word}\n")).collect();
        if let Err(error) = write(file, &text) {
            tracing::debug!(file = %file.display(), %error, "could not keep what fell");
        }
    }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let Some(dir) = file.parent() else { return Ok(()) };
    std::fs::create_dir_all(dir)?;
    let unfinished = file.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&unfinished, text)?;
    std::fs::rename(&unfinished, file)?;
    let mut files: Vec<_> = std::fs::read_dir(dir)?
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, old) in files.iter().rev().skip(KEPT) {
        std::fs::remove_file(old)?;
    }
    Ok(())
}

fn name(key: &blake3::Hash) -> String {
    key.to_hex()[..32].to_owned()
}

fn word(reason: &Fall) -> Option<&'static str> {
    match reason {
        Fall::StillRed => Some("red"),
        Fall::DoesNotBuild => Some("unbuilt"),
        _ => None,
    }
}

fn fall(word: &str) -> Option<Fall> {
    match word {
        "red" => Some(Fall::StillRed),
        "unbuilt" => Some(Fall::DoesNotBuild),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(after: &str) -> Vec<PatchedFile> {
        vec![PatchedFile { path: "/w/a.py".into(), before: "".into(), after: after.into() }]
    }

    fn key(after: &str) -> blake3::Hash {
        patch::key(&patch(after))
    }

    #[test]
    fn falls_are_known_again_for_the_same_state_only() {
        let dir = tempfile::tempdir().unwrap();
        let (state, other) = (blake3::hash(b"one"), blake3::hash(b"two"));
        let known = KnownFalls::open(dir.path(), &state);
        known.add(&patch("a"), &Fall::StillRed);
        known.add(&patch("b"), &Fall::DoesNotBuild);
        known.add(&patch("c"), &Fall::TimedOut);
        known.save();
        let known = KnownFalls::open(dir.path(), &state);
        assert_eq!(known.fall_of(&key("a")), Some(Fall::StillRed));
        assert_eq!(known.fall_of(&key("b")), Some(Fall::DoesNotBuild));
        assert_eq!(known.fall_of(&key("c")), None, "time limits depend on the machine");
        assert_eq!(KnownFalls::open(dir.path(), &other).fall_of(&key("a")), None);
    }

    #[test]
    fn damaged_records_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let state = blake3::hash(b"one");
        let known = KnownFalls::open(dir.path(), &state);
        known.add(&patch("a"), &Fall::StillRed);
        known.save();
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("\n\u{0}garbage\nx\n{text}half")).unwrap();
        let known = KnownFalls::open(dir.path(), &state);
        assert_eq!(known.fall_of(&key("a")), Some(Fall::StillRed));
    }

    #[test]
    fn only_so_many_states_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..KEPT + 5 {
            let known = KnownFalls::open(dir.path(), &blake3::hash(&n.to_le_bytes()));
            known.add(&patch("a"), &Fall::StillRed);
            known.save();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), KEPT);
    }
}
