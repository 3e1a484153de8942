//! Names: of a vector, of the space that it lies in, of those who need it.

use std::panic::resume_unwind;
use std::{fmt, thread};

/// The name of a vector: a digest of everything that it depends on. Made by [`SpaceId::key`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", hex(&self.0[..6]))
    }
}

/// Vectors that can be compared with each other: made by one model in one way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpaceId {
    /// The digest of the model's files.
    pub model: [u8; 32],
    /// What computed the vectors, with its version: backends differ in the last bits and more.
    pub backend: String,
    /// How many numbers a vector has.
    pub dims: u32,
}

impl SpaceId {
    /// The key of a text, given by its digest and cut by a version of the chunker, in this space.
    pub fn key(&self, chunker_version: u32, text: &[u8; 32]) -> Key {
        keyed(&self.keyer(chunker_version), text)
    }

    /// The keys of many texts, in order; see [`Self::key`].
    pub fn keys(&self, chunker_version: u32, texts: &[[u8; 32]]) -> Vec<Key> {
        // A large index asks for a hundred thousand when it is opened, and a person waits: what all have in
        // common is hashed once, and many are hashed on several threads.
        let keyer = self.keyer(chunker_version);
        let some = |texts: &[[u8; 32]]| texts.iter().map(|text| keyed(&keyer, text)).collect();
        if texts.len() <= WORTH_A_THREAD {
            return some(texts);
        }
        let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
        thread::scope(|scope| {
            let parts = texts.chunks(texts.len().div_ceil(threads));
            let some = &some;
            let begin =
                |part| (part, thread::Builder::new().spawn_scoped(scope, move || some(part)));
            let parts: Vec<_> = parts.map(begin).collect();
            let parts = parts.into_iter().map(|(part, begun)| -> Vec<Key> {
                match begun {
                    Ok(keys) => keys.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(_) => some(part),
                }
            });
            parts.flatten().collect()
        })
    }

    fn keyer(&self, chunker_version: u32) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_derive_key("greenlit store 1 key");
        hasher.update(&self.digest());
        hasher.update(&chunker_version.to_le_bytes());
        hasher
    }

    /// Names the space in files.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("greenlit store 1 space");
        hasher.update(&self.model);
        hasher.update(&self.dims.to_le_bytes());
        hasher.update(self.backend.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The name of its directory.
    pub(crate) fn directory(&self) -> String {
        hex(&self.digest()[..16])
    }
}

/// Hashing so many takes ten times as long as starting a thread.
const WORTH_A_THREAD: usize = 4096;

fn keyed(keyer: &blake3::Hasher, text: &[u8; 32]) -> Key {
    Key(*keyer.clone().update(text).finalize().as_bytes())
}

/// Who needs vectors: one branch of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// Names the repository, for example by the path of its git directory.
    pub repository: String,
    /// Names the branch, or the commit of a detached head.
    pub branch: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_vector_depends_on_is_in_its_key() {
        let space = SpaceId { model: [1; 32], backend: "ort 1.24 cpu".into(), dims: 384 };
        let others = [
            SpaceId { model: [2; 32], ..space.clone() },
            SpaceId { backend: "ort 1.25 cpu".into(), ..space.clone() },
            SpaceId { dims: 385, ..space.clone() },
        ];
        let key = space.key(1, &[3; 32]);
        assert_eq!(key, space.clone().key(1, &[3; 32]));
        let text = |n: usize| *blake3::hash(&n.to_le_bytes()).as_bytes();
        let many: Vec<_> = (0..3 * WORTH_A_THREAD + 1).map(text).collect();
        let keys: Vec<_> = many.iter().map(|text| space.key(1, text)).collect();
        assert_eq!(space.keys(1, &many), keys);
        assert_ne!(key, space.key(2, &[3; 32]));
        assert_ne!(key, space.key(1, &[4; 32]));
        for other in others {
            assert_ne!(key, other.key(1, &[3; 32]));
            assert_ne!(space.directory(), other.directory());
        }
    }
}
