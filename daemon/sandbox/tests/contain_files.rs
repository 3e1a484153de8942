//! What hostile commands must not do to files, each proved by what is there afterwards.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process;

use common::{Fixture, command, helper, open, python, sh, succeeded, text};
use greenlit_sandbox::{ExitState, FileWrite, Sandbox, SandboxError};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

const SECRET: &str = "the-secret-of-the-host-4f1c";

fn file(path: impl Into<std::path::PathBuf>, content: &str) -> FileWrite {
    FileWrite { path: path.into(), content: Some(content.into()) }
}

#[test]
fn writes_are_thrown_away() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.root.join(".git/hooks")).unwrap();
    let mut sandbox = fixture.open();
    let script = "echo changed > kept.txt && echo evil > .git/hooks/post-commit && rm -r .git/hooks \
                  && mkdir .git/hooks && echo new > new.txt && cat kept.txt new.txt";
    let outcome = sh(&mut sandbox, &fixture.root, script);
    succeeded(&outcome);
    assert_eq!(outcome.stdout, b"changed\nnew\n");
    assert_eq!(fs::read_to_string(fixture.root.join("kept.txt")).unwrap(), "kept\n");
    assert!(!fixture.root.join("new.txt").exists());
    assert_eq!(fs::read_dir(fixture.root.join(".git/hooks")).unwrap().count(), 0);
}

#[test]
fn dot_dot_leads_nowhere() {
    let fixture = Fixture::new();
    fs::write(fixture.outside("secret"), SECRET).unwrap();
    let mut sandbox = fixture.open();
    let script = "cat ../secret ../../../../../../../../etc/shadow; echo evil > ../secret; echo evil > ../planted";
    let outcome = sh(&mut sandbox, &fixture.root, script);
    assert!(!text(&outcome).contains(SECRET));
    assert_eq!(fs::read_to_string(fixture.outside("secret")).unwrap(), SECRET);
    assert!(!fixture.outside("planted").exists());
    for path in [fixture.root.join("../secret"), "/etc/passwd".into(), "/tmp/../etc/x".into()] {
        let error = sandbox.write(&[file(&path, "evil")]).unwrap_err();
        assert_eq!(error, SandboxError::Outside { path: path.clone() });
        assert_eq!(sandbox.read(&path, 100).unwrap_err(), SandboxError::Outside { path });
    }
    // Next to the checkout, in a temporary directory, is the sandbox's own.
    let beside = std::env::temp_dir().canonicalize().unwrap().join("greenlit-beside");
    let content = sandbox.read(&beside, 100);
    assert!(matches!(content, Ok(None) | Err(SandboxError::Outside { .. })), "{content:?}");
    // The first answer depends on where this machine keeps temporary files.
    let _ = sandbox.write(&[file(&beside, "evil")]);
    assert!(!beside.exists());
    assert_eq!(fs::read_to_string(fixture.outside("secret")).unwrap(), SECRET);
}

#[test]
fn links_of_the_checkout_lead_nowhere() {
    let fixture = Fixture::new();
    let secret = fixture.outside("secret");
    fs::write(&secret, SECRET).unwrap();
    symlink(&secret, fixture.root.join("link")).unwrap();
    symlink(secret.parent().unwrap(), fixture.root.join("up")).unwrap();
    let mut sandbox = fixture.open();
    let outcome = sh(
        &mut sandbox,
        &fixture.root,
        "cat link up/secret; echo evil > link; echo evil > up/secret",
    );
    assert!(!text(&outcome).contains(SECRET));
    for name in ["link", "up/secret", "up/planted"] {
        let path = fixture.root.join(name);
        let expected = SandboxError::Symlink { path: path.clone() };
        assert_eq!(sandbox.write(&[file(&path, "evil")]).unwrap_err(), expected);
        assert_eq!(sandbox.read(&path, 100).unwrap_err(), expected);
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), SECRET);
    assert!(!fixture.outside("planted").exists());
}

