//! Build caches: what is kept, what is thrown away, and what is never written.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Fixture, open, sh, succeeded, text};
use greenlit_sandbox::{BuildCache, CacheMode, OpenError, Sandbox, SandboxSpec};

/// A checkout with a cache directory and a store. The store is on the file system of the test's
/// temporary directory.
fn cached(fixture: &Fixture, mode: CacheMode) -> SandboxSpec {
    let mut spec = fixture.spec();
    spec.caches = vec![BuildCache {
        path: fixture.root.join("target"),
        base: None,
        store: store(fixture),
        mode,
    }];
    spec
}

fn store(fixture: &Fixture) -> PathBuf {
    fixture.outside("store")
}

fn say(sandbox: &mut Sandbox, fixture: &Fixture, script: &str) -> String {
    let outcome = sh(sandbox, &fixture.root, script);
    succeeded(&outcome);
    text(&outcome)
}

#[test]
fn products_outside_the_checkout_are_shown_and_never_written() {
    let fixture = Fixture::new();
    let base = fixture.outside("base");
    fs::create_dir_all(&base).unwrap();
    fs::write(base.join("theirs"), "theirs\n").unwrap();
    for (mode, expected) in [
        (CacheMode::Keep, "theirs\n"),
        (CacheMode::Discard, "theirs\nmine\n"),
        (CacheMode::Keep, "theirs\nmine\n"),
    ] {
        let mut spec = cached(&fixture, mode);
        spec.caches[0].base = Some(base.clone());
        let mut sandbox = open(&spec);
        assert_eq!(sandbox.notes(), [""; 0]);
        assert_eq!(say(&mut sandbox, &fixture, "cat target/theirs"), expected);
        if expected == "theirs\n" || mode == CacheMode::Discard {
            say(&mut sandbox, &fixture, "echo mine >> target/theirs");
        }
    }
    assert_eq!(fs::read_to_string(base.join("theirs")).unwrap(), "theirs\n");
    assert!(!fixture.root.join("target").exists());
}

#[test]
fn kept_products_return_and_the_checkout_stays_as_it_was() {
    for own in [true, false] {
        let fixture = Fixture::new();
        if own {
            fs::create_dir(fixture.root.join("target")).unwrap();
            fs::write(fixture.root.join("target/own"), "own\n").unwrap();
        }
        let mut sandbox = open(&cached(&fixture, CacheMode::Keep));
        assert_eq!(sandbox.notes(), [""; 0]);
        let script = "echo built > target/product; echo changed >> target/own; rm -f target/old; echo source > kept.txt";
        say(&mut sandbox, &fixture, script);
        drop(sandbox);
        let expected = if own { "own\nchanged\nbuilt\nkept\n" } else { "changed\nbuilt\nkept\n" };
        for mode in [CacheMode::Discard, CacheMode::Keep] {
            let mut sandbox = open(&cached(&fixture, mode));
            assert_eq!(sandbox.notes(), [""; 0]);
            assert_eq!(
                say(&mut sandbox, &fixture, "cat target/own target/product kept.txt"),
                expected
            );
        }
        assert_eq!(fixture.root.join("target").exists(), own);
        if own {
            assert_eq!(fs::read_dir(fixture.root.join("target")).unwrap().count(), 1);
            assert_eq!(fs::read_to_string(fixture.root.join("target/own")).unwrap(), "own\n");
        }
    }
}

#[test]
fn a_discarding_sandbox_cannot_alter_the_store() {
    let fixture = Fixture::new();
    say(
        &mut open(&cached(&fixture, CacheMode::Keep)),
        &fixture,
        "echo good > target/product; mkdir target/d; echo good > target/d/e",
    );
    let mut sandbox = open(&cached(&fixture, CacheMode::Discard));
    let script = format!(
        "cat target/product; echo evil > target/product; rm -r target/d; echo evil > target/planted; \
         ls {0} 2>/dev/null; (echo evil > {0}/upper/product) 2>/dev/null; cat target/product",
        store(&fixture).display()
    );
    assert_eq!(say(&mut sandbox, &fixture, &script), "good\nevil\n");
    drop(sandbox);
    let mut sandbox = open(&cached(&fixture, CacheMode::Discard));
    assert_eq!(
        say(&mut sandbox, &fixture, "cat target/product target/d/e; ls target"),
        "good\ngood\nd\nproduct\n"
    );
}

