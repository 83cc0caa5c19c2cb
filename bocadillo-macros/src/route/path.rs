//! The path of a route.

use proc_macro2::Ident;
use syn::{ext::IdentExt as _, parse::Parser as _};

/// Returns the names of its parameters, in their order.
pub(super) fn parameters(path: &str) -> Result<Vec<String>, String> {
    if let Some(mark) = ['?', '#'].into_iter().find(|mark| path.contains(*mark)) {
        return Err(format!(
            "`{mark}` in a path; read the query by `req.query()`"
        ));
    }
    let mut names = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        if before.contains('}') {
            return Err("unmatched `}` in the path; add a `{` before it".to_owned());
        }
        let Some((inner, after)) = after.split_once('}') else {
            return Err("unmatched `{` in the path; add a `}` after it".to_owned());
        };
        let (name, is_rest) = inner
            .strip_suffix(":path")
            .map_or((inner, false), |name| (name, true));
        if !is_name(name) {
            return Err(format!(
                "invalid path parameter `{{{inner}}}`; write `{{name}}` or `{{name:path}}`"
            ));
        }
        if !is_rest && !after.is_empty() && !after.starts_with('/') {
            return Err(format!(
                "unexpected text after `{{{inner}}}`; a path parameter ends at a `/`"
            ));
        }
        if is_rest && !after.is_empty() {
            return Err(format!(
                "unexpected text after `{{{inner}}}`, which matches the rest of the path"
            ));
        }
        if names.iter().any(|known| known == name) {
            return Err(format!("duplicate path parameter `{{{name}}}`; rename one"));
        }
        names.push(name.to_owned());
        rest = after;
    }
    if rest.contains('}') {
        return Err("unmatched `}` in the path; add a `{` before it".to_owned());
    }
    Ok(names)
}

/// Whether it can be the name of a parameter, if need be as `r#name`.
fn is_name(name: &str) -> bool {
    let is_reserved = ["_", "self", "Self", "super", "crate"].contains(&name);
    !is_reserved && Ident::parse_any.parse_str(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn reads_parameters() {
        assert_eq!(
            parameters("/a/{id}/{rest:path}"),
            Ok(vec!["id".into(), "rest".into()])
        );
        assert_eq!(parameters("/{type}"), Ok(vec!["type".into()]));
        for wrong in [
            "/{self}",
            "/{_}",
            "/{r#type}",
            "/{",
            "/}",
            "/{a}/}",
            "/{}",
            "/{a b}",
            "/{a}/{a}",
            "/{a:path}/b",
            "/{a:int}",
            "/{a}.json",
            "/{a}{b}",
            "/a?b",
        ] {
            assert!(parameters(wrong).is_err(), "{wrong}");
        }
    }
}
