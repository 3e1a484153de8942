//! Which layer runs, what the lower ones do, and that a missing one is named.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{Fixture, command, helper, python, sh, succeeded, text};
use greenlit_sandbox::{
    BuildCache, CacheMode, ExitState, FileWrite, Helper, Isolation, Layer, OpenError, Sandbox,
    SandboxError, probe,
};

fn open(fixture: &Fixture, isolation: Isolation) -> Sandbox {
    let mut spec = fixture.spec();
    spec.isolation = isolation;
    Sandbox::open(&spec, &helper()).unwrap()
}

#[test]
fn the_probe_tells_what_works_here() {
    let report = probe(&helper());
    let layers: Vec<Layer> = report.layers.iter().map(|layer| layer.layer).collect();
    assert_eq!(layers, [Layer::Namespaces, Layer::Bubblewrap, Layer::Copy]);
    assert_eq!(report.best(), Some(Layer::Namespaces), "{report:?}");
    for layer in &report.layers {
        if let Err(refusal) = &layer.state {
            assert!(!refusal.reason.is_empty() && refusal.layer == layer.layer);
        }
    }
}

#[test]
fn automatic_isolation_takes_the_strongest() {
    let fixture = Fixture::new();
    let sandbox = open(&fixture, Isolation::Auto);
    assert_eq!(sandbox.layer(), Layer::Namespaces);
    assert_eq!(sandbox.inside(&fixture.root.join("a")), fixture.root.join("a"));
}

#[test]
fn a_helper_that_does_not_work_is_a_reason_for_each_layer() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.isolation = Isolation::Auto;
    for wrong in ["/nonexistent/helper", "/bin/true", "/bin/cat"] {
        let Err(OpenError::NoLayer { refusals }) = Sandbox::open(&spec, &Helper::at(wrong)) else {
            panic!("{wrong} is no helper");
        };
        let layers: Vec<Layer> = refusals.iter().map(|refusal| refusal.layer).collect();
        assert_eq!(layers, [Layer::Namespaces, Layer::Bubblewrap, Layer::Copy]);
    }
}

#[test]
fn paths_that_cannot_be_checkouts_are_refused() {
    let fixture = Fixture::new();
    std::os::unix::fs::symlink(&fixture.root, fixture.outside("link")).unwrap();
    for root in [
        fixture.outside("missing"),
        fixture.outside("link"),
        fixture.root.join("kept.txt"),
        fixture.root.join("."),
        "relative".into(),
        "/".into(),
    ] {
        let refused = Sandbox::open(&common::spec(&root), &helper());
        let spelled = matches!(refused, Err(OpenError::BadPath { .. }));
        // `a/.` is the same path to the standard library.
        assert!(
            spelled || root.canonicalize().is_ok_and(|path| path == root),
            "{}",
            root.display()
        );
    }
}

#[test]
fn a_checkout_that_holds_the_home_directory_is_refused() {
    let fixture = Fixture::new();
    let home = fixture.root.join("home");
    fs::create_dir(&home).unwrap();
    let refused = Sandbox::open(&fixture.spec(), &helper().with_home(&home));
    assert!(refused.unwrap_err().to_string().contains("contains the home directory"));
}

#[test]
fn without_isolation_the_checkout_is_still_not_written() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.root.join("sub")).unwrap();
    std::os::unix::fs::symlink("kept.txt", fixture.root.join("link")).unwrap();
    let mut sandbox = open(&fixture, Isolation::Off);
    assert_eq!(sandbox.layer(), Layer::None);
    assert!(sandbox.notes().iter().any(|note| note.contains("no isolation")));
    let inside = sandbox.inside(&fixture.root);
    assert_ne!(inside, fixture.root);
    assert_eq!(sandbox.inside(&fixture.root.join("a/b")), inside.join("a/b"));
    assert_eq!(sandbox.inside(Path::new("/usr")), Path::new("/usr"));
    let outcome = sh(
        &mut sandbox,
        &fixture.root,
        "cat link; echo changed > kept.txt; pwd; echo r > $TMPDIR/report",
    );
    assert_eq!(String::from_utf8(outcome.stdout).unwrap(), format!("kept\n{}\n", inside.display()));
    sandbox
        .write(&[FileWrite { path: fixture.root.join("sub/new"), content: Some(b"new".to_vec()) }])
        .unwrap();
    assert_eq!(sandbox.read(&fixture.root.join("sub/new"), 9).unwrap().unwrap(), b"new");
    assert_eq!(sandbox.read(&fixture.root.join("kept.txt"), 99).unwrap().unwrap(), b"changed\n");
    assert_eq!(
        sandbox.read(&sandbox.scratch().parent().unwrap().join("report"), 9).unwrap().unwrap(),
        b"r\n"
    );
    assert_eq!(fs::read_to_string(fixture.root.join("kept.txt")).unwrap(), "kept\n");
    drop(sandbox);
    assert!(!inside.exists(), "the copy is removed");
}

