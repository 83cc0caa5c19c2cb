//! Which view answers.

use std::{
    any::TypeId,
    borrow::Cow,
    fmt::{self, Display},
    ops::Range,
    panic::Location,
    str::FromStr,
    sync::Arc,
};

use http::{Method, request::Parts};

use crate::{exchange::Running, host::Host, mount::Layered, request::Source, sent::Busy};

/// Which route answers: its place in the router's list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteId(usize);

impl RouteId {
    pub(crate) const NONE: Self = Self(usize::MAX);
}

/// Answers a request.
pub(crate) trait Endpoint: Send + Sync {
    /// The request comes in two parts: the larger it is, the longer it takes to move.
    fn serve(
        &self,
        head: Parts,
        body: Source,
        params: Params,
        route: RouteId,
        host: Host,
        busy: Option<Busy>,
    ) -> Running;

    /// It is in a group whose prefix has so many segments.
    fn nest(&mut self, _segments: usize) {}
}

/// One registration on an app.
pub(crate) struct Route {
    pub(crate) path: Arc<str>,
    /// Empty for all.
    pub(crate) methods: Vec<Method>,
    /// The view's.
    pub(crate) name: &'static str,
    pub(crate) endpoint: Box<dyn Endpoint>,
    pub(crate) location: &'static Location<'static>,
}

/// All views at one path.
struct Views {
    path: Arc<str>,
    names: Arc<[String]>,
    by_method: Vec<(Method, usize)>,
    /// Whatever the method.
    any: Option<usize>,
    allow: String,
}

/// The table of routes.
#[derive(Default)]
pub(crate) struct Router {
    routes: Vec<Route>,
    views: Vec<Views>,
    /// Paths without parameters: most requests, and the cheaper look-up.
    /// By their length: few paths have the same.
    exact: Vec<Vec<(Arc<str>, usize)>>,
    patterns: matchit::Router<usize>,
}

/// What was found for a request.
pub(crate) enum Found<'a> {
    View(&'a Route, RouteId, Params),
    /// The app's layers, which look for a view themselves.
    Layers(&'a Layered),
    /// The path exists, for these methods.
    WrongMethod(&'a str),
    /// The client asks for which methods the path exists.
    Options(&'a str),
    /// The path exists with a slash after it.
    Slash,
    Nothing,
    /// Whatever it is: the runner holds requests back.
    NoRoom,
}

/// Routes that cannot all be.
#[derive(Debug)]
pub(crate) struct Conflict(String);

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Conflict {}

/// What is answered to `OPTIONS *`, which is about the server and not about a path.
const SERVER_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl Router {
    /// Builds the table; of routes that conflict, the first stays.
    pub(crate) fn build(routes: Vec<Route>) -> (Self, Vec<Conflict>) {
        let mut router = Self::default();
        let mut conflicts = Vec::new();
        for route in routes {
            if let Err(conflict) = router.insert(route) {
                conflicts.push(conflict);
            }
        }
        for views in &mut router.views {
            views.allow = allow(&views.by_method);
        }
        (router, conflicts)
    }

    fn insert(&mut self, route: Route) -> Result<(), Conflict> {
        let at = self.views_of(&route)?;
        for method in &route.methods {
            let views = &self.views[at];
            if let Some((_, other)) = views.by_method.iter().find(|(known, _)| known == method) {
                let other = &self.routes[*other];
                return Err(Conflict(format!(
                    "{method} {} is registered twice: at {} and at {}",
                    route.path, other.location, route.location,
                )));
            }
        }
        if let (true, Some(other)) = (route.methods.is_empty(), self.views[at].any) {
            let other = &self.routes[other];
            return Err(Conflict(format!(
                "{} is registered twice for all methods: at {} and at {}",
                route.path, other.location, route.location,
            )));
        }
        let index = self.routes.len();
        if route.methods.is_empty() {
            self.views[at].any = Some(index);
        }
        let by_method = &mut self.views[at].by_method;
        by_method.extend(route.methods.iter().map(|method| (method.clone(), index)));
        self.routes.push(route);
        Ok(())
    }

    fn views_of(&mut self, route: &Route) -> Result<usize, Conflict> {
        if let Some(at) = self.views.iter().position(|views| views.path == route.path) {
            return Ok(at);
        }
        let at = self.views.len();
        let (pattern, names) = pattern(&route.path);
        if names.is_empty() {
            let length = route.path.len();
            if self.exact.len() <= length {
                self.exact.resize_with(length + 1, Vec::new);
            }
            self.exact[length].push((route.path.clone(), at));
        } else {
            self.patterns
                .insert(pattern, at)
                .map_err(|error| self.conflict(route, &error))?;
        }
        let (path, names) = (route.path.clone(), names.into());
        self.views.push(Views {
            path,
            names,
            by_method: Vec::new(),
            any: None,
            allow: String::new(),
        });
        Ok(at)
    }

    fn conflict(&self, route: &Route, error: &matchit::InsertError) -> Conflict {
        let path = &route.path;
        let other = match error {
            matchit::InsertError::Conflict { with } => self
                .routes
                .iter()
                .find(|other| pattern(&other.path).0 == *with),
            _ => None,
        };
        Conflict(match other {
            Some(other) => format!(
                "`{path}` at {} conflicts with `{}` at {}",
                route.location, other.path, other.location
            ),
            None => format!("`{path}` at {} is no path: {error}", route.location),
        })
    }

    /// The views of a path without parameters.
    #[inline]
    fn exact(&self, path: &str) -> Option<usize> {
        let mut all = self.exact.get(path.len())?.iter();
        all.find_map(|(known, at)| (**known == *path).then_some(*at))
    }

    pub(crate) fn route(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.0)
    }

    // It has two callers, of which a request takes one.
    #[inline(always)]
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let (views, params) = match self.exact(path) {
            Some(at) => (&self.views[at], Params::default()),
            None => {
                let Ok(found) = self.patterns.at(path) else {
                    return match (method, path) {
                        (&Method::OPTIONS, "*") => Found::Options(SERVER_METHODS),
                        _ => self.with_slash(path),
                    };
                };
                let views = &self.views[*found.value];
                (views, Params::new(&views.names, path, &found.params))
            }
        };
        match views.route(method) {
            Some(index) => Found::View(&self.routes[index], RouteId(index), params),
            None if method == Method::OPTIONS => Found::Options(&views.allow),
            None => Found::WrongMethod(&views.allow),
        }
    }

    /// As in the original, what is there with a slash after it is not far.
    #[cold]
    fn with_slash(&self, path: &str) -> Found<'_> {
        // Without a path there is nothing to be beside of: `CONNECT`.
        if path.ends_with('/') || !path.starts_with('/') {
            return Found::Nothing;
        }
        let path = format!("{path}/");
        let exists = self.exact(&path).is_some() || self.patterns.at(&path).is_ok();
        if exists { Found::Slash } else { Found::Nothing }
    }
}

