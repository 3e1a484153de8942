//! The head of a safetensors file: names, types, shapes and places of its tensors.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::{BadFile, open};

/// Longest head accepted, in bytes; the format's own limit.
const MAX_HEAD: u64 = 100_000_000;

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Sizes of its dimensions.
    pub shape: Vec<u64>,
    /// What it takes in the file, in bytes.
    pub bytes: u64,
}

impl Tensor {
    /// How many numbers it holds. The head was checked: this cannot overflow.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The tensors of a file whose length, head and places agree.
pub(super) fn tensors(path: &Path, remedy: &'static str) -> Result<Vec<Tensor>, BadFile> {
    let invalid = |problem: String| BadFile::invalid(path, problem);
    let (mut file, length) = open(path, remedy)?;
    let mut head_length = [0; 8];
    if length < 8 {
        return Err(invalid(format!("is truncated: {length} bytes are no safetensors file")));
    }
    file.read_exact(&mut head_length).map_err(|error| BadFile::unreadable(path, error))?;
    let head_length = u64::from_le_bytes(head_length);
    if head_length > MAX_HEAD {
        return Err(invalid(format!(
            "is no safetensors file: its head would have {head_length} bytes"
        )));
    }
    let Some(data_length) = (length - 8).checked_sub(head_length) else {
        return Err(invalid(format!(
            "is truncated: its head has {head_length} bytes, the file {length}"
        )));
    };
    let mut head = Vec::new();
    file.take(head_length)
        .read_to_end(&mut head)
        .map_err(|error| BadFile::unreadable(path, error))?;
    let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&head)
        .map_err(|error| invalid(format!("has a damaged head: {error}")))?;
    entries.remove("__metadata__");

    let mut places = Vec::new();
    let mut tensors = Vec::new();
    for (name, entry) in entries {
        let entry: Entry = serde_json::from_value(entry)
            .map_err(|error| invalid(format!("has a damaged head: {name}: {error}")))?;
        let size = match entry.dtype.as_str() {
            "F32" => 4,
            "F16" | "BF16" => 2,
            other => {
                return Err(invalid(format!(
                    "{name} has the type {other}; weights must be F32, F16 or BF16, not quantized"
                )));
            }
        };
        let bytes = entry.shape.iter().try_fold(size, |bytes: u64, side| bytes.checked_mul(*side));
        let (start, end) = entry.data_offsets;
        if bytes.is_none() || end.checked_sub(start) != bytes {
            return Err(invalid(format!(
                "has a damaged head: {name} has shape {:?} and bytes {start} to {end}",
                entry.shape
            )));
        }
        places.push((start, end));
        tensors.push(Tensor { name, shape: entry.shape, bytes: end - start });
    }
    places.sort_unstable();
    let mut at = 0;
    for (start, end) in places {
        if start != at {
            return Err(invalid(format!("has a damaged head: no tensor begins at byte {at}")));
        }
        at = end;
    }
    if at != data_length {
        let how = if at > data_length { "is truncated" } else { "is too long" };
        return Err(invalid(format!("{how}: its tensors need {at} bytes, it has {data_length}")));
    }
    Ok(tensors)
}
