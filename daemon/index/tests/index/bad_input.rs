//! Files that are no text, lead in circles, or change under the reader.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{PATIENCE, Workspace, found, search};

#[test]
fn what_is_left_out_is_counted_by_reason() {
    let workspace = Workspace::new(&[("good.py", "def good_thing():\n    pass\n")]);
    workspace.write("latin.py", b"# caf\xe9\n");
    workspace.write("binary.py", b"\x7fELF\0\xff\0");
    workspace.write("huge.py", "x = 1\n".repeat(300_000));
    let index = workspace.open();
    let status = index.status();
    assert_eq!(status.files, 1, "{status:?}");
    assert_eq!(status.skipped.values().sum::<u64>(), 3, "{status:?}");
    assert_eq!(status.skipped.get("not UTF-8"), Some(&1), "{status:?}");
    assert_eq!(found(&index, &workspace.view(), "good_thing"), ["good.py"]);

    // Mended: it is in, and no longer counted.
    workspace.write("latin.py", "# café\ndef latin_thing():\n    pass\n");
    index.changed(&workspace.change(&["latin.py"], false));
    assert_eq!(found(&index, &workspace.view(), "latin_thing"), ["latin.py"]);
    assert_eq!(index.status().skipped.get("not UTF-8"), None);
}

#[test]
#[cfg(unix)]
fn links_that_lead_in_circles_are_not_followed() {
    let workspace = Workspace::new(&[("a/good.py", "def good_thing():\n    pass\n")]);
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, workspace.root().join(name)).unwrap();
    };
    link("..", "a/up");
    link("self", "self");
    link("a/good.py", "twin.py");
    let index = workspace.open();
    assert_eq!(found(&index, &workspace.view(), "good_thing"), ["a/good.py"]);
    assert_eq!(index.status().skipped.get("symbolic link"), Some(&3));
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_differ_in_case_are_two_files() {
    let workspace = Workspace::new(&[
        ("name.py", "def lower_case():\n    pass\n"),
        ("Name.py", "def upper_case():\n    pass\n"),
    ]);
    let index = workspace.open();
    assert_eq!(found(&index, &workspace.view(), "lower_case"), ["name.py"]);
    assert_eq!(found(&index, &workspace.view(), "upper_case"), ["Name.py"]);
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_are_not_text_do_no_harm() {
    use std::os::unix::ffi::OsStrExt;

    let workspace = Workspace::new(&[("good.py", "def good_thing():\n    pass\n")]);
    let name = std::ffi::OsStr::from_bytes(b"bad\xff.py");
    std::fs::write(workspace.root().join(name), "def bad_thing(): pass\n").unwrap();
    let index = workspace.open();
    assert_eq!(found(&index, &workspace.view(), "good_thing"), ["good.py"]);
    assert!(found(&index, &workspace.view(), "bad_thing").is_empty());
}

#[test]
fn a_file_that_changes_all_the_time_is_right_or_left_out() {
    let workspace = Workspace::new(&[("busy.py", "def busy_0():\n    return 'marker'\n")]);
    let index = workspace.open();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                let text = format!("def busy_{number}():\n    return 'marker'\n");
                workspace.write("busy.py", text.repeat(number % 7 + 1));
                index.changed(&workspace.change(&["busy.py"], false));
            }
        });
        for _ in 0..20 {
            let answer = search(&index, &workspace.view(), "marker");
            for hit in &answer.hits {
                // A torn read would show half a function.
                assert!(hit.text.starts_with("def busy_"), "{hit:?}");
                assert!(hit.text.trim_end().ends_with("'marker'"), "{hit:?}");
            }
            if answer.hits.is_empty() {
                assert!(answer.degraded.is_some());
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(index.settle(PATIENCE));
    assert_eq!(found(&index, &workspace.view(), "marker"), ["busy.py"]);
}

#[test]
fn an_empty_workspace_and_an_empty_question_have_empty_answers() {
    let workspace = Workspace::new(&[("empty.py", ""), ("a.py", "x = 1\n")]);
    let index = workspace.open();
    assert!(search(&index, &workspace.view(), "").hits.is_empty());
    assert!(search(&index, &workspace.view(), "\0 \u{1F600} \" AND ( OR").hits.is_empty());
    let empty = Workspace::new(&[]);
    let index = empty.open();
    assert!(search(&index, &empty.view(), "x").hits.is_empty());
}

#[test]
fn a_text_in_one_line_is_left_out_and_its_neighbours_are_found() {
    let line = "var a=function(b){return b+1};";
    let workspace = Workspace::new(&[("good.js", "function goodThing() { return 1; }\n")]);
    workspace.write("huge.js", line.repeat((5 << 20) / line.len()));
    workspace.write("large.js", line.repeat((900 << 10) / line.len()));
    let index = workspace.open();
    let status = index.status();
    assert_eq!(status.files, 1, "{status:?}");
    let skipped = |why: &str| status.skipped.get(why).copied();
    assert_eq!((skipped("longer than 1 MiB"), skipped("minified")), (Some(1), Some(1)));
    assert_eq!(found(&index, &workspace.view(), "goodThing"), ["good.js"]);
    // The same in an editor.
    let edited = workspace.edited("new.js", &line.repeat((5 << 20) / line.len()));
    assert_eq!(found(&index, &edited, "goodThing"), ["good.js"]);
}

#[test]
fn many_tiny_files_are_all_there() {
    // More by hand.
    let asked = std::env::var("GREENLIT_TEST_FILES").ok();
    let files: usize = asked.map_or(4000, |files| files.parse().unwrap());
    let workspace = Workspace::new(&[]);
    for n in 0..files {
        workspace.write(&format!("{}/{n}.txt", n % 50), format!("needle{n}\n"));
    }
    let open = || {
        let store = workspace.store();
        let index =
            greenlit_index::Index::open(&workspace.root(), Some(&store), None, |_| {}).unwrap();
        // As long as it takes.
        while !index.settle(PATIENCE) {
            assert_eq!(index.status().failed, None);
        }
        index
    };
    let index = open();
    assert_eq!(index.status().files, files as u64);
    for n in [0, files / 3, files - 1] {
        let wanted = [format!("{}/{n}.txt", n % 50)];
        assert_eq!(found(&index, &workspace.view(), &format!("needle{n}")), wanted);
    }
    drop(index);
    let index = open();
    assert_eq!((index.status().cut, index.status().files), (0, files as u64));
    // One file more is one file more.
    workspace.write("late.txt", "latecomer\n");
    index.changed(&workspace.change(&["late.txt"], false));
    assert_eq!(found(&index, &workspace.view(), "latecomer"), ["late.txt"]);
    assert_eq!(index.status().cut, 1);
}

#[test]
fn times_that_jump_hide_no_change() {
    use std::time::{Duration, SystemTime};

    let workspace = Workspace::new(&[]);
    let age = |name: &str, time: SystemTime| {
        let file = std::fs::File::options().write(true).open(workspace.root().join(name)).unwrap();
        file.set_modified(time).unwrap();
    };
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    let times = [
        ("future.py", SystemTime::now() + century),
        ("past.py", SystemTime::now() - Duration::from_secs(3600)),
        ("first.py", SystemTime::UNIX_EPOCH),
    ];
    for (name, time) in times {
        workspace.write(name, format!("def before_{}():\n    pass\n", &name[..2]));
        age(name, time);
    }
    drop(workspace.open());
    let index = workspace.open();
    assert_eq!((index.status().cut, index.status().files), (0, 3));
    for (name, time) in times {
        // As long as before, and as old.
        workspace.write(name, format!("def behind_{}():\n    pass\n", &name[..2]));
        age(name, time);
    }
    index.rescan();
    for (name, _) in times {
        let of = |word: &str| found(&index, &workspace.view(), &format!("{word}_{}", &name[..2]));
        assert_eq!(of("behind"), [name]);
        assert!(of("before").is_empty());
    }
    // The clock went back: what was used last was used in the future.
    drop(index);
    let lock = std::fs::File::options().write(true).open(workspace.store().join("lock")).unwrap();
    lock.set_modified(SystemTime::now() + century).unwrap();
    assert_eq!(workspace.open().status().cut, 0);
    let used = lock.metadata().unwrap().modified().unwrap();
    assert!(used < SystemTime::now() + century / 2);
}
