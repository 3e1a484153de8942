//! How a session ends: `exit`, or the end of the input.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Whether and how the session ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending {
    ended: CancellationToken,
    shut_down: Arc<AtomicBool>,
}

impl Ending {
    /// The editor asked to shut down: `exit` afterwards is a success.
    pub(crate) fn shut_down(&self) {
        self.shut_down.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Relaxed)
    }

    /// Nothing more is read.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    pub(crate) async fn wait(&self) {
        self.ended.cancelled().await;
    }
}

/// Input that ends at `exit`. tower-lsp reads on after it and would wait for ever; at an end of
/// input it lets answers in flight leave and returns.
#[derive(Debug)]
pub(crate) struct UntilExit<R> {
    input: R,
    ending: Ending,
}

impl<R> UntilExit<R> {
    pub(crate) fn new(input: R, ending: Ending) -> Self {
        Self { input, ending }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for UntilExit<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ending.ended.is_cancelled() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let result = std::task::ready!(Pin::new(&mut self.input).poll_read(context, buffer));
        if result.is_err() || buffer.filled().len() == before {
            self.ending.end();
        }
        Poll::Ready(result)
    }
}
