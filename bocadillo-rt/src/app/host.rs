//! What a request came through, and the app that answers it.

use std::{net::SocketAddr, sync::Arc};

use crate::{
    app::{mount::Layered, shared::Shared},
    background::Pool,
    sent::Connection,
    server::detach::Count,
};

/// A connection of our own server, and the app that it serves.
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    pub(crate) addr: Option<SocketAddr>,
    /// Of the runtime that serves it.
    pub(crate) pool: Arc<Pool>,
    /// Its views that run on without it.
    pub(crate) detached: Count,
    pub(crate) shared: Arc<Shared>,
    /// The app within its layers, if it has any.
    pub(crate) layered: Option<Layered>,
}

/// Where a request lives.
#[derive(Clone)]
pub(crate) enum Host {
    /// On our own server.
    Server(Arc<Peer>),
    /// In some other server: the app is a tower service there.
    Service(Arc<Shared>),
    /// In a unit test of its view.
    Nowhere,
}

impl Host {
    pub(crate) fn peer(&self) -> Option<&Peer> {
        match self {
            Self::Server(peer) => Some(peer),
            Self::Service(_) | Self::Nowhere => None,
        }
    }

    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        match self {
            Self::Server(peer) => Some(&peer.shared),
            Self::Service(shared) => Some(shared),
            Self::Nowhere => None,
        }
    }
}
