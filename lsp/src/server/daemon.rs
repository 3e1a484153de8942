//! The daemon as this server sees it: something that takes notifications and requests, and tells
//! what happens. Behind a trait, so that tests put their own in its place.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use greenlit_client::{ConnectOptions, Link, LinkEvent, RequestError};
use greenlit_protocol::{Event, Notification, Request, Response, SessionParams};
use tokio::sync::mpsc;

use super::ServerOptions;

/// A daemon, or the way to one.
pub(crate) trait Daemon: Send + Sync {
    /// Tells it something, in order. Never blocks; lost while there is no daemon, because the
    /// replay of the next connection holds its effect.
    fn notify(&self, notification: Notification);
    /// Asks it something. Dropping the future cancels the request.
    fn request(&self, request: Request) -> BoxFuture<'static, Result<Response, RequestError>>;
    /// Tries again to reach or start it, because a person asked for something.
    fn wake(&self);
}

/// What happens between here and the daemon.
#[derive(Debug)]
pub(crate) enum DaemonEvent {
    /// Connected; it knows settings, roots and documents.
    Up {
        /// Its build.
        build: String,
    },
    /// Not connected. Unless [`DaemonEvent::GaveUp`] follows, somebody keeps trying.
    Down {
        /// Why, for people.
        reason: String,
    },
    /// Nobody tries to start it any more.
    GaveUp {
        /// Why, for people.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// It told something.
    Event(Event),
}

/// Gives what a new daemon must know.
pub(crate) type Replay = Box<dyn Fn() -> Vec<Notification> + Send>;

/// Starts to connect as the given session, in the background.
pub(crate) type Connector = Box<
    dyn Fn(SessionParams, Replay) -> (Arc<dyn Daemon>, mpsc::Receiver<DaemonEvent>) + Send + Sync,
>;

/// Connects to the user's daemon.
pub(crate) fn link_connector(options: ServerOptions) -> Connector {
    Box::new(move |session, replay| {
        let mut connect = ConnectOptions::new(session);
        connect.daemon.clone_from(&options.daemon);
        connect.spawn = options.spawn;
        let (link, mut from_link) = Link::start(connect, replay);
        let (events, receiver) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Some(event) = from_link.recv().await {
                let event = match event {
                    LinkEvent::Up { welcome, .. } => DaemonEvent::Up { build: welcome.build },
                    LinkEvent::Down { reason } => DaemonEvent::Down { reason },
                    LinkEvent::GaveUp { error, log } => {
                        DaemonEvent::GaveUp { reason: error.full_message(), log }
                    }
                    LinkEvent::Event(event) => DaemonEvent::Event(event),
                };
                if events.send(event).await.is_err() {
                    break;
                }
            }
        });
        (Arc::new(link), receiver)
    })
}

impl Daemon for Link {
    fn notify(&self, notification: Notification) {
        Link::notify(self, notification);
    }

    fn request(&self, request: Request) -> BoxFuture<'static, Result<Response, RequestError>> {
        let link = self.clone();
        Box::pin(async move { link.request(request).await })
    }

    fn wake(&self) {
        Link::wake(self);
    }
}
