//! `/metrics` for this machine, where a person gave it a port.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::state::Event;

/// Longest head of a request.
const MOST: usize = 8 << 10;
/// How long somebody may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at once; others wait.
const CONNECTIONS: usize = 4;

/// Answers until the daemon ends.
pub(crate) async fn serve(port: u16, events: mpsc::UnboundedSender<Event>) {
    // No other machine can reach this address.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%address, %error, "metrics cannot be served");
            return;
        }
    };
    tracing::info!(%address, "metrics are served");
    let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let events = events.clone();
                tokio::spawn(async move {
                    let answered = tokio::time::timeout(PATIENCE, answer(stream, &events)).await;
                    tracing::debug!(?answered, "a request for metrics");
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for metrics");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(
    mut stream: TcpStream,
    events: &mpsc::UnboundedSender<Event>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MOST {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (status, body) = match refusal(&head) {
        Some(refusal) => refusal,
        None => {
            let (ask, text) = oneshot::channel();
            // The receiver only goes away with the daemon.
            let _ = events.send(Event::Scraped { answer: ask });
            match text.await {
                Ok(text) => ("200 OK", text),
                Err(_) => ("503 Service Unavailable", "the daemon ends\n".to_owned()),
            }
        }
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Why a request gets nothing.
fn refusal(head: &str) -> Option<(&'static str, String)> {
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method != "GET" {
        return Some(("405 Method Not Allowed", "only GET\n".to_owned()));
    }
    if target.split('?').next() != Some("/metrics") {
        return Some(("404 Not Found", "only /metrics\n".to_owned()));
    }
    // A page in a browser that made its own name mean this machine must not read it.
    let host = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim().to_owned())
    });
    let name = host.as_deref().map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    match name {
        None | Some("127.0.0.1" | "localhost") => None,
        Some(_) => Some(("403 Forbidden", "not by this name\n".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_by_its_own_name_gets_metrics_and_nothing_else() {
        let status = |head: &str| refusal(head).map(|(status, _)| &status[..3]);
        assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n"), None);
        assert_eq!(status("GET /metrics?x HTTP/1.0\r\n\r\n"), None);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), Some("404"));
        assert_eq!(status("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"), Some("405"));
        assert_eq!(status("GET /metrics HTTP/1.1\r\nhost: evil.example:9\r\n\r\n"), Some("403"));
        assert_eq!(status(""), Some("405"));
    }
}
