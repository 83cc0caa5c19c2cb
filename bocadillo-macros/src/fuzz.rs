//! Random tokens: whatever is typed, an attribute answers with code or with an error, and never
//! panics.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use crate::{background, main_fn, route, view};

const WORDS: [&str; 28] = [
    "background",
    "fn",
    "async",
    "unsafe",
    "extern",
    "const",
    "self",
    "res",
    "req",
    "let",
    "mut",
    "for",
    "in",
    "match",
    "if",
    "return",
    "name",
    "timeout",
    "when",
    "add",
    "blocking",
    "clone",
    "args",
    "crate",
    "methods",
    "pub",
    "impl",
    "String",
];
const PUNCTS: &[u8] = b"#,=;:.!?&|<>-+*'";
const LITERALS: [&str; 6] = ["30s", "success", "/a/{id}", "/{", "get", ""];

/// SplitMix64.
pub(crate) struct Rng(u64);

/// The seed, which a failing test shows.
#[allow(clippy::print_stdout, reason = "only a failing test shows it")]
pub(crate) fn seed() -> u64 {
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    let seed = std::env::var("BOCADILLO_SEED").ok();
    let seed = seed.map_or(now.as_nanos() as u64, |seed| {
        seed.parse().expect("a number")
    });
    println!("BOCADILLO_SEED={seed}");
    seed
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn stream(&mut self, depth: usize) -> TokenStream {
        (0..self.below(9)).map(|_| self.tree(depth)).collect()
    }

    fn tree(&mut self, depth: usize) -> TokenTree {
        match self.below(if depth == 0 { 8 } else { 11 }) {
            0..=3 => Ident::new(WORDS[self.below(WORDS.len())], Span::call_site()).into(),
            4..=6 => {
                let spacing = [Spacing::Alone, Spacing::Joint][self.below(2)];
                Punct::new(PUNCTS[self.below(PUNCTS.len())].into(), spacing).into()
            }
            7 => match self.below(2) {
                0 => Literal::string(LITERALS[self.below(LITERALS.len())]).into(),
                _ => Literal::usize_unsuffixed(self.below(99)).into(),
            },
            _ => {
                let delimiters = [
                    Delimiter::Parenthesis,
                    Delimiter::Brace,
                    Delimiter::Bracket,
                    Delimiter::None,
                ];
                Group::new(delimiters[self.below(4)], self.stream(depth - 1)).into()
            }
        }
    }

    /// Mostly a function: more of it is reached than by noise.
    fn item(&mut self) -> TokenStream {
        if self.below(4) == 0 {
            return self.stream(3);
        }
        let (before, params, body) = (self.stream(1), self.stream(2), self.stream(4));
        let attribute = self.stream(2);
        let inner = self.stream(3);
        let asyncness = (self.below(3) > 0).then(|| Ident::new("async", Span::call_site()));
        let before = (self.below(4) == 0).then_some(before);
        let params = if self.below(2) == 0 {
            quote::quote!(req: &mut Request, res: &mut Response)
        } else {
            params
        };
        quote::quote! {
            #before #asyncness fn name(#params) {
                #body
                #[background(#attribute)] async fn inner() { #inner }
            }
        }
    }
}

#[test]
fn random_tokens_do_not_panic() {
    let mut rng = Rng::new(seed());
    for _ in 0..20_000 {
        let (args, item) = (rng.stream(3), rng.item());
        let expanded = match rng.below(4) {
            0 => background::expand(args, &item),
            1 => view::expand(args, item),
            2 => route::expand(args, item),
            _ => main_fn::expand(args, item),
        };
        drop(expanded);
    }
}
