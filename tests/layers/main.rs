//! The layers: no circle of files, no arrow upward, few entries at the root, no long file; and a row of
//! `CONTRIBUTING.md` for each file.
//!
//! `CONTRIBUTING.md` has the table of layers, from the top. A file may use those of its own layer, and of
//! the layers below.

mod arrows;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use self::arrows::{Arrows, Sources, arrows};

const MAX_LINES: usize = 400;
const MAX_ENTRIES: usize = 12;

#[test]
fn the_files_of_the_runtime_make_no_circle() {
    assert_none(&circles(&arrows(&sources("bocadillo-rt/src"))));
}

#[test]
fn the_files_of_the_macros_make_no_circle() {
    assert_none(&circles(&arrows(&sources("bocadillo-macros/src"))));
}

#[test]
fn no_arrow_of_the_runtime_goes_upward() {
    let text = fs::read_to_string("CONTRIBUTING.md").expect("CONTRIBUTING.md");
    let arrows = arrows(&sources("bocadillo-rt/src"));
    assert_none(&upward(&arrows, &layers(&text)));
}

#[test]
fn every_file_of_the_runtime_is_described() {
    let text = fs::read_to_string("CONTRIBUTING.md").expect("CONTRIBUTING.md");
    let sources = sources("bocadillo-rt/src");
    let files = sources.keys().filter(|file| !arrows::is_facade(file));
    let files = files.filter(|file| !file.ends_with("tests.rs"));
    let missing: Vec<_> = files
        .filter(|file| !text.contains(&format!("\n| `{file}` | ")))
        .map(|file| format!("{file} is in no row of CONTRIBUTING.md"))
        .collect();
    assert_none(&missing);
}

#[test]
fn the_root_of_the_runtime_has_few_entries() {
    let entries = fs::read_dir("bocadillo-rt/src").expect("the sources");
    let entries = entries.count();
    assert!(entries <= MAX_ENTRIES, "{entries} entries");
}

#[test]
fn no_file_is_long() {
    for root in ["bocadillo-rt/src", "bocadillo-macros/src"] {
        assert_none(&long(&sources(root)));
    }
}

#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn sources(root: &str) -> Sources {
    fn add(root: &Path, folder: &Path, sources: &mut Sources) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                add(root, &path, sources)?;
            } else if path.extension().is_some_and(|it| it == "rs") {
                let file = path.strip_prefix(root).map_err(io::Error::other)?;
                let file = file.to_string_lossy().replace('\\', "/");
                sources.insert(file, fs::read_to_string(&path)?);
            }
        }
        Ok(())
    }
    let mut sources = Sources::new();
    add(Path::new(root), Path::new(root), &mut sources).expect("the sources");
    sources
}

/// Returns the rows of the table of layers: the entries of each, from the top.
fn layers(contributing: &str) -> BTreeMap<String, usize> {
    let (_, text) = contributing
        .split_once("## The layers\n")
        .expect("a chapter `The layers`");
    let rows = text.lines().skip_while(|line| !line.starts_with("| `"));
    let rows = rows.take_while(|line| line.starts_with("| `"));
    rows.enumerate()
        .flat_map(|(rank, row)| {
            let cell = row.split('|').nth(1).unwrap_or_default();
            let names = cell.split('`').skip(1).step_by(2);
            names.map(move |name| (name.trim_end_matches('/').to_owned(), rank))
        })
        .collect()
}

fn upward(arrows: &Arrows, layers: &BTreeMap<String, usize>) -> Vec<String> {
    let rank = |file: &str| {
        let entry = file.split('/').next().unwrap_or_default();
        *layers
            .get(entry)
            .unwrap_or_else(|| panic!("`{entry}` is in no layer of CONTRIBUTING.md"))
    };
    let all = arrows
        .iter()
        .flat_map(|(from, used)| used.iter().map(move |to| (from, to)));
    all.filter(|(from, to)| rank(from) > rank(to))
        .map(|(from, to)| format!("{from} uses {to}, which is in a layer above"))
        .collect()
}

/// Returns the sets of files each of which uses each other, on whatever way.
fn circles(arrows: &Arrows) -> Vec<String> {
    let reached: BTreeMap<_, _> = arrows
        .keys()
        .map(|file| (file, reached_from(file, arrows)))
        .collect();
    let circles: BTreeSet<Vec<&String>> = arrows
        .keys()
        .filter(|file| reached[file].contains(*file))
        .map(|file| {
            let others = reached[file].iter();
            others.filter(|it| reached[it].contains(file)).collect()
        })
        .collect();
    let within = |circle: &Vec<&String>, from: &String| {
        let used = arrows[from].iter().filter(|to| circle.contains(to));
        format!(
            "    {from} uses {}",
            used.cloned().collect::<Vec<_>>().join(", ")
        )
    };
    let shown = |circle: &Vec<&String>| {
        let lines: Vec<_> = circle.iter().map(|from| within(circle, from)).collect();
        format!("a circle of {} files:\n{}", circle.len(), lines.join("\n"))
    };
    circles.iter().map(shown).collect()
}

