//! TLS by rustls, over real sockets.
#![cfg(feature = "tls")]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use bocadillo::{App, Listener, Request, Response, Runner, background, route, sent::Delivery, tls};
use support::{Counting, http2_request, soon};
use tls::rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const LARGE: usize = 8 << 20;

struct Seen {
    delivery: Delivery,
    /// How much the kernel had taken when the task began.
    accepted: u64,
}

#[derive(Clone)]
struct Watch {
    accepted: Arc<AtomicU64>,
    seen: mpsc::UnboundedSender<Seen>,
}

#[route("/large")]
async fn large(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let watch = req.state::<Watch>()?.clone();
    res.bytes(vec![b'x'; LARGE]);
    #[background]
    async fn looks() {
        let delivery = background::current().delivery();
        let accepted = watch.accepted.load(SeqCst);
        let _ = watch.seen.send(Seen { delivery, accepted });
    }
    Ok(())
}

struct Server {
    addr: SocketAddr,
    connector: TlsConnector,
    accepted: Arc<AtomicU64>,
    seen: mpsc::UnboundedReceiver<Seen>,
}

async fn serve(protocols: &[&str]) -> Server {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let config = tls::Config::from_pem(&certificate, key).expect("they fit");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let accepted = Arc::new(AtomicU64::new(0));
    let listener = Counting::new(listener, Arc::clone(&accepted));
    let (tx, seen) = mpsc::unbounded_channel();
    let app = App::new()
        .route(large)
        .state(Watch {
            accepted: Arc::clone(&accepted),
            seen: tx,
        })
        .background(Runner::current());
    tokio::spawn(app.serve_with(tls::Listener::new(listener, config)));

    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    roots.add(certificate).expect("a root");
    let provider = Arc::new(tls::rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(config));
    Server {
        addr,
        connector,
        accepted,
        seen,
    }
}

impl Server {
    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.addr).await.expect("it accepts");
        let name = ServerName::try_from("localhost").expect("a name");
        let connecting = self.connector.connect(name, stream);
        soon("the handshake", connecting).await.expect("TLS")
    }

    async fn check(&mut self) {
        let seen = soon("the task", self.seen.recv())
            .await
            .expect("the server lives");
        assert_eq!(seen.delivery, Delivery::Sent);
        assert!(
            seen.accepted > LARGE as u64,
            "{} bytes: too early",
            seen.accepted
        );
        assert_eq!(
            seen.accepted,
            self.accepted.load(SeqCst),
            "some came after the task's start"
        );
    }
}

#[tokio::test]
async fn a_task_starts_when_the_last_encrypted_byte_is_accepted() {
    let mut server = serve(&["http/1.1"]).await;
    let mut stream = server.connect().await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..2 {
        stream
            .write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .expect("it reads");
        let mut left = LARGE;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon("the head", stream.read_u8()).await.expect("a byte"));
        }
        assert!(
            server.seen.try_recv().is_err(),
            "nothing was read of the body, and the task runs"
        );
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let bytes = soon("the body", stream.read(&mut buffer))
                .await
                .expect("bytes");
            assert!(bytes > 0, "it was cut off");
            left -= bytes;
        }
        server.check().await;
    }
}

#[tokio::test]
async fn http1_is_offered_in_both_versions() {
    for (offered, chosen) in [
        (&["http/1.0"][..], "http/1.0"),
        (&["http/1.0", "http/1.1"], "http/1.1"),
        (&["spdy/3", "http/1.0"], "http/1.0"),
    ] {
        let mut server = serve(offered).await;
        let mut stream = server.connect().await;
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, Some(chosen.as_bytes()), "{offered:?}");
        let request = b"GET /large HTTP/1.0\r\n\r\n";
        stream.write_all(request).await.expect("it reads");
        let mut all = Vec::new();
        soon("the response", stream.read_to_end(&mut all))
            .await
            .expect("it is whole");
        assert!(all.starts_with(b"HTTP/1.0 200 "), "{offered:?}");
        server.check().await;
    }
    let server = serve(&["spdy/3"]).await;
    let stream = TcpStream::connect(server.addr).await.expect("it accepts");
    let name = ServerName::try_from("localhost").expect("a name");
    let connecting = server.connector.connect(name, stream);
    let refused = soon("the alert", connecting).await;
    refused.expect_err("none of them is spoken here");
}

