//! The place that a report has is the task's own, to the column, in every form.

use bocadillo::{
    App, Request, Response, Task, background,
    background::{Report, gather},
    route,
    testing::Client,
    view,
};

#[route("/route")]
async fn in_a_route(_req: &mut Request, res: &mut Response) {
    let text = String::from("text");
    #[background]
    async fn plain_form() {}

    #[background(add, clone(text), timeout = "1s")]
    async fn with_options() {
        drop(text);

        #[background]
        async fn follow_up_form() {}
    }
    #[background(add, args(text))]
    async fn with_arguments(text: String) {
        drop(text);
    }
    if !text.is_empty() {
        #[background(add, blocking)]
        fn blocking_form() {}
    }
    #[background(add)]
    async fn returns_a_result() -> Result<(), std::fmt::Error> {
        Ok(())
    }
}

#[view]
async fn in_a_view(_req: &mut Request, response: &mut Response) {
    #[background]
    async fn view_form() {}
}

async fn alone(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn alone_form() {}

    #[background(res, add, name = "alone_with_options")]
    async fn named() {
        #[background]
        async fn alone_follow_up() {}
    }
    macro_rules! register {
        ($(#[$attribute:meta])* $name:ident) => {
            #[background(res, add)]
            async fn $name() {}
        };
    }
    register!(by_a_macro);
}

async fn other() {}

#[rustfmt::skip]
async fn by_calls(_req: &mut Request, res: &mut Response) {
    res.background(other());
    res.add_background(Task::new(async {}).name("a task"));
    res.add_background(gather((other(), other())));
}

async fn reports(path: &str) -> Vec<Report> {
    let app = App::new()
        .route(in_a_route)
        .add("/view", &["get"], in_a_view)
        .add("/alone", &["get"], alone)
        .add("/calls", &["get"], by_calls);
    Client::new(app).get(path).await.tasks().await
}

/// Line and column of what stands in this file once.
fn place(what: &str) -> (u32, u32) {
    let source = include_str!("places.rs");
    let mut found = source.match_indices(what);
    let (at, _) = found.next().unwrap_or_else(|| panic!("no `{what}`"));
    let before = &source[..at];
    let line = before.matches('\n').count() as u32 + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count()) as u32
        + 1;
    (line, column)
}

#[tokio::test]
async fn every_attribute_form_has_the_place_of_its_name() {
    let mut seen = 0;
    for path in ["/route", "/view", "/alone"] {
        for report in reports(path).await {
            let expected = match &*report.name {
                "alone_with_options" => place("named() {"),
                // What a macro makes is where the macro was given its name.
                "by_a_macro" => place("by_a_macro);"),
                name => place(&format!("{name}(")),
            };
            let found = (report.location.line(), report.location.column());
            assert_eq!(found, expected, "{}", report.name);
            assert!(report.location.file().ends_with("places.rs"));
            seen += 1;
        }
    }
    assert_eq!(seen, 11);
}

#[tokio::test]
async fn every_call_has_its_own_place() {
    let found = reports("/calls").await;
    let mut found: Vec<_> = found
        .iter()
        .map(|it| (it.location.line(), it.location.column()))
        .collect();
    found.sort_unstable();
    let expected = [
        place("background(other());"),
        place("Task::new(async {}).name(\"a task\")"),
        place("gather((other(), other()))"),
    ];
    assert_eq!(found, expected);
}
