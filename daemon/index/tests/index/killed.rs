//! A process that indexes is killed at any moment: catalogue, words and vectors go on from there.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use greenlit_index::{Dense, Index};
use greenlit_workspace::View;

use crate::counted::{Counted, Fault, dense_at};
use crate::support::{PATIENCE, found};

const ROLE: &str = "GREENLIT_TEST_INDEXES";
const FILES: usize = 25;
/// What may be looked at again after a kill. It is more than any round brings, and less than there is.
const AGAIN: u64 = 600;

fn root(dir: &Path) -> PathBuf {
    dir.canonicalize().unwrap().join("root")
}

fn open(dir: &Path) -> (Index, Dense, Arc<Counted>) {
    let embedder = Counted::new(Fault::None);
    let dense = dense_at(&dir.join("vectors"), &embedder);
    let index = Index::open(&root(dir), Some(&dir.join("store")), Some(&dense), |_| {}).unwrap();
    (index, dense, embedder)
}

/// The words of a file that no other file has.
fn marker(round: usize, file: usize) -> String {
    format!("marker_{round}_{file}")
}

fn path(round: usize, file: usize) -> String {
    format!("r{round}/{file}.py")
}

/// Writes round after round, with a file that changes and one that goes; says each step.
fn index_until_killed(dir: &Path, mut round: usize) -> ! {
    let mut out = std::io::stdout();
    let mut say = |what: &str, round: usize| writeln!(out, "step {what} {round}").unwrap();
    say("begin", round);
    let root = root(dir);
    let (index, dense, _) = open(dir);
    say("open", round);
    loop {
        std::fs::create_dir_all(root.join(format!("r{round}"))).unwrap();
        let mut changed = vec![root.join("same.py"), root.join(path(round.saturating_sub(2), 0))];
        for file in 0..FILES {
            let name = root.join(path(round, file));
            let text = format!("def {}():\n    return {file}\n", marker(round, file));
            std::fs::write(&name, text).unwrap();
            changed.push(name);
        }
        std::fs::write(root.join("same.py"), format!("def same_{round}():\n    pass\n")).unwrap();
        let _gone_already = std::fs::remove_file(&changed[1]);
        say("write", round);
        index.paths_changed(changed);
        say("tell", round);
        assert!(index.settle(PATIENCE));
        say("words", round);
        assert!(dense.settle(PATIENCE));
        say("vectors", round);
        round += 1;
    }
}

#[test]
fn twenty_times() {
    if let Ok(role) = std::env::var(ROLE) {
        let (round, dir) = role.split_once(' ').unwrap();
        index_until_killed(Path::new(dir), round.parse().unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("root")).unwrap();
    let mut next = 0;
    for kill in 0..20_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::twenty_times", "--nocapture"])
            .env(ROLE, format!("{next} {}", dir.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Another step each time; the child goes on while its last word is read.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let steps = lines.map_while(Result::ok).filter(|line| line.starts_with("step"));
        let steps = steps.take(1 + kill * 7 % 23);
        let mut embedded = None;
        for step in steps {
            let words: Vec<_> = step.split(' ').collect();
            let round: usize = words[2].parse().unwrap();
            next = next.max(round + usize::from(words[1] != "begin" && words[1] != "open"));
            if words[1] == "vectors" {
                embedded = Some(round);
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // It may have begun one more.
        next += 1;
        check(dir.path(), next, embedded);
    }
    let rounds = std::fs::read_dir(dir.path().join("root")).unwrap().count();
    assert!(rounds * FILES > 2 * AGAIN as usize, "there is more than may be looked at again");
}

/// Everything on disk is found, and what was confirmed is not done again.
fn check(dir: &Path, next: usize, embedded: Option<usize>) {
    let (index, dense, embedder) = open(dir);
    assert!(index.settle(PATIENCE) && dense.settle(PATIENCE), "{:?}", index.status());
    let status = index.status();
    assert_eq!((status.failed, status.notices), (None, vec![]));
    assert_eq!((status.dense_pending, status.degraded), (0, None));
    let root = root(dir);
    let mut there = u64::from(root.join("same.py").exists());
    let view = View::of_disk(root.clone());
    for round in 0..=next {
        for file in 0..FILES {
            let path = path(round, file);
            let exists = root.join(&path).exists();
            there += u64::from(exists);
            // All of the last ones and some of the others.
            if round + 3 > next || (round * 31 + file) % 97 == 0 {
                // One that was torn by the kill holds half a function.
                let whole = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
                let whole = whole.contains(&format!("{}(", marker(round, file)));
                let wanted: Vec<String> = whole.then_some(path).into_iter().collect();
                assert_eq!(found(&index, &view, &format!("{}(", marker(round, file))), wanted);
            }
        }
    }
    let empty: u64 = status.skipped.values().sum();
    assert_eq!(status.files + empty, there);
    assert!(status.cut <= AGAIN, "{} of {there}", status.cut);
    if let Some(embedded) = embedded {
        let most = (next - embedded) * (FILES + 1);
        assert!(embedder.texts() <= most, "{} of {most}", embedder.texts());
    }
}