#[test]
fn reports_that_are_links_or_devices_are_not_read() {
    let fixture = Fixture::new();
    let secret = fixture.outside("secret");
    fs::write(&secret, SECRET).unwrap();
    let mut sandbox = fixture.open();
    let scratch = sandbox.scratch().to_owned();
    let script = format!(
        "ln -s '{}' {}/report.xml; ln -s /etc/passwd report.xml; mkfifo {}/fifo; mkdir {}/directory",
        secret.display(),
        scratch.display(),
        scratch.display(),
        scratch.display()
    );
    succeeded(&sh(&mut sandbox, &fixture.root, &script));
    for path in [scratch.join("report.xml"), fixture.root.join("report.xml")] {
        let expected = SandboxError::Symlink { path: path.clone() };
        assert_eq!(sandbox.read(&path, 1000).unwrap_err(), expected);
    }
    for name in ["fifo", "directory"] {
        assert!(matches!(sandbox.read(&scratch.join(name), 1000), Err(SandboxError::File { .. })));
    }
    assert_eq!(sandbox.read(&scratch.join("missing"), 1000).unwrap(), None);
    succeeded(&sh(&mut sandbox, &fixture.root, "head -c 1001 /dev/zero > $TMPDIR/large"));
    let large = scratch.parent().unwrap().join("large");
    assert!(matches!(sandbox.read(&large, 1000), Err(SandboxError::TooLarge { .. })));
    assert_eq!(sandbox.read(&large, 1001).unwrap().unwrap().len(), 1001);
}

#[test]
fn process_roots_and_working_directories_are_the_sandbox() {
    let fixture = Fixture::new();
    let secret = fixture.outside("secret");
    fs::write(&secret, SECRET).unwrap();
    let mut sandbox = fixture.open();
    let script = format!(
        "for p in /proc/self /proc/1 /proc/[0-9]*; do for d in root cwd; do \
         cat $p/$d{0} $p/$d/../..{0}; echo evil > $p/$d{0}; done; done; cat /proc/1/mem /dev/mem",
        secret.display()
    );
    let outcome = sh(&mut sandbox, &fixture.root, &script);
    assert!(!text(&outcome).contains(SECRET));
    assert_eq!(fs::read_to_string(secret).unwrap(), SECRET);
}

#[test]
fn a_hard_link_in_the_checkout_is_not_written_through() {
    let fixture = Fixture::new();
    let outside = fixture.outside("linked");
    fs::write(&outside, "before\n").unwrap();
    fs::hard_link(&outside, fixture.root.join("hard")).unwrap();
    let mut sandbox = fixture.open();
    succeeded(&sh(
        &mut sandbox,
        &fixture.root,
        "echo evil >> hard; chmod 777 hard; touch -d 2001-01-01 hard",
    ));
    sandbox.write(&[file(fixture.root.join("hard"), "evil")]).unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "before\n");
    assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o111, 0);
}

