//! The test client.

use std::{any::Any, fmt, future::poll_fn, mem, pin::Pin, sync::Arc};

use bytes::Bytes;
#[cfg(feature = "durable")]
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{runtime::Handle, sync::Mutex};
use tower_service::Service;

use super::Tasks;
#[cfg(feature = "durable")]
use crate::background::Refused;
use crate::{
    app::builder::App,
    background::{Background, Group, Meta, Runner, TestDoor, collecting, is_failure},
    error::BoxError,
    guard::catch,
    message::body::Body,
    sent::Delivery,
};

type Answer = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

/// Calls a service as a client would.
///
/// The tasks of an [`App`] belong to the app's own runner, with its limits, reports and numbers.
/// They run on the test's runtime, whatever the runner says, so that a test may pause the time. For
/// any other service the client creates a runner with the default settings.
#[derive(Clone)]
pub struct Client {
    call: Arc<dyn Fn(http::Request<Body>) -> Answer + Send + Sync>,
    runner: Runner,
}

impl Client {
    /// Creates a client of an [`App`] or of any tower service.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let app = (&service as &dyn Any).downcast_ref::<App>();
        let runner = match app {
            Some(app) => app.runner().clone(),
            None => Runner::current().build(),
        };
        Self::build(service, runner, Place::Here)
    }

    /// Creates a client whose tasks belong to this runner and run on the runner's own runtime: for
    /// tests of a service with limits, or with threads of its own.
    pub fn with_runner<S, B>(service: S, runner: impl Into<Runner>) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self::build(service, runner.into(), Place::Runner)
    }

    fn build<S, B>(service: S, runner: Runner, place: Place) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let is_app = (&service as &dyn Any).is::<App>();
        let service = Arc::new(Mutex::new(service));
        let runs = runner.clone();
        let call = move |mut request: http::Request<Body>| -> Answer {
            let group = Arc::new(Group::default());
            let door = Door {
                background: Background::with_group(Arc::clone(&group)),
                runner: runs.clone(),
                place,
                group,
                is_released: false,
            };
            let extensions = request.extensions_mut();
            if is_app {
                extensions.insert(TestDoor(door.background.clone()));
            } else {
                extensions.insert(door.background.clone());
            }
            Box::pin(call(Arc::clone(&service), door, request))
        };
        Self {
            call: Arc::new(call),
            runner,
        }
    }

    /// Begins a GET.
    pub fn get(&self, uri: &str) -> RequestBuilder {
        self.request(Method::GET, uri)
    }

    /// Begins a POST.
    pub fn post(&self, uri: &str) -> RequestBuilder {
        self.request(Method::POST, uri)
    }

    /// Begins a request with any method.
    pub fn request(&self, method: Method, uri: &str) -> RequestBuilder {
        let builder = http::Request::builder().method(method).uri(uri);
        RequestBuilder {
            client: self.clone(),
            builder,
            body: Body::empty(),
        }
    }

    /// Returns the runner that runs the tasks of this client's responses.
    #[must_use]
    pub fn runner(&self) -> &Runner {
        &self.runner
    }
}

/// Where tasks run.
#[derive(Clone, Copy)]
enum Place {
    /// On the runtime of the test.
    Here,
    /// On the runtime that the runner chooses.
    Runner,
}

async fn call<S, B>(
    service: Arc<Mutex<S>>,
    mut door: Door,
    request: http::Request<Body>,
) -> TestResponse
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    let is_head = request.method() == Method::HEAD;
    // The lock stays until the call: a service that is ready is ready for one caller.
    let mut ready = service.lock().await;
    if let Err(error) = poll_fn(|cx| ready.poll_ready(cx).map_err(Into::<BoxError>::into)).await {
        panic!("the service is not ready: {error}");
    }
    let calling = ready.call(request);
    drop(ready);
    let register = |task| door.background.add_background(task);
    let answered = collecting(catch(calling), register).await;
    let answered = answered.map(|answered| answered.map_err(Into::<BoxError>::into));
    let (head, body) = match answered {
        #[cfg(feature = "durable")]
        Ok(Ok(response)) => match door.commit(response.status()).await {
            Some(refused) => return door.refuse(refused),
            None => response.into_parts(),
        },
        #[cfg(not(feature = "durable"))]
        Ok(Ok(response)) => response.into_parts(),
        Ok(Err(error)) => panic!("the service failed: {error}"),
        Err(panic) => panic!("{panic}"),
    };
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(Into::into);
    // A server leaves out the content of a HEAD.
    let body = body.map(|body| if is_head { Bytes::new() } else { body });
    let delivery = match &body {
        Ok(_) => Delivery::Sent,
        Err(_) => Delivery::Aborted { bytes: 0 },
    };
    door.release(Some(head.status), delivery);
    let group = Arc::clone(&door.group);
    TestResponse { head, body, group }
}

