//! usearch, from PyPI: its crate would bring a C++ build into every check of this workspace. A call
//! from Python costs some ten microseconds.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use greenlit_benches::process;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::measure::{Row, Truth, row};

pub(crate) const USEARCH: &str = "usearch==2.26.0";
pub(crate) const NUMPY: &str = "numpy==2.4.6";
/// Building takes minutes.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What usearch did.
#[derive(Serialize)]
pub(crate) struct Peer {
    pub(crate) rows: Vec<Row>,
    pub(crate) per_second: f64,
    /// Per vector, the vector included.
    pub(crate) bytes: u64,
}

#[derive(Deserialize)]
struct Said {
    seconds: f64,
    bytes: u64,
    searches: Vec<Search>,
}

#[derive(Deserialize)]
struct Search {
    width: usize,
    found: Vec<Vec<u32>>,
    times: Vec<f64>,
}

pub(crate) fn measure(python: &Path, data: &Data, truth: &Truth<'_>, k: usize) -> Result<Peer> {
    let dir = tempfile::tempdir()?;
    let write = |name: &str, values: &[f32]| -> Result<_> {
        let path = dir.path().join(name);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(&path, bytes)?;
        Ok(path)
    };
    let mut command = process::command(python);
    command.arg("-c").arg(include_str!("peer.py"));
    command.arg(write("vectors", &data.vectors)?).arg(write("queries", &data.queries)?);
    command.args([data.dims.to_string(), k.to_string()]);
    let finished = process::run(&mut command, PATIENCE)?;
    if !finished.success() {
        bail!("usearch failed: {}", finished.tail());
    }
    let said: Said = serde_json::from_str(&finished.stdout).context("not what peer.py prints")?;
    let rows = said.searches.into_iter().map(|search| {
        let name = format!("usearch f32, width {}", search.width);
        row(&name, truth.recall(search.found.into_iter()), search.times)
    });
    Ok(Peer {
        rows: rows.collect(),
        per_second: data.rows as f64 / said.seconds,
        bytes: said.bytes,
    })
}
