//! Accepts connections, and goes on after errors.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{background::LogLimit, server::listener::Listener};

/// How long to wait after an error that concerns all connections, such as a lack of file
/// descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Such errors come by the hundred. The log has the first one, and then their number once in this
/// time.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// A listener whose errors are logged.
pub(crate) struct Accepting<L> {
    listener: L,
    log: LogLimit,
}

impl<L: Listener> Accepting<L> {
    pub(crate) fn new(listener: L) -> Self {
        if let Some(addr) = listener.local_addr() {
            tracing::info!("listening on {addr}");
        }
        Self {
            listener,
            log: LogLimit::default(),
        }
    }

    /// Closes the listener, and returns the connections that the system has accepted.
    pub(crate) fn close(self) -> Vec<(L::Io, Option<SocketAddr>)> {
        self.listener.close()
    }

    /// Waits for the next connection. It tries again after each error.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`Listener::accept`] is.
    pub(crate) async fn next(&mut self) -> (L::Io, Option<SocketAddr>) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if concerns_one_connection(&error) => {
                    tracing::debug!(%error, "connection lost before it was accepted");
                    // The next connection may be lost as well, and this loop would not yield to
                    // other tasks.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    if let Some(left_out) = self.log.take(Instant::now(), LOG_EVERY) {
                        tracing::error!(%error, left_out, "cannot accept connections; trying again");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput};
    // On some systems `set_nodelay` fails so if the client has reset the connection meanwhile.
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput
    )
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use tokio::net::TcpStream;

    use super::*;

    /// A listener whose connections are all reset before they are accepted.
    struct Reset(u64);

    impl Listener for Reset {
        type Io = TcpStream;

        async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
            self.0 += 1;
            assert!(
                self.0 < 1000,
                "accepts in vain, and lets nobody else have a turn"
            );
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }

    #[tokio::test]
    async fn an_error_of_one_connection_lets_others_have_their_turn() {
        let mut accepting = Accepting::new(Reset(0));
        let mut next = std::pin::pin!(accepting.next());
        let polled = std::future::poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending()));
        assert!(polled.await);
    }
}
