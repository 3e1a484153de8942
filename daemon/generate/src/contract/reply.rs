//! From the text of a reply to the changes that it asks for.

use serde_json::{Map, Value};

use super::fence::{Fence, fences};
use super::json::object;
use super::{ContractError, MAX_REPLY, VERSION, blocks};

/// Changes of one reply.
const CHANGES: usize = 8;

/// A change as a model asked for it; nothing about it has been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// As the model wrote it; some forms of replies have none.
    pub path: Option<String>,
    /// What is to change.
    pub change: Change,
}

/// What is to change in a file. Lines are 1-based.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A function becomes another one.
    Function {
        /// `name` or `Class.name`; without it the code says which.
        symbol: Option<String>,
        /// The whole function.
        code: String,
    },
    /// Lines become others.
    Lines {
        /// First.
        first: u64,
        /// Last, inclusive.
        last: u64,
        /// What stands there then.
        code: String,
    },
    /// Lines are added.
    Insert {
        /// Behind this line; 0 is the beginning of the file.
        after: u64,
        /// The new lines.
        code: String,
    },
    /// A text that the file has once becomes another one.
    Text {
        /// Whole lines.
        search: String,
        /// Whole lines.
        replace: String,
    },
}

/// What a reply asks for.
///
/// # Errors
/// When it asks for nothing that can be read, or for too much.
pub fn drafts(reply: &str) -> Result<Vec<Draft>, ContractError> {
    if reply.len() > MAX_REPLY {
        return Err(ContractError::TooLong);
    }
    let reply = answer(reply);
    let fenced = fences(reply);
    let mut found = Vec::new();
    let mut lone = None;
    let mut pending = None;
    for fence in &fenced.fences {
        if let Some(header) = announced(fence, &mut pending)? {
            found.push(header.with(fence.body));
            continue;
        }
        let hint = hinted(fence);
        let read = blocks::read(fence.body, hint.as_deref())?;
        if read.is_empty() {
            lone = Some((hint, fence.body));
        }
        found.extend(read);
    }
    if found.is_empty() && fenced.open {
        return Err(ContractError::Unfinished);
    }
    if found.is_empty() {
        found = blocks::read(reply, None)?;
    }
    if found.is_empty()
        && let Some((header, code)) = whole(reply)?
    {
        found.push(header.with(&code));
    }
    if found.is_empty() {
        let (path, code) = lone.ok_or(ContractError::NoPatch)?;
        found
            .push(Draft { path, change: Change::Function { symbol: None, code: code.to_owned() } });
    }
    if fenced.open {
        // Half of what was meant is not what was meant.
        return Err(ContractError::Unfinished);
    }
    if found.len() > CHANGES {
        return Err(ContractError::TooMuch("8 changes"));
    }
    Ok(found)
}

/// What follows the thoughts that some models write first.
pub(super) fn answer(reply: &str) -> &str {
    reply.rsplit("</think>").next().unwrap_or(reply)
}

/// A header that was read.
#[derive(Debug, Clone)]
struct Header {
    path: String,
    operation: Operation,
}

#[derive(Debug, Clone)]
enum Operation {
    Function(String),
    Lines(u64, u64),
    Insert(u64),
}

impl Header {
    fn with(self, code: &str) -> Draft {
        let code = code.to_owned();
        let change = match self.operation {
            Operation::Function(symbol) => Change::Function { symbol: Some(symbol), code },
            Operation::Lines(first, last) => Change::Lines { first, last, code },
            Operation::Insert(after) => Change::Insert { after, code },
        };
        Draft { path: Some(self.path), change }
    }
}

/// The header of a fence: before it, or in a fence of its own before it.
fn announced(
    fence: &Fence<'_>,
    pending: &mut Option<Header>,
) -> Result<Option<Header>, ContractError> {
    if let Some(header) = header_in(fence.before)? {
        *pending = Some(header);
    }
    let is_json = fence.info.starts_with("json") || fence.body.trim_start().starts_with('{');
    if pending.is_none()
        && is_json
        && let Some(header) = header_in(fence.body)?
        && code_of(fence.body).is_none()
    {
        *pending = Some(header);
        return Ok(None);
    }
    Ok(pending.take())
}

/// The last header in a text.
fn header_in(text: &str) -> Result<Option<Header>, ContractError> {
    let mut last = None;
    let mut from = 0;
    while let Some((found, range)) = object(&text[from..], is_header) {
        last = Some(found);
        from += range.end;
    }
    last.as_ref().map(header).transpose()
}

fn is_header(object: &Map<String, Value>) -> bool {
    object.contains_key("path")
}

/// A reply that is one JSON object, code and all.
fn whole(reply: &str) -> Result<Option<(Header, String)>, ContractError> {
    let Some((found, _)) = object(reply, is_header) else { return Ok(None) };
    let Some(code) = found.get("code").and_then(Value::as_str) else { return Ok(None) };
    Ok(Some((header(&found)?, code.to_owned())))
}

fn code_of(text: &str) -> Option<String> {
    let (found, _) = object(text, is_header)?;
    found.get("code")?.as_str().map(str::to_owned)
}

fn header(object: &Map<String, Value>) -> Result<Header, ContractError> {
    let missing =
        |what: &str| ContractError::Header(format!("`{what}` is missing or of another type"));
    if let Some(version) = object.get("version") {
        let version = version.as_u64().ok_or_else(|| missing("version"))?;
        if version != VERSION {
            return Err(ContractError::Version(version));
        }
    }
    let path = object.get("path").and_then(Value::as_str).ok_or_else(|| missing("path"))?;
    let number = |name: &str| object.get(name).and_then(Value::as_u64).ok_or_else(|| missing(name));
    // The operation says nothing that the other members do not say.
    let named = object.get("operation").map(|named| named.as_str().unwrap_or_default());
    let implied = ["symbol", "first_line", "line"].iter().find(|name| object.contains_key(**name));
    let operation = match (named, implied) {
        (Some("replace-function"), _) | (None, Some(&"symbol")) => {
            let symbol = object.get("symbol").and_then(Value::as_str);
            Operation::Function(symbol.ok_or_else(|| missing("symbol"))?.to_owned())
        }
        (Some("replace-lines"), _) | (None, Some(&"first_line")) => {
            Operation::Lines(number("first_line")?, number("last_line")?)
        }
        (Some("insert-after"), _) | (None, Some(&"line")) => Operation::Insert(number("line")?),
        (Some(other), _) => {
            let message = format!("no such operation: {}", super::shown(other));
            return Err(ContractError::Header(message));
        }
        (None, _) => return Err(missing("operation")),
    };
    Ok(Header { path: path.to_owned(), operation })
}

/// The file that a fence is about, from its info or the line above it.
fn hinted(fence: &Fence<'_>) -> Option<String> {
    let above = fence.before.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let words = fence.info.split([' ', ':', '=']).chain(above.split_whitespace());
    let name = |word: &str| {
        let word = word.trim_matches(|c: char| "`*\"'():,#".contains(c));
        let known = greenlit_syntax::Language::from_path(std::path::Path::new(word)).is_some();
        known.then(|| word.to_owned())
    };
    words.filter_map(name).next_back()
}