#[test]
fn bubblewrap_contains_or_says_why_it_cannot_be_used() {
    let fixture = Fixture::named("a:b,c d\\e");
    let secret = fixture.outside("secret");
    fs::write(&secret, "the-secret").unwrap();
    fs::create_dir(fixture.root.join("target")).unwrap();
    let mut spec = fixture.spec();
    spec.isolation = Isolation::Only(Layer::Bubblewrap);
    spec.limits.disk_bytes = 16 << 20;
    spec.caches = vec![BuildCache {
        path: fixture.root.join("target"),
        base: None,
        store: fixture.outside("store"),
        mode: CacheMode::Keep,
    }];
    let mut sandbox = match Sandbox::open(&spec, &helper()) {
        Ok(sandbox) => sandbox,
        Err(OpenError::NoLayer { refusals }) => {
            let [refusal] = refusals.as_slice() else { panic!("{refusals:?}") };
            assert!(refusal.reason.contains("bubblewrap"), "{refusal}");
            assert!(refusal.remedy.is_some(), "{refusal}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(sandbox.layer(), Layer::Bubblewrap);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!(
        "cat '{0}' /etc/shadow; echo evil > '{0}'; echo evil > /usr/planted; echo built > target/product; \
         cat kept.txt target/product; echo changed > kept.txt; cat kept.txt; set -- /proc/[0-9]*; echo $#",
        secret.display(),
    );
    let outcome = sh(&mut sandbox, &fixture.root, &script);
    let said = text(&outcome);
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), "kept\nbuilt\nchanged\n2\n", "{said}");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "the-secret");
    assert_eq!(fs::read_to_string(fixture.root.join("kept.txt")).unwrap(), "kept\n");
    let script = format!(
        "import socket\ntry: socket.create_connection(('127.0.0.1', {}), 3); print('reached')\nexcept OSError: print('refused')\ns = socket.create_server(('127.0.0.1', 0)); print('bound')",
        listener.local_addr().unwrap().port()
    );
    let outcome = python(&mut sandbox, &fixture.root, &script);
    assert_eq!(outcome.stdout, b"refused\nbound\n", "{}", text(&outcome));
    let scratch = sandbox.scratch().to_owned();
    succeeded(&sh(&mut sandbox, &fixture.root, &format!("echo r > {}/report", scratch.display())));
    assert_eq!(sandbox.read(&scratch.join("report"), 9).unwrap().unwrap(), b"r\n");
    let outcome = sh(&mut sandbox, &fixture.root, "head -c 64M /dev/zero > fill; sleep 50");
    assert!(outcome.disk_full && outcome.state != ExitState::TimedOut, "{outcome:?}");
    drop(sandbox);
    let planted = fs::read_dir(&fixture.root).unwrap().count();
    assert_eq!(planted, 2, "the file and the cache directory");
    assert!(!fixture.outside("store/upper/product").exists());
}

#[test]
fn a_copy_is_confined() {
    let fixture = Fixture::new();
    let secret = fixture.outside("secret");
    fs::write(&secret, "the-secret").unwrap();
    let mut sandbox = open(&fixture, Isolation::Only(Layer::Copy));
    assert_eq!(sandbox.layer(), Layer::Copy);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let script = format!(
        "cat '{0}' /etc/shadow $HOME/.ssh/* $HOME/.bashrc; echo evil > '{0}'; echo evil > '{1}/kept.txt'; \
         echo evil > /tmp/planted-{2}; echo evil > $HOME/planted-{2}; kill -9 {2} && echo killed; \
         cat kept.txt; echo fine > kept.txt; cat kept.txt",
        secret.display(),
        fixture.root.display(),
        std::process::id(),
    );
    let outcome = sh(&mut sandbox, &fixture.root, &script);
    let said = text(&outcome);
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), "kept\nfine\n", "{said}");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "the-secret");
    assert_eq!(fs::read_to_string(fixture.root.join("kept.txt")).unwrap(), "kept\n");
    assert!(!Path::new(&format!("/tmp/planted-{}", std::process::id())).exists());
    let script = "import os, socket\nfor path in ('/etc/passwd', '/bin/sh', '/dev/null'):\n  try: os.chmod(path, os.stat(path).st_mode & 0o7777); print('changed', path)\n  except OSError: pass\nfor f in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 16, 17, 40):\n  try: socket.socket(f); print('made', f)\n  except OSError: pass\na, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))";
    // As root the commands are nobody's, who cannot reach toolchains in root's home.
    let mut wanted = command(&fixture.root, &["python3", "-c", script]);
    wanted.env.insert("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into());
    let outcome = sandbox.exec(&wanted).unwrap();
    assert_eq!(outcome.stdout, b"b'x'\n", "{}", text(&outcome));
    assert!(listener.accept().is_err());
}

