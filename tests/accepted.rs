//! Code that is right without the attributes is right with them, and does the same.

use std::{error::Error, fmt, net::IpAddr};

use bocadillo::{
    App, Request, Response, background,
    background::{Report, TaskState},
    route,
    testing::Client,
    view,
};

/// An error of the user's own.
#[derive(Debug)]
pub struct Mine;

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mine")
    }
}

impl Error for Mine {}

type Boxed = Box<dyn Error + Send + Sync>;

async fn reports(app: App, path: &str) -> Vec<Report> {
    Client::new(app).get(path).await.tasks().await
}

async fn names(app: App, path: &str) -> Vec<String> {
    let reports = reports(app, path).await;
    let name = |report: &Report| {
        assert_eq!(report.outcome, TaskState::Completed, "{report:?}");
        report.name.to_string()
    };
    let mut names: Vec<_> = reports.iter().map(name).collect();
    names.sort();
    names
}

#[view]
async fn coerces(_req: &mut Request, response: &mut Response) {
    let which = 2;
    #[background]
    async fn at_the_end() -> Result<(), Boxed> {
        Err(Box::new(Mine))
    }

    #[background(add)]
    async fn by_return() -> Result<(), Boxed> {
        if which == 2 {
            return Err(Box::new(Mine));
        }
        Ok(())
    }

    #[background(add)]
    async fn in_an_arm() -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        match which {
            1 => Err("text".into()),
            2 => Err(Box::new(Mine)),
            _ => Ok(()),
        }
    }

    #[background(add, blocking)]
    fn in_a_function() -> Result<(), Boxed> {
        Err(Box::new(Mine))
    }

    #[background(add)]
    async fn of_an_unnamed_type() -> Result<(), impl Error + Send + Sync> {
        std::future::ready(()).await;
        Err(Mine)
    }
}

#[tokio::test]
async fn an_error_becomes_the_type_that_is_written() {
    let reports = reports(App::new().add("/", &["get"], coerces), "/").await;
    assert_eq!(reports.len(), 5);
    for report in reports {
        assert_eq!(report.outcome, TaskState::Failed, "{report:?}");
        assert_eq!(report.error.as_deref(), Some("mine"), "{report:?}");
    }
}

mod helpers {
    pub(super) fn res() -> u8 {
        3
    }
}

#[view]
async fn other_names(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn macros() {
        tracing::info!(res = ?1);
        assert!(matches!(Some(3), Some(res) if res == 3));
        assert_eq!(format!("{res}", res = 3), "3");
        tokio::select! {
            res = async { 3 } => assert_eq!(res, 3),
        }
    }

    #[background(add)]
    async fn imports() {
        use helpers::res;
        assert_eq!(res(), 3);
        let called = res;
        assert_eq!(called(), 3);
    }

    #[background(add)]
    async fn labels() {
        let mut left = 2;
        'res: loop {
            left -= 1;
            if left == 0 {
                break 'res;
            }
        }
    }
}

#[tokio::test]
async fn a_name_that_is_not_the_response_is_left_alone() {
    let names = names(App::new().add("/", &["get"], other_names), "/").await;
    assert_eq!(names, ["imports", "labels", "macros"]);
}

#[view]
async fn inner_attributes(_req: &mut Request, res: &mut Response) {
    #![allow(unused_variables)]
    //! Documented within.
    let unused = 3;

    #[background]
    async fn has_its_own() {
        //! Documented too.
        #![allow(unused_assignments, unused_variables)]
        let unused = 3;
    }
}

#[route("/inner")]
async fn inner_attributes_of_a_route(_req: &mut Request, res: &mut Response) {
    //! Documented within.
    #![allow(unused_variables)]
    let unused = 3;
    #[background]
    async fn task() {}
}

#[tokio::test]
async fn attributes_within_a_body_stay() {
    let app = App::new().add("/", &["get"], inner_attributes);
    assert_eq!(names(app, "/").await, ["has_its_own"]);
    let app = App::new().route(inner_attributes_of_a_route);
    assert_eq!(names(app, "/inner").await, ["task"]);
}

struct Shop {
    name: String,
}

impl Shop {
    #[view]
    async fn index(_req: &mut Request, response: &mut Response) {
        #[background]
        async fn of_a_function() {}
    }

    #[view]
    async fn order(&self, _req: &mut Request, response: &mut Response) {
        let name = self.name.clone();
        #[background]
        async fn of_a_method() {
            assert_eq!(name, "shop");
        }
    }

    #[route("/route/{id}")]
    pub(crate) async fn route(_req: &mut Request, response: &mut Response, id: u8) {
        #[background]
        async fn of_a_route() {
            assert_eq!(id, 7);
        }
    }
}

async fn by_a_method(req: &mut Request, res: &mut Response) {
    let shop = Shop {
        name: "shop".to_owned(),
    };
    shop.order(req, res).await;
}

#[tokio::test]
async fn views_stand_in_an_impl() {
    let app = || {
        App::new()
            .add("/index", &["get"], Shop::index)
            .add("/order", &["get"], by_a_method)
            .route(Shop::route)
    };
    assert_eq!(names(app(), "/index").await, ["of_a_function"]);
    assert_eq!(names(app(), "/order").await, ["of_a_method"]);
    assert_eq!(names(app(), "/route/7").await, ["of_a_route"]);
}

#[route("/unnamed")]
async fn unnamed_error(
    _req: &mut Request,
    _res: &mut Response,
) -> Result<(), impl Error + 'static> {
    Err(Mine)
}

#[tokio::test]
async fn a_view_returns_an_error_without_a_name() {
    let client = Client::new(App::new().route(unnamed_error));
    assert_eq!(client.get("/unnamed").await.status(), 500);
}

