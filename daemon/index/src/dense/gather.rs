//! What is embedded next of a lane, from the files as they are now.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::dense::Model;
use crate::dense::lane::Lane;
use crate::dense::slots::Digest;
use crate::dense::vectors::keys;
use crate::dense::worker::Worker;
use crate::file::{self, Read};
use crate::record::{Record, RecordId};

/// Records that one batch may be gathered from.
const LOOKED_AT: usize = 256;

/// What is done at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) texts: Vec<(Digest, String)>,
    /// Texts that got a vector elsewhere.
    pub(super) known: Vec<(Digest, u32)>,
    /// Records that need nothing more after this.
    pub(super) done: Vec<(RecordId, Option<Arc<Record>>)>,
    /// Records whose texts are not to be had now.
    pub(super) unread: Vec<RecordId>,
}

/// The texts of the record that was cut last: a long file is in many batches.
pub(super) type Cut = (Arc<Record>, HashMap<Digest, String>);

impl Worker {
    /// The next texts, at most so many.
    pub(super) fn gather(&mut self, model: &Model, lane: &Lane, most: usize) -> Batch {
        let queue: Vec<RecordId> =
            lane.read().work().queue.iter().take(LOOKED_AT).copied().collect();
        let mut batch = Batch::default();
        let mut taken = HashSet::new();
        for number in queue {
            let (record, missing) = {
                let state = lane.read();
                (state.work().slots.record(number).cloned(), state.work().wanted_of(number))
            };
            let Some(record) = record.clone().filter(|_| !missing.is_empty()) else {
                batch.done.push((number, record));
                continue;
            };
            // Another index may have had the same texts.
            let slots = model.space.lookup(&keys(&model.space, &missing));
            let (known, missing): (Vec<_>, Vec<_>) =
                missing.into_iter().zip(slots).partition(|(_, slot)| slot.is_some());
            batch.known.extend(known.into_iter().filter_map(|(text, slot)| Some((text, slot?))));
            if missing.is_empty() {
                batch.done.push((number, Some(record)));
                continue;
            }
            if batch.texts.len() >= most {
                break;
            }
            let Some(texts) = self.texts(lane, number, &record) else {
                batch.unread.push(number);
                continue;
            };
            let mut is_done = true;
            for (text, _) in missing {
                // The chunker gives the same chunks for the same text.
                let Some(found) = texts.get(&text) else { continue };
                if taken.contains(&text) {
                    continue;
                }
                if batch.texts.len() >= most {
                    is_done = false;
                    break;
                }
                taken.insert(text);
                batch.texts.push((text, found.clone()));
            }
            if is_done {
                batch.done.push((number, Some(record)));
            }
        }
        batch
    }

    /// What is embedded of a record, by digest; `None` when its text is gone, another one, or cannot
    /// be read now. It may come back: then nobody says that the record is new.
    fn texts(
        &mut self,
        lane: &Lane,
        number: RecordId,
        record: &Arc<Record>,
    ) -> Option<&HashMap<Digest, String>> {
        if !self.cut.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, record)) {
            let text = match lane.text(number) {
                Some(text) => text.to_string(),
                None => match file::read(lane.root(), &record.path) {
                    Read::Text { text, hash, .. } if hash == record.hash => text,
                    _ => return None,
                },
            };
            let chunked = file::chunk(&record.path, &text, record.hash).ok()?;
            let digests = chunked.record.chunks.iter().map(|chunk| chunk.text);
            let texts = digests.zip(chunked.texts.into_iter().map(|text| text.text)).collect();
            self.cut = Some((record.clone(), texts));
        }
        self.cut.as_ref().map(|(_, texts)| texts)
    }
}