#[test]
fn secrets_of_the_home_directory_are_not_there_and_toolchains_are() {
    let fixture = Fixture::new();
    let home = fixture.outside("home");
    for (name, content) in [
        (".ssh/id_ed25519", SECRET),
        (".aws/credentials", SECRET),
        (".cargo/credentials.toml", SECRET),
        (".cargo/bin/tool", "#!/bin/sh\necho tool-ran\n"),
        (".npmrc", SECRET),
        ("notes.txt", SECRET),
        ("shown/data", "shown-data"),
    ] {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut spec = fixture.spec();
    // Somebody shows the whole of `.cargo`, and even the home directory: the secrets stay hidden.
    spec.readable = vec![home.join(".cargo"), home.clone(), home.join("shown")];
    let mut sandbox = Sandbox::open(&spec, &helper().with_home(&home)).unwrap();
    let script = "grep -rs . $HOME; echo $HOME; cat $HOME/.ssh/id_ed25519 $HOME/.cargo/credentials.toml; \
                  $HOME/.cargo/bin/tool; echo x > $HOME/writable && cat $HOME/writable; \
                  echo evil > $HOME/.cargo/bin/tool; echo evil > $HOME/shown/data";
    let outcome = sh(&mut sandbox, &fixture.root, script);
    let said = text(&outcome);
    assert!(!said.contains(SECRET), "{said}");
    assert!(
        said.contains("tool-ran") && said.contains("shown-data") && said.contains("\nx\n"),
        "{said}"
    );
    assert!(said.contains(home.to_str().unwrap()));
    assert!(!home.join("writable").exists());
    assert_eq!(fs::read_to_string(home.join("shown/data")).unwrap(), "shown-data");
    assert!(fs::read_to_string(home.join(".cargo/bin/tool")).unwrap().contains("tool-ran"));
}

#[test]
fn password_hashes_of_the_machine_are_hidden_even_from_root() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let outcome = sh(
        &mut sandbox,
        &fixture.root,
        "cat /etc/shadow /etc/gshadow /etc/sudoers; wc -l < /etc/passwd",
    );
    let said = String::from_utf8(outcome.stdout).unwrap();
    assert!(!said.contains(':'), "{said}");
    assert!(said.trim().parse::<u32>().unwrap() > 0, "/etc/passwd itself is there");
}

#[test]
fn the_system_is_read_only() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let script = "for p in /usr/planted /etc/planted /planted /proc/sys/kernel/core_pattern /dev/planted \
                  /proc/sysrq-trigger /usr/bin/env; do (echo evil > $p) 2>/dev/null && echo wrote $p; done; \
                  mount -o remount,rw /usr && echo remounted; true";
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let outcome = sh(&mut sandbox, &fixture.root, script);
    assert_eq!(outcome.stdout, b"", "{}", text(&outcome));
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
    assert!(!std::path::Path::new("/usr/planted").exists());
}

#[test]
fn modes_and_times_of_the_host_cannot_be_set() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    // To what they are already, so that a hole would do no harm.
    let script = "for p in /dev/null /dev/zero /bin/sh /etc/passwd /usr /etc; do \
                  chmod $(stat -Lc %a $p) $p && echo mode $p; touch -cr $p $p && echo time $p; done; \
                  echo fine > /dev/null";
    let outcome = sh(&mut sandbox, &fixture.root, script);
    succeeded(&outcome);
    assert_eq!(outcome.stdout, b"", "{}", text(&outcome));
}

#[test]
fn descriptors_of_the_daemon_are_not_inherited() {
    let fixture = Fixture::new();
    let secret = fixture.outside("secret");
    fs::write(&secret, SECRET).unwrap();
    let leaked = fs::File::open(&secret).unwrap();
    fcntl(&leaked, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut sandbox = fixture.open();
    let script = "import os\nfor n in range(3, 300):\n  try:\n    print(n, os.pread(n, 100, 0), os.readlink(f'/proc/self/fd/{n}'))\n  except OSError: pass\n";
    let outcome = python(&mut sandbox, &fixture.root, script);
    succeeded(&outcome);
    assert!(!text(&outcome).contains(SECRET));
    assert_eq!(outcome.stdout, b"");
}

#[test]
fn the_control_socket_cannot_be_reached_through_process_one() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let script = "\
import os
opened = []
for base in ('/proc/1/fd', '/proc/self/fd'):
  try: names = os.listdir(base)
  except OSError: continue
  for name in names:
    if base.endswith('self/fd') and int(name) < 3: continue
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
      try:
        opened.append((name, os.readlink(f'{base}/{name}')))
        os.write(os.open(f'{base}/{name}', flags), b'junk')
      except OSError: pass
try: print(open('/proc/1/environ').read(), open('/proc/1/maps').read())
except OSError: pass
print([o for o in opened if 'proc' not in o[1]])
";
    let outcome = python(&mut sandbox, &fixture.root, script);
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), "[]\n", "{}", text(&outcome));
    assert_eq!(sh(&mut sandbox, &fixture.root, "echo fine").stdout, b"fine\n");
}