impl Views {
    #[inline]
    fn route(&self, method: &Method) -> Option<usize> {
        self.find(method).or_else(|| self.fall_back(method))
    }

    #[inline]
    fn find(&self, method: &Method) -> Option<usize> {
        let mut all = self.by_method.iter();
        all.find_map(|(known, index)| (known == method).then_some(*index))
    }

    #[cold]
    fn fall_back(&self, method: &Method) -> Option<usize> {
        // HEAD is a GET without its content.
        let get = (method == Method::HEAD)
            .then(|| self.find(&Method::GET))
            .flatten();
        get.or(self.any)
    }
}

fn allow(by_method: &[(Method, usize)]) -> String {
    let mut methods: Vec<_> = by_method
        .iter()
        .map(|(method, _)| method.as_str())
        .collect();
    if methods.contains(&"GET") && !methods.contains(&"HEAD") {
        methods.push("HEAD");
    }
    if !methods.contains(&"OPTIONS") {
        methods.push("OPTIONS");
    }
    methods.join(", ")
}

/// Our `{name:path}` as matchit's `{*name}`, and the names.
fn pattern(path: &str) -> (String, Vec<String>) {
    let mut pattern = String::new();
    let mut names = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (inner, after) = after.split_once('}').unwrap_or((after, ""));
        let (name, star) = inner
            .strip_suffix(":path")
            .map_or((inner, ""), |name| (name, "*"));
        pattern.push_str(before);
        pattern.push_str(&format!("{{{star}{name}}}"));
        names.push(name.to_owned());
        rest = after;
    }
    pattern.push_str(rest);
    (pattern, names)
}

/// The path parameters of a request. Most have none, which is one word.
#[derive(Debug, Default)]
pub(crate) struct Params(Option<Box<Places>>);

/// The names, and where in the path the values are.
#[derive(Debug)]
struct Places {
    names: Arc<[String]>,
    ranges: Vec<Range<usize>>,
}

