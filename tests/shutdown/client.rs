//! A client on a thread of its own, so that a test may block.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::timeout,
};

use crate::support::PATIENCE;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A connection with one request on it.
pub(crate) struct Asked {
    runtime: Runtime,
    response: JoinHandle<http::Response<Incoming>>,
    connection: JoinHandle<()>,
}

impl Asked {
    pub(crate) fn new(protocol: Protocol, addr: SocketAddr, path: &str) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let uri = format!("http://{addr}{path}");
        let request = http::Request::get(uri)
            .header("host", "a")
            .body(Empty::<Bytes>::new());
        let request = request.expect("a request");
        let (response, connection) = runtime.block_on(async {
            let io = TokioIo::new(TcpStream::connect(addr).await.expect("the server accepts"));
            match protocol {
                Protocol::Http1 => {
                    let (mut send, connection) = http1::handshake(io).await.expect("HTTP/1");
                    let connection = tokio::spawn(async { drop(connection.await) });
                    let response = tokio::spawn(async move {
                        send.send_request(request).await.expect("a response")
                    });
                    (response, connection)
                }
                Protocol::Http2 => {
                    let (mut send, connection) = http2::handshake(TokioExecutor::new(), io)
                        .await
                        .expect("HTTP/2");
                    let connection = tokio::spawn(async { drop(connection.await) });
                    let response = tokio::spawn(async move {
                        let response = send.send_request(request).await.expect("a response");
                        // The connection lives as long as somebody could send on it.
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_secs(3600)).await;
                            drop(send);
                        });
                        response
                    });
                    (response, connection)
                }
            }
        });
        Self {
            runtime,
            response,
            connection,
        }
    }

    /// Waits for the response's head, and reads no further than the protocol makes it.
    pub(crate) fn head(&mut self) -> http::Response<Incoming> {
        let response = &mut self.response;
        let response = async { timeout(PATIENCE, response).await };
        let response = self.runtime.block_on(response);
        response.expect("a response in time").expect("no panic")
    }

    /// Waits for the whole response, and for the end of the connection; returns the body.
    pub(crate) fn rest(mut self) -> String {
        let response = self.head();
        assert_eq!(response.status(), 200);
        let connection = self.connection;
        self.runtime.block_on(async {
            let body = timeout(PATIENCE, response.into_body().collect()).await;
            let body = body.expect("a body in time").expect("a whole body");
            let closed = timeout(PATIENCE, connection).await;
            closed.expect("the server closes").expect("no panic");
            String::from_utf8_lossy(&body.to_bytes()).into_owned()
        })
    }
}