#[test]
fn a_socket_file_of_the_host_cannot_be_connected_to() {
    let fixture = Fixture::new();
    let path = fixture.root.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut sandbox = fixture.open();
    let script = "import socket\ns = socket.socket(socket.AF_UNIX)\ntry:\n  s.connect('socket')\n  print('connected')\nexcept OSError as e: print('refused')";
    assert_eq!(python(&mut sandbox, &fixture.root, script).stdout, b"refused\n");
    assert!(listener.accept().is_err());
}

#[test]
fn the_environment_is_the_commands_own() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let mut wanted = command(&fixture.root, &["env"]);
    wanted.env.insert("GREETING".into(), "hello".into());
    let outcome = sandbox.exec(&wanted).unwrap();
    let said = String::from_utf8(outcome.stdout).unwrap();
    let mut names: Vec<&str> =
        said.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["GREETING", "HOME", "PATH", "TMPDIR"]);
    let outcome = sh(&mut sandbox, &fixture.root, "cat /proc/[0-9]*/environ");
    // Cargo sets this for the process that plays the daemon.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!text(&outcome).contains("CARGO_MANIFEST_DIR"));
}

#[test]
fn unusual_names_are_only_names() {
    for name in
        ["with space", "käse-日本", "a,b", "a:b", "back\\slash", "new\nline", "q'u\"o", "%n$HOME"]
    {
        let fixture = Fixture::named(name);
        let mut sandbox = fixture.open();
        let outcome = sh(&mut sandbox, &fixture.root, "cat kept.txt; echo inside > kept.txt; pwd");
        assert_eq!(
            String::from_utf8(outcome.stdout).unwrap(),
            format!("kept\n{}\n", fixture.root.display())
        );
        assert_eq!(fs::read_to_string(fixture.root.join("kept.txt")).unwrap(), "kept\n");
        sandbox.write(&[file(fixture.root.join(name), "x")]).unwrap();
        assert_eq!(sandbox.read(&fixture.root.join(name), 9).unwrap().unwrap(), b"x");
    }
}

