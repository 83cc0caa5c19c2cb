//! The services within an app and the layers around it.

use std::{panic::Location, sync::Arc};

use bytes::Bytes;
use http_body::Body as HttpBody;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    app::{
        builder::App,
        mount::{Mount, segments},
        router::Route,
        shared::Endpoint,
    },
    error::BoxError,
    message::body::Body,
    tower::boxed::BoxedService,
};

impl App {
    /// Adds a tower service for every path that is `prefix` or begins with `prefix/`, for all methods.
    ///
    /// The service sees the path without the prefix; one that redirects beneath it has to be told what it
    /// is, as tower-http's `ServeDir` by `redirect_path_prefix`. It registers tasks on the
    /// [`Background`](crate::background::Background) in the extensions of its requests; another app
    /// does so by itself, and its tasks are those of this app's runner.
    ///
    /// An error of the service, and a panic, is answered by 500, and logged; an
    /// [`HttpError`](crate::HttpError) by its status.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, route, testing::Client};
    ///
    /// #[route("/orders")]
    /// async fn orders(_req: &mut Request, res: &mut Response) {
    ///     res.text("none");
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let api = App::new().route(orders).into_service();
    /// let client = Client::new(App::new().mount("/api", api));
    /// assert_eq!(client.get("/api/orders").await.text(), "none");
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn mount<S, B>(mut self, prefix: &str, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let location = Location::caller();
        self.built = None;
        // The root has none.
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        };
        if prefix.contains('{') {
            self.faults.push(format!(
                "`{prefix}` at {location}: a service is mounted beneath a path without parameters"
            ));
            return self;
        }
        let endpoint: Arc<dyn Endpoint> = Arc::new(Mount(BoxedService::new(service)));
        let segments = segments(&prefix);
        let paths = [
            format!("{prefix}/"),
            format!("{prefix}/{{rest:path}}"),
            prefix,
        ];
        for path in paths.into_iter().filter(|path| !path.is_empty()) {
            self.routes.push(Route {
                path: path.into(),
                methods: Vec::new(),
                prefix: segments,
                name: "mounted service",
                endpoint: Arc::clone(&endpoint),
                location,
            });
        }
        self
    }

    /// Wraps the whole app, routing included, in a tower layer; the one that is added last is the
    /// outermost, and sees a request first.
    ///
    /// Whatever a layer does with a response, its tasks start when what the layers have made of it was
    /// sent. A layer that answers in the app's place, as a timeout does, drops the view's future: the
    /// view runs on without its client, within the [limits](crate::Limits::max_detached).
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, BoxedService, testing::Client};
    ///
    /// /// Adds a header to every request, for the app within.
    /// #[derive(Clone)]
    /// struct Tag<S>(S);
    ///
    /// impl<S: tower_service::Service<http::Request<bocadillo::Body>>>
    ///     tower_service::Service<http::Request<bocadillo::Body>> for Tag<S>
    /// {
    ///     type Response = S::Response;
    ///     type Error = S::Error;
    ///     type Future = S::Future;
    /// #   fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> { self.0.poll_ready(cx) }
    ///
    ///     fn call(&mut self, mut request: http::Request<bocadillo::Body>) -> S::Future {
    ///         request.headers_mut().insert("x-tag", http::HeaderValue::from_static("seen"));
    ///         self.0.call(request)
    ///     }
    /// }
    ///
    /// async fn index(req: &mut bocadillo::Request, res: &mut bocadillo::Response) {
    ///     res.text(req.header("x-tag").unwrap_or_default().to_owned());
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # fn layer_fn<S>(f: impl Fn(BoxedService) -> S + Clone) -> impl tower_layer::Layer<BoxedService, Service = S> + Clone { tower_layer::layer_fn(f) }
    /// let app = App::new().add("/", &["get"], index).layer(layer_fn(Tag));
    /// assert_eq!(Client::new(app).get("/").await.text(), "seen");
    /// # }
    /// ```
    #[must_use]
    #[doc(alias = "middleware")]
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<BoxedService> + Send + 'static,
        L::Service: Service<http::Request<Body>, Response = http::Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<http::Request<Body>>>::Future: Send,
        <L::Service as Service<http::Request<Body>>>::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.built = None;
        self.layers
            .push(Box::new(move |inner| BoxedService::new(layer.layer(inner))));
        self
    }
}
