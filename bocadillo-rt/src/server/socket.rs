//! The socket beneath a connection.

use std::{
    fmt, io,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{Interest, Ready},
    net::TcpStream,
};

use crate::sent::Closed;

/// How many probes are sent while the client may still answer.
const PROBES: u32 = 4;

/// The socket beneath a connection. It tells what a stream of bytes cannot. It is created from a
/// reference to a stream of tokio.
///
/// # Examples
///
/// ```
/// use bocadillo::Socket;
///
/// fn socket(stream: &tokio::net::TcpStream) -> Option<Socket<'_>> {
///     Some(Socket::from(stream))
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Socket<'a>(Kind<'a>);

#[derive(Clone, Copy)]
enum Kind<'a> {
    Tcp(&'a TcpStream),
    #[cfg(unix)]
    Unix(&'a tokio::net::UnixStream),
}

impl<'a> From<&'a TcpStream> for Socket<'a> {
    fn from(stream: &'a TcpStream) -> Self {
        Self(Kind::Tcp(stream))
    }
}

#[cfg(unix)]
impl<'a> From<&'a tokio::net::UnixStream> for Socket<'a> {
    fn from(stream: &'a tokio::net::UnixStream) -> Self {
        Self(Kind::Unix(stream))
    }
}

impl Socket<'_> {
    /// Lets the kernel probe the client after this silence, and end the connection if no answer
    /// comes in time.
    pub(crate) fn set_keep_alive(self, (silence, answer): (Duration, Duration)) -> io::Result<()> {
        match self.0 {
            Kind::Tcp(stream) => {
                SockRef::from(stream).set_tcp_keepalive(&keep_alive(silence, answer))
            }
            // The peer runs on this machine, so the kernel knows when it is gone.
            #[cfg(unix)]
            Kind::Unix(_) => Ok(()),
        }
    }

    /// Returns which directions the client has closed, even behind bytes that nobody has read.
    pub(crate) fn closed(self) -> Closed {
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = match self.0 {
            Kind::Tcp(stream) => now(stream.ready(both)),
            #[cfg(unix)]
            Kind::Unix(stream) => now(stream.ready(both)),
        };
        match ready {
            Some(ready) if ready.is_write_closed() => Closed::Both,
            Some(ready) if ready.is_read_closed() => Closed::Sending,
            _ => Closed::Nothing,
        }
    }
}

/// Returns the readiness that is known without waiting.
fn now(ready: impl Future<Output = io::Result<Ready>>) -> Option<Ready> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(ready).poll(&mut cx) {
        Poll::Ready(ready) => ready.ok(),
        Poll::Pending => None,
    }
}

fn keep_alive(silence: Duration, answer: Duration) -> TcpKeepalive {
    let keep_alive = TcpKeepalive::new().with_time(silence);
    // On other systems the defaults of the system apply.
    #[cfg(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "windows",
    ))]
    let keep_alive = {
        let interval = (answer / PROBES).max(Duration::from_secs(1));
        keep_alive.with_interval(interval).with_retries(PROBES)
    };
    #[cfg(not(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "windows",
    )))]
    let _ = answer;
    keep_alive
}

impl fmt::Debug for Socket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_asked_for_by_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let stream = TcpStream::connect(addr).await.expect("it accepts");
        let second = Duration::from_secs(1);
        let set = Socket::from(&stream).set_keep_alive((60 * second, 20 * second));
        set.expect("the system has it");
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().expect("it tells"));
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().expect("it tells"), 60 * second);
            assert_eq!(
                socket.tcp_keepalive_interval().expect("it tells"),
                5 * second
            );
            assert_eq!(socket.tcp_keepalive_retries().expect("it tells"), 4);
        }
    }
}
