//! The same app behind each kind of connection.

use std::{net::SocketAddr, sync::Arc};

use bocadillo::{App, tls};
use tls::rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;

use super::{Counting, soon};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A TCP socket.
    Tcp,
    /// One that the server cannot see: a stream of bytes within a type of the user's.
    Hidden,
    /// TLS on a TCP socket.
    Tls,
}

pub const KINDS: [Kind; 3] = [Kind::Tcp, Kind::Hidden, Kind::Tls];

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where an app is served.
pub struct Door {
    pub addr: SocketAddr,
    connector: Option<TlsConnector>,
}

impl Door {
    /// Of TCP, where somebody else serves.
    pub fn at(addr: SocketAddr) -> Self {
        let connector = None;
        Self { addr, connector }
    }

    pub async fn open(app: App, kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let mut connector = None;
        match kind {
            Kind::Tcp => drop(tokio::spawn(app.serve_with(listener))),
            Kind::Hidden => {
                let listener = Counting::new(listener, Arc::default());
                drop(tokio::spawn(app.serve_with(listener)));
            }
            Kind::Tls => {
                let (config, client) = certificate();
                connector = Some(client);
                drop(tokio::spawn(
                    app.serve_with(tls::Listener::new(listener, config)),
                ));
            }
        }
        Self { addr, connector }
    }

    pub async fn dial(&self) -> Box<dyn Stream> {
        let stream = TcpStream::connect(self.addr).await.expect("it accepts");
        let Some(connector) = &self.connector else {
            return Box::new(stream);
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let connecting = connector.connect(name, stream);
        Box::new(soon("the handshake", connecting).await.expect("TLS"))
    }
}

fn certificate() -> (tls::Config, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
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
