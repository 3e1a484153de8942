//! No file can grow any more, from one point on.
#![cfg(unix)]

use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::counted::{Counted, Fault, dense_at};
use crate::support::{PATIENCE, Workspace, found, search};

const ROLE: &str = "GREENLIT_TEST_FILLS";
const FILES: usize = 200;

fn open(root: &Path, dir: &Path) -> (greenlit_index::Index, greenlit_index::Dense) {
    let dense = dense_at(&dir.join("vectors"), &Counted::new(Fault::None));
    let index = greenlit_index::Index::open(root, Some(&dir.join("store")), Some(&dense), |_| {});
    (index.unwrap(), dense)
}

/// Indexes where there may be no room, and checks that what is missing is told.
fn index_without_room(root: &Path, dir: &Path) {
    let (index, dense) = open(root, dir);
    index.settle(PATIENCE);
    dense.settle(PATIENCE);
    let view = greenlit_workspace::View::of_disk(root.to_owned());
    let mut missing = 0;
    for file in (0..FILES).step_by(20) {
        let answer = search(&index, &view, &format!("needle{file}"));
        let is_there = answer.hits.iter().any(|hit| hit.path == format!("f{file}.py"));
        assert!(is_there || answer.degraded.is_some(), "{answer:?}");
        missing += usize::from(!is_there);
    }
    let status = index.status();
    assert!(missing == 0 || status.failed.is_some(), "{status:?}");
    // It answers still when more comes.
    std::fs::rename(dir.join("late.py"), root.join("late.py")).unwrap();
    index.paths_changed([root.join("late.py")]);
    index.settle(PATIENCE);
    dense.settle(PATIENCE);
    let late = search(&index, &view, "late_thing");
    assert!(!late.hits.is_empty() || late.degraded.is_some(), "{late:?}");
    let status = index.status();
    let verdict = match (&status.failed, &status.degraded) {
        (Some(_), _) => "failed",
        (None, Some(_)) => "degraded",
        (None, None) => "whole",
    };
    let mut out = std::io::stdout();
    writeln!(out, "verdict {verdict}").unwrap();
}

#[test]
fn a_full_disk_is_told_and_costs_nothing_when_there_is_room_again() {
    if let Ok(role) = std::env::var(ROLE) {
        let (root, dir) = role.split_once(' ').unwrap();
        return index_without_room(Path::new(root), Path::new(dir));
    }
    let mut verdicts = Vec::new();
    for kibibytes in [0, 1, 5, 20, 50, 100, 200, 300, 600, 1200, 100_000] {
        let workspace = Workspace::new(&[]);
        for file in 0..FILES {
            let text = format!("def needle{file}():\n    return {file}\n");
            workspace.write(&format!("f{file}.py"), text);
        }
        let (root, dir) = (workspace.root(), workspace.store().parent().unwrap().to_owned());
        std::fs::write(dir.join("late.py"), "def late_thing():\n    pass\n").unwrap();
        // A signal that is ignored stays so: a write that is too much is an error.
        let script = "trap '' XFSZ; ulimit -f $(($1 * 2)); shift; exec \"$@\"";
        let child = Command::new("sh")
            .args(["-c", script, "sh", &kibibytes.to_string()])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("disk_full::a_full_disk_is_told_and_costs_nothing_when_there_is_room_again")
            .env(ROLE, format!("{} {}", root.display(), dir.display()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success(), "{kibibytes}: {said}{child:?}");
        let verdict = said.lines().find_map(|line| line.split_once("verdict ")).unwrap().1;
        verdicts.push(verdict.to_owned());

        let (index, dense) = open(&root, &dir);
        assert!(index.settle(PATIENCE) && dense.settle(PATIENCE));
        let status = index.status();
        assert_eq!((status.failed, status.degraded, status.dense_pending), (None, None, 0));
        for file in (0..FILES).step_by(20) {
            let wanted = [format!("f{file}.py")];
            assert_eq!(found(&index, &workspace.view(), &format!("needle{file}(")), wanted);
        }
        assert_eq!(status.files, FILES as u64 + 1);
    }
    let has = |wanted: &str| verdicts.iter().any(|verdict| verdict == wanted);
    assert!(has("failed") && has("whole"), "{verdicts:?}");
}
