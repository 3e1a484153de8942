//! How hard the index may work: behind everything else, and less on battery or under load.

use std::path::Path;
use std::time::{Duration, Instant};

/// How long an observation of the machine holds.
const HOLDS: Duration = Duration::from_secs(10);
/// Rest after a piece of work, in multiples of its length, when the machine should be spared.
const SPARING: u32 = 3;

/// Watches the machine.
#[derive(Debug)]
pub(crate) struct Pace {
    looked: Option<Instant>,
    spare: Option<&'static str>,
}

impl Pace {
    /// Lowers the priority of the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        lower_priority();
        Self { looked: None, spare: None }
    }

    /// How long to rest after so much work.
    pub(crate) fn rest(&mut self, worked: Duration) -> Duration {
        if self.looked.is_none_or(|at| at.elapsed() > HOLDS) {
            self.looked = Some(Instant::now());
            self.spare = reason(Path::new("/sys/class/power_supply"), Path::new("/proc/loadavg"));
        }
        if self.spare.is_some() { worked * SPARING } else { Duration::ZERO }
    }

    /// Why the machine is spared, if it is.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.spare
    }
}

fn reason(supplies: &Path, load: &Path) -> Option<&'static str> {
    if on_battery(supplies) {
        Some("slower on battery")
    } else if loaded(load) {
        Some("slower under load")
    } else {
        None
    }
}

/// A battery is being discharged. Machines that do not say count as on mains.
fn on_battery(supplies: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(supplies) else { return false };
    entries.flatten().any(|entry| {
        let is = |file: &str, value: &str| {
            std::fs::read_to_string(entry.path().join(file)).is_ok_and(|text| text.trim() == value)
        };
        // A mouse has a battery as well.
        is("type", "Battery") && is("status", "Discharging") && !is("scope", "Device")
    })
}

/// Twice as many threads want to run as there are processors.
fn loaded(file: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    let load: Option<f64> = text.split_whitespace().next().and_then(|word| word.parse().ok());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    load.is_some_and(|load| load > 2.0 * processors as f64)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no call for it")]
fn lower_priority() {
    // SAFETY: takes and returns numbers. For `0` Linux changes the calling thread only. A refusal
    // leaves the priority as it is.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 10);
    }
}

// Elsewhere a thread's priority is left to the system.
#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discharging_battery_and_a_high_load_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (supplies, load) = (dir.path().join("power_supply"), dir.path().join("loadavg"));
        assert_eq!(reason(&supplies, &load), None);
        for (name, kind, status, scope) in [
            ("AC", "Mains", "", ""),
            ("BAT0", "Battery", "Charging\n", ""),
            ("mouse", "Battery", "Discharging\n", "Device\n"),
        ] {
            let supply = supplies.join(name);
            std::fs::create_dir_all(&supply).unwrap();
            std::fs::write(supply.join("type"), format!("{kind}\n")).unwrap();
            std::fs::write(supply.join("status"), status).unwrap();
            std::fs::write(supply.join("scope"), scope).unwrap();
        }
        std::fs::write(&load, "0.00 0.00 0.00 1/100 1\n").unwrap();
        assert_eq!(reason(&supplies, &load), None);
        std::fs::write(supplies.join("BAT0/status"), "Discharging\n").unwrap();
        assert_eq!(reason(&supplies, &load), Some("slower on battery"));
        std::fs::write(supplies.join("BAT0/status"), "Full\n").unwrap();
        std::fs::write(&load, "9999.00 0.00 0.00 1/100 1\n").unwrap();
        assert_eq!(reason(&supplies, &load), Some("slower under load"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_thread_that_asks_gets_a_lower_priority() {
        let nice = || -> i64 {
            let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            text.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().parse().unwrap()
        };
        let before = nice();
        let inside = std::thread::spawn(move || {
            let _pace = Pace::of_this_thread();
            nice()
        });
        assert!(inside.join().unwrap() >= 10);
        assert_eq!(nice(), before);
    }
}
