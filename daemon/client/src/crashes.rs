//! The record of crashes: a daemon that exits cleanly removes its [`DaemonInfo`](crate::DaemonInfo),
//! so one that lies there without a living owner is a crash.
//!
//! Shared by all clients of the user, so that three editors do not each restart it three times.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{LockFile, Paths};

/// This many crashes within [`WINDOW`] are "in a row".
pub(crate) const LIMIT: usize = 3;
/// How far back crashes count.
const WINDOW: Duration = Duration::from_secs(180);

/// Whether the last daemon died without a clean exit, unrecorded so far.
fn crashed(paths: &Paths) -> bool {
    paths.info.exists() && !LockFile::is_held(&paths.daemon_lock)
}

/// Records a crash if there was one since the last call. The caller holds the start lock. Returns
/// the number of recent crashes.
pub(crate) fn record(paths: &Paths) -> usize {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut times = recent(paths, now);
    if crashed(paths) && fs::remove_file(&paths.info).is_ok() {
        times.push(now);
        let text: String = times.iter().map(|time| format!("{time}\n")).collect();
        if let Err(error) = fs::write(&paths.crashes, text) {
            tracing::warn!(path = %paths.crashes.display(), %error, "cannot record a crash");
        }
    }
    times.len()
}

fn recent(paths: &Paths, now: u64) -> Vec<u64> {
    let text = fs::read_to_string(&paths.crashes).unwrap_or_default();
    let after = now.saturating_sub(WINDOW.as_secs());
    text.lines().filter_map(|line| line.parse().ok()).filter(|time| *time >= after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leftover_info_file_counts_once_and_a_living_daemon_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let paths =
            Paths::new(dir.join("run"), dir.join("state"), dir.join("cache"), dir.join("data"));
        paths.create().unwrap();
        assert_eq!(record(&paths), 0);
        fs::write(&paths.info, "1\nx\n").unwrap();
        let living = LockFile::try_take(&paths.daemon_lock).unwrap();
        assert_eq!(record(&paths), 0);
        drop(living);
        assert_eq!(record(&paths), 1);
        assert_eq!(record(&paths), 1);
        fs::write(&paths.info, "2\nx\n").unwrap();
        assert_eq!(record(&paths), 2);
    }

    #[test]
    fn old_crashes_and_junk_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let paths =
            Paths::new(dir.join("run"), dir.join("state"), dir.join("cache"), dir.join("data"));
        paths.create().unwrap();
        fs::write(&paths.crashes, "12\njunk\n\n").unwrap();
        assert_eq!(record(&paths), 0);
    }
}
