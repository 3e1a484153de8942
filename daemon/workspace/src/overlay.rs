//! Unsaved buffers: what each session has open, kept as ropes under incremental edits.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ropey::Rope;

use crate::view::{Overlay, View};

/// A session, as the daemon numbers them.
pub type SessionId = u64;

/// The open documents of every session. Sessions never see each other's documents.
#[derive(Debug, Default)]
pub struct Overlays {
    sessions: HashMap<SessionId, BTreeMap<PathBuf, Document>>,
}

#[derive(Debug)]
struct Document {
    /// The version that it was opened with.
    opened: i32,
    version: i32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Follows the editor. The flat text is made once per version, when a view needs it.
    Followed { rope: Rope, flat: OnceLock<Overlay> },
    /// Open, too large to follow: the file on disk is used.
    TooLarge,
    /// Edits were lost or made no sense: the file on disk is used until the document is reopened.
    OutOfSync,
}

/// Why a change was not applied. The document is out of sync from then on, until it is reopened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The session has no such document.
    #[error("{} is not open in this session", path.display())]
    NotOpen {
        /// Which.
        path: PathBuf,
    },
    /// The version does not follow the known one: a change was lost, repeated or reordered.
    #[error("version {version} of {} does not follow version {known}", path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// The version before.
        known: i32,
        /// The version that came.
        version: i32,
    },
    /// The range is not inside the text, is backwards, or cuts a character in two.
    #[error(
        "bytes {start}..{end} are not a range of characters in the {len} bytes of {}",
        path.display()
    )]
    Range {
        /// Which.
        path: PathBuf,
        /// Start of the range.
        start: usize,
        /// End of the range.
        end: usize,
        /// Length of the text in bytes.
        len: usize,
    },
    /// An earlier change failed.
    #[error("{} is out of sync with the editor and is ignored until it is reopened", path.display())]
    OutOfSync {
        /// Which.
        path: PathBuf,
    },
}

impl Overlays {
    /// Starts to follow a document, or replaces its text whatever its state. `text` is `None` for
    /// one that is too large: it counts as open, and the file on disk is used.
    pub fn open(&mut self, session: SessionId, path: PathBuf, version: i32, text: Option<&str>) {
        let content = match text {
            Some(text) => Content::Followed { rope: Rope::from_str(text), flat: OnceLock::new() },
            None => Content::TooLarge,
        };
        let document = Document { opened: version, version, content };
        self.sessions.entry(session).or_default().insert(path, document);
    }

    /// Replaces byte ranges, one after the other, each `(start, end, text)` in the text that the
    /// one before left. All of them or, on an error, none: the document is then out of sync.
    ///
    /// A version up to the one that the document was opened with is already in that text and is
    /// skipped: after a reconnect, changes sent meanwhile may arrive behind the replayed text.
    pub fn change<'a>(
        &mut self,
        session: SessionId,
        path: &Path,
        version: i32,
        changes: impl IntoIterator<Item = (usize, usize, &'a str)>,
    ) -> Result<(), ChangeError> {
        let path_buf = || path.to_owned();
        let document = self
            .sessions
            .get_mut(&session)
            .and_then(|documents| documents.get_mut(path))
            .ok_or_else(|| ChangeError::NotOpen { path: path_buf() })?;
        let rope = match &document.content {
            Content::Followed { rope, .. } => rope,
            Content::TooLarge => {
                document.version = version;
                return Ok(());
            }
            Content::OutOfSync => return Err(ChangeError::OutOfSync { path: path_buf() }),
        };
        let known = document.version;
        if version <= document.opened && known == document.opened {
            return Ok(());
        }
        let edited = if version <= known {
            Err(ChangeError::Version { path: path_buf(), known, version })
        } else {
            // A clone shares the tree; only touched leaves are copied.
            let mut rope = rope.clone();
            changes
                .into_iter()
                .try_for_each(|(start, end, text)| replace(&mut rope, path, start, end, text))
                .map(|()| rope)
        };
        match edited {
            Ok(rope) => {
                document.version = version;
                document.content = Content::Followed { rope, flat: OnceLock::new() };
                Ok(())
            }
            Err(error) => {
                document.content = Content::OutOfSync;
                Err(error)
            }
        }
    }

    /// Stops following a document: the file on disk holds again. Says whether it was open.
    pub fn close(&mut self, session: SessionId, path: &Path) -> bool {
        self.sessions.get_mut(&session).is_some_and(|documents| documents.remove(path).is_some())
    }

