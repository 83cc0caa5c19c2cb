//! Where connections come from.

use std::{io, net::SocketAddr};
#[cfg(unix)]
use std::{iter, net, os::unix::net::UnixStream};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// Accepts connections.
///
/// # Examples
///
/// A listener whose connections are counted:
///
/// ```
/// use bocadillo::Listener;
/// use std::{io, net::SocketAddr};
/// use tokio::net::{TcpListener, TcpStream};
///
/// struct Counted(TcpListener, u64);
///
/// impl Listener for Counted {
///     type Io = TcpStream;
///
///     async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
///         self.1 += 1;
///         Listener::accept(&mut self.0).await
///     }
/// }
/// ```
pub trait Listener: Send + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection; with the client's address, where it has one.
    ///
    /// # Cancel safety
    ///
    /// It must be cancel safe, as that of tokio's listeners is: a server that ends, and a listener of
    /// TLS connections, drop it while it waits, and no connection is to be lost by that.
    ///
    /// # Errors
    ///
    /// Returns the error of this attempt. The server goes on: at once if only that connection was
    /// lost, and after a pause where it may be out of file descriptors.
    fn accept(&mut self)
    -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send;

    /// Closes the listener, and returns the connections that the system has accepted meanwhile: it would
    /// reset them, and what their clients have sent would be lost.
    ///
    /// A listener around another one passes the call on; by default there are none.
    fn close(self) -> Vec<(Self::Io, Option<SocketAddr>)>
    where
        Self: Sized,
    {
        Vec::new()
    }

    /// Returns the address to log, if there is one.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, addr) = Self::accept(self).await?;
        // hyper writes whole messages: to wait for more only delays their last part.
        stream.set_nodelay(true)?;
        Ok((stream, Some(addr)))
    }

    #[cfg(unix)]
    fn close(self) -> Vec<(TcpStream, Option<SocketAddr>)> {
        let Ok(listener) = self.into_std() else {
            return Vec::new();
        };
        let ready = ready(|| listener.accept());
        // At once: a connection that comes between these two calls is reset, a later one is refused.
        drop(listener);
        let begin = |(stream, addr): (net::TcpStream, _)| {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>((TcpStream::from_std(stream)?, Some(addr)))
        };
        ready.into_iter().flat_map(begin).collect()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Self::local_addr(self).ok()
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, Option<SocketAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, None))
    }

    fn close(self) -> Vec<(Self::Io, Option<SocketAddr>)> {
        let Ok(listener) = self.into_std() else {
            return Vec::new();
        };
        let ready = ready(|| listener.accept());
        drop(listener);
        let begin = |(stream, _): (UnixStream, _)| {
            stream.set_nonblocking(true)?;
            Ok::<_, io::Error>((Self::Io::from_std(stream)?, None))
        };
        ready.into_iter().flat_map(begin).collect()
    }
}

/// What a listener that does not block has; no more than a backlog holds, whoever goes on connecting.
#[cfg(unix)]
fn ready<T>(mut accept: impl FnMut() -> io::Result<T>) -> Vec<T> {
    iter::from_fn(|| accept().ok()).take(4096).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// The runtime has had no time to notice anything.
    #[tokio::test]
    async fn what_the_system_has_accepted_is_not_lost_with_the_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = Listener::local_addr(&listener).expect("an address");
        let clients = [(); 2].map(|()| net::TcpStream::connect(addr).expect("it listens"));
        let accepted = Listener::close(listener);
        assert_eq!(accepted.len(), 2);
        for (client, (stream, addr)) in clients.iter().zip(&accepted) {
            assert_eq!(*addr, client.local_addr().ok());
            assert_eq!(stream.nodelay().ok(), Some(true));
        }
        assert!(net::TcpStream::connect(addr).is_err(), "it is closed");
    }
}
