//! A queue of encoded frames towards a peer: never blocks, bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The sending side. Clones share the bound.
#[derive(Debug, Clone)]
pub struct Outbox {
    queue: mpsc::UnboundedSender<Bytes>,
    queued: Arc<AtomicUsize>,
    limit: usize,
    overflow: CancellationToken,
}

/// The receiving side, for the task that writes.
#[derive(Debug)]
pub struct Outgoing {
    queue: mpsc::UnboundedReceiver<Bytes>,
    queued: Arc<AtomicUsize>,
    overflow: CancellationToken,
}

/// The connection is over, or its peer did not read for so long that it ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct OutboxClosed;

/// A queue that holds at most `limit` bytes; a frame beyond it ends the connection.
pub fn outbox(limit: usize) -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let overflow = CancellationToken::new();
    (
        Outbox { queue: sender, queued: queued.clone(), limit, overflow: overflow.clone() },
        Outgoing { queue: receiver, queued, overflow },
    )
}

impl Outbox {
    /// Queues a frame; never blocks. Order is the order of calls.
    pub fn send(&self, frame: Bytes) -> Result<(), OutboxClosed> {
        if self.overflow.is_cancelled() {
            return Err(OutboxClosed);
        }
        let length = frame.len();
        if self.queued.fetch_add(length, Ordering::Relaxed) + length > self.limit {
            self.overflow.cancel();
            return Err(OutboxClosed);
        }
        self.queue.send(frame).map_err(|_| OutboxClosed)
    }

    /// Bytes waiting to be written.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}

impl Outgoing {
    /// The next frame; `None` once every sender is gone and the queue is empty.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.queue.recv().await
    }

    /// Says that a frame of this length left.
    pub fn written(&self, length: usize) {
        self.queued.fetch_sub(length, Ordering::Relaxed);
    }

    /// Cancelled when the bound was passed.
    pub fn overflow(&self) -> CancellationToken {
        self.overflow.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_keep_their_order_and_the_bound_ends_the_connection() {
        let (outbox, mut outgoing) = outbox(10);
        outbox.send(Bytes::from_static(b"12345")).unwrap();
        outbox.send(Bytes::from_static(b"678")).unwrap();
        assert_eq!(outbox.queued(), 8);
        assert_eq!(&outgoing.next().await.unwrap()[..], b"12345");
        outgoing.written(5);
        outbox.send(Bytes::from_static(b"1234567")).unwrap();
        assert!(!outgoing.overflow().is_cancelled());
        assert_eq!(outbox.send(Bytes::from_static(b"!")), Err(OutboxClosed));
        assert!(outgoing.overflow().is_cancelled());
        assert_eq!(outbox.send(Bytes::new()), Err(OutboxClosed));
    }

    #[tokio::test]
    async fn the_queue_ends_with_its_last_sender() {
        let (outbox, mut outgoing) = outbox(10);
        outbox.send(Bytes::from_static(b"x")).unwrap();
        drop(outbox);
        assert!(outgoing.next().await.is_some());
        assert!(outgoing.next().await.is_none());
    }
}
