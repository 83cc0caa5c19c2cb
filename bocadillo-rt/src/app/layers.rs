//! `App::mount` and `App::layer`: services within an app, and layers around it.

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
    /// Mounts a tower service: it answers every path that is `prefix` or begins with `prefix/`, for
    /// all methods.
    ///
    /// The service sees the path without the prefix. A service that redirects must know the prefix:
    /// tower-http's `ServeDir` takes it by `redirect_path_prefix`. The service registers tasks on
    /// the [`Background`](crate::background::Background) in the extensions of its requests. Another
    /// app does that by itself, and its tasks belong to the runner of this app.
    ///
    /// An error of the service, and a panic, is logged and answered by a 500. An
    /// [`HttpError`](crate::HttpError) is answered by its status.
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
        // The root has no prefix.
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        };
        if prefix.contains('{') {
            self.faults.push(format!(
                "the mount `{prefix}` at {location} has parameters; use a prefix without parameters"
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

    /// Wraps the whole app, including its routing, in a tower layer. The layer that is added last
    /// is the outermost one and sees a request first.
    ///
    /// Tasks start when the response that the layers return has been sent. A layer that answers in
    /// place of the app, as a timeout does, drops the view's future. The view then runs on without
    /// its client, within the [limits](crate::Limits::max_detached).
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
