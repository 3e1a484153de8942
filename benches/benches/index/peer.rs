//! LanceDB, from PyPI, with the same texts and vectors. It keeps the texts, which the index reads from
//! the files again; so what its indexes and vectors take is said apart.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use greenlit_benches::process;
use greenlit_embed::Embedder;
use greenlit_embed::test_util::HashEmbedder;
use serde::{Deserialize, Serialize};

use crate::{Args, PATIENCE};

pub(crate) const REQUIREMENTS: [&str; 2] = ["lancedb==0.40.0", "numpy==2.4.6"];

/// What LanceDB did.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Peer {
    rows: u64,
    load_s: f64,
    /// Texts and vectors, without an index.
    plain_bytes: u64,
    vector_index_s: f64,
    vector_index_bytes: u64,
    words_index_s: f64,
    words_index_bytes: u64,
    bytes: u64,
    exact: Search,
    graph: Search,
    words: Search,
}

#[derive(Debug, Serialize, Deserialize)]
struct Search {
    recall: Option<f64>,
    p50_ms: f64,
    p99_ms: f64,
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2} ms, p99 {:.2} ms", self.p50_ms, self.p99_ms)?;
        self.recall.map_or(Ok(()), |recall| write!(f, ", recall@10 {recall:.3}"))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |bytes: u64| bytes / self.rows.max(1);
        write!(
            f,
            "LanceDB, {} chunks: bytes on disk per chunk: {} ({} texts and vectors, {} vector index, {} \
             word index); exact {}; IVF_HNSW_SQ {} (built in {:.1} s); words {} (built in {:.1} s)",
            self.rows,
            each(self.bytes),
            each(self.plain_bytes),
            each(self.vector_index_bytes),
            each(self.words_index_bytes),
            self.exact,
            self.graph,
            self.vector_index_s,
            self.words,
            self.words_index_s,
        )
    }
}

/// Embeds the kept texts again, and gives them to LanceDB.
pub(crate) fn measure(python: &Path, texts: &Path, args: &Args) -> Result<Peer> {
    let dir = tempfile::tempdir()?;
    let hash = HashEmbedder::new(args.dims);
    let kept = fs::read_to_string(texts)?;
    let mut vectors = Vec::new();
    let mut queries = Vec::new();
    for (number, line) in kept.lines().enumerate() {
        let text: String = serde_json::from_str(line)?;
        let vector = hash.embed(&[&text])?.remove(0);
        vectors.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
        if number < args.searches {
            // The first line of a text is a question that has an answer and is not it.
            let question = hash.embed_query(text.lines().next().unwrap_or_default())?;
            queries.extend(question.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
    let write = |name: &str, bytes: &[u8]| -> Result<_> {
        let path = dir.path().join(name);
        fs::write(&path, bytes)?;
        Ok(path)
    };
    let (vectors, queries) = (write("vectors", &vectors)?, write("queries", &queries)?);
    let mut command = process::command(python);
    command.arg("-c").arg(include_str!("peer.py")).arg(texts).arg(vectors);
    command.arg(args.dims.to_string()).arg(queries).arg(dir.path().join("lance"));
    let finished = process::run(&mut command, PATIENCE)?;
    if !finished.success() {
        bail!("LanceDB failed: {}", finished.tail());
    }
    serde_json::from_str(&finished.stdout).context("not what peer.py prints")
}
