//! The head of a GGUF file: its values and where its tensors lie.
//!
//! The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3. Every count is held
//! against what is left of the file before anything is kept for it.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufReader, Read};
use std::path::Path;

use super::super::safetensors::Tensor;
use super::super::{BadFile, open};

/// Heads of real files have some hundred tensors and some ten values.
const MAX_ENTRIES: u64 = 1 << 16;
/// Tensors have up to four dimensions.
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// A value of a head.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Of an unsigned type up to 64 bits, or a truth value.
    Count(u64),
    /// Of a signed type.
    Signed(i64),
    Float(f32),
    Double(f64),
    Text(String),
    Texts(Vec<String>),
    /// Of 32 bits with sign.
    Numbers(Vec<i32>),
    /// A list of something else: only how long it is.
    List(u64),
}

/// What a head says.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) values: BTreeMap<String, Value>,
    pub(super) tensors: Vec<Tensor>,
}

/// Reads the head of a file whose tensors lie in it, one beside the other.
pub(super) fn head(path: &Path) -> Result<Head, BadFile> {
    let (file, length) = open(path, "the weights are not complete: download them again")?;
    read(BufReader::new(file), length).map_err(|problem| match problem {
        Problem::Io(error) => BadFile::unreadable(path, error),
        Problem::Cut => BadFile::invalid(path, "is truncated: download it again"),
        Problem::Bad(problem) => BadFile::invalid(path, problem),
    })
}

/// The tensors of a file with these bytes; `None` where they are none. For those who fuzz.
pub fn gguf_tensors(bytes: &[u8]) -> Option<Vec<Tensor>> {
    read(bytes, bytes.len() as u64).ok().map(|head| head.tensors)
}

fn read(file: impl Read, length: u64) -> Result<Head, Problem> {
    let mut reader = Reader { file, left: length };
    let (mut head, places) = reader.head()?;
    let alignment = match head.values.get("general.alignment") {
        None => DEFAULT_ALIGNMENT,
        Some(Value::Count(alignment)) if alignment.is_power_of_two() => *alignment,
        Some(_) => return bad("has a damaged head: `general.alignment`"),
    };
    let Some(data) = (length - reader.left).checked_next_multiple_of(alignment) else {
        return bad("has a damaged head: `general.alignment`");
    };
    let mut taken = Vec::new();
    for (tensor, place) in head.tensors.iter().zip(places) {
        let end = place.checked_add(tensor.bytes).and_then(|end| end.checked_add(data));
        if place % alignment != 0 || end.is_none_or(|end| end > length) {
            return bad(format!(
                "is truncated or has a damaged head: {} has no place in it; download it again",
                tensor.name
            ));
        }
        taken.push((place, place + tensor.bytes));
    }
    taken.sort_unstable();
    if taken.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return bad("has a damaged head: two tensors lie in one place");
    }
    head.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(head)
}

enum Problem {
    Io(std::io::Error),
    Cut,
    Bad(String),
}

fn bad<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Bad(problem.into()))
}

struct Reader<R> {
    file: R,
    /// Bytes of the file that were not read.
    left: u64,
}

impl<R: Read> Reader<R> {
    fn head(&mut self) -> Result<(Head, Vec<u64>), Problem> {
        if self.bytes::<4>()? != *b"GGUF" {
            return bad("is no GGUF file");
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return bad(format!("is of version {version} of GGUF; versions 2 and 3 are supported"));
        }
        let (tensors, values) = (self.u64()?, self.u64()?);
        if tensors > MAX_ENTRIES || values > MAX_ENTRIES {
            return bad("has a damaged head: too many entries");
        }
        let mut head = Head::default();
        for _ in 0..values {
            let name = self.text()?;
            let kind = self.u32()?;
            let value = self.value(kind, &name)?;
            if head.values.insert(name.clone(), value).is_some() {
                return bad(format!("has a damaged head: `{name}` is there twice"));
            }
        }
        let mut names = HashSet::new();
        let mut places = Vec::new();
        for _ in 0..tensors {
            let (tensor, place) = self.tensor()?;
            if !names.insert(tensor.name.clone()) {
                return bad(format!("{} is there twice", tensor.name));
            }
            head.tensors.push(tensor);
            places.push(place);
        }
        Ok((head, places))
    }

