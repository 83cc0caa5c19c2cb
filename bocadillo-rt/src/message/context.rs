//! What a request knows of its connection, and of the app that answers it.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use crate::{
    sent::Connection,
    server::{limits::Limits, shutdown::End},
};

/// A connection of our own server, as its requests see it.
pub(crate) struct ConnContext {
    pub(crate) connection: Connection,
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) settings: Arc<RequestSettings>,
}

/// How a request reached the app.
pub(crate) enum Transport {
    /// Over a connection of our own server.
    Server(Arc<ConnContext>),
    /// By a call of the app as a tower service, or by a unit test of a view.
    Service(Arc<RequestSettings>),
}

impl Transport {
    pub(crate) fn conn(&self) -> Option<&ConnContext> {
        match self {
            Self::Server(conn) => Some(conn),
            Self::Service(_) => None,
        }
    }

    pub(crate) fn settings(&self) -> &RequestSettings {
        match self {
            Self::Server(conn) => &conn.settings,
            Self::Service(settings) => settings,
        }
    }
}

/// The settings of an app that its requests read.
pub(crate) struct RequestSettings {
    pub(crate) states: StateMap,
    pub(crate) body_limit: usize,
    pub(crate) body_timeout: Duration,
    /// The state of the shutdown of the app's own server.
    pub(crate) end: End,
}

impl RequestSettings {
    pub(crate) fn new(states: StateMap, limits: &Limits) -> Self {
        Self {
            states,
            body_limit: limits.body,
            body_timeout: limits.body_timeout,
            end: End::default(),
        }
    }
}

/// The values given to [`App::state`](crate::App::state), by their types.
#[derive(Clone, Default)]
pub(crate) struct StateMap(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl StateMap {
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// Returns all values, for the tasks.
    #[cfg(feature = "durable")]
    pub(crate) fn values(&self) -> impl Iterator<Item = Arc<dyn Any + Send + Sync>> {
        self.0.values().cloned()
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}
