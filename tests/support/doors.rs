//! The same app behind each kind of connection.

use std::{net::SocketAddr, sync::Arc};

use bocadillo::App;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use super::Counting;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A TCP socket.
    Tcp,
    /// One that the server cannot see: a stream of bytes within a type of the user's.
    Hidden,
    /// TLS on a TCP socket.
    #[cfg(feature = "tls")]
    Tls,
}

pub const KINDS: &[Kind] = &[
    Kind::Tcp,
    Kind::Hidden,
    #[cfg(feature = "tls")]
    Kind::Tls,
];

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where an app is served.
pub struct Door {
    pub addr: SocketAddr,
    #[cfg(feature = "tls")]
    connector: Option<tokio_rustls::TlsConnector>,
}

impl Door {
    /// Of TCP, where somebody else serves.
    pub fn at(addr: SocketAddr) -> Self {
        Self {
            addr,
            #[cfg(feature = "tls")]
            connector: None,
        }
    }

    pub async fn open(app: App, kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        match kind {
            Kind::Tcp => {
                tokio::spawn(app.serve_with(listener));
                Self::at(addr)
            }
            Kind::Hidden => {
                tokio::spawn(app.serve_with(Counting::new(listener, Arc::default())));
                Self::at(addr)
            }
            #[cfg(feature = "tls")]
            Kind::Tls => {
                let (config, connector) = secure::certificate();
                tokio::spawn(app.serve_with(bocadillo::tls::Listener::new(listener, config)));
                let connector = Some(connector);
                Self { addr, connector }
            }
        }
    }

    pub async fn dial(&self) -> Box<dyn Stream> {
        let stream = TcpStream::connect(self.addr).await.expect("it accepts");
        #[cfg(feature = "tls")]
        if let Some(connector) = &self.connector {
            return Box::new(secure::connect(connector, stream).await);
        }
        Box::new(stream)
    }
}

#[cfg(feature = "tls")]
mod secure {
    use std::sync::Arc;

    use bocadillo::tls;
    use tls::rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    };
    use tokio::net::TcpStream;
    use tokio_rustls::{TlsConnector, client::TlsStream};

    use super::super::soon;

    pub fn certificate() -> (tls::Config, TlsConnector) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let config = tls::Config::from_pem(&certificate, key).expect("they fit");
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
        roots.add(certificate).expect("a root");
        let provider = Arc::new(tls::rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        (config, TlsConnector::from(Arc::new(client)))
    }

    pub async fn connect(connector: &TlsConnector, stream: TcpStream) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("localhost").expect("a name");
        let connecting = connector.connect(name, stream);
        soon("the handshake", connecting).await.expect("TLS")
    }
}
