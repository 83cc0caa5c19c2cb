//! Where connections come from.

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

/// Accepts connections.
///
/// # Examples
///
/// A listener whose connections are counted:
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
    /// lost, and after a pause where it may be out of file descriptors; that is logged once a minute.
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

    /// Returns the socket beneath a connection, if there is one.
    ///
    /// By it the server sets the connection's [keep-alive](crate::Limits::keep_alive), and sees sooner that
    /// a client has left behind bytes that nobody has read. Without it, which is the default, a peer that
    /// vanished from an HTTP/1 connection is not missed.
    fn socket(io: &Self::Io) -> Option<Socket<'_>> {
        let _ = io;
        None
    }

    /// Returns the file of the socket, if it has one: a Unix socket's. The server removes it when it
    /// accepts no more, so that the next one can listen there.
    ///
    /// A listener around another returns that of the other.
    fn socket_file(&self) -> Option<PathBuf> {
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

/// A listener whose socket's file is removed with it: however its server ends, but for a process that
/// is killed.
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

/// The file of a socket, as it was at the beginning.
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
    /// Removes the file, unless another server has put its own there meanwhile.
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

/// Device and number: a file that was removed and made again has another.
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
