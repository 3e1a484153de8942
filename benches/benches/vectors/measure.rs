//! Recall, times and memory.

use std::time::Instant;

use anyhow::Result;
use greenlit_graph::{Near, Query, Vectors, scan};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::data::Data;

/// One way of searching.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) recall: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// The right answers, by the scan in full precision, and how long it took.
pub(crate) struct Truth<'a> {
    pub(crate) queries: Vec<(&'a [f32], Query)>,
    nearest: Vec<Vec<Near>>,
    times: Vec<f64>,
    vectors: &'a dyn Vectors,
}

impl<'a> Truth<'a> {
    pub(crate) fn of(
        vectors: &'a dyn Vectors,
        live: &RoaringBitmap,
        data: &'a Data,
        k: usize,
    ) -> Result<Self> {
        let checked = data.queries().map(|raw| Ok((raw, Query::new(raw, data.dims)?)));
        let queries = checked.collect::<Result<Vec<_>>>()?;
        let (nearest, times) =
            queries.iter().map(|(_, query)| timed(|| scan::full(vectors, live, query, k))).unzip();
        Ok(Self { queries, nearest, times, vectors })
    }

    /// The scan itself.
    pub(crate) fn row(&self, name: &str) -> Row {
        row(name, 1.0, self.times.clone())
    }

    /// Runs every query.
    pub(crate) fn measure(
        &self,
        name: &str,
        mut search: impl FnMut(&Query, &[f32]) -> Vec<Near>,
    ) -> Row {
        let (found, times): (Vec<_>, Vec<_>) =
            self.queries.iter().map(|(raw, query)| timed(|| search(query, raw))).unzip();
        let slots = found.iter().map(|found| found.iter().map(|near| near.slot).collect());
        row(name, self.recall(slots), times)
    }

    /// The part of what is as near as the last right answer that was found: code has copies, and
    /// of those that are equally near any is right.
    pub(crate) fn recall(&self, found: impl Iterator<Item = Vec<u32>>) -> f64 {
        let (mut hits, mut wanted) = (0, 0);
        for (((_, query), nearest), found) in self.queries.iter().zip(&self.nearest).zip(found) {
            let Some(last) = nearest.last() else { continue };
            wanted += nearest.len();
            let near =
                |slot: &&u32| query.similarity(self.vectors, **slot) >= last.similarity - 1e-6;
            hits += found.iter().filter(near).count();
        }
        hits as f64 / f64::from(u32::try_from(wanted).unwrap_or(u32::MAX).max(1))
    }
}

pub(crate) fn row(name: &str, recall: f64, mut times: Vec<f64>) -> Row {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = (times.len() as f64 * part) as usize;
        times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    Row { name: name.to_owned(), recall, p50_ms: at(0.5), p99_ms: at(0.99) }
}

/// The fastest of three: what else the machine does is not measured.
fn timed<T>(mut work: impl FnMut() -> T) -> (T, f64) {
    let mut once = || {
        let started = Instant::now();
        let done = work();
        (done, started.elapsed().as_secs_f64() * 1e3)
    };
    let runs = [once(), once(), once()];
    let fastest = runs.iter().map(|(_, time)| *time).fold(f64::INFINITY, f64::min);
    let [(done, _), ..] = runs;
    (done, fastest)
}
