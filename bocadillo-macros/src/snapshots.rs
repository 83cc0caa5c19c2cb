//! What the attributes expand to, as it is documented in `snapshots/`.
//!
//! `name.in.rs` has an item with an attribute of ours; `name.out.rs` what becomes of it. They are
//! compared as tokens. `SNAPSHOTS=overwrite cargo test -p bocadillo-macros snapshots` writes the
//! second kind anew, by rustfmt.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr as _,
};

use proc_macro2::{TokenStream, TokenTree};

use crate::{background, main_fn, route, view};

#[test]
fn expansions_are_as_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let name = path.to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".in.rs") else {
            continue;
        };
        check(&path, &PathBuf::from(format!("{stem}.out.rs")));
        seen += 1;
    }
    assert!(seen >= 8, "only {seen} snapshots");
}

fn check(input: &Path, output: &Path) {
    let source = fs::read_to_string(input).expect("the input is there");
    let expanded = expand(&source);
    if env::var_os("SNAPSHOTS").is_some_and(|it| it == "overwrite") {
        fs::write(output, expanded.to_string()).expect("it can be written");
        let formatted = Command::new("rustfmt")
            .arg("--edition=2024")
            .arg(output)
            .status();
        assert!(formatted.is_ok_and(|status| status.success()), "no rustfmt");
        return;
    }
    let expected = fs::read_to_string(output).expect("the output is there");
    let expected = TokenStream::from_str(&expected).expect("tokens");
    assert_eq!(plain(&expanded), plain(&expected), "{}", input.display());
}

/// Expands the first attribute; statements are put into a function, which is what they are in.
fn expand(source: &str) -> TokenStream {
    let mut trees = TokenStream::from_str(source).expect("tokens").into_iter();
    let attribute = trees.find_map(|tree| match tree {
        TokenTree::Group(group) => Some(group.stream()),
        _ => None,
    });
    let attribute = attribute.expect("an attribute");
    let item: TokenStream = trees.collect();
    let mut attribute = attribute.into_iter();
    let name = attribute.next().expect("a name").to_string();
    let args = match attribute.next() {
        Some(TokenTree::Group(group)) => group.stream(),
        _ => TokenStream::new(),
    };
    match &*name {
        "background" => {
            let statements = background::expand_alone(args, &item);
            quote::quote!(async fn around() { #statements })
        }
        "view" => view::expand(args, item),
        "route" => route::expand(args, item),
        "main" => main_fn::expand(args, item),
        other => panic!("no attribute of ours: {other}"),
    }
}

/// As text without what rustfmt adds, moves or leaves out: spaces and trailing commas.
fn plain(tokens: &TokenStream) -> String {
    let text: String = tokens.to_string().split_whitespace().collect();
    text.replace(",)", ")")
        .replace(",}", "}")
        .replace(",>", ">")
}
