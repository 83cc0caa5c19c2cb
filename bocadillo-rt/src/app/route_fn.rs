//! Functions with `#[route]`, and how an exchange calls views.

use std::{
    fmt,
    marker::PhantomData,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    app::view::{View, ViewOutcome},
    error::{Error, Result},
    guard::guarded,
    message::{params::FromParam, request::Request, response::Response},
};

/// The arguments of a `#[route]` attribute. Implemented by the attribute.
pub trait RouteMeta: Send + Sync + 'static {
    /// The pattern of the path.
    const PATH: &'static str;
    /// The methods, in upper case.
    const METHODS: &'static [&'static str];
    /// The names of the path parameters, in the order of the view's arguments.
    const PARAMS: &'static [&'static str];
    /// The name of the view.
    const NAME: &'static str;

    /// Returns the place of the view in the source.
    fn location() -> &'static Location<'static>;
}

pin_project! {
    /// A running view that knows its route. A function with `#[route]` returns it.
    ///
    /// A unit test awaits it like any other future.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Routed<M, F> {
        #[pin]
        view: F,
        meta: PhantomData<fn() -> M>,
    }
}

impl<M, F> Routed<M, F> {
    #[doc(hidden)]
    pub fn new(view: F) -> Self {
        Self {
            view,
            meta: PhantomData,
        }
    }
}

impl<M, F: Future> Future for Routed<M, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().view.poll(cx)
    }
}

impl<M, F> fmt::Debug for Routed<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routed").finish_non_exhaustive()
    }
}

/// A function with `#[route]`. `Args` are the types of its path parameters.
#[diagnostic::on_unimplemented(
    message = "expected a function with `#[route(…)]`",
    label = "this function has no route, or an error of its own",
    note = "for a function without a route, use `App::add(path, methods, view)`"
)]
pub trait RouteFn<'a, Args>: Clone + Send + Sync + 'static {
    /// The arguments of its attribute.
    type Meta: RouteMeta;
    /// The running view.
    type Running: Future<Output: ViewOutcome> + Send + 'a;

    /// Converts the path parameters and calls the view.
    ///
    /// # Errors
    ///
    /// Returns a 400 if a parameter does not convert.
    fn call(self, req: &'a mut Request, res: &'a mut Response) -> Result<Self::Running>;
}

macro_rules! route_fns {
    ($($arg:ident $at:tt)*) => {
        impl<'a, F, M, V, $($arg),*> RouteFn<'a, ($($arg,)*)> for F
        where
            F: Fn(&'a mut Request, &'a mut Response, $($arg),*) -> Routed<M, V>
                + Clone + Send + Sync + 'static,
            M: RouteMeta,
            V: Future<Output: ViewOutcome> + Send + 'a,
            $($arg: FromParam,)*
        {
            type Meta = M;
            type Running = Routed<M, V>;

            #[allow(non_snake_case, reason = "the types name the values")]
            fn call(self, req: &'a mut Request, res: &'a mut Response) -> Result<Routed<M, V>> {
                $(let $arg = param::<$arg>(req, M::PARAMS[$at])?;)*
                Ok(self(req, res, $($arg),*))
            }
        }
    };
}

/// Converts a path parameter. A user's own type may panic on what the client has sent.
fn param<T: FromParam>(req: &Request, name: &str) -> Result<T> {
    guarded(|| req.param(name)).unwrap_or_else(|panic| {
        Err(Error::msg(format!(
            "path parameter `{name}` panicked: {panic}"
        )))
    })
}

route_fns!();
route_fns!(A 0);
route_fns!(A 0 B 1);
route_fns!(A 0 B 1 C 2);
route_fns!(A 0 B 1 C 2 D 3);
route_fns!(A 0 B 1 C 2 D 3 E 4);
route_fns!(A 0 B 1 C 2 D 3 E 4 G 5);

/// A view as an exchange calls it: with a route of its own, or without.
pub(crate) trait Runs<'a>: Send + 'static {
    type Running: Future<Output = Result<()>> + Send + 'a;

    fn run(self, req: &'a mut Request, res: &'a mut Response) -> Self::Running;
}

/// A view that was given to `App::add`.
pub(crate) struct Plain<V>(pub(crate) V);

impl<'a, V: View<'a>> Runs<'a> for Plain<V> {
    type Running = RunView<V::Running>;

    fn run(self, req: &'a mut Request, res: &'a mut Response) -> Self::Running {
        // The function need not be `async`, so it may panic before it returns a future.
        match guarded(|| self.0.call(req, res)) {
            Ok(view) => RunView::Running { view },
            Err(panic) => RunView::Refused {
                error: Some(Error::msg(format!("panicked: {panic}"))),
            },
        }
    }
}

/// A view with `#[route]`.
pub(crate) struct WithRoute<V, Args>(V, PhantomData<fn() -> Args>);

impl<V, Args> WithRoute<V, Args> {
    pub(crate) fn new(view: V) -> Self {
        Self(view, PhantomData)
    }
}

impl<'a, Args: 'static, V: RouteFn<'a, Args>> Runs<'a> for WithRoute<V, Args> {
    type Running = RunView<V::Running>;

    fn run(self, req: &'a mut Request, res: &'a mut Response) -> Self::Running {
        match self.0.call(req, res) {
            Ok(view) => RunView::Running { view },
            Err(error) => RunView::Refused { error: Some(error) },
        }
    }
}

pin_project! {
    /// A running view, or the error because of which it was not called. It is no `async` block,
    /// because that would hold the view twice.
    #[project = RunViewProj]
    pub(crate) enum RunView<F> {
        Running { #[pin] view: F },
        Refused { error: Option<Error> },
    }
}

impl<F: Future<Output: ViewOutcome>> Future for RunView<F> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.project() {
            RunViewProj::Running { view } => view.poll(cx).map(ViewOutcome::into_result),
            RunViewProj::Refused { error } => Poll::Ready(error.take().map_or(Ok(()), Err)),
        }
    }
}
