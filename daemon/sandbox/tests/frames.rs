//! The helper as a program: whatever it is told, it ends cleanly and leaves nothing.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};

fn start(mode: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_greenlit-sandbox"))
        .arg(mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn tell(mode: &str, bytes: &[u8]) -> (ExitStatus, String) {
    let mut child = start(mode);
    // It may have ended before it was told everything.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status, said)
}

#[test]
fn junk_ends_it_without_a_panic() {
    let mut oversized = u32::MAX.to_le_bytes().to_vec();
    oversized.extend([0; 4096]);
    let mut truncated = 1000_u32.to_le_bytes().to_vec();
    truncated.extend([0x81; 10]);
    let mut nested = 100_000_u32.to_le_bytes().to_vec();
    nested.extend(vec![0x91; 100_000]);
    let cases: [&[u8]; 6] =
        [&oversized, &truncated, &nested, &[1], &[3, 0, 0, 0, 1, 2, 3], &[0; 4]];
    for bytes in cases {
        let (status, said) = tell("serve", bytes);
        assert_eq!((status.code(), said.as_str()), (Some(4), ""), "{} bytes", bytes.len());
    }
    assert_eq!(tell("serve", &[]).0.code(), Some(0));
    assert_eq!(tell("anything", &[]).0.code(), Some(2));
}
