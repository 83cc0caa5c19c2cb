//! A service that makes services, as `router.into_make_service()` is one.

use std::{convert::Infallible, future::Ready, task::{Context, Poll}};

struct MakeService;

impl<T> tower_service::Service<T> for MakeService {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _target: T) -> Self::Future {
        std::future::ready(Ok(()))
    }
}

async fn serve(listener: tokio::net::TcpListener) {
    let _ = bocadillo::serve(listener, MakeService);
}

fn main() {
    let _ = serve;
}
