//! TLS connections, by rustls.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    task::{JoinError, JoinSet},
    time::timeout,
};
pub use tokio_rustls::rustls;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
    server::TlsStream,
};

use crate::{
    error::{Error, Result},
    server::{listener, socket::Socket},
};

/// The protocols that ALPN offers, in the order of preference. HTTP/1.0 is among them, as in nginx,
/// because it is served.
///
/// A client that offers protocols, but none of these, is refused (RFC 7301).
const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", b"http/1.0"];

/// The longest time for a handshake. nginx grants as much for the headers of a request.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of concurrent handshakes. Further connections wait to be accepted.
const MAX_HANDSHAKES: usize = 4096;

/// The certificate and the private key of a server.
#[derive(Clone)]
pub struct Config(Arc<ServerConfig>);

impl Config {
    /// Reads a chain of certificates, which begins with the server's own, and its private key.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file and the reason.
    pub fn from_pem_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|error| Error::msg(format!("cannot read `{}`: {error}", path.display())))
        };
        Self::from_pem(read(certificates.as_ref())?, read(key.as_ref())?)
    }

    /// Does the same as [`from_pem_files`](Self::from_pem_files) with the contents of the files.
    ///
    /// # Errors
    ///
    /// Returns an error with the reason.
    pub fn from_pem(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self> {
        let wrong = |what: &str, error: &dyn fmt::Display| Error::msg(format!("{what}: {error}"));
        let chain = CertificateDer::pem_slice_iter(certificates.as_ref())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong("cannot parse the certificates as PEM", &error))?;
        if chain.is_empty() {
            return Err(Error::msg("the PEM has no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_ref())
            .map_err(|error| wrong("cannot parse the private key as PEM", &error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| wrong("the certificates and the key do not fit", &error))?;
        Ok(config.into())
    }
}

/// Any configuration of rustls. If it names no protocols, HTTP/2, HTTP/1.1 and HTTP/1.0 are added.
impl From<ServerConfig> for Config {
    fn from(mut config: ServerConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        }
        Self(Arc::new(config))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

type Shaken<Io> = io::Result<(TlsStream<Io>, Option<SocketAddr>)>;

/// A listener for TLS connections.
pub struct Listener<L: listener::Listener> {
    listener: L,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Shaken<L::Io>>,
}

impl<L: listener::Listener> Listener<L> {
    /// Creates a listener that makes each connection of `listener` a TLS connection.
    pub fn new(listener: L, config: impl Into<Config>) -> Self {
        Self {
            listener,
            acceptor: TlsAcceptor::from(config.into().0),
            handshakes: JoinSet::new(),
        }
    }

    fn shake(&mut self, io: L::Io, addr: Option<SocketAddr>) {
        let accepting = self.acceptor.accept(io);
        self.handshakes.spawn(async move {
            match timeout(HANDSHAKE_TIMEOUT, accepting).await {
                Ok(accepted) => Ok((accepted?, addr)),
                Err(elapsed) => Err(elapsed.into()),
            }
        });
    }
}

impl<L: listener::Listener> listener::Listener for Listener<L> {
    type Io = TlsStream<L::Io>;

    async fn accept(&mut self) -> Shaken<L::Io> {
        loop {
            let has_room = self.handshakes.len() < MAX_HANDSHAKES;
            tokio::select! {
                Some(shaken) = self.handshakes.join_next() => match flatten(shaken) {
                    Ok(accepted) => return Ok(accepted),
                    // Other clients need not wait because of the mistake of one.
                    Err(error) => tracing::debug!(%error, "TLS handshake failed"),
                },
                accepted = self.listener.accept(), if has_room => {
                    let (io, addr) = accepted?;
                    self.shake(io, addr);
                }
            }
        }
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr()
    }

    fn socket(io: &Self::Io) -> Option<Socket<'_>> {
        L::socket(io.get_ref().0)
    }

    fn socket_file(&self) -> Option<PathBuf> {
        self.listener.socket_file()
    }
}

fn flatten<Io>(shaken: Result<Shaken<Io>, JoinError>) -> Shaken<Io> {
    shaken.unwrap_or_else(|error| Err(io::Error::other(error)))
}

impl<L: listener::Listener + fmt::Debug> fmt::Debug for Listener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}
