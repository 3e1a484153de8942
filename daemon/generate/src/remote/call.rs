//! One request on a thread of its own.

use std::io::{BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body, Timeout};

use super::endpoint::{Key, KeySource};
use super::stream::{self, LINE, Step, event};
use super::{Endpoint, EndpointError, Protocol, tgi};
use crate::model::{Finish, Usage};

/// Pieces that may lie around unread.
const AHEAD: usize = 64;
/// Bytes of a reply that is not streamed.
const WHOLE: u64 = 4 << 20;

/// What comes back.
pub(super) enum Heard {
    Piece(String),
    Usage(Usage),
    End(Finish),
    Failed(EndpointError),
}

/// A request that is under way. Dropping it ends it with the next thing that comes.
pub(super) struct Call {
    heard: Receiver<Heard>,
}

impl Call {
    pub(super) fn start(agent: &Agent, endpoint: &Endpoint, body: Value) -> Self {
        let (tell, heard) = sync_channel(AHEAD);
        let (agent, endpoint) = (agent.clone(), endpoint.clone());
        std::thread::spawn(move || {
            if let Err(error) = talk(&agent, &endpoint, &body, &tell) {
                let error = match error {
                    EndpointError::Malformed(said) => {
                        EndpointError::Malformed(endpoint.shown(&said))
                    }
                    other => other,
                };
                // Nobody may listen any more.
                let _ = tell.send(Heard::Failed(error));
            }
        });
        Self { heard }
    }

    /// The next thing, or nothing after some time.
    pub(super) fn next(&self, wait: Duration) -> Option<Heard> {
        match self.heard.recv_timeout(wait) {
            Ok(heard) => Some(heard),
            Err(RecvTimeoutError::Timeout) => None,
            // The thread ended without a word: it has a defect, or the reply has no end.
            Err(RecvTimeoutError::Disconnected) => Some(Heard::Failed(EndpointError::Cut)),
        }
    }
}

fn talk(
    agent: &Agent,
    endpoint: &Endpoint,
    body: &Value,
    tell: &SyncSender<Heard>,
) -> Result<(), EndpointError> {
    let mut request = agent
        .post(endpoint.completions())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::ACCEPT_ENCODING, "identity");
    if let Some(KeySource::Known(Key(key))) = &endpoint.key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let response = request.send(body.to_string()).map_err(|error| match error {
        // It has read nothing.
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            EndpointError::Unreachable(Box::new(error))
        }
        ureq::Error::Timeout(_) => EndpointError::Silent { patience: endpoint.patience },
        other => EndpointError::Unreachable(Box::new(other)),
    })?;
    if !response.status().is_success() {
        return Err(refused(endpoint, response));
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
    match kind.as_str() {
        "text/event-stream" => streamed(endpoint, response.into_body(), tell),
        "application/json" => whole(endpoint, response.into_body(), tell),
        "" => Err(EndpointError::WrongType("nothing that it names".to_owned())),
        other => Err(EndpointError::WrongType(endpoint.shown(other))),
    }
}

fn steps(endpoint: &Endpoint, data: &str) -> Result<Vec<Step>, EndpointError> {
    match endpoint.protocol {
        Protocol::OpenAi => stream::steps(data),
        Protocol::Tgi => tgi::steps(data),
    }
}

fn streamed(
    endpoint: &Endpoint,
    body: Body,
    tell: &SyncSender<Heard>,
) -> Result<(), EndpointError> {
    let mut reader = BufReader::new(body.into_reader());
    let mut finish = None;
    loop {
        let data = match event(&mut reader) {
            Err(EndpointError::Silent { .. }) => {
                return Err(EndpointError::Silent { patience: endpoint.patience });
            }
            // What came is whole, however the connection ended.
            Err(EndpointError::Cut) if finish.is_some() => None,
            other => other?,
        };
        let Some(data) = data else { break };
        for step in steps(endpoint, &data)? {
            if step == Step::Done {
                let _ = tell.send(Heard::End(finish.unwrap_or(Finish::Stop)));
                return Ok(());
            }
            if pass_on(step, &mut finish, tell).is_err() {
                return Ok(());
            }
        }
    }
    let _ = tell.send(Heard::End(finish.ok_or(EndpointError::Cut)?));
    Ok(())
}

/// A server that does not stream.
fn whole(endpoint: &Endpoint, body: Body, tell: &SyncSender<Heard>) -> Result<(), EndpointError> {
    let mut text = Vec::new();
    let mut reader = body.into_reader().take(WHOLE + 1);
    reader.read_to_end(&mut text).map_err(|_| EndpointError::Cut)?;
    if text.len() as u64 > WHOLE {
        return Err(EndpointError::LongLine);
    }
    let text = str::from_utf8(&text).map_err(|_| EndpointError::NotText)?;
    let mut finish = None;
    for step in steps(endpoint, text)? {
        if pass_on(step, &mut finish, tell).is_err() {
            return Ok(());
        }
    }
    let _ = tell.send(Heard::End(finish.ok_or(EndpointError::Cut)?));
    Ok(())
}

/// Tells what came, and keeps how the text ended for the end. Fails when nobody listens any more.
fn pass_on(
    step: Step,
    finish: &mut Option<Finish>,
    tell: &SyncSender<Heard>,
) -> Result<(), SendError<Heard>> {
    match step {
        Step::Piece(text) => tell.send(Heard::Piece(text)),
        Step::Usage(usage) => tell.send(Heard::Usage(usage)),
        Step::Finish(how) => {
            *finish = Some(how);
            Ok(())
        }
        Step::Done => Ok(()),
    }
}

fn refused(endpoint: &Endpoint, response: Response<Body>) -> EndpointError {
    let status = response.status();
    let after = retry_after(response.headers());
    let mut said = Vec::new();
    // Half of what it says is enough.
    let _ = response.into_body().into_reader().take(LINE as u64).read_to_end(&mut said);
    let said = endpoint.shown(&String::from_utf8_lossy(&said));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            EndpointError::Key { status: status.as_u16() }
        }
        StatusCode::TOO_MANY_REQUESTS => EndpointError::Busy { after },
        status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
            EndpointError::Failing { status: status.as_u16(), after, said }
        }
        status => EndpointError::Refused { status: status.as_u16(), said },
    }
}

/// In seconds. A date is not understood: then it is as if nothing had been said.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
