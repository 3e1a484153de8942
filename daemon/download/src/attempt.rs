//! One request: what is asked, and what the answer means.

use std::io::Read;
use std::ops::ControlFlow;
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body};

use crate::client::{Progress, Size, Wanted};
use crate::error::DownloadError;
use crate::part::{Origin, Part};

/// How a request ended that did not bring all bytes.
pub(crate) enum Failure {
    /// The next attempt may do better; after this long if the server said so.
    Again { source: Box<dyn std::error::Error + Send + Sync>, after: Option<Duration> },
    /// No attempt will.
    Final(DownloadError),
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        Self::Final(error)
    }
}

fn again(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Again { source: source.into(), after: None }
}

/// Asks for what `part` lacks and appends it. `Ok` when the server has nothing more.
pub(crate) fn attempt(
    agent: &Agent,
    wanted: &Wanted<'_>,
    part: &mut Part,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let from = resumable(wanted, part);
    // Ranges count the bytes as they are sent: nobody may compress them.
    let mut request = agent.get(wanted.url).header(header::ACCEPT_ENCODING, "identity");
    if from > 0 {
        request = request.header(header::RANGE, format!("bytes={from}-"));
        let origin = part.origin();
        if origin.url == wanted.url && !origin.etag.is_empty() {
            request = request.header(header::IF_RANGE, &origin.etag);
        }
    }
    let response = request.call().map_err(|error| failed_request(wanted, error))?;
    let announced = match response.status() {
        StatusCode::PARTIAL_CONTENT => continued(wanted, part, from, response.headers())?,
        StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
            return beyond_end(wanted, part, &response);
        }
        status if status.is_success() => begun(wanted, part, response.headers())?,
        status => return Err(refused(wanted, status, response.headers())),
    };
    if let Some(total) = announced {
        check_size(wanted, part, total)?;
    }
    read(wanted, part, response.into_body(), announced, progress)
}

/// From which byte on the rest may be asked for; 0 for everything.
fn resumable(wanted: &Wanted<'_>, part: &Part) -> u64 {
    let origin = part.origin();
    let same = origin.url == wanted.url && !origin.etag.is_empty();
    // Without a tag a digest known in advance decides at the end whether the halves fit.
    if same || wanted.sha256.is_some() { part.len() } else { 0 }
}

/// A 206: it must go on exactly where the partial file ends.
fn continued(
    wanted: &Wanted<'_>,
    part: &mut Part,
    from: u64,
    headers: &HeaderMap,
) -> Result<Option<u64>, Failure> {
    let now = origin(wanted, headers);
    let kept = part.origin();
    // A server that does not know `If-Range` may go on with another content.
    let changed = kept.url == now.url && !now.etag.is_empty() && kept.etag != now.etag;
    match content_range(headers) {
        Some((Some(start), total)) if start == from && from == part.len() && !changed => Ok(total),
        _ => {
            part.restart(now)?;
            Err(again("the server sent another part of the file than it was asked for"))
        }
    }
}

/// A 200: the whole file, from its beginning.
fn begun(
    wanted: &Wanted<'_>,
    part: &mut Part,
    headers: &HeaderMap,
) -> Result<Option<u64>, Failure> {
    part.restart(origin(wanted, headers))?;
    Ok(number(headers, header::CONTENT_LENGTH))
}

/// A 416: there is nothing behind what is already here, or the file is another one.
fn beyond_end(
    wanted: &Wanted<'_>,
    part: &mut Part,
    response: &Response<Body>,
) -> Result<(), Failure> {
    match content_range(response.headers()) {
        Some((None, Some(total))) if total == part.len() => Ok(()),
        _ => {
            part.restart(origin(wanted, response.headers()))?;
            Err(again("the server's file is shorter than what was kept of it"))
        }
    }
}

fn refused(wanted: &Wanted<'_>, status: StatusCode, headers: &HeaderMap) -> Failure {
    let passing = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504);
    if passing {
        let after = number(headers, header::RETRY_AFTER).map(Duration::from_secs);
        return Failure::Again { source: format!("the server answers {status}").into(), after };
    }
    DownloadError::Status { url: wanted.url.to_owned(), status: status.as_u16() }.into()
}

fn failed_request(wanted: &Wanted<'_>, error: ureq::Error) -> Failure {
    use ureq::Error::{ConnectionFailed, HostNotFound, Io, Protocol, Timeout};
    match error {
        Io(_) | Timeout(_) | ConnectionFailed | HostNotFound | Protocol(_) => again(error),
        _ => Failure::Final(DownloadError::Request {
            url: wanted.url.to_owned(),
            source: Box::new(error),
        }),
    }
}

fn read(
    wanted: &Wanted<'_>,
    part: &mut Part,
    body: Body,
    announced: Option<u64>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let total = announced.or(wanted.size.exact());
    let mut body = body.into_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        if progress(Progress { done: part.len(), total }).is_break() {
            return Err(DownloadError::Cancelled.into());
        }
        let read = body.read(&mut buffer).map_err(again)?;
        if read == 0 {
            return match total {
                Some(total) if part.len() < total => Err(again("the connection was closed early")),
                _ => Ok(()),
            };
        }
        let len = part.len() + read as u64;
        if len > wanted.size.limit() {
            part.restart(Origin::default())?;
            return Err(wrong_size(wanted, len).into());
        }
        part.append(&buffer[..read])?;
    }
}

/// Before any byte is read: a file of another size is not the one that is wanted.
fn check_size(wanted: &Wanted<'_>, part: &mut Part, total: u64) -> Result<(), Failure> {
    let fits = match wanted.size {
        Size::Exactly(size) => total == size,
        Size::AtMost(limit) => total <= limit,
    };
    if fits {
        return Ok(());
    }
    part.restart(Origin::default())?;
    Err(wrong_size(wanted, total).into())
}

fn wrong_size(wanted: &Wanted<'_>, found: u64) -> DownloadError {
    DownloadError::WrongSize { url: wanted.url.to_owned(), wanted: wanted.size.limit(), found }
}

fn origin(wanted: &Wanted<'_>, headers: &HeaderMap) -> Origin {
    let etag = headers.get(header::ETAG).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Weak tags name a meaning, not bytes.
    let strong = etag.starts_with('"') && etag.len() > 2;
    let etag = if strong { etag.to_owned() } else { String::new() };
    Origin { url: wanted.url.to_owned(), etag }
}

fn number(headers: &HeaderMap, name: header::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `bytes 5-9/10`, `bytes 5-9/*`, `bytes */10`: the first byte and the size of the whole.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-').and_then(|(start, _)| start.parse().ok());
    Some((start, total.parse().ok()))
}
