//! Where connections come from.

use std::{io, net::SocketAddr};
#[cfg(unix)]
use std::{
    net,
    os::{fd::AsFd as _, unix::net::UnixListener},
};

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

    /// Accepts a connection that the system has accepted already; asks the system itself, and not the
    /// runtime, which knows later.
    ///
    /// A server that ends calls this until there is none, and drops the listener then, with which the
    /// system would reset them. A listener around one of tokio's passes the call on; by default there
    /// is none.
    fn accept_ready(&mut self) -> Option<(Self::Io, Option<SocketAddr>)> {
        None
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
    fn accept_ready(&mut self) -> Option<(TcpStream, Option<SocketAddr>)> {
        // Another descriptor of the same socket, which does not block.
        let listener = net::TcpListener::from(self.as_fd().try_clone_to_owned().ok()?);
        let (stream, addr) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        stream.set_nodelay(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, Some(addr)))
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

    fn accept_ready(&mut self) -> Option<(Self::Io, Option<SocketAddr>)> {
        let listener = UnixListener::from(self.as_fd().try_clone_to_owned().ok()?);
        let (stream, _) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((Self::Io::from_std(stream).ok()?, None))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// The runtime has had no time to notice anything.
    #[tokio::test]
    async fn a_connection_that_the_system_has_accepted_is_ready() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        assert!(listener.accept_ready().is_none());
        let addr = listener.local_addr().expect("an address");
        let client = net::TcpStream::connect(addr).expect("it listens");
        let (stream, addr) = listener.accept_ready().expect("it is there");
        assert_eq!(addr, client.local_addr().ok());
        assert_eq!(stream.nodelay().ok(), Some(true));
        assert!(listener.accept_ready().is_none());
    }
}
