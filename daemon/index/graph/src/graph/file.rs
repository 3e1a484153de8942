//! The graph on disk: a head, a digest, and the arrays as they are.
//!
//! `GLGRAPH` and a version byte, the BLAKE3 digest of all that follows, the [`Stamp`], the set of
//! slots, the number of layers, the entry, then the arrays, each with its length; little-endian.
//! At a hundred thousand vectors reading takes 20 ms, where the dump of hnsw_rs takes two seconds,
//! has no checksum, and ends the process when it is cut short.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use roaring::RoaringBitmap;

use super::Graph;
use super::links::{Layer, Links};

/// The last byte is the version of what follows.
const MAGIC: &[u8; 8] = b"GLGRAPH\x01";
const DIGEST: usize = blake3::OUT_LEN;

/// What a graph belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The space of vectors: model, backend, dimensions.
    pub space: [u8; 32],
    /// Slots have the same meaning only within one generation of the store.
    pub generation: u64,
}

/// Why a graph was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the graph")]
pub struct SaveError(#[from] io::Error);

/// Why there is no graph to use. In every case: search by scan and build it anew.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// None was written yet, or it cannot be read.
    #[error("cannot read the graph")]
    Read(#[source] io::Error),
    /// Cut short, changed, of another version of this program, or not a graph at all.
    #[error("the graph file is damaged")]
    Damaged,
    /// It is whole, and about other vectors.
    #[error("the graph belongs to another state of the store")]
    Stale,
}

impl Graph {
    /// Replaces the file in one step, and durably.
    ///
    /// # Errors
    /// When the directory does not take it; an old file is then still there.
    pub fn save(&self, path: &Path, stamp: &Stamp) -> Result<(), SaveError> {
        let body = self.body(stamp)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(MAGIC)?;
        file.write_all(blake3::hash(&body).as_bytes())?;
        file.write_all(&body)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // Elsewhere a directory cannot be opened, and renames are the file system's own business.
        if cfg!(unix) {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    /// Reads a graph of a store with `slots` slots.
    ///
    /// # Errors
    /// As [`LoadError`] says.
    pub fn load(path: &Path, stamp: &Stamp, slots: u32) -> Result<Self, LoadError> {
        let bytes = std::fs::read(path).map_err(LoadError::Read)?;
        let rest = bytes.strip_prefix(MAGIC).ok_or(LoadError::Damaged)?;
        let (digest, body) = rest.split_at_checked(DIGEST).ok_or(LoadError::Damaged)?;
        if blake3::hash(body) != *digest {
            return Err(LoadError::Damaged);
        }
        let (found, graph) = parse(body).ok_or(LoadError::Damaged)?;
        if found != *stamp || graph.members.max().is_some_and(|last| last >= slots) {
            return Err(LoadError::Stale);
        }
        Ok(graph)
    }

    fn body(&self, stamp: &Stamp) -> io::Result<Vec<u8>> {
        let mut body = Vec::with_capacity(self.bytes() + 256);
        body.extend(stamp.space);
        body.extend(stamp.generation.to_le_bytes());
        body.extend((self.members.serialized_size() as u64).to_le_bytes());
        self.members.serialize_into(&mut body)?;
        body.extend((self.upper.len() as u64).to_le_bytes());
        body.extend(self.entry.to_le_bytes());
        put_links(&mut body, &self.base);
        for layer in &self.upper {
            put(&mut body, &layer.nodes);
            put_links(&mut body, &layer.links);
        }
        Ok(body)
    }
}

fn put_links(body: &mut Vec<u8>, links: &Links) {
    put(body, &links.starts);
    put(body, &links.targets);
}

fn put(body: &mut Vec<u8>, numbers: &[u32]) {
    body.extend((numbers.len() as u64).to_le_bytes());
    body.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

/// `None` where anything does not fit: a right digest tells who wrote the file, not that it is sound.
fn parse(body: &[u8]) -> Option<(Stamp, Graph)> {
    let mut reader = Reader(body);
    let space = *reader.take(32)?.first_chunk()?;
    let generation = reader.number()?;
    let length = usize::try_from(reader.number()?).ok()?;
    let members = RoaringBitmap::deserialize_from(reader.take(length)?).ok()?;
    let layers = reader.number()?;
    let entry = u32::from_le_bytes(*reader.take(4)?.first_chunk()?);
    let base = reader.links()?;
    let mut upper = Vec::new();
    for _ in 0..layers {
        upper.push(Layer { nodes: reader.numbers()?, links: reader.links()? });
    }
    let slots: Vec<u32> = members.iter().collect();
    let nodes = slots.len();
    let sound = reader.0.is_empty()
        && (entry as usize) < nodes
        && base.places() == nodes
        && base.is_sound(nodes)
        && upper.iter().all(|layer| layer.is_sound(nodes));
    let graph = Graph { members, slots, base, upper, entry };
    sound.then_some((Stamp { space, generation }, graph))
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }

    fn numbers(&mut self) -> Option<Vec<u32>> {
        let length = usize::try_from(self.number()?).ok()?.checked_mul(4)?;
        let (numbers, _) = self.take(length)?.as_chunks::<4>();
        Some(numbers.iter().map(|number| u32::from_le_bytes(*number)).collect())
    }

    fn links(&mut self) -> Option<Links> {
        let links = Links { starts: self.numbers()?, targets: self.numbers()? };
        // An empty list of starts has no place, not even none.
        (!links.starts.is_empty()).then_some(links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        let links = |lists: &[Vec<u32>]| Links::new(lists).unwrap();
        let members: RoaringBitmap = [3, 5, 9].into_iter().collect();
        Graph {
            slots: members.iter().collect(),
            members,
            base: links(&[vec![1, 2], vec![0], vec![0]]),
            upper: vec![Layer { nodes: vec![1], links: links(&[vec![]]) }],
            entry: 1,
        }
    }

    const STAMP: Stamp = Stamp { space: [7; 32], generation: 3 };

    #[test]
    fn a_body_is_read_as_it_was_written() {
        let body = graph().body(&STAMP).unwrap();
        assert_eq!(parse(&body), Some((STAMP, graph())));
    }

    #[test]
    fn no_changed_or_shortened_body_makes_the_parser_panic() {
        let body = graph().body(&STAMP).unwrap();
        for at in 0..body.len() {
            assert_eq!(parse(&body[..at]), None, "cut at {at}");
            for flip in [1, 0x80, 0xff] {
                let mut changed = body.clone();
                changed[at] ^= flip;
                // A changed link can still be a link; then it must be one that can be followed.
                if let Some((_, graph)) = parse(&changed) {
                    assert!(graph.base.is_sound(graph.slots.len()), "{flip} at {at}");
                    assert_eq!(graph.slots.len(), graph.base.places());
                }
            }
        }
        assert_eq!(parse(&[body, vec![0]].concat()), None);
    }

    #[test]
    fn links_that_lead_nowhere_are_refused() {
        let broken: [fn(&mut Graph); 6] = [
            |graph| graph.entry = 3,
            |graph| graph.base.targets[0] = 3,
            |graph| graph.base.starts[1] = 4,
            |graph| graph.base.starts[0] = 1,
            |graph| graph.upper[0].nodes = vec![3],
            |graph| graph.upper[0].links.starts.clear(),
        ];
        for (i, change) in broken.into_iter().enumerate() {
            let mut graph = graph();
            change(&mut graph);
            assert_eq!(parse(&graph.body(&STAMP).unwrap()), None, "{i}");
        }
    }
}
