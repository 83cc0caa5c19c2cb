//! Which file names the items of which other file.
//!
//! A file has an arrow to each file whose items it names: in a `use`, or in a path that begins with
//! `crate`, `self`, `super`, or with a name that a `use` has brought in. A name that a façade (a `mod.rs`
//! or `lib.rs`) hands on is an arrow to the file that defines it. A call of a method is not seen.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The sources of a crate, by their paths below `src`.
pub(crate) type Sources = BTreeMap<String, String>;

/// For each file, the files that it uses.
pub(crate) type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The segments of a path from the root of the crate.
type Segments = Vec<String>;

/// The names that a module has in scope: those of its `use` items, and of its child modules.
type Names = BTreeMap<String, Segments>;

/// Reads all files.
pub(crate) fn arrows(sources: &Sources) -> Arrows {
    let read: Vec<_> = sources
        .iter()
        .map(|(file, text)| (file, File::read(file, text)))
        .collect();
    let modules = Modules {
        files: read
            .iter()
            .map(|(file, _)| (module_of(file), (*file).clone()))
            .collect(),
        names: read
            .iter()
            .map(|(file, read)| (module_of(file), &read.names))
            .collect(),
    };
    read.iter()
        .map(|(file, read)| {
            let mut used: BTreeSet<_> = read
                .paths
                .iter()
                .filter_map(|path| modules.file_of(path))
                .collect();
            used.remove(*file);
            ((*file).clone(), used)
        })
        .collect()
}

/// The paths that a file names.
#[derive(Default)]
struct File {
    paths: Vec<Segments>,
    /// Those of the file's own module, without the modules that stand within.
    names: Names,
}

impl File {
    fn read(file: &str, text: &str) -> Self {
        let tokens: TokenStream = match text.parse() {
            Ok(tokens) => tokens,
            Err(error) => panic!("{file}: {error}"),
        };
        let mut paths = Vec::new();
        let names = Scope::default().read(tokens, &module_of(file), &mut paths);
        Self { paths, names }
    }
}

#[derive(Clone, Default)]
struct Scope {
    names: Names,
}

impl Scope {
    /// Collects the paths; returns the names that the tokens have brought in.
    fn read(mut self, tokens: TokenStream, module: &Segments, paths: &mut Vec<Segments>) -> Names {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at..] {
                [keyword, TokenTree::Ident(name), rest, ..] if is_ident(keyword, "mod") => {
                    let child = join(module, &name.to_string());
                    match rest {
                        // What is written there does not see the names outside.
                        TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                            Self::default().read(body.stream(), &child, paths);
                        }
                        _ => drop(self.names.insert(name.to_string(), child)),
                    }
                    at + 3
                }
                [keyword, ..] if is_ident(keyword, "use") => {
                    let end = tokens[at..].iter().position(|token| is_punct(token, ';'));
                    let end = at + end.unwrap_or(tokens.len() - at);
                    self.import(&tokens[at + 1..end], Vec::new(), module, paths);
                    end
                }
                [TokenTree::Ident(_), ..] => self.path(&tokens, at, module, paths),
                [TokenTree::Group(group), ..] => {
                    let names = self.clone().read(group.stream(), module, paths);
                    // A `use` of a function is known in the rest of the file: a name has one meaning.
                    self.names.extend(names);
                    at + 1
                }
                _ => at + 1,
            };
        }
        self.names
    }

    /// Reads a tree of `use`, from behind `written`.
    fn import(
        &mut self,
        tree: &[TokenTree],
        mut written: Segments,
        module: &Segments,
        paths: &mut Vec<Segments>,
    ) {
        let mut name = None;
        let mut renames = false;
        for token in tree {
            match token {
                TokenTree::Ident(ident) if ident == "as" => renames = true,
                TokenTree::Ident(ident) if renames => name = Some(ident.to_string()),
                TokenTree::Ident(ident) if ident != "self" || written.is_empty() => {
                    written.push(ident.to_string());
                }
                TokenTree::Group(group) => {
                    let branches: Vec<_> = group.stream().into_iter().collect();
                    for branch in branches.split(|token| is_punct(token, ',')) {
                        if !branch.is_empty() {
                            self.import(branch, written.clone(), module, paths);
                        }
                    }
                    return;
                }
                _ => {}
            }
        }
        let name = name.or_else(|| written.last().cloned());
        if let (Some(path), Some(name)) = (self.absolute(&written, module), name) {
            paths.push(path.clone());
            self.names.insert(name, path);
        }
    }

    /// Reads a path that begins at this token, and returns where it ends.
    fn path(
        &self,
        tokens: &[TokenTree],
        at: usize,
        module: &Segments,
        paths: &mut Vec<Segments>,
    ) -> usize {
        let mut written = Vec::new();
        let mut end = at;
        while let Some(TokenTree::Ident(ident)) = tokens.get(end) {
            written.push(ident.to_string());
            end += 1;
            match tokens.get(end..end + 2) {
                Some([one, two]) if is_punct(one, ':') && is_punct(two, ':') => end += 2,
                _ => break,
            }
        }
        if written.len() > 1 {
            paths.extend(self.absolute(&written, module));
        }
        end.max(at + 1)
    }

    /// Returns a path from the crate's root; `None` if it leads to another crate.
    fn absolute(&self, written: &[String], module: &Segments) -> Option<Segments> {
        let (first, rest) = written.split_first()?;
        let mut path = match &**first {
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            name => self.names.get(name)?.clone(),
        };
        for segment in rest {
            if segment == "super" {
                path.pop();
            } else {
                path.push(segment.clone());
            }
        }
        Some(path)
    }
}

struct Modules<'a> {
    files: BTreeMap<Segments, String>,
    names: BTreeMap<Segments, &'a Names>,
}

impl Modules<'_> {
    /// Returns the file that defines what a path names. A façade itself is none.
    fn file_of(&self, path: &Segments) -> Option<String> {
        let mut path = path.clone();
        // Each façade hands on once.
        for _ in 0..8 {
            let module = (0..=path.len()).rev().map(|len| &path[..len]);
            let module = module.into_iter().find(|it| self.files.contains_key(*it))?;
            let file = &self.files[module];
            if !is_facade(file) {
                return Some(file.clone());
            }
            let name = path.get(module.len())?;
            let Some(target) = self.names[module].get(name) else {
                return Some(file.clone());
            };
            let rest = &path[module.len() + 1..];
            path = target.iter().chain(rest).cloned().collect();
        }
        None
    }
}

pub(crate) fn is_facade(file: &str) -> bool {
    file == "lib.rs" || file.ends_with("mod.rs")
}

fn module_of(file: &str) -> Segments {
    let mut segments: Segments = file
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if is_facade(file) {
        segments.pop();
    }
    segments
}

fn join(module: &Segments, name: &str) -> Segments {
    let name = std::iter::once(name.to_owned());
    module.iter().cloned().chain(name).collect()
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}
