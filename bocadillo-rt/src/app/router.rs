//! Finds the route of a method and a path.

use std::{fmt, panic::Location, sync::Arc};

use http::Method;

use crate::message::{
    params::Params,
    path::{Decoded, decoded},
};

/// The index of a route in the router's list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteId(usize);

impl RouteId {
    pub(crate) const NONE: Self = Self(usize::MAX);
}

/// A route: a path, methods, and an endpoint of type `E` that answers.
#[derive(Clone)]
pub(crate) struct Route<E> {
    pub(crate) path: Arc<str>,
    /// Empty if the route is for all methods.
    pub(crate) methods: Vec<Method>,
    /// How many segments of the path a mounted service does not see.
    pub(crate) prefix: usize,
    /// The name of the view.
    pub(crate) name: &'static str,
    pub(crate) endpoint: E,
    pub(crate) location: &'static Location<'static>,
}

/// All routes of one path.
struct Views {
    /// The path in the syntax of matchit. It is equal for routes that match the same paths and have
    /// the same parameter names.
    pattern: String,
    names: Arc<[String]>,
    by_method: Vec<(Method, usize)>,
    /// The route for all methods.
    any: Option<usize>,
    allow: String,
}

/// The table of routes.
pub(crate) struct Router<E> {
    routes: Vec<Route<E>>,
    views: Vec<Views>,
    /// The paths without parameters, by their lengths. Most requests are for such a path, few of
    /// them have the same length, and comparing them is faster than matchit.
    exact: Vec<Vec<(Arc<str>, usize)>>,
    patterns: matchit::Router<usize>,
}

/// The result of a search.
pub(crate) enum Found<'a, E> {
    View(&'a Route<E>, RouteId, Params),
    /// The path exists, but not for this method. The text lists its methods.
    WrongMethod(&'a str),
    /// The client asks for the methods of the path.
    Options(&'a str),
    /// The path exists with a slash at its end.
    Slash,
    /// The path exists without the slash at its end.
    NoSlash,
    Nothing,
}

/// Two routes conflict, or a path is invalid.
#[derive(Debug)]
pub(crate) struct Conflict(String);

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Conflict {}

/// The answer to `OPTIONS *`, which asks about the server and not about a path.
const SERVER_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl<E> Router<E> {
    /// Builds the router. If routes conflict, the first one stays.
    pub(crate) fn build(routes: Vec<Route<E>>) -> (Self, Vec<Conflict>) {
        let mut router = Self {
            routes: Vec::new(),
            views: Vec::new(),
            exact: Vec::new(),
            patterns: matchit::Router::new(),
        };
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

    fn insert(&mut self, route: Route<E>) -> Result<(), Conflict> {
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

    fn views_of(&mut self, route: &Route<E>) -> Result<usize, Conflict> {
        let (pattern, names) = pattern(&route.path);
        if let Some(at) = self.views.iter().position(|it| it.pattern == pattern) {
            return Ok(at);
        }
        let at = self.views.len();
        if names.is_empty() {
            let path = decoded(&route.path);
            if self.exact.len() <= path.len() {
                self.exact.resize_with(path.len() + 1, Vec::new);
            }
            self.exact[path.len()].push((path.into(), at));
        } else {
            self.patterns
                .insert(&*pattern, at)
                .map_err(|error| self.conflict(route, &error))?;
        }
        self.views.push(Views {
            pattern,
            names: names.into(),
            by_method: Vec::new(),
            any: None,
            allow: String::new(),
        });
        Ok(at)
    }

    fn conflict(&self, route: &Route<E>, error: &matchit::InsertError) -> Conflict {
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
            None => format!("invalid path `{path}` at {}: {error}", route.location),
        })
    }

    /// Finds a path without parameters.
    #[inline]
    fn exact(&self, path: &str) -> Option<usize> {
        let mut all = self.exact.get(path.len())?.iter();
        all.find_map(|(known, at)| (**known == *path).then_some(*at))
    }

    pub(crate) fn route(&self, id: RouteId) -> Option<&Route<E>> {
        self.routes.get(id.0)
    }

    // It has two callers, of which a request takes one.
    #[inline(always)]
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_, E> {
        // A path that is found undecoded would be found decoded as well.
        let (views, params) = match self.exact(path) {
            Some(at) => (&self.views[at], Params::default()),
            None => match self.look_up(path) {
                Some(found) => found,
                None => {
                    return match (method, path) {
                        (&Method::OPTIONS, "*") => Found::Options(SERVER_METHODS),
                        _ => self.beside(path),
                    };
                }
            },
        };
        match views.route(method) {
            Some(index) => Found::View(&self.routes[index], RouteId(index), params),
            None if method == Method::OPTIONS => Found::Options(&views.allow),
            None => Found::WrongMethod(&views.allow),
        }
    }

    #[inline]
    fn look_up(&self, path: &str) -> Option<(&Views, Params)> {
        if path.contains('%') {
            return self.look_up_decoded(path);
        }
        let found = self.patterns.at(path).ok()?;
        let views = &self.views[*found.value];
        Some((views, Params::new(&views.names, path, &found.params, None)))
    }

    #[cold]
    fn look_up_decoded(&self, path: &str) -> Option<(&Views, Params)> {
        let decoded = Decoded::of(path);
        let text = decoded.as_ref().map_or(path, |decoded| &decoded.text);
        if let Some(at) = self.exact(text) {
            return Some((&self.views[at], Params::default()));
        }
        let found = self.patterns.at(text).ok()?;
        let views = &self.views[*found.value];
        let params = Params::new(&views.names, text, &found.params, decoded.as_ref());
        Some((views, params))
    }

    /// Looks for the path with a slash at its end, or without it, as the original does.
    #[cold]
    fn beside(&self, path: &str) -> Found<'_, E> {
        // The target of a `CONNECT` request is no path.
        if !path.starts_with('/') {
            return Found::Nothing;
        }
        let path = decoded(path);
        let exists = |path: &str| self.exact(path).is_some() || self.patterns.at(path).is_ok();
        match path.strip_suffix('/') {
            None if exists(&format!("{path}/")) => Found::Slash,
            Some(path) if !path.ends_with('/') && exists(path) => Found::NoSlash,
            _ => Found::Nothing,
        }
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
        // A HEAD is a GET without its content.
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

/// Translates a path for matchit: `{name:path}` becomes `{*name}`, literals are decoded. Returns
/// the names too.
fn pattern(path: &str) -> (String, Vec<String>) {
    let mut pattern = String::new();
    let mut names = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (inner, after) = after.split_once('}').unwrap_or((after, ""));
        let (name, star) = inner
            .strip_suffix(":path")
            .map_or((inner, ""), |name| (name, "*"));
        push_literal(&mut pattern, before);
        pattern.push_str(&format!("{{{star}{name}}}"));
        names.push(name.to_owned());
        rest = after;
    }
    push_literal(&mut pattern, rest);
    (pattern, names)
}

/// An encoded brace is literal, and matchit expects a literal brace twice.
fn push_literal(pattern: &mut String, literal: &str) {
    let literal = decoded(literal);
    pattern.push_str(&literal.replace('{', "{{").replace('}', "}}"));
}

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
    fn literals_are_compared_decoded() {
        assert_eq!(pattern("/caf%C3%A9/{x}").0, "/café/{x}");
        assert_eq!(pattern("/%7B{x}%7D").0, "/{{{x}}}");
        assert_eq!(pattern("/%7Bx%7D"), ("/{{x}}".to_owned(), Vec::new()));
    }
}