#[test]
fn a_copy_leaves_no_processes_and_no_files() {
    let fixture = Fixture::new();
    for isolation in [Isolation::Only(Layer::Copy), Isolation::Off] {
        let mut sandbox = open(&fixture, isolation);
        let nap = format!("8{:07}.5", std::process::id());
        let script = format!(
            "(setsid sh -c 'trap \"\" TERM; : > started; sleep {nap}; sleep {nap}' &); \
             mkdir -p a/b; chmod 0 a; until test -e started; do :; done"
        );
        succeeded(&sh(&mut sandbox, &fixture.root, &script));
        let alive = fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&nap))
        });
        assert!(!alive);
        let mut slow = command(&fixture.root, &["sleep", "50"]);
        slow.wall = Duration::from_millis(100);
        assert_eq!(sandbox.exec(&slow).unwrap().state, ExitState::TimedOut);
        let inside = sandbox.inside(&fixture.root);
        assert!(inside.exists());
        drop(sandbox);
        assert!(!inside.parent().unwrap().exists());
    }
}

#[test]
fn a_copy_keeps_modes_and_times_and_refuses_links() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let tool = fixture.root.join("tool");
    fs::write(&tool, "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o555)).unwrap();
    let then = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::open(&tool).unwrap().set_modified(then).unwrap();
    let secret = fixture.outside("secret");
    fs::write(&secret, "the-secret").unwrap();
    std::os::unix::fs::symlink(&secret, fixture.root.join("link")).unwrap();
    let mut sandbox = open(&fixture, Isolation::Only(Layer::Copy));
    let outcome = sh(&mut sandbox, &fixture.root, "./tool; stat -c '%Y %a' tool; cat link");
    assert_eq!(outcome.stdout, b"ran\n1000000000 555\n", "{}", text(&outcome));
    let link = fixture.root.join("link");
    let write = FileWrite { path: link.clone(), content: Some(b"evil".to_vec()) };
    assert_eq!(sandbox.write(&[write]).unwrap_err(), SandboxError::Symlink { path: link.clone() });
    assert_eq!(sandbox.read(&link, 99).unwrap_err(), SandboxError::Symlink { path: link });
    assert_eq!(fs::read_to_string(&secret).unwrap(), "the-secret");
}

#[test]
fn many_sandboxes_open_at_once() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let fixture = Fixture::new();
                for round in 0..6 {
                    let mut sandbox = fixture.open();
                    let script = format!("echo {thread} {round} > own; cat own; ls | wc -l");
                    let outcome = sh(&mut sandbox, &fixture.root, &script);
                    let said = String::from_utf8(outcome.stdout).unwrap();
                    assert_eq!(said, format!("{thread} {round}\n2\n"));
                }
                assert_eq!(fs::read_dir(&fixture.root).unwrap().count(), 1);
            });
        }
    });
}

#[test]
fn a_daemon_that_ignores_its_children_changes_nothing() {
    const ROLE: &str = "GREENLIT_TEST_IGNORING";
    if std::env::var_os(ROLE).is_some() {
        let fixture = Fixture::new();
        let mut sandbox = fixture.open();
        assert_eq!(sh(&mut sandbox, &fixture.root, "exit 3").state, ExitState::Exited(3));
        assert_eq!(sh(&mut sandbox, &fixture.root, "kill -HUP $$").state, ExitState::Signaled(1));
        return;
    }
    let done = std::process::Command::new("sh")
        .args(["-c", "trap '' CHLD HUP TERM INT; exec \"$0\" --exact a_daemon_that_ignores_its_children_changes_nothing"])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}
