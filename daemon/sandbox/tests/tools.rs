//! The tools of this machine's own user work inside as they are.
#![cfg(target_os = "linux")]

mod common;

use std::fs;

use common::{Fixture, command, sh, succeeded, text};
use greenlit_sandbox::FileWrite;

#[test]
fn python_from_the_users_own_toolchain_runs() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let outcome = sandbox.exec(&command(&fixture.root, &["python3", "-c", "print(1)"])).unwrap();
    succeeded(&outcome);
    assert_eq!(outcome.stdout, b"1\n");
    let script = "import multiprocessing as m, tempfile, subprocess, sqlite3, threading
if __name__ == '__main__':
  with m.Pool(2) as pool: print(pool.map(abs, [-1, 2]))
  print(subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout.strip())
  sqlite3.connect('test.db').execute('create table t (x)').connection.commit()
  with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').close()
  t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()
";
    fs::write(fixture.root.join("many.py"), script).unwrap();
    let outcome = sandbox.exec(&command(&fixture.root, &["python3", "many.py"])).unwrap();
    succeeded(&outcome);
    assert_eq!(text(&outcome), "[1, 2]\nchild\nthread\n");
}

#[test]
fn cargo_builds_warm_from_the_users_own_products() {
    let fixture = Fixture::new();
    let root = &fixture.root;
    fs::create_dir(root.join("src")).unwrap();
    fs::write(
        root.join("Cargo.toml"),
        "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
    )
    .unwrap();
    let wrong = "pub fn two() -> u8 { 3 }\n#[test] fn is_two() { assert_eq!(two(), 2); }\n";
    fs::write(root.join("src/lib.rs"), wrong).unwrap();
    let bare = std::process::Command::new("cargo")
        .args(["test", "--offline", "--no-run"])
        .current_dir(root)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    assert!(bare.status.success(), "{}", String::from_utf8_lossy(&bare.stderr));

    let mut sandbox = fixture.open();
    let outcome = sh(&mut sandbox, root, "cargo test --offline");
    let said = text(&outcome);
    assert!(said.contains("is_two ... FAILED"), "{said}");
    assert!(!said.contains("Compiling"), "the checkout's own products are used: {said}");
    // A patch is newer than every product, so that it is the one that is tested.
    let patched = FileWrite {
        path: root.join("src/lib.rs"),
        content: Some(wrong.replace("{ 3 }", "{ 2 }").into_bytes()),
    };
    sandbox.write(&[patched]).unwrap();
    let outcome = sh(&mut sandbox, root, "cargo test --offline");
    succeeded(&outcome);
    assert!(text(&outcome).contains("Compiling small"), "{}", text(&outcome));
    assert_eq!(fs::read_to_string(root.join("src/lib.rs")).unwrap(), wrong);
    let bare = std::process::Command::new("cargo")
        .args(["test", "--offline"])
        .current_dir(root)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    assert!(!bare.status.success(), "the user's own products were not replaced");
}
