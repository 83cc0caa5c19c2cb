//! The places where a task can be written. `tests/edition2021` has them too.

use bocadillo::{
    App, FromParam, Request, Response, Task, background,
    background::{Report, gather},
    route,
    testing::Client,
    view,
};
use std::fmt::Display;

macro_rules! handler {
    ($handler:ident, $task:ident) => {
        #[view]
        async fn $handler(_req: &mut Request, res: &mut Response) {
            #[background]
            async fn $task() {}
        }
    };
}
handler!(made_by_a_macro, task_of_a_macro);

macro_rules! register {
    ($res:expr, $name:ident, $text:expr) => {
        let text = $text;
        #[background($res, add)]
        async fn $name() {
            drop(text);
        }
    };
}

async fn uses_a_macro(_req: &mut Request, res: &mut Response) {
    register!(res, first, String::from("one"));
    register!(res, second, String::from("two"));
}

async fn branches_and_loops(_req: &mut Request, res: &mut Response) {
    let names = vec![String::from("ada"), String::from("grace")];
    for name in names {
        if name.starts_with('a') {
            #[background(res, add)]
            async fn in_an_if() {
                drop(name);
            }
        } else {
            #[background(add)]
            async fn in_an_else() {
                drop(name);
            }
        }
    }
    let mut left = 2;
    while left > 0 {
        match left {
            1 => {
                #[background(add, clone(left))]
                async fn in_a_match() {
                    assert_eq!(left, 1);
                }
            }
            more => assert_eq!(more, 2),
        }
        left -= 1;
    }
}

async fn last_statement(_req: &mut Request, res: &mut Response) {
    res.status(202);
    #[background]
    async fn comes_last() {}
}

#[route("/generic/{value}")]
async fn generic<T: FromParam + Clone + Display + Send + Sync + 'static>(
    _req: &mut Request,
    response: &mut Response,
    value: T,
) {
    response.text(value.to_string());
    #[background]
    async fn of_a_generic() {
        drop(value);
    }
}

struct Mailer {
    sender: String,
}

struct Context<'a> {
    res: &'a mut Response,
    who: String,
}

impl Mailer {
    /// A method that registers, called by a view.
    fn confirm(&self, res: &mut Response) {
        let sender = self.sender.clone();
        #[background]
        async fn of_a_method() {
            assert_eq!(sender, "shop@example.net");
        }
    }
}

impl Context<'_> {
    fn greet(&mut self) {
        #[background(self.res, add, args(who = self.who.clone()))]
        async fn of_a_field(who: String) {
            assert_eq!(who, "Ada");
        }
    }
}

async fn by_methods(_req: &mut Request, res: &mut Response) {
    let mailer = Mailer {
        sender: "shop@example.net".to_owned(),
    };
    mailer.confirm(res);
    let mut context = Context {
        res,
        who: "Ada".to_owned(),
    };
    context.greet();
}

/// A parameter that has the name of its view.
#[route("/name/{name}")]
async fn name(_req: &mut Request, res: &mut Response, name: String) {
    assert_eq!(name, "ada");
    #[background(args(name))]
    async fn of_a_name(name: String) {
        assert_eq!(name, "ada");
    }
}

#[route("/only")]
#[cfg(not(test))]
async fn only(_req: &mut Request, _res: &mut Response) {
    this_is_never_compiled();
}

#[cfg(test)]
#[route("/only")]
#[cfg(test)]
async fn only(_req: &mut Request, res: &mut Response) {
    #[background]
    #[cfg(not(test))]
    async fn is_not_there() {
        this_is_never_compiled();
    }

    #[background]
    #[cfg(test)]
    async fn is_there() {}
}

trait Confirms {
    fn confirm(&self, res: &mut Response);
}

impl<T: Clone + Send + 'static> Confirms for T {
    fn confirm(&self, res: &mut Response) {
        let it = self.clone();
        #[background]
        async fn of_a_trait() {
            drop(it);
        }
    }
}

async fn by_a_trait(_req: &mut Request, res: &mut Response) {
    7.confirm(res);
}

mod inner {
    pub(super) mod most {
        use bocadillo::{Request, Response};

        #[bocadillo::view]
        pub(in super::super) async fn nested(_: &mut Request, response: &mut Response) {
            #[bocadillo::background]
            async fn of_a_module() {}
        }
    }
}

async fn plain_calls(_req: &mut Request, res: &mut Response) {
    async fn send(who: &'static str) {
        assert_eq!(who, "ada");
    }
    res.background(send("ada"));
    res.add_background(gather((send("ada"), send("ada"))).name("several"));
    res.add_background(gather(vec![send("ada"), send("ada")]).name("a_list"));
    res.add_background(Task::blocking(|| ()).name("on_a_thread"));
    res.add_background(
        Task::fallible(async {
            let _number: u8 = "7".parse::<u8>()?;
            Ok(())
        })
        .name("fallible"),
    );
}

async fn webhook(_req: &mut Request, res: &mut Response) {
    struct Hook;
    impl Hook {
        async fn post(&self, _to: &str) -> Result<u16, std::fmt::Error> {
            Ok(200)
        }
    }
    let client = Hook;
    #[background]
    async fn calls_it() -> Result<(), std::fmt::Error> {
        let res = client.post("https://example.net").await?;
        assert_eq!(res, 200);
        Ok(())
    }
}

fn names(reports: &[Report]) -> Vec<&str> {
    let mut names: Vec<_> = reports.iter().map(|report| &*report.name).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn every_place() {
    let app = App::new()
        .add("/macro", &["get"], made_by_a_macro)
        .add("/macros", &["get"], uses_a_macro)
        .add("/loops", &["get"], branches_and_loops)
        .add("/last", &["get"], last_statement)
        .route(generic::<u64>)
        .route(only)
        .route(name)
        .add("/methods", &["get"], by_methods)
        .add("/trait", &["get"], by_a_trait)
        .add("/nested", &["get"], inner::most::nested)
        .add("/calls", &["get"], plain_calls)
        .add("/webhook", &["get"], webhook);
    let client = Client::new(app);
    let expected: [(&str, &[&str]); 12] = [
        ("/macro", &["task_of_a_macro"]),
        ("/macros", &["first", "second"]),
        ("/loops", &["in_a_match", "in_an_else", "in_an_if"]),
        ("/last", &["comes_last"]),
        ("/generic/7", &["of_a_generic"]),
        ("/only", &["is_there"]),
        ("/name/ada", &["of_a_name"]),
        ("/methods", &["of_a_field", "of_a_method"]),
        ("/trait", &["of_a_trait"]),
        ("/nested", &["of_a_module"]),
        (
            "/calls",
            &["a_list", "fallible", "on_a_thread", "send", "several"],
        ),
        ("/webhook", &["calls_it"]),
    ];
    for (path, tasks) in expected {
        let reports = client.get(path).await.tasks().await;
        for report in &reports {
            assert!(report.error.is_none(), "{path}: {report:?}");
        }
        assert_eq!(names(&reports), tasks, "{path}");
    }
}
