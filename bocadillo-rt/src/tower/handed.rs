//! One request in a server that is not ours. Its tasks start when that server drops the response's
//! body.

use http_body::Body as HttpBody;
use tower_service::Service;

#[cfg(feature = "durable")]
use crate::tower::commit::refused_by;
use crate::{
    background::{Background, Runner, collecting, is_failure},
    guard::{catch, log},
    sent::{Delivery, Handed},
    server::detach::is_detached,
    tower::{
        answer::{OrEmpty, held_back, panicked},
        grpc,
        registered::Registered,
    },
};

/// Calls a service that is ready, with a [`Background`] in the extensions of the request.
pub(crate) async fn answer<S, ReqB, B>(
    mut service: S,
    mut request: http::Request<ReqB>,
    runner: Runner,
) -> Result<http::Response<Handed<OrEmpty<B>>>, S::Error>
where
    S: Service<http::Request<ReqB>, Response = http::Response<B>>,
    B: HttpBody,
{
    if runner.holds_back() {
        return Ok(held_back().map(Handed::plain));
    }
    runner.adopt_current();
    let background = Background::default();
    request.extensions_mut().insert(background.clone());
    let is_grpc = grpc::is_grpc(request.headers());
    let method = request.method().clone();
    let registered = Registered { background, runner };
    let handler = catch(async move { service.call(request).await });
    let register = |task| registered.background.add_background(task);
    let response = match collecting(handler, register).await {
        Ok(answered) => answered?.map(|body| OrEmpty::Body { body }),
        Err(panic) => {
            log(|| tracing::error!(panic, "service panicked"));
            panicked(is_grpc)
        }
    };
    let has_failed = |response: &http::Response<_>| {
        is_failure(response.status()) || is_grpc && grpc::has_failed(response.headers())
    };
    #[cfg(feature = "durable")]
    let response = match registered.commit(has_failed(&response)) {
        None => response,
        Some(commit) => match commit.await {
            None => response,
            Some(refused) => refused_by(refused),
        },
    };
    let (status, has_failed) = (response.status(), has_failed(&response));
    let Some(on_done) = registered.accept(Some(status), has_failed) else {
        return Ok(response.map(Handed::plain));
    };
    if is_detached() {
        // The client has left, so nothing is sent.
        on_done.done(Delivery::Aborted { bytes: 0 });
        return Ok(response.map(Handed::plain));
    }
    let (head, body) = response.into_parts();
    let body = Handed::tracked(body, &method, status, &head.headers, on_done);
    Ok(http::Response::from_parts(head, body))
}
