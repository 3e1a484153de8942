//! `greenlit logs`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_client::Paths;
use serde::Serialize;

use super::args::LogsArgs;
use super::failure::Failure;
use super::{daemon, output};

/// How much of the end of the log is looked at, in bytes.
const TAIL_MAX: u64 = 4 << 20;
/// How often `--follow` looks.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Serialize)]
struct Object {
    path: PathBuf,
    lines: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(args: &LogsArgs) -> Result<u8, Failure> {
    let path = Paths::for_user()?.log;
    let cannot = || Failure::io(format!("cannot read {}", path.display()));
    let (lines, mut end) = match tail(&path, args.lines) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), 0),
        result => result.map_err(cannot())?,
    };
    if args.json {
        output::json(&Object { path, lines });
        return Ok(0);
    }
    output::notice(format_args!("{}", path.display()));
    for line in &lines {
        output::line(line);
    }
    if args.follow {
        daemon::interruptible(async {
            loop {
                tokio::time::sleep(LOOK).await;
                for line in added(&path, &mut end).map_err(cannot())? {
                    output::line(line);
                }
            }
        })
        .await?;
    }
    Ok(0)
}

/// The last lines, and where the file ends.
pub(crate) fn tail(path: &Path, count: usize) -> io::Result<(Vec<String>, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    let read = file.take(length - start).read_to_end(&mut bytes)? as u64;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.drain(..lines.len().saturating_sub(count));
    Ok((lines, start + read))
}

/// Whole lines that were added behind `end`. A file that is shorter was rotated: it starts anew.
fn added(path: &Path, end: &mut u64) -> io::Result<Vec<String>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    if file.metadata()?.len() < *end {
        *end = 0;
    }
    file.seek(SeekFrom::Start(*end))?;
    let mut bytes = Vec::new();
    file.take(TAIL_MAX).read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    *end += whole as u64;
    Ok(String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_tail_is_the_last_lines_and_follows_whole_lines_across_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let (lines, mut end) = tail(&path, 2).unwrap();
        assert_eq!(lines, ["two", "three"]);
        fs::write(&path, "one\ntwo\nthree\nfour\nhal").unwrap();
        assert_eq!(added(&path, &mut end).unwrap(), ["four"]);
        fs::write(&path, "one\ntwo\nthree\nfour\nhalf\n").unwrap();
        assert_eq!(added(&path, &mut end).unwrap(), ["half"]);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(added(&path, &mut end).unwrap(), ["new"]);
        assert_eq!(tail(&path, 0).unwrap().0, [""; 0]);
    }
}