fn reached_from(file: &str, arrows: &Arrows) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![file];
    while let Some(file) = next.pop() {
        for used in arrows.get(file).into_iter().flatten() {
            if reached.insert(used.clone()) {
                next.push(used);
            }
        }
    }
    reached
}

fn long(sources: &Sources) -> Vec<String> {
    let lines = sources
        .iter()
        .map(|(file, text)| (file, text.lines().count()));
    lines
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(file, lines)| format!("{file} has {lines} lines"))
        .collect()
}

mod checks {
    //! The checks see what they are for.

    use super::*;

    fn tree(files: &[(&str, &str)]) -> Sources {
        let files = files.iter();
        files
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect()
    }

    fn used_by(file: &str, files: &[(&str, &str)]) -> Vec<String> {
        arrows(&tree(files))[file].iter().cloned().collect()
    }

    #[test]
    fn a_use_is_an_arrow() {
        let b = ("b.rs", "pub struct B;");
        let c = ("c/d.rs", "pub struct D;");
        let facade = ("c/mod.rs", "mod d; pub use self::d::D;");
        for text in [
            "use crate::{b::B, c::d::D};",
            "use super::{b::B as X, c::D};",
            "fn f() { use crate::b; let _: (b::B, crate::c::D); }",
            "use crate::c; mod tests { use super::*; fn f() { super::super::b::f(); } } fn f(_: c::D) {}",
            "macro_rules! m { () => { ($crate::b::B, $crate::c::D) } }",
        ] {
            let used = used_by("a.rs", &[("a.rs", text), b, c, facade]);
            assert_eq!(used, ["b.rs", "c/d.rs"], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            "//! [`crate::b::B`]\n/// See `super::b`.\n// crate::b::B",
            r#"const S: &str = "crate::b::B";"#,
            "use std::b::B; use b::B as C;",
            "mod tests { use super::*; }",
            "pub use self::inner::X; mod inner { pub struct X; }",
        ] {
            let used = used_by("a.rs", &[("a.rs", text), ("b.rs", "pub struct B;")]);
            assert_eq!(used, [""; 0], "{text}");
        }
    }

    #[test]
    fn a_circle_is_found_through_facades() {
        let files = [
            ("lib.rs", "mod app; mod sent; pub use app::App;"),
            ("app/mod.rs", "mod app; pub use self::app::App;"),
            ("app/app.rs", "use crate::sent::Ticket; pub struct App;"),
            ("sent/mod.rs", "mod ticket; pub use self::ticket::Ticket;"),
            ("sent/ticket.rs", "pub struct Ticket(crate::App);"),
        ];
        let found = circles(&arrows(&tree(&files)));
        assert_eq!(
            found,
            [
                "a circle of 2 files:\n    app/app.rs uses sent/ticket.rs\n    \
              sent/ticket.rs uses app/app.rs"
            ]
        );
    }

    #[test]
    fn a_facade_that_its_own_files_use_is_in_a_circle() {
        let files = [
            (
                "app/mod.rs",
                "mod view; pub use self::view::View; pub struct App;",
            ),
            ("app/view.rs", "use super::App; pub struct View;"),
        ];
        assert_eq!(circles(&arrows(&tree(&files))).len(), 1);
    }

    #[test]
    fn an_arrow_upward_is_found() {
        let text = "## The layers\n\n| layer | knows |\n| --- | --- |\n| `app/` | routes |\n\
                    | `sent/`, `error.rs` | the rest |\n\nEnd.\n";
        let layers = layers(text);
        assert_eq!(
            (layers["app"], layers["sent"], layers["error.rs"]),
            (0, 1, 1)
        );
        let files = [
            ("app/view.rs", "use crate::error::E;"),
            ("error.rs", "pub struct E;"),
            ("sent/hub.rs", "fn f() { crate::app::view::f() }"),
        ];
        assert_eq!(
            upward(&arrows(&tree(&files)), &layers),
            ["sent/hub.rs uses app/view.rs, which is in a layer above"]
        );
    }

    #[test]
    fn a_long_file_is_found() {
        let files = [
            ("fits.rs", "\n".repeat(MAX_LINES)),
            ("long.rs", "\n".repeat(MAX_LINES + 1)),
        ];
        let files = files.map(|(file, text)| (file.to_owned(), text));
        assert_eq!(long(&files.into()), ["long.rs has 401 lines"]);
    }
}
