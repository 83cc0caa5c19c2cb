//! `Send`, `Sync` and `Clone` of public types.

use bocadillo::{
    App, Body, Error, HttpError, Limits, Request, Response, Runner, Socket, Task,
    background::{Background, Context, Report, Stats},
    sent::{Connection, Delivery, SentBody, Streams, TrackedIo, Watch},
    testing::{Client, TestResponse},
};

fn send<T: Send>() {}
fn send_sync<T: Send + Sync>() {}
fn clone<T: Clone>() {}

#[test]
fn sent_to_other_threads() {
    send::<App>();
    send::<Response>();
    send::<Task>();
    send::<SentBody<Body>>();
    send::<TrackedIo<tokio::net::TcpStream>>();
    send::<TestResponse>();
    send_sync::<Error>();
    send_sync::<HttpError>();
    send_sync::<Limits>();
    send_sync::<Socket<'_>>();
    send_sync::<Body>();
    send_sync::<Request>();
    send_sync::<Runner>();
    send_sync::<Background>();
    send_sync::<Context>();
    send_sync::<Report>();
    send_sync::<Stats>();
    send_sync::<Connection>();
    send_sync::<Delivery>();
    send_sync::<Streams>();
    send_sync::<Watch>();
    send_sync::<Client>();
    #[cfg(feature = "multipart")]
    send_sync::<bocadillo::FormData>();
    #[cfg(feature = "multipart")]
    send_sync::<bocadillo::FormFile>();
}

#[test]
fn handles_are_cloned() {
    clone::<HttpError>();
    clone::<Limits>();
    clone::<Socket<'_>>();
    clone::<Runner>();
    clone::<Background>();
    clone::<Context>();
    clone::<Report>();
    clone::<Connection>();
    clone::<Streams>();
    clone::<Watch>();
    clone::<Client>();
}
