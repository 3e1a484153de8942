//! The daemon, played by this program, so that only the thin server is measured.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use greenlit_client::{Paths, accept, bind};
use greenlit_protocol::{
    ClientFrame, Event, Finding, MAGIC, Notification, PROTOCOL_MAX, ServerFrame, Welcome, frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(60);

/// When an edit arrived: its document's version, and the moment.
pub(crate) type Arrival = (i32, Instant);

/// Accepts every session, tells it the findings, and tells here when edits arrive.
pub(crate) fn start(
    runtime_dir: &Path,
    root: &Path,
    findings: Vec<Finding>,
) -> Result<mpsc::Receiver<Arrival>> {
    let mut paths = Paths::for_user()?;
    paths.socket = runtime_dir.join(paths.socket.file_name().context("a socket has a name")?);
    paths.runtime_dir = runtime_dir.to_owned();
    paths.create()?;
    let root = root.to_owned();
    let (ready, is_ready) = mpsc::channel();
    let (arrivals, arrived) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = bind(&paths).expect("nothing listens there");
            ready.send(()).expect("main waits");
            while let Ok(stream) = accept(&listener).await {
                let event =
                    Event::Findings { root: root.clone(), revision: 1, findings: findings.clone() };
                tokio::spawn(serve(stream, event, arrivals.clone()));
            }
        });
    });
    is_ready.recv_timeout(PATIENCE).context("the socket cannot be bound")?;
    Ok(arrived)
}

/// One session, until it leaves.
async fn serve<S>(mut stream: S, event: Event, arrivals: mpsc::Sender<Arrival>) -> Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    receive(&mut stream).await?;
    let welcome = Welcome::Accepted {
        magic: MAGIC.to_owned(),
        protocol: PROTOCOL_MAX,
        build: "bench".to_owned(),
        pid: std::process::id(),
        capabilities: Vec::new(),
        session: 1,
    };
    for bytes in [frame::encode(&welcome)?, frame::encode(&ServerFrame::Event(event))?] {
        stream.write_u32(u32::try_from(bytes.len())?).await?;
        stream.write_all(&bytes).await?;
    }
    stream.flush().await?;
    loop {
        let bytes = receive(&mut stream).await?;
        let now = Instant::now();
        let frame: ClientFrame = frame::decode(&bytes.as_slice().into())?;
        if let ClientFrame::Notify(Notification::DocumentChanged { version, .. }) = frame
            && arrivals.send((version, now)).is_err()
        {
            bail!("nobody measures any more");
        }
    }
}

async fn receive(stream: &mut (impl AsyncReadExt + Unpin)) -> Result<Vec<u8>> {
    let mut bytes = vec![0; stream.read_u32().await? as usize];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
