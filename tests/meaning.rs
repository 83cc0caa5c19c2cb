//! A body means the same with the attributes as without them: each form runs in a plain function,
//! in a view, in a route, in a task and in a follow-up, and all of them see the same values.
//!
//! The forms come from a `macro_rules!`, whose fragments are in invisible groups: a macro that takes
//! the tokens apart and puts them together again loses those, and `-$e` negates `1` of `1 + 2`.

use std::{cell::RefCell, fmt::Debug};

use bocadillo::{App, Request, Response, background, route, testing::Client, view};

thread_local! {
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn keep(value: impl Debug) {
    KEPT.with_borrow_mut(|kept| kept.push(format!("{value:?}")));
}

fn kept() -> Vec<String> {
    KEPT.take()
}

/// Puts the statements, and a task beside them, into every place.
macro_rules! everywhere {
    ($($body:tt)*) => {
        fn plain() {
            $($body)*
        }

        #[view]
        async fn viewed(_req: &mut Request, response: &mut Response) {
            $($body)*
            #[background]
            async fn beside() {}
        }

        #[view]
        async fn viewed_in_a_block(_req: &mut Request, response: &mut Response) {
            if true {
                $($body)*
                #[background]
                async fn beside() {}
            }
        }

        #[route("/routed")]
        async fn routed(_req: &mut Request, res: &mut Response) {
            #[background]
            async fn beside() {}
            $($body)*
        }

        async fn alone(_req: &mut Request, res: &mut Response) {
            #[background]
            async fn beside() {
                $($body)*
            }
        }

        #[view]
        async fn task(_req: &mut Request, res: &mut Response) {
            #[background]
            async fn around() {
                $($body)*
                #[background]
                async fn follow_up() {}
            }
        }

        #[view]
        async fn follow_up(_req: &mut Request, res: &mut Response) {
            #[background]
            async fn around() {
                #[background]
                async fn follow_up() {
                    $($body)*
                }
            }
        }

        #[view]
        async fn blocking(_req: &mut Request, res: &mut Response) {
            #[background]
            async fn around() {
                fn inner() {
                    $($body)*
                }
                inner();
            }
        }
    };
}

macro_rules! forms {
    ($sum:expr, $comparison:expr, $range:expr, $closure:expr, $record:expr, $cast:expr,
     $negative:literal, $either:pat, $vector:ty, $bounds:ty, $block:block, $statement:stmt,
     $label:lifetime, $name:ident, $path:path, $item:item, $tree:tt, $macro:expr,
     $tuple:expr, $jump:expr, $text:literal) => {
        everywhere! {
            keep(-$sum);
            keep(2 * $sum);
            keep($sum * 2);
            let product = $sum * $sum;
            keep(product);
            keep($sum.pow(2));
            keep($sum as u64 * 2);
            keep(!$comparison);
            keep($comparison && false);
            keep(false == $comparison);
            keep(&$sum);
            keep(-$negative);
            keep($negative.abs());
            keep(matches!(-3, $negative..=0));
            match -3 {
                $negative..=0 => keep("in the range"),
                _ => keep("out of it"),
            }
            for index in $range {
                keep(index);
            }
            keep($range.len());
            keep($closure(3));
            if $record == $record {
                keep($record);
            }
            match $record {
                Record { field } => keep(field),
            }
            keep($cast < 5);
            keep(0..$sum);
            let upto = 0..$sum;
            keep(upto);
            if let Some($either) = Some(2) {
                keep("one or two");
            }
            match &2 {
                &$either => keep("by reference"),
                _ => keep("something else"),
            }
            let vector = <$vector>::new();
            keep(vector);
            let text: &$bounds = &"text";
            let _sent: Box<$bounds> = Box::new(7);
            keep(text);
            let value = $block;
            keep(value);
            keep($block + 1);
            keep(-$block);
            $statement
            let mut turns = 0;
            $label: loop {
                turns += 1;
                loop {
                    if turns == 2 {
                        break $label;
                    }
                    continue $label;
                }
            }
            keep(turns);
            let $name = 3;
            keep(-$name);
            keep($path(4));
            $item
            keep(from_an_item($sum));
            keep(-$tree);
            keep(-$macro * 2);
            keep($tuple.1);
            let ($name, _) = $tuple;
            keep($name);
            let closure = || if true { $jump } else { 4 };
            keep(closure());
            let nested = {
                let doubled = $sum * {
                    let inner = -$sum;
                    inner * $sum
                };
                doubled - $sum
            };
            keep(nested);
            keep(concat!($text, "!"));
            keep($text.len());
            keep(if $comparison { 1 } else { 2 } + $sum);
            keep(format_args!("{}{}", $sum, -$sum));
            keep(stringify!($tree));
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Record {
    field: u8,
}

forms!(
    1_i32 + 2,
    1 == 2,
    0..2,
    |x: i32| x + 1,
    Record { field: 7 },
    3_u8 as i32,
    -5_i32,
    1 | 2,
    Vec<u8>,
    dyn Debug + Send,
    { 40 + 2 },
    let _nothing = 3,
    'outer,
    number,
    Newtype,
    fn from_an_item(number: i32) -> i32 { -number },
    (1 + 2),
    i32::from_str_radix(concat!("1", "1"), 2).unwrap_or(0),
    (1, 2),
    return 5,
    "text"
);

#[derive(Debug)]
struct Newtype(#[allow(dead_code, reason = "it is printed")] u8);

async fn tasks_of(path: &str) -> Vec<String> {
    let app = App::new()
        .route(routed)
        .add("/viewed", &["get"], viewed)
        .add("/viewed_in_a_block", &["get"], viewed_in_a_block)
        .add("/alone", &["get"], alone)
        .add("/task", &["get"], task)
        .add("/follow_up", &["get"], follow_up)
        .add("/blocking", &["get"], blocking);
    let reports = Client::new(app).get(path).await.tasks().await;
    assert!(!reports.is_empty(), "{path}");
    for report in reports {
        assert!(report.error.is_none(), "{path}: {report:?}");
    }
    kept()
}

#[tokio::test]
async fn a_body_means_the_same_everywhere() {
    plain();
    let expected = kept();
    assert_eq!(expected[0], "-3");
    for place in [
        "routed",
        "viewed",
        "viewed_in_a_block",
        "alone",
        "task",
        "follow_up",
        "blocking",
    ] {
        assert_eq!(tasks_of(&format!("/{place}")).await, expected, "{place}");
    }
}
