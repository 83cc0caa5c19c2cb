//! Every form that is there, run.

use bocadillo::{App, Request, Response, background, route, testing::Client, view};

struct Context<'a> {
    res: &'a mut Response,
}

#[view]
async fn in_a_view(_request: &mut Request, response: &mut Response) {
    let email = String::from("ada@example.net");

    /// Documented.
    #[background]
    #[allow(unused_variables)]
    async fn send() -> Result<(), std::num::ParseIntError> {
        let unused = 3;
        if email.is_empty() {
            return Ok(());
        }
        let _number: u32 = "7".parse()?;
        Ok(())
    }
}

async fn alone(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn task() {}
}

async fn named(_req: &mut Request, answer: &mut Response) {
    let context = Context { res: answer };
    #[background(context.res)]
    async fn task() {}
}

#[route("/branch/{n}")]
async fn branch(_req: &mut Request, res: &mut Response, n: u32) {
    if n > 1 {
        #[bocadillo::background]
        async fn large() {
            assert!(n > 1);
        }
    } else {
        #[background]
        async fn small() {}
    }
}

#[route("/never")]
async fn qualified(_req: &mut Request, res: &mut Response) {
    res.background(ends());
}

async fn ends() {}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let client = Client::new(
        App::new()
            .add("/view", &["get"], in_a_view)
            .add("/alone", &["get"], alone)
            .add("/named", &["get"], named)
            .route(branch)
            .route(qualified),
    );
    for (path, name) in [
        ("/view", "send"),
        ("/alone", "task"),
        ("/named", "task"),
        ("/branch/1", "small"),
        ("/branch/2", "large"),
        ("/never", "ends"),
    ] {
        let reports = client.get(path).await.tasks().await;
        assert_eq!(reports.len(), 1, "{path}");
        assert_eq!(reports[0].name, name);
        assert!(reports[0].error.is_none());
    }
}
