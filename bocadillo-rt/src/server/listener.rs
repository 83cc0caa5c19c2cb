//! The sources of connections.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};
#[cfg(unix)]
use std::{iter, net, os::unix::net::UnixStream};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use crate::server::socket::Socket;

/// A source of connections.
///
/// # Examples
///
/// A listener that counts its connections:
///
/// ```
/// use bocadillo::{Listener, Socket};
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
///
///     fn socket(io: &TcpStream) -> Option<Socket<'_>> {
///         Some(io.into())
///     }
/// }
/// ```
pub trait Listener: Send + 'static {
    /// The type of a connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection. Returns it with the client's address, if there is one.
    ///
    /// # Cancel safety
    ///
    /// An implementation must be cancel safe, as tokio's listeners are. A server that shuts down,
    /// and the listener of TLS connections, drop this future while it waits. No connection may be
    /// lost then.
    ///
    /// # Errors
    ///
    /// Returns the error of this attempt. The server logs it, at most once a minute, and tries
    /// again: at once if only this connection was lost, otherwise after a pause, because the
    /// process may have no file descriptors left.
    fn accept(&mut self)
    -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send;

    /// Closes the listener, and returns the connections that the system has accepted already. The
    /// system would reset them, and their requests would be lost.
    ///
    /// A listener around another one calls that one. The default returns none.
    fn close(self) -> Vec<(Self::Io, Option<SocketAddr>)>
    where
        Self: Sized,
    {
        Vec::new()
    }

    /// Returns the address for the log, if there is one.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// Returns the socket beneath a connection, if there is one.
    ///
    /// The server sets the connection's [keep-alive](crate::Limits::keep_alive) on it. It also
    /// learns sooner that a client has left, even behind bytes that nobody has read. The default
    /// returns none: then the server never notices that the client of a quiet HTTP/1 connection has
    /// vanished.
    fn socket(io: &Self::Io) -> Option<Socket<'_>> {
        let _ = io;
        None
    }

    /// Returns the file of a Unix socket. The server removes it when it stops accepting, so that
    /// the next server can listen there.
    ///
    /// A listener around another one calls that one.
    fn socket_file(&self) -> Option<PathBuf> {
        None
    }
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, addr) = Self::accept(self).await?;
        // hyper writes whole messages. Waiting for more bytes would only delay the end of a
        // message.
        stream.set_nodelay(true)?;
        Ok((stream, Some(addr)))
    }

    #[cfg(unix)]
    fn close(self) -> Vec<(TcpStream, Option<SocketAddr>)> {
        let Ok(listener) = self.into_std() else {
            return Vec::new();
        };
        let ready = ready(|| listener.accept());
        // At once: a connection that arrives between these two calls is reset, a later one is
        // refused.
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

    fn socket(io: &TcpStream) -> Option<Socket<'_>> {
        Some(io.into())
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, Option<SocketAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, None))
    }

    fn socket(io: &Self::Io) -> Option<Socket<'_>> {
        Some(io.into())
    }

    fn socket_file(&self) -> Option<PathBuf> {
        Some(Self::local_addr(self).ok()?.as_pathname()?.to_owned())
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

/// A listener that removes the file of its socket when it is dropped, however the server ends. A
/// process that is killed leaves the file behind.
pub(crate) struct Removing<L> {
    listener: L,
    _file: Option<SocketFile>,
}

impl<L: Listener> Removing<L> {
    pub(crate) fn new(listener: L) -> Self {
        let file = listener.socket_file().and_then(SocketFile::new);
        Self {
            listener,
            _file: file,
        }
    }
}

impl<L: Listener> Listener for Removing<L> {
    type Io = L::Io;

    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send {
        self.listener.accept()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr()
    }

    fn socket(io: &Self::Io) -> Option<Socket<'_>> {
        L::socket(io)
    }

    fn close(self) -> Vec<(Self::Io, Option<SocketAddr>)> {
        self.listener.close()
    }
}

/// The file of a socket, with its identity at the start.
struct SocketFile {
    path: PathBuf,
    id: FileId,
}

impl SocketFile {
    fn new(path: PathBuf) -> Option<Self> {
        let id = file_id(&path)?;
        Some(Self { path, id })
    }
}

impl Drop for SocketFile {
    /// Removes the file, unless another server has created its own file at that path.
    fn drop(&mut self) {
        if file_id(&self.path) != Some(self.id) {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            let path = self.path.display();
            tracing::warn!(%error, %path, "cannot remove the file of the socket");
        }
    }
}

/// Device and inode. A file that is created anew has another inode.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_id(_path: &Path) -> Option<FileId> {
    None
}

/// Accepts until the listener has no more. A backlog is shorter than the bound, which is for
/// clients that go on connecting.
#[cfg(unix)]
fn ready<T>(mut accept: impl FnMut() -> io::Result<T>) -> Vec<T> {
    iter::from_fn(|| accept().ok()).take(4096).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// The runtime gets no opportunity to notice the connections.
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