impl Params {
    fn new(names: &Arc<[String]>, path: &str, params: &matchit::Params<'_, '_>) -> Self {
        let begin = path.as_ptr() as usize;
        let range = |value: &str| {
            let at = value.as_ptr() as usize - begin;
            at..at + value.len()
        };
        let ranges = params.iter().map(|(_, value)| range(value)).collect();
        Self(Some(Box::new(Places {
            names: Arc::clone(names),
            ranges,
        })))
    }

    /// Returns the decoded value, or why it cannot be decoded.
    pub(crate) fn get<'a>(
        &self,
        path: &'a str,
        name: &str,
    ) -> Option<Result<Cow<'a, str>, &'static str>> {
        let found = self.0.as_ref()?;
        let at = found.names.iter().position(|known| known == name)?;
        let raw = path.get(found.ranges.get(at)?.clone())?;
        Some(decode(raw))
    }
}

fn decode(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let code = tail
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(byte.ok_or("The path has a `%` that is no escape.")?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| "The path is not UTF-8.")
}

/// A type that a path parameter converts to.
///
/// Every type that is [`FromStr`] is one, also of another crate: `Uuid`, `IpAddr`. What does not
/// convert is a 400; its detail is the error's `Display`, or for a number, `bool` or `char` a sentence
/// of what it must be. A type of your own that is not `FromStr` may implement this instead, and choose
/// what the client is told.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Request, Response, route, testing::Client};
/// use std::net::IpAddr;
///
/// #[route("/hosts/{address}")]
/// async fn host(_req: &mut Request, res: &mut Response, address: IpAddr) {
///     res.json(&address.is_ipv4());
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = Client::new(App::new().route(host));
/// assert!(client.get("/hosts/127.0.0.1").await.json::<bool>());
/// assert_eq!(client.get("/hosts/ada").await.status(), 400);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a path parameter",
    label = "expected a type that implements `FromStr`, such as a `String` or a number",
    note = "for a type of your own, implement `FromStr`, or `bocadillo::FromParam`"
)]
pub trait FromParam: Sized {
    /// Converts the decoded text.
    ///
    /// # Errors
    ///
    /// Returns what the client is told.
    fn from_param(text: &str) -> Result<Self, String>;
}

#[diagnostic::do_not_recommend]
impl<T: FromStr<Err: Display> + 'static> FromParam for T {
    fn from_param(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: T::Err| match sentence::<T>() {
            Some(sentence) => sentence.to_owned(),
            None => error.to_string(),
        })
    }
}

/// What the client is told of a type that everybody knows.
fn sentence<T: 'static>() -> Option<&'static str> {
    let sentences = [
        (TypeId::of::<u8>(), "Must be a whole number from 0 to 255."),
        (
            TypeId::of::<u16>(),
            "Must be a whole number from 0 to 65535.",
        ),
        (TypeId::of::<u32>(), NOT_NEGATIVE),
        (TypeId::of::<u64>(), NOT_NEGATIVE),
        (TypeId::of::<u128>(), NOT_NEGATIVE),
        (TypeId::of::<usize>(), NOT_NEGATIVE),
        (
            TypeId::of::<i8>(),
            "Must be a whole number from -128 to 127.",
        ),
        (
            TypeId::of::<i16>(),
            "Must be a whole number from -32768 to 32767.",
        ),
        (TypeId::of::<i32>(), WHOLE),
        (TypeId::of::<i64>(), WHOLE),
        (TypeId::of::<i128>(), WHOLE),
        (TypeId::of::<isize>(), WHOLE),
        (TypeId::of::<f32>(), "Must be a number."),
        (TypeId::of::<f64>(), "Must be a number."),
        (TypeId::of::<bool>(), "Must be `true` or `false`."),
        (TypeId::of::<char>(), "Must be one character."),
    ];
    let is_it = |(id, _): &&(TypeId, _)| *id == TypeId::of::<T>();
    sentences.iter().find(is_it).map(|(_, sentence)| *sentence)
}

const NOT_NEGATIVE: &str = "Must be a whole number that is not negative.";
const WHOLE: &str = "Must be a whole number.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_those_of_matchit() {
        let (pattern, names) = pattern("/files/{id}/{rest:path}");
        assert_eq!(pattern, "/files/{id}/{*rest}");
        assert_eq!(names, ["id", "rest"]);
    }

    #[test]
    fn decodes_escapes() {
        assert_eq!(decode("a%20b%C3%A9").as_deref(), Ok("a bé"));
        assert!(decode("100%").is_err());
        assert!(decode("%zz").is_err());
        assert!(decode("%+1").is_err());
        assert!(decode("%ff").is_err());
    }
}
