//! What a walk over a body makes of it: which functions are tasks, what they register on, and when
//! one is said to never run.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::quote;

use crate::{args::CratePath, background::expand_within, task::Registers, view};

fn rewritten(body: TokenStream) -> String {
    rewritten_for(body, &CratePath::default())
}

fn rewritten_for(body: TokenStream, crate_path: &CratePath) -> String {
    let response = Ident::new("response", Span::call_site());
    let body = Group::new(Delimiter::Brace, body);
    let rewritten = expand_within(&body, Registers::On(&response), crate_path);
    rewritten.body.stream().to_string()
}

#[test]
fn finds_tasks_at_any_depth() {
    let tokens = rewritten(quote! {
        if urgent { #[background] async fn call() {} } else { #[bocadillo::background] async fn mail() {} }
    });
    let count = tokens.matches("response . background").count();
    assert_eq!(count, 2, "{tokens}");
}

#[test]
fn a_task_in_a_task_is_a_follow_up() {
    let tokens = rewritten(quote! {
        #[background] async fn a() { #[background] async fn b() {} }
    });
    assert!(tokens.contains("current () . spawn"), "{tokens}");
}

#[test]
fn leaves_everything_else() {
    for body in [
        quote! { let x = #[allow(unused)] 3; foo!(x); #[background_task] fn f() {} },
        quote! { #[jobs::background] async fn f() {} },
        quote! { #[bocadillo::jobs::background] async fn f() {} },
        quote! { #[background::other] async fn f() {} },
        quote! { #[background] struct S; #[background] },
        quote! { background(x); let background = 3; },
    ] {
        assert_eq!(rewritten(body.clone()), body.to_string());
    }
}

#[test]
fn an_attribute_is_ours_by_the_path_of_the_crate() {
    let crate_path: CratePath = syn::parse_quote!(crate = facade::web);
    for path in [
        quote!(background),
        quote!(web::background),
        quote!(facade::web::background),
        quote!(::bocadillo::background),
    ] {
        let tokens = rewritten_for(quote!(#[#path] async fn f() {}), &crate_path);
        assert!(tokens.contains("response . background"), "{tokens}");
    }
    let other = quote!(
        #[facade::background]
        async fn f() {}
    );
    assert_eq!(rewritten_for(other.clone(), &crate_path), other.to_string());
}

#[test]
fn survives_a_half_typed_body() {
    let tokens = rewritten(quote! { let x = foo. ; #[background] async fn mail() { x. } res. });
    assert!(tokens.contains("response . background"), "{tokens}");
    let half = quote! { #[background] async fn };
    assert_eq!(rewritten(half.clone()), half.to_string());
}

#[test]
fn a_function_within_has_its_own_response() {
    for (function, response) in [
        (quote!(fn f(out: &mut Response)), "out"),
        (
            quote!(fn f(&self, out: &mut bocadillo::Response, n: u8)),
            "out",
        ),
        (quote!(fn f(n: u8, res: &mut Answer)), "res"),
        (quote!(async fn f<T>(req: T, out: Answer) -> u8), "out"),
        (quote!(fn f()), "res"),
    ] {
        let tokens = rewritten(quote!(#function { #[background] async fn t() {} }));
        assert!(
            tokens.contains(&format!("{response} . background")),
            "{tokens}"
        );
    }
}

#[test]
fn another_macro_is_told_the_response() {
    let tokens = rewritten(quote! {
        macro_rules! register {
            (#[background] $name:ident) => { #[background(add)] async fn $name() {} };
        }
        select! { () = x => { #[background] async fn t() {} } }
        #[background]
        async fn around() { join!({ #[background(name = "n")] async fn t() {} }) }
    });
    for expected in [
        "(# [background] $ name : ident)",
        "# [background (response , add)]",
        "# [background (response)]",
        "# [background (__bocadillo_follow_up , name = \"n\")]",
    ] {
        assert!(tokens.contains(expected), "{expected}: {tokens}");
    }
    let named = quote! { select! { x => { #[background(other, add)] async fn t() {} } } };
    assert_eq!(rewritten(named.clone()), named.to_string());
}

fn warns(body: &TokenStream) -> bool {
    let view = quote!(async fn view(req: &mut Request, res: &mut Response) { #body });
    let expanded = view::expand(TokenStream::new(), view).to_string();
    expanded.contains("deprecated")
}

fn warns_between(between: &TokenStream) -> bool {
    warns(&quote! {
        #[background] async fn a() {}
        #between
        #[background] async fn b() {}
    })
}

#[test]
fn warns_where_nothing_can_happen_between() {
    for between in [
        quote!(),
        quote!(;),
        quote!(let x = 1;),
        quote!(let mut text = "text"; let y = text;),
        quote!(let _ = When::Success;),
    ] {
        assert!(warns_between(&between), "{between}");
    }
    assert!(warns(&quote! {
        if urgent { #[background(add)] async fn a() {} #[background] async fn b() {} }
    }));
}

#[test]
fn is_quiet_where_something_may_leave_panic_or_await() {
    for between in [
        quote!(check()?;),
        quote!(if x {
            return;
        }),
        quote!(ensure!(x);),
        quote!(loop {
            break;
        }),
        quote!(let x = value.expect("there");),
        quote!(let x = all[0];),
        quote!(let x = a / b;),
        quote!(let x = a + b;),
        quote!(let x = -a;),
        quote!(let x = *a;),
        quote!(let x: &str = &text;),
        quote!(let x = a.field;),
        quote!(let x = future.await;),
        quote!(let x = 1 else { return };),
        quote!(x = y;),
        quote!(call();),
        quote!({}),
    ] {
        assert!(!warns_between(&between), "{between}");
    }
}

#[test]
fn is_quiet_where_the_first_may_run() {
    for second in [
        quote!(
            #[background(add)]
            async fn b() {}
        ),
        quote!(
            #[background(other)]
            async fn b() {}
        ),
        quote!(
            #[background(clone(text))]
            async fn b() {}
        ),
        quote!(
            #[background(args(n = next()))]
            async fn b(n: u8) {}
        ),
        quote!(
            #[cfg(test)]
            #[background]
            async fn b() {}
        ),
        quote!(
            #[cfg_attr(test, background)]
            async fn b() {}
        ),
        quote!(if urgent {
            #[background]
            async fn b() {}
        }),
        quote!(
            fn helper(res: &mut Response) {
                #[background]
                async fn b() {}
            }
        ),
    ] {
        assert!(
            !warns(&quote!(#[background] async fn a() {} #second)),
            "{second}"
        );
    }
    assert!(!warns(&quote! {
        #[background(other)] async fn a() {}
        #[background] async fn b() {}
    }));
    assert!(!warns(&quote! {
        #[background]
        async fn a() { #[background] async fn b() {} #[background] async fn c() {} }
    }));
}