#[test]
fn written_files_are_new_executable_as_before_and_atomic() {
    let fixture = Fixture::new();
    let script = fixture.root.join("run.sh");
    fs::write(&script, "#!/bin/sh\necho old\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(&script).unwrap().set_modified(old).unwrap();
    let mut spec = fixture.spec();
    spec.files =
        vec![file(&script, "#!/bin/sh\necho new\n"), file(fixture.root.join("a/b/c"), "deep")];
    let mut sandbox = open(&spec);
    let outcome =
        sh(&mut sandbox, &fixture.root, "./run.sh; cat a/b/c; find run.sh -mmin -5; ls -A");
    assert_eq!(
        String::from_utf8(outcome.stdout).unwrap(),
        "new\ndeeprun.sh\na\nkept.txt\nrun.sh\n"
    );
    let gone = FileWrite { path: script.clone(), content: None };
    sandbox.write(&[gone.clone(), gone]).unwrap();
    assert_eq!(sandbox.read(&script, 99).unwrap(), None);
    assert_eq!(fs::read_to_string(&script).unwrap(), "#!/bin/sh\necho old\n");
    assert!(!fixture.root.join("a").exists());
}

#[test]
fn a_checkout_without_write_permission_can_be_used() {
    let fixture = Fixture::new();
    fs::set_permissions(&fixture.root, fs::Permissions::from_mode(0o555)).unwrap();
    let mut sandbox = fixture.open();
    let outcome =
        sh(&mut sandbox, &fixture.root, "cat kept.txt; echo changed > kept.txt; cat kept.txt");
    assert_eq!(outcome.stdout, b"kept\nchanged\n", "{}", text(&outcome));
    assert_eq!(fs::read_to_string(fixture.root.join("kept.txt")).unwrap(), "kept\n");
    fs::set_permissions(&fixture.root, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_checkout_on_a_read_only_file_system_can_be_used() {
    const ROLE: &str = "GREENLIT_TEST_READ_ONLY_ROOT";
    if let Some(root) = std::env::var_os(ROLE) {
        let root = std::path::PathBuf::from(root);
        assert!(fs::write(root.join("planted"), "x").is_err(), "the file system is not read-only");
        let mut sandbox = open(&common::spec(&root));
        let outcome = sh(&mut sandbox, &root, "echo changed > kept.txt && cat kept.txt");
        assert_eq!(outcome.stdout, b"changed\n", "{}", text(&outcome));
        return;
    }
    let fixture = Fixture::new();
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && exec \"$2\" --exact \
                  a_checkout_on_a_read_only_file_system_can_be_used --nocapture";
    let done = process::Command::new("unshare")
        .args(["--user", "--map-current-user", "--keep-caps", "--mount", "sh", "-c", script, "sh"])
        .arg(&fixture.root)
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, &fixture.root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn a_checkout_that_is_edited_meanwhile_shows_whole_files() {
    let fixture = Fixture::new();
    let path = fixture.root.join("kept.txt");
    let (old, new) = ("o".repeat(20_000), "n".repeat(20_000));
    fs::write(&path, &old).unwrap();
    let mut sandbox = fixture.open();
    let editing = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let next = fixture.outside("next");
            for content in [&new, &old].into_iter().cycle() {
                if !editing.load(std::sync::atomic::Ordering::SeqCst) {
                    break;
                }
                fs::write(&next, content).unwrap();
                fs::rename(&next, &path).unwrap();
            }
        });
        let script = "import collections\nseen = collections.Counter()\nfor _ in range(2000):\n  s = open('kept.txt').read()\n  seen[(len(s), len(set(s)))] += 1\nprint(dict(seen))\nopen('kept.txt','w').write('mine')\nprint(open('kept.txt').read())";
        let outcome = python(&mut sandbox, &fixture.root, script);
        editing.store(false, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(
            String::from_utf8_lossy(&outcome.stdout),
            "{(20000, 1): 2000}\nmine\n",
            "{}",
            text(&outcome)
        );
    });
    let after = fs::read_to_string(&path).unwrap();
    assert!(after == old || after == new);
}

#[test]
fn a_work_tree_shows_its_repository_and_a_forged_one_shows_nothing() {
    let fixture = Fixture::named("main");
    let tree = fixture.outside("tree");
    let script = "git init -q . && git add . && git -c user.name=x -c user.email=x@example.com commit -qm one \
                  && git worktree add -q ../tree";
    let made = process::Command::new("sh")
        .args(["-c", script])
        .current_dir(&fixture.root)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut sandbox = open(&common::spec(&tree));
    let outcome = sh(
        &mut sandbox,
        &tree,
        "git log --oneline && git status --short && git show HEAD:kept.txt",
    );
    succeeded(&outcome);
    assert!(text(&outcome).ends_with(" one\nkept\n"), "{}", text(&outcome));
    drop(sandbox);

    // A directory that does not name this checkout is not shown, however the checkout names it.
    let forged = fixture.outside("forged");
    fs::create_dir(&forged).unwrap();
    let private = fixture.root.join(".git/worktrees/tree");
    fs::write(forged.join(".git"), format!("gitdir: {}\n", private.display())).unwrap();
    let mut sandbox = open(&common::spec(&forged));
    let outcome = sh(&mut sandbox, &forged, &format!("cat '{}/HEAD'", private.display()));
    assert_eq!(outcome.state, ExitState::Exited(1), "{}", text(&outcome));
}
