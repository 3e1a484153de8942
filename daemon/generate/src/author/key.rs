//! When two patches are the same.

use greenlit_repair::PatchedFile;

/// What a patch leaves, without what does not count: blanks at the ends of lines and empty lines.
pub(super) fn of(files: &[PatchedFile]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(file.path.as_os_str().as_encoded_bytes()).update(b"\0");
        for line in file.after.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            hasher.update(line.as_bytes()).update(b"\n");
        }
        hasher.update(b"\0");
    }
    hasher.finalize()
}
