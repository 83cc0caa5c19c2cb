//! The words of options, and what is said of a word that is none.

use proc_macro2::Ident;

pub(crate) const WORDS: [&str; 8] = [
    "name", "timeout", "when", "add", "blocking", "clone", "args", "crate",
];

pub(crate) fn unknown(word: &Ident) -> syn::Error {
    let message = if word == "durable" {
        "the option `durable` is not supported yet".to_owned()
    } else if let Some(nearest) = nearest(word) {
        format!("unknown option `{word}`; did you mean `{nearest}`?")
    } else {
        let words = WORDS.join("`, `");
        format!("unknown option `{word}`; expected one of `{words}`")
    };
    syn::Error::new_spanned(word, message)
}

/// The option that it is a misspelling of.
pub(crate) fn nearest(word: &Ident) -> Option<&'static str> {
    let word = word.to_string();
    let allowed = |known: &str| if known.len() > 4 { 2 } else { 1 };
    WORDS
        .into_iter()
        .map(|known| (distance(&word, known), known))
        .filter(|(distance, known)| (1..=allowed(known)).contains(distance))
        .min()
        .map(|(_, known)| known)
}

/// How many letters are to be added, left out, or exchanged, also with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}