    /// Forgets a session with all its documents.
    pub fn drop_session(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// How many documents a session has open.
    pub fn count(&self, session: SessionId) -> usize {
        self.sessions.get(&session).map_or(0, BTreeMap::len)
    }

    /// Documents below a directory that any session has open.
    pub fn open_below(&self, dir: &Path) -> Vec<PathBuf> {
        let all = self.sessions.values().flat_map(BTreeMap::keys);
        all.filter(|path| path.starts_with(dir)).cloned().collect()
    }

    /// The editor's version of an open document that is in sync.
    pub fn version(&self, session: SessionId, path: &Path) -> Option<i32> {
        let document = self.sessions.get(&session)?.get(path)?;
        (!matches!(document.content, Content::OutOfSync)).then_some(document.version)
    }

    /// Whether a document is open whose text is not what the file holds. Reads the file where their
    /// lengths are the same, and no other one.
    pub fn differs(&self, session: SessionId, path: &Path) -> bool {
        let document = self.sessions.get(&session).and_then(|documents| documents.get(path));
        let Some(Document { content: Content::Followed { rope, .. }, .. }) = document else {
            return false;
        };
        !same_as_disk(path, rope)
    }

    /// Documents of a session whose edits could not be followed and which are ignored.
    pub fn out_of_sync(&self, session: SessionId) -> Vec<PathBuf> {
        let documents = self.sessions.get(&session).into_iter().flatten();
        documents
            .filter(|(_, document)| matches!(document.content, Content::OutOfSync))
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// The files under `root` as this session sees them now. Reads the files on disk of open
    /// documents: only those that differ become overlays.
    pub fn view(&self, session: SessionId, root: &Path) -> View {
        let documents = self.sessions.get(&session).into_iter().flatten();
        let overlays = documents
            .filter(|(path, _)| path.starts_with(root))
            .filter_map(|(path, document)| {
                let Content::Followed { rope, flat } = &document.content else {
                    return None;
                };
                if same_as_disk(path, rope) {
                    return None;
                }
                let overlay = flat.get_or_init(|| {
                    let text: Arc<str> = String::from(rope).into();
                    let hash = blake3::hash(text.as_bytes());
                    Overlay { text, version: document.version, hash }
                });
                Some((path.clone(), overlay.clone()))
            })
            .collect();
        View::new(root.to_owned(), overlays)
    }
}

fn replace(
    rope: &mut Rope,
    path: &Path,
    start: usize,
    end: usize,
    text: &str,
) -> Result<(), ChangeError> {
    let character = |at: usize| {
        let index = rope.try_byte_to_char(at).ok()?;
        (rope.char_to_byte(index) == at).then_some(index)
    };
    match (character(start), character(end)) {
        (Some(from), Some(to)) if from <= to => {
            rope.remove(from..to);
            rope.insert(from, text);
            Ok(())
        }
        _ => Err(ChangeError::Range { path: path.to_owned(), start, end, len: rope.len_bytes() }),
    }
}

/// Whether the buffer is what the file holds. Editors hide a byte order mark: it does not count.
fn same_as_disk(path: &Path, rope: &Rope) -> bool {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let len = rope.len_bytes() as u64;
    let plausible = fs::metadata(path)
        .is_ok_and(|metadata| metadata.len() == len || metadata.len() == len + MARK.len() as u64);
    plausible
        && fs::read(path).is_ok_and(|bytes| {
            equal(rope, &bytes) || bytes.strip_prefix(MARK).is_some_and(|bytes| equal(rope, bytes))
        })
}

fn equal(rope: &Rope, mut bytes: &[u8]) -> bool {
    rope.len_bytes() == bytes.len()
        && rope.chunks().all(|chunk| {
            let (head, tail) = bytes.split_at(chunk.len());
            bytes = tail;
            head == chunk.as_bytes()
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(overlays: &Overlays, path: &Path) -> String {
        overlays.view(1, Path::new("/nowhere")).read_text(path).unwrap().to_string()
    }

    fn opened(text: &str) -> (Overlays, PathBuf) {
        let mut overlays = Overlays::default();
        let path = PathBuf::from("/nowhere/a.py");
        overlays.open(1, path.clone(), 1, Some(text));
        (overlays, path)
    }

    #[test]
    fn changes_apply_one_after_the_other() {
        let (mut overlays, path) = opened("aé𝕏\r\n\tb");
        overlays.change(1, &path, 2, [(1, 3, "xy"), (0, 1, ""), (2, 6, "z")]).unwrap();
        assert_eq!(text_of(&overlays, &path), "xyz\r\n\tb");
        assert_eq!(overlays.version(1, &path), Some(2));
    }

    #[test]
    fn sessions_do_not_see_each_other() {
        let (overlays, path) = opened("a");
        assert_eq!(overlays.view(2, Path::new("/nowhere")).overlays().count(), 0);
        assert_eq!(overlays.view(1, Path::new("/elsewhere")).overlays().count(), 0);
        assert_eq!(overlays.view(1, Path::new("/nowhere")).overlays().next().unwrap().0, path);
    }

    #[test]
    fn a_bad_change_puts_the_document_out_of_sync_until_it_is_reopened() {
        let cases: [(i32, (usize, usize)); 5] =
            [(2, (0, 0)), (3, (1, 2)), (3, (0, 99)), (3, (3, 0)), (3, (2, 3))];
        for (version, (start, end)) in cases {
            let (mut overlays, path) = opened("a𝕏");
            overlays.change(1, &path, 2, [(1, 1, "é")]).unwrap();
            let view = overlays.view(1, Path::new("/nowhere"));
            let changes = [(0, 0, "good"), (start + 4, end + 4, "")];
            overlays.change(1, &path, version, changes).unwrap_err();
            assert_eq!(overlays.out_of_sync(1), std::slice::from_ref(&path));
            assert_eq!(overlays.view(1, Path::new("/nowhere")).overlays().count(), 0);
            assert_eq!(
                overlays.change(1, &path, 9, [(0, 0, "x")]),
                Err(ChangeError::OutOfSync { path: path.clone() })
            );
            // Views are immutable.
            assert_eq!(&*view.read_text(&path).unwrap(), "aé𝕏");
            overlays.open(1, path.clone(), 1, Some("new"));
            assert_eq!(text_of(&overlays, &path), "new");
        }
    }

    #[test]
    fn changes_that_the_opened_text_already_holds_are_skipped() {
        let (mut overlays, path) = opened("replayed");
        overlays.open(1, path.clone(), 5, Some("replayed"));
        overlays.change(1, &path, 4, [(0, 99, "late")]).unwrap();
        overlays.change(1, &path, 5, [(0, 99, "late")]).unwrap();
        overlays.change(1, &path, 6, [(0, 2, "")]).unwrap();
        assert_eq!(text_of(&overlays, &path), "played");
        overlays.change(1, &path, 5, [(0, 0, "repeated")]).unwrap_err();
    }

    #[test]
    fn a_document_differs_until_its_text_is_that_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.py");
        fs::write(&path, "\u{feff}x = 1\n").unwrap();
        let mut overlays = Overlays::default();
        assert!(!overlays.differs(1, &path), "it is not open");
        overlays.open(1, path.clone(), 1, Some("x = 1\n"));
        assert!(!overlays.differs(1, &path));
        overlays.change(1, &path, 2, [(4, 5, "2")]).unwrap();
        assert!(overlays.differs(1, &path));
        overlays.change(1, &path, 3, [(4, 5, "1")]).unwrap();
        assert!(!overlays.differs(1, &path));
        fs::remove_file(&path).unwrap();
        assert!(overlays.differs(1, &path));
        overlays.open(1, path.clone(), 1, None);
        assert!(!overlays.differs(1, &path), "it is too large to be followed");
    }

    #[test]
    fn only_open_documents_change() {
        let (mut overlays, path) = opened("a");
        assert!(overlays.close(1, &path));
        assert!(!overlays.close(1, &path));
        let error = overlays.change(1, &path, 2, [(0, 0, "")]).unwrap_err();
        assert_eq!(error, ChangeError::NotOpen { path: path.clone() });
        overlays.open(1, path.clone(), 1, None);
        overlays.change(1, &path, 2, [(50, 60, "too large to follow")]).unwrap();
        assert_eq!(
            (overlays.count(1), overlays.view(1, Path::new("/")).overlays().count()),
            (1, 0)
        );
        overlays.drop_session(1);
        assert_eq!(overlays.count(1), 0);
    }

    #[test]
    fn buffers_equal_to_the_file_are_no_overlays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.py");
        let mut overlays = Overlays::default();
        let mut differs = |disk: &str, buffer: &str| {
            fs::write(&path, disk).unwrap();
            overlays.open(1, path.clone(), 1, Some(buffer));
            overlays.view(1, dir.path()).overlays().count() == 1
        };
        assert!(!differs("x = 1\n", "x = 1\n"));
        assert!(differs("x = 1\n", "x = 2\n"));
        assert!(differs("x = 1\n", "x = 1\r\n"));
        assert!(!differs("\u{feff}x = 1\n", "x = 1\n"));
        assert!(!differs("\u{feff}x = 1\n", "\u{feff}x = 1\n"));
        assert!(differs("\u{feff}x = 1\n", "x = 2\n"));
        assert!(differs("abc\n", "x"));
        assert!(!differs("", ""));
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            prop_oneof![
                Just("\r\n"),
                Just("\n"),
                Just("\t"),
                Just("a"),
                Just("é"),
                Just("𝕏"),
                Just("\u{feff}")
            ],
            0..40,
        )
        .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn edits_on_the_rope_equal_edits_on_a_string(
            start in text(),
            edits in proptest::collection::vec((any::<(usize, usize)>(), text()), 0..20),
        ) {
            let (mut overlays, path) = opened(&start);
            let mut model = start;
            for (number, ((a, b), text)) in edits.into_iter().enumerate() {
                let (a, b) = (a % (model.len() + 2), b % (model.len() + 2));
                let version = 2 + i32::try_from(number).unwrap();
                let valid = a <= b && model.is_char_boundary(a) && model.is_char_boundary(b);
                let changed = overlays.change(1, &path, version, [(a, b, text.as_str())]);
                prop_assert_eq!(changed.is_ok(), valid);
                if valid {
                    model.replace_range(a..b, &text);
                } else {
                    overlays.open(1, path.clone(), version, Some(&model));
                }
                prop_assert_eq!(text_of(&overlays, &path), model.clone());
            }
        }
    }
}