/// Starts the registered tasks, also if the request's future is dropped.
struct Door {
    background: Background,
    runner: Runner,
    place: Place,
    group: Arc<Group>,
    is_released: bool,
}

impl Door {
    /// Commits durable tasks, as a server does.
    #[cfg(feature = "durable")]
    async fn commit(&self, status: StatusCode) -> Option<Refused> {
        self.background
            .commit(&self.runner, is_failure(status))?
            .await
    }

    /// Answers in place of the service.
    #[cfg(feature = "durable")]
    fn refuse(mut self, refused: Refused) -> TestResponse {
        let mut response = http::Response::new(());
        *response.status_mut() = refused.error().status();
        if let Some(time) = refused.retry_after() {
            let time = HeaderValue::from_static(time);
            response.headers_mut().insert(RETRY_AFTER, time);
        }
        let (head, ()) = response.into_parts();
        self.release(Some(head.status), Delivery::Sent);
        let (body, group) = (Ok(Bytes::new()), Arc::clone(&self.group));
        TestResponse { head, body, group }
    }

    fn release(&mut self, status: Option<StatusCode>, delivery: Delivery) {
        if mem::replace(&mut self.is_released, true) {
            return;
        }
        let mut tasks = self.background.close(&self.runner);
        let has_failed = status.is_none_or(is_failure);
        if has_failed && !tasks.is_empty() {
            tasks.view_failed();
        }
        let fill = |meta: &mut Meta| {
            self.background.describe(meta);
            meta.status = status;
            meta.has_failed = has_failed;
            if let (Place::Here, Ok(runtime)) = (self.place, Handle::try_current()) {
                meta.pool = Some(self.runner.pool_of(runtime));
            }
        };
        self.runner.accept(&mut tasks, fill).done(delivery);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.release(None, Delivery::Aborted { bytes: 0 });
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A request. It is sent when it is awaited.
#[must_use = "a request does nothing until it is awaited"]
#[derive(Debug)]
pub struct RequestBuilder {
    client: Client,
    builder: http::request::Builder,
    body: Body,
}

impl RequestBuilder {
    /// Adds a header.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets this value, as JSON, as the body.
    ///
    /// # Panics
    ///
    /// Panics if the value cannot become JSON.
    #[track_caller]
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        let json = serde_json::to_vec(value).expect("the value becomes JSON");
        self.header(CONTENT_TYPE, "application/json").body(json)
    }
}

impl IntoFuture for RequestBuilder {
    type Output = TestResponse;
    type IntoFuture = Answer;

    /// # Panics
    ///
    /// Panics if the request is invalid, or if the service returns an error.
    #[track_caller]
    fn into_future(self) -> Answer {
        let request = self.builder.body(self.body).expect("a valid request");
        (self.client.call)(request)
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub struct TestResponse {
    head: http::response::Parts,
    body: Result<Bytes, BoxError>,
    group: Arc<Group>,
}

impl TestResponse {
    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Returns the body.
    ///
    /// # Errors
    ///
    /// Returns the error that has cut the body off.
    pub fn body(&self) -> Result<&Bytes, &BoxError> {
        self.body.as_ref()
    }

    /// Returns the body as text.
    ///
    /// # Panics
    ///
    /// Panics if the body was cut off or is not UTF-8.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        let bytes = self.body().expect("the body was not cut off");
        std::str::from_utf8(bytes).expect("the body is UTF-8")
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    ///
    /// Panics if the body was cut off or does not parse.
    #[must_use]
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let bytes = self.body().expect("the body was not cut off");
        serde_json::from_slice(bytes).expect("the body is JSON of this shape")
    }

    /// Returns the tasks of this response and their follow-ups. Awaiting them waits for their ends.
    #[track_caller]
    pub fn tasks(&self) -> Tasks {
        Tasks::new(Arc::clone(&self.group))
    }
}