    fn tensor(&mut self) -> Result<(Tensor, u64), Problem> {
        let name = self.text()?;
        let dimensions = self.u32()?;
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return bad(format!("has a damaged head: {name} has {dimensions} dimensions"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.u64()?);
        }
        // The file names the innermost first.
        shape.reverse();
        let kind = self.u32()?;
        let Some((block, size)) = block(kind) else {
            return bad(format!(
                "{name} is quantized in a way that is not supported (type {kind}); take a file with \
                 F16, Q8_0, or one of Q2_K to Q6_K, as in Q4_K_M"
            ));
        };
        let inner = shape.last().copied().unwrap_or_default();
        let elements = shape.iter().try_fold(1, |all: u64, side| all.checked_mul(*side));
        let bytes = elements.filter(|all| *all > 0 && inner.is_multiple_of(block));
        let Some(bytes) = bytes.and_then(|elements| (elements / block).checked_mul(size)) else {
            return bad(format!("has a damaged head: {name} has shape {shape:?}"));
        };
        Ok((Tensor { name, shape, bytes }, self.u64()?))
    }

    fn value(&mut self, kind: u32, name: &str) -> Result<Value, Problem> {
        Ok(match kind {
            0 | 7 => Value::Count(self.bytes::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Count(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Count(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?)),
            8 => Value::Text(self.text()?),
            9 => self.list(name)?,
            10 => Value::Count(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Double(f64::from_le_bytes(self.bytes()?)),
            other => {
                return bad(format!("has a damaged head: `{name}` is of the unknown type {other}"));
            }
        })
    }

    fn list(&mut self, name: &str) -> Result<Value, Problem> {
        let (kind, count) = (self.u32()?, self.u64()?);
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            // A text takes eight bytes at least.
            8 | 10..=12 => 8,
            _ => return bad(format!("has a damaged head: `{name}` is a list of the type {kind}")),
        };
        let Some(bytes) = count.checked_mul(size).filter(|bytes| *bytes <= self.left) else {
            return Err(Problem::Cut);
        };
        Ok(match kind {
            8 => Value::Texts((0..count).map(|_| self.text()).collect::<Result<_, _>>()?),
            5 => {
                let number = |_| Ok(i32::from_le_bytes(self.bytes()?));
                Value::Numbers((0..count).map(number).collect::<Result<_, _>>()?)
            }
            _ => {
                self.skip(bytes)?;
                Value::List(count)
            }
        })
    }

    fn text(&mut self) -> Result<String, Problem> {
        let length = self.u64()?;
        if length > self.left {
            return Err(Problem::Cut);
        }
        let mut text = Vec::new();
        let read = self.file.by_ref().take(length).read_to_end(&mut text).map_err(Problem::Io)?;
        self.left -= read as u64;
        if read as u64 != length {
            return Err(Problem::Cut);
        }
        String::from_utf8(text).or_else(|_| bad("has a damaged head: a text is not valid UTF-8"))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Problem> {
        let skipped = std::io::copy(&mut self.file.by_ref().take(bytes), &mut std::io::sink());
        let skipped = skipped.map_err(Problem::Io)?;
        self.left -= skipped;
        if skipped == bytes { Ok(()) } else { Err(Problem::Cut) }
    }

    fn u32(&mut self) -> Result<u32, Problem> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Problem> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {
                self.left -= N as u64;
                Ok(bytes)
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Problem::Cut),
            Err(error) => Err(Problem::Io(error)),
        }
    }
}

/// How many numbers a block of a type has, and how many bytes; for the types that the library reads.
fn block(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        // F32, F16, BF16
        0 => (1, 4),
        1 | 30 => (1, 2),
        // Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
        2 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        // Q2_K to Q6_K
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        _ => return None,
    })
}
