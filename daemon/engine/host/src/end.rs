//! How the process ended, when nobody had asked for it.

use std::process::ExitStatus;

/// What the engine exits with where it can never run on this machine; the last line of its log says why.
const UNUSABLE: i32 = 3;

/// An end that nobody had asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// For people.
    pub(crate) words: String,
    /// Memory was what was missing.
    pub(crate) out_of_memory: bool,
    /// It would end again.
    pub(crate) lasting: bool,
}

/// What is known of an end.
pub(crate) struct Seen<'a> {
    /// As the system says it.
    pub(crate) status: ExitStatus,
    /// What it wrote last.
    pub(crate) last_line: Option<&'a str>,
    /// Whether the system killed a process for lack of memory while the engine ran.
    pub(crate) system_was_short: bool,
}

impl End {
    pub(crate) fn of(seen: &Seen<'_>) -> Self {
        let allocation = seen.last_line.is_some_and(|line| line.contains("memory allocation of"));
        let out_of_memory = allocation || (signal(seen.status) == Some(9) && seen.system_was_short);
        let how = match (seen.status.code(), signal(seen.status)) {
            (Some(code), _) => format!("ended with code {code}"),
            (None, Some(9)) if out_of_memory => {
                "was killed by the system for lack of memory".to_owned()
            }
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        let said = seen.last_line.map(|line| format!("; it wrote last: {line}"));
        Self {
            words: format!("the engine {how}{}", said.unwrap_or_default()),
            out_of_memory,
            lasting: seen.status.code() == Some(UNUSABLE),
        }
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// How often this system killed a process for lack of memory, where it tells.
pub(crate) fn memory_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
    line.trim().parse().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn end(raw: i32, last_line: Option<&str>, system_was_short: bool) -> End {
        End::of(&Seen { status: ExitStatus::from_raw(raw), last_line, system_was_short })
    }

    #[test]
    fn lack_of_memory_is_told_from_other_ends() {
        assert!(end(9, None, true).words.contains("for lack of memory"));
        let killed = end(9, None, false);
        assert_eq!(killed.words, "the engine was ended by signal 9");
        assert!(!killed.out_of_memory && !killed.lasting);
        assert!(end(6, Some("memory allocation of 64 bytes failed"), false).out_of_memory);
        assert!(!end(11, None, true).out_of_memory, "somebody else was killed meanwhile");
    }

    #[test]
    fn a_machine_that_cannot_run_it_is_not_tried_again() {
        let end = end(UNUSABLE << 8, Some("needs AVX2"), false);
        assert!(end.lasting);
        assert_eq!(end.words, "the engine ended with code 3; it wrote last: needs AVX2");
    }
}