#[test]
fn a_store_has_one_writer_or_many_readers() {
    let fixture = Fixture::new();
    let mut writer = open(&cached(&fixture, CacheMode::Keep));
    say(&mut writer, &fixture, "echo one > target/product");
    // The second sees only the user's own directory, and says so.
    let mut second = open(&cached(&fixture, CacheMode::Keep));
    assert_eq!(second.notes().len(), 1, "{:?}", second.notes());
    assert_eq!(say(&mut second, &fixture, "ls target; echo two > target/product"), "");
    drop((writer, second));
    let mut reader = open(&cached(&fixture, CacheMode::Discard));
    let another = open(&cached(&fixture, CacheMode::Discard));
    assert_eq!((reader.notes().len(), another.notes().len()), (0, 0));
    // While there are readers nothing may be added.
    let mut writer = open(&cached(&fixture, CacheMode::Keep));
    assert!(writer.notes()[0].contains("does not add"), "{:?}", writer.notes());
    assert_eq!(
        say(&mut writer, &fixture, "cat target/product; echo three > target/product"),
        "one\n"
    );
    assert_eq!(say(&mut reader, &fixture, "cat target/product"), "one\n");
    drop((reader, another, writer));
    assert_eq!(
        say(&mut open(&cached(&fixture, CacheMode::Discard)), &fixture, "cat target/product"),
        "one\n"
    );
}

#[test]
fn an_upper_layer_that_the_file_system_refuses_is_said() {
    // An overlay in a sandbox of its own has no file system to keep on: memory without attributes
    // is the nearest that every machine has, and it may be accepted. Either way nothing is silent.
    let fixture = Fixture::new();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut spec = cached(&fixture, CacheMode::Keep);
    spec.caches[0].store = memory.path().join("store");
    let mut sandbox = open(&spec);
    let notes = sandbox.notes().to_vec();
    say(&mut sandbox, &fixture, "echo built > target/product");
    drop(sandbox);
    let kept = memory.path().join("store/upper/product").exists();
    assert_eq!(kept, notes.is_empty(), "{notes:?}");
}

#[test]
fn a_cache_that_is_a_link_is_left_alone() {
    let fixture = Fixture::new();
    let secret = fixture.outside("private");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("key"), "the-secret").unwrap();
    std::os::unix::fs::symlink(&secret, fixture.root.join("target")).unwrap();
    let mut sandbox = open(&cached(&fixture, CacheMode::Keep));
    assert_eq!(sandbox.notes().len(), 1);
    let outcome = sh(&mut sandbox, &fixture.root, "cat target/key; echo evil > target/key");
    assert!(!text(&outcome).contains("the-secret"));
    assert_eq!(fs::read_to_string(secret.join("key")).unwrap(), "the-secret");
}

#[test]
fn caches_elsewhere_are_refused() {
    let fixture = Fixture::new();
    for (path, store) in [
        (fixture.outside("elsewhere"), store(&fixture)),
        (fixture.root.clone(), store(&fixture)),
        (fixture.root.join("a/../../b"), store(&fixture)),
        (fixture.root.join("target"), fixture.root.join("store")),
        (fixture.root.join("target"), "relative".into()),
    ] {
        let mut spec = fixture.spec();
        spec.caches = vec![BuildCache { path, base: None, store, mode: CacheMode::Keep }];
        let refused = Sandbox::open(&spec, &common::helper());
        assert!(matches!(refused, Err(OpenError::BadPath { .. })));
    }
}