#[tokio::test]
async fn the_same_on_http2_by_alpn() {
    let mut server = serve(&["h2", "http/1.1"]).await;
    let stream = server.connect().await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(64 * 1024)
        .initial_connection_window_size(64 * 1024);
    let (mut send, connection) = builder
        .handshake::<_, bytes::Bytes>(stream)
        .await
        .expect("HTTP/2");
    let driver = tokio::spawn(async move { drop(connection.await) });
    let response = http2_request(&mut send, "GET", "/large").await;
    let mut body = soon("a response", response).await.expect("one").into_body();
    let mut length = 0;
    while let Some(data) = soon("the body", body.data()).await {
        let data = data.expect("it is whole");
        length += data.len();
        if length < LARGE {
            assert!(server.seen.try_recv().is_err(), "the task is early");
        }
        body.flow_control()
            .release_capacity(data.len())
            .expect("it was used");
    }
    assert_eq!(length, LARGE);
    let seen = soon("the task", server.seen.recv())
        .await
        .expect("the server lives");
    assert_eq!(seen.delivery, Delivery::Sent);
    driver.abort();
}

#[tokio::test]
async fn a_client_that_leaves_releases_the_task() {
    let mut server = serve(&["http/1.1"]).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("it reads");
    soon("the head", stream.read_u8()).await.expect("a byte");
    drop(stream);
    let seen = soon("the task", server.seen.recv())
        .await
        .expect("the server lives");
    assert!(
        matches!(seen.delivery, Delivery::Aborted { .. }),
        "{:?}",
        seen.delivery
    );
}

#[tokio::test]
async fn one_bad_handshake_is_in_nobodys_way() {
    let mut server = serve(&["http/1.1"]).await;
    // One that says nothing, one that speaks no TLS, and one that is gone at once.
    let _silent = TcpStream::connect(server.addr).await.expect("it accepts");
    let mut plain = TcpStream::connect(server.addr).await.expect("it accepts");
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("it reads");
    drop(TcpStream::connect(server.addr).await.expect("it accepts"));
    let mut rest = Vec::new();
    soon("the end", plain.read_to_end(&mut rest))
        .await
        .expect("it closes");
    assert!(!rest.starts_with(b"HTTP"), "it was answered without TLS");
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /large HTTP/1.0\r\n\r\n")
        .await
        .expect("it reads");
    let mut body = Vec::new();
    soon("the body", stream.read_to_end(&mut body))
        .await
        .expect("it is whole");
    assert!(body.len() > LARGE);
    soon("the task", server.seen.recv())
        .await
        .expect("the server lives");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let made = rcgen::generate_simple_self_signed(["a".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(["a".to_owned()]).expect("another");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    for (certificate, key, words) in [
        ("", key.as_str(), "the PEM has no certificate"),
        (
            certificate.as_str(),
            "",
            "cannot parse the private key as PEM",
        ),
        (
            certificate.as_str(),
            &other.signing_key.serialize_pem(),
            "do not fit",
        ),
    ] {
        let error = tls::Config::from_pem(certificate, key)
            .expect_err(words)
            .to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = tls::Config::from_pem_files("no-such.pem", "key.pem")
        .expect_err("none")
        .to_string();
    assert!(error.contains("`no-such.pem`"), "{error}");
}

/// A listener of TLS is one like any other.
#[test]
fn it_is_a_listener() {
    fn listener<L: Listener>() {}
    listener::<tls::Listener<TcpListener>>();
}
