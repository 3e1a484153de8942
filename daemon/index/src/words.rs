//! The lexical side.
// TEMPORARY until the lexical crate is there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) id: u64,
    pub(crate) path: String,
    pub(crate) symbol: String,
    pub(crate) text: String,
    pub(crate) language: String,
    pub(crate) kind: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum WordsError {
    #[error("damaged")]
    Damaged,
}

#[derive(Debug, Default)]
pub(crate) struct Words(Mutex<BTreeMap<u64, Document>>);

impl Words {
    pub(crate) fn open(_dir: &Path) -> Result<Self, WordsError> {
        Ok(Self::default())
    }
    pub(crate) fn in_memory() -> Result<Self, WordsError> {
        Ok(Self::default())
    }
    pub(crate) fn apply(&self, removed: &[u64], added: Vec<Document>) -> Result<(), WordsError> {
        let mut all = self.0.lock().unwrap();
        removed.iter().for_each(|id| {
            all.remove(id);
        });
        added.into_iter().for_each(|d| {
            all.insert(d.id, d);
        });
        Ok(())
    }
    pub(crate) fn search(
        &self,
        text: &str,
        k: usize,
        filter: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<(u64, f32)>, WordsError> {
        let all = self.0.lock().unwrap();
        let words: Vec<String> =
            text.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let mut found: Vec<(u64, f32)> = all
            .values()
            .filter(|d| filter(d.id))
            .filter_map(|d| {
                let lower = d.text.to_lowercase();
                let n = words.iter().filter(|w| lower.contains(w.as_str())).count();
                (n > 0).then_some((d.id, n as f32))
            })
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(k);
        Ok(found)
    }
    pub(crate) fn symbols(
        &self,
        name: &str,
        k: usize,
        filter: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<u64>, WordsError> {
        let all = self.0.lock().unwrap();
        Ok(all
            .values()
            .filter(|d| filter(d.id) && d.symbol.ends_with(name))
            .map(|d| d.id)
            .take(k)
            .collect())
    }
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        0
    }
}
