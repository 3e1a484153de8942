//! Downloads from good servers and bad ones.
#![expect(clippy::unwrap_used, reason = "tests")]

mod server;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_download::{Client, Digest, DownloadError, Fetched, Options, Size, Wanted};
use proptest::prelude::*;

use server::{Reply, Server};

const FILE: &[u8] = b"The quick brown fox jumps over the lazy dog, twice: 0123456789 abcdefghij";
const SIZE: Size = Size::Exactly(FILE.len() as u64);

fn quick() -> Client {
    let options = Options {
        backoff: Duration::from_millis(1),
        idle_timeout: Duration::from_secs(20),
        ..Options::default()
    };
    Client::new(&options).unwrap()
}

/// A directory and the file's final name in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("deep/model.onnx");
    (dir, to)
}

fn fetch(url: &str, to: &Path, size: Size, known: bool) -> Result<Fetched, DownloadError> {
    let sha256 = known.then(|| Digest::of(FILE));
    let wanted = Wanted { url, to, size, sha256 };
    quick().fetch(&wanted, &mut |_| ControlFlow::Continue(()))
}

/// What lies beside the final name, without the directory.
fn names(to: &Path) -> Vec<String> {
    let entries = fs::read_dir(to.parent().unwrap()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn part(to: &Path) -> PathBuf {
    to.with_file_name("model.onnx.part")
}

#[test]
fn a_file_comes_whole_with_its_progress_and_is_not_asked_for_twice() {
    let (_dir, to) = place();
    let server = Server::honest(FILE);
    let mut seen = Vec::new();
    let wanted = Wanted { url: &server.url, to: &to, size: SIZE, sha256: Some(Digest::of(FILE)) };
    let fetched = quick()
        .fetch(&wanted, &mut |progress| {
            assert_eq!(progress.total, Some(FILE.len() as u64));
            seen.push(progress.done);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(fetched.sha256, Digest::of(FILE));
    assert_eq!(fetched.size, FILE.len() as u64);
    assert_eq!(fs::read(&to).unwrap(), FILE);
    assert_eq!(names(&to), ["model.onnx"]);
    assert!(seen.is_sorted() && seen.last() == Some(&(FILE.len() as u64)), "{seen:?}");
    fetch(&server.url, &to, SIZE, true).unwrap();
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_cut_at_any_byte_is_resumed_there() {
    for cut in 0..FILE.len() {
        let (_dir, to) = place();
        let server = Server::start(move |number, asked| {
            let reply = Reply::honest(asked, FILE, "\"a\"");
            if number == 0 { reply.cut(cut) } else { reply }
        });
        // Without a digest: only the entity tag says that the rest belongs to the beginning.
        fetch(&server.url, &to, Size::AtMost(1000), false).unwrap();
        assert_eq!(fs::read(&to).unwrap(), FILE, "cut at {cut}");
        let asked = server.asked();
        assert_eq!(asked.len(), 2, "cut at {cut}");
        assert_eq!(asked[1].from, (cut > 0).then_some(cut), "cut at {cut}");
        assert_eq!(asked[1].if_range.as_deref(), (cut > 0).then_some("\"a\""), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_download_that_breaks_again_and_again_is_right_in_the_end(
        cuts in prop::collection::vec(0..FILE.len(), 0..4),
        ranges in any::<bool>(),
        tags in any::<bool>(),
    ) {
        let (_dir, to) = place();
        let server = Server::start(move |number, asked| {
            let mut asked = asked.clone();
            if !ranges {
                asked.from = None;
            }
            let reply = Reply::honest(&asked, FILE, if tags { "\"a\"" } else { "W/\"a\"" });
            match cuts.get(number) {
                Some(&cut) => reply.cut(cut),
                None => reply,
            }
        });
        fetch(&server.url, &to, SIZE, true).unwrap();
        prop_assert_eq!(fs::read(&to).unwrap(), FILE);
        prop_assert_eq!(names(&to), ["model.onnx"]);
    }
}

#[test]
fn a_later_call_goes_on_where_a_cancelled_one_stopped() {
    static LARGE: [u8; 300_000] = [7; 300_000];
    let (_dir, to) = place();
    let server = Server::honest(&LARGE);
    let size = Size::Exactly(LARGE.len() as u64);
    let wanted = Wanted { url: &server.url, to: &to, size, sha256: None };
    let cancelled = quick().fetch(&wanted, &mut |progress| match progress.done {
        0..100_000 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    assert!(matches!(cancelled, Err(DownloadError::Cancelled)), "{cancelled:?}");
    let kept = fs::metadata(part(&to)).unwrap().len() as usize;
    assert!((100_000..LARGE.len()).contains(&kept), "{kept}");
    let fetched = fetch(&server.url, &to, size, false).unwrap();
    assert_eq!(fetched.sha256, Digest::of(&LARGE));
    assert_eq!(server.asked()[1].from, Some(kept));
}

#[test]
fn wrong_bytes_get_no_name_and_are_not_kept() {
    let (_dir, to) = place();
    let mut wrong = FILE.to_vec();
    wrong[9] ^= 1;
    let server = Server::start(move |_, asked| Reply::honest(asked, &wrong, "\"a\""));
    let error = fetch(&server.url, &to, SIZE, true).unwrap_err();
    assert!(matches!(error, DownloadError::WrongDigest { .. }), "{error}");
    assert!(!to.exists());
    assert_eq!(fs::metadata(part(&to)).unwrap().len(), 0);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn kept_bytes_that_are_wrong_cost_one_more_download() {
    let (_dir, to) = place();
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::write(part(&to), b"not the beginning of it").unwrap();
    let server = Server::honest(FILE);
    fetch(&server.url, &to, SIZE, true).unwrap();
    assert_eq!(fs::read(&to).unwrap(), FILE);
    let from: Vec<_> = server.asked().iter().map(|asked| asked.from).collect();
    assert_eq!(from, [Some(23), None]);
}

#[test]
fn a_file_that_changed_meanwhile_is_fetched_from_its_beginning() {
    const NEW: &[u8] = b"Another content behind the same address, of another length";
    let (_dir, to) = place();
    let server = Server::start(|number, asked| match number {
        0 => Reply::honest(asked, FILE, "\"a\"").cut(20),
        _ => Reply::honest(asked, NEW, "\"b\""),
    });
    fetch(&server.url, &to, Size::AtMost(1000), false).unwrap();
    assert_eq!(fs::read(&to).unwrap(), NEW);
}

#[test]
fn a_server_that_ignores_if_range_does_not_mix_two_contents() {
    const NEW: &[u8] = b"Another content behind the same address, of another length";
    let (_dir, to) = place();
    let server = Server::start(|number, asked| {
        let mut asked = asked.clone();
        asked.if_range = None;
        match number {
            0 => Reply::honest(&asked, FILE, "\"a\"").cut(20),
            _ => Reply::honest(&asked, NEW, "\"b\""),
        }
    });
    fetch(&server.url, &to, Size::AtMost(1000), false).unwrap();
    assert_eq!(fs::read(&to).unwrap(), NEW);
}

#[test]
fn what_was_kept_of_another_address_is_not_believed_without_a_digest() {
    let (_dir, to) = place();
    let first = Server::start(|number, asked| match number {
        0 => Reply::honest(asked, b"something else entirely", "\"a\"").cut(10),
        _ => Reply::new("404 Not Found", &["Content-Length: 0"], b""),
    });
    fetch(&first.url, &to, Size::AtMost(1000), false).unwrap_err();
    assert_eq!(fs::metadata(part(&to)).unwrap().len(), 10);
    let second = Server::honest(FILE);
    fetch(&second.url, &to, Size::AtMost(1000), false).unwrap();
    assert_eq!(fs::read(&to).unwrap(), FILE);
    assert_eq!(second.asked()[0].from, None);
}

#[test]
fn a_file_that_is_not_there_is_asked_for_once() {
    let (_dir, to) = place();
    let server = Server::start(|_, _| Reply::new("404 Not Found", &["Content-Length: 4"], b"none"));
    let error = fetch(&server.url, &to, SIZE, true).unwrap_err();
    assert!(matches!(error, DownloadError::Status { status: 404, .. }), "{error}");
    assert!(error.to_string().contains("check the name and the revision"), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_busy_server_is_asked_again() {
    let (_dir, to) = place();
    let server = Server::start(|number, asked| match number {
        0 => Reply::new("503 Service Unavailable", &["Content-Length: 0", "Retry-After: 0"], b""),
        1 => Reply::new("429 Too Many Requests", &["Content-Length: 0"], b""),
        _ => Reply::honest(asked, FILE, "\"a\""),
    });
    fetch(&server.url, &to, SIZE, true).unwrap();
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_server_that_always_breaks_is_given_up_and_named() {
    let (_dir, to) = place();
    // The same ten bytes again and again: bytes, but never a new one.
    let server = Server::start(|_, _| {
        let length = format!("Content-Length: {}", FILE.len());
        Reply::new("200 OK", &[&length], FILE).cut(10)
    });
    let error = fetch(&server.url, &to, SIZE, true).unwrap_err();
    assert!(matches!(error, DownloadError::Interrupted { kept: 10, .. }), "{error:?}");
    assert!(error.to_string().contains(&server.url), "{error}");
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn a_server_that_is_not_there_is_an_error_that_says_so() {
    let (_dir, to) = place();
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let error = fetch(&url, &to, SIZE, true).unwrap_err();
    assert!(matches!(error, DownloadError::Interrupted { attempts: 5, .. }), "{error:?}");
}

#[test]
fn ranges_beyond_the_end_are_a_finished_file_or_another_one() {
    // Everything was kept already, only the name is missing.
    let (_dir, to) = place();
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::write(part(&to), FILE).unwrap();
    let server = Server::honest(FILE);
    let wanted = Wanted {
        url: &server.url,
        to: &to,
        size: Size::AtMost(1000),
        sha256: Some(Digest::of(FILE)),
    };
    quick().fetch(&wanted, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(server.asked().len(), 1);
    // More was kept than there is.
    let (_dir, to) = place();
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::write(part(&to), [FILE, FILE].concat()).unwrap();
    let wanted = Wanted { to: &to, ..wanted };
    quick().fetch(&wanted, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(fs::read(&to).unwrap(), FILE);
}

#[test]
fn redirects_are_followed_with_the_range() {
    let (_dir, to) = place();
    let server = Server::start(|number, asked| match asked.path.as_str() {
        "/" => Reply::new("302 Found", &["Content-Length: 0", "Location: /store/blob"], b""),
        _ if number == 1 => Reply::honest(asked, FILE, "\"a\"").cut(30),
        _ => Reply::honest(asked, FILE, "\"a\""),
    });
    fetch(&server.url, &to, SIZE, true).unwrap();
    assert_eq!(fs::read(&to).unwrap(), FILE);
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!((asked[3].path.as_str(), asked[3].from), ("/store/blob", Some(30)));
}

#[test]
fn redirects_in_a_circle_end() {
    let (_dir, to) = place();
    let server =
        Server::start(|_, _| Reply::new("302 Found", &["Content-Length: 0", "Location: /"], b""));
    let error = fetch(&server.url, &to, SIZE, true).unwrap_err();
    assert!(matches!(error, DownloadError::Request { .. }), "{error:?}");
}

#[test]
fn a_server_that_lies_about_the_length_gives_no_file() {
    // Announces another size than is wanted: refused before the first byte.
    let (_dir, to) = place();
    let server = Server::start(|_, asked| Reply::honest(asked, &FILE[1..], "\"a\""));
    let error = fetch(&server.url, &to, SIZE, true).unwrap_err();
    assert!(matches!(error, DownloadError::WrongSize { .. }), "{error:?}");
    // Announces nothing and sends more than is allowed.
    let (_dir, to) = place();
    let server = Server::start(|_, _| Reply::new("200 OK", &[], &FILE.repeat(100)));
    let error = fetch(&server.url, &to, Size::AtMost(99), false).unwrap_err();
    assert!(matches!(error, DownloadError::WrongSize { wanted: 99, .. }), "{error:?}");
    assert_eq!(fs::metadata(part(&to)).unwrap().len(), 0);
    // Announces the right size and sends less, then says that this is all.
    let (_dir, to) = place();
    let server = Server::start(|number, asked| match number {
        0 => {
            let length = format!("Content-Length: {}", FILE.len());
            Reply::new("200 OK", &[&length, "ETag: \"a\""], FILE).cut(50)
        }
        _ => Reply::honest(asked, &FILE[..50], "\"a\""),
    });
    let error = fetch(&server.url, &to, SIZE, true).unwrap_err();
    assert!(matches!(error, DownloadError::WrongSize { .. }), "{error:?}");
    assert!(!to.exists());
}

#[test]
fn a_wrong_file_under_the_final_name_is_replaced() {
    let (_dir, to) = place();
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::write(&to, FILE.to_ascii_uppercase()).unwrap();
    let server = Server::honest(FILE);
    fetch(&server.url, &to, SIZE, true).unwrap();
    assert_eq!(fs::read(&to).unwrap(), FILE);
}

#[test]
fn a_download_that_runs_elsewhere_is_left_alone() {
    let (_dir, to) = place();
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let held = fs::File::create(part(&to)).unwrap();
    held.lock().unwrap();
    let server = Server::honest(FILE);
    let error = fetch(&server.url, &to, SIZE, true).unwrap_err();
    assert!(matches!(error, DownloadError::Busy(_)), "{error:?}");
    drop(held);
    fetch(&server.url, &to, SIZE, true).unwrap();
}

#[test]
fn a_proxy_is_used_and_one_that_is_none_is_named() {
    let (_dir, to) = place();
    let proxy = Server::honest(FILE);
    let options = Options { proxy: Some(proxy.url.clone()), ..Options::default() };
    let client = Client::new(&options).unwrap();
    let url = "http://hub.example/a/b/resolve/main/model.onnx";
    let wanted = Wanted { url, to: &to, size: SIZE, sha256: Some(Digest::of(FILE)) };
    client.fetch(&wanted, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(format!("http://{}", proxy.asked()[0].path), url);
    let wrong = Options { proxy: Some("gopher://x".to_owned()), ..Options::default() };
    let error = Client::new(&wrong).unwrap_err();
    assert!(error.to_string().contains("gopher://x"), "{error}");
}

#[test]
fn offline_nobody_is_asked_and_what_is_there_is_taken() {
    let (_dir, to) = place();
    let server = Server::honest(FILE);
    let offline = Client::new(&Options { offline: true, ..Options::default() }).unwrap();
    let wanted = Wanted { url: &server.url, to: &to, size: SIZE, sha256: Some(Digest::of(FILE)) };
    let error = offline.fetch(&wanted, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, DownloadError::Offline { .. }), "{error:?}");
    assert!(error.to_string().contains("network.offline"), "{error}");
    assert!(!to.parent().unwrap().exists());
    fetch(&server.url, &to, SIZE, true).unwrap();
    offline.fetch(&wanted, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(server.asked().len(), 1);
}