#[view]
async fn has_rules(_req: &mut Request, response: &mut Response) {
    macro_rules! register {
        ($name:ident) => {
            #[background(add)]
            async fn $name() {}
        };
    }
    register!(first);
    register!(second);

    #[background(add)]
    async fn third() {
        macro_rules! follow {
            ($name:ident, $($body:tt)*) => {
                #[background]
                async fn $name() { $($body)* }
            };
        }
        follow!(fourth, assert!(true););
        tokio::select! {
            () = async {} => {
                #[background]
                async fn fifth() {}
            }
        }
    }
    tokio::select! {
        () = async {} => {
            #[background(add)]
            async fn sixth() {}
        }
    }
}

#[tokio::test]
async fn a_macro_makes_tasks_of_a_view() {
    let names = names(App::new().add("/", &["get"], has_rules), "/").await;
    assert_eq!(
        names,
        ["fifth", "first", "fourth", "second", "sixth", "third"]
    );
}

#[view]
async fn has_functions(req: &mut Request, response: &mut Response) {
    fn helper(out: &mut Response) {
        #[background(add)]
        async fn of_a_helper() {}
    }
    struct Helper;
    impl Helper {
        async fn help(&self, _req: &mut Request, res: &mut Response) {
            #[background(add)]
            async fn of_a_method() {}
        }
    }
    helper(response);
    Helper.help(req, response).await;
}

#[tokio::test]
async fn a_function_within_has_its_own_response() {
    let names = names(App::new().add("/", &["get"], has_functions), "/").await;
    assert_eq!(names, ["of_a_helper", "of_a_method"]);
}

#[route("/cfg/{id}")]
async fn cfg(
    _req: &mut Request,
    res: &mut Response,
    #[cfg(test)] id: u32,
    #[cfg(not(test))] id: String,
) {
    res.json(&(id + 1));
}

#[route("/without/{id}")]
async fn without(req: &mut Request, res: &mut Response, #[cfg(not(test))] id: u32) {
    res.text(req.param::<String>("id").unwrap_or_default());
}

#[tokio::test]
async fn a_path_parameter_has_a_condition() {
    let client = Client::new(App::new().route(cfg).route(without));
    assert_eq!(client.get("/cfg/7").await.text(), "8");
    assert_eq!(client.get("/without/7").await.text(), "7");
}

#[view]
async fn cfg_attr(_req: &mut Request, response: &mut Response) {
    let text = "text".to_owned();
    #[cfg_attr(test, background(clone(text)))]
    #[cfg_attr(not(test), allow(dead_code))]
    async fn there() {
        assert_eq!(text, "text");
    }

    #[cfg_attr(not(test), background, allow(unused))]
    #[cfg_attr(test, allow(dead_code))]
    async fn not_there() {}

    #[cfg(not(test))]
    #[background(durable)]
    async fn never() {}
    assert_eq!(text, "text");
}

#[tokio::test]
async fn an_attribute_has_a_condition() {
    let names = names(App::new().add("/", &["get"], cfg_attr), "/").await;
    assert_eq!(names, ["there"]);
}

#[route("/keyword/{type}/{async:path}")]
async fn keyword(_req: &mut Request, res: &mut Response, r#type: String, r#async: String) {
    res.text(r#type + &r#async);
}

#[route("/hosts/{address}")]
async fn host(_req: &mut Request, res: &mut Response, address: IpAddr) {
    res.json(&address.is_ipv4());
}

#[tokio::test]
async fn a_path_parameter_is_a_keyword() {
    let client = Client::new(App::new().route(keyword));
    assert_eq!(client.get("/keyword/a/b").await.text(), "ab");
}

#[tokio::test]
async fn a_path_parameter_is_of_another_crate() {
    let client = Client::new(App::new().route(host));
    assert_eq!(client.get("/hosts/127.0.0.1").await.text(), "true");
    let refused = client.get("/hosts/ada").await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("invalid IP address syntax"));
}

mod lints {
    #![deny(warnings)]

    use bocadillo::{Request, Response, route, view};

    #[deprecated]
    #[route("/deprecated")]
    pub(super) async fn deprecated(_req: &mut Request, _res: &mut Response) {}

    #[route("/named")]
    #[allow(non_snake_case)]
    pub(super) async fn Named(_req: &mut Request, _res: &mut Response) {}

    #[allow(non_snake_case, clippy::too_many_arguments)]
    #[view]
    pub(super) async fn Viewed(_req: &mut Request, res: &mut Response) {
        #[background]
        async fn task() {}
    }

    #[expect(unused_variables)]
    #[route("/expects")]
    pub(super) async fn expects(req: &mut Request, _res: &mut Response) {}
}

#[tokio::test]
async fn lints_reach_what_is_left_behind() {
    #[allow(deprecated)]
    let app = App::new()
        .route(lints::deprecated)
        .route(lints::Named)
        .route(lints::expects)
        .add("/viewed", &["get"], lints::Viewed);
    assert_eq!(names(app, "/viewed").await, ["task"]);
}

/// Another crate's attribute of that name.
mod jobs {
    pub(crate) use tokio::main as background;
}

#[view]
async fn of_another_crate(_req: &mut Request, res: &mut Response) {
    #[jobs::background(flavor = "current_thread")]
    async fn job() -> u8 {
        7
    }
    let run: fn() -> u8 = job;
    let number = tokio::task::spawn_blocking(run).await;
    res.json(&number.unwrap_or_default());

    #[bocadillo::background]
    async fn of_this_one() {}
}

#[tokio::test]
async fn an_attribute_of_another_crate_is_left_alone() {
    let client = Client::new(App::new().add("/", &["get"], of_another_crate));
    let response = client.get("/").await;
    assert_eq!(response.text(), "7");
    assert_eq!(response.tasks().await.len(), 1);
}
