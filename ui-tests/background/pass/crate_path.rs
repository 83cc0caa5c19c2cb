//! The facade under another name, or through somebody else's re-export.
#![deny(unused)]

extern crate bocadillo as renamed;

mod facade {
    pub mod web {
        pub use ::bocadillo::*;
    }
}

/// What the macros would name without the option.
mod bocadillo {}

use facade::web::{App, Request, Response, testing::Client};

#[renamed::route("/route", crate = renamed)]
async fn by_route(_req: &mut Request, res: &mut Response) {
    #[background(add, when = "always", timeout = "1s")]
    async fn of_a_route() {
        #[background]
        async fn follow_up() {}
    }
}

#[facade::web::view(crate = crate::facade::web)]
async fn by_view(_req: &mut Request, res: &mut Response) {
    #[background(blocking)]
    fn of_a_view() {}
}

async fn alone(_req: &mut Request, res: &mut Response) {
    #[facade::web::background(crate = facade::web, name = "alone")]
    async fn task() {}
}

#[renamed::main(crate = renamed)]
async fn main() {
    let app = App::new().route(by_route).add("/view", &["get"], by_view);
    let client = Client::new(app.add("/alone", &["get"], alone));
    for (path, names) in [
        ("/route", &["follow_up", "of_a_route"][..]),
        ("/view", &["of_a_view"]),
        ("/alone", &["alone"]),
    ] {
        let reports = client.get(path).await.tasks().await;
        let mut found: Vec<_> = reports.iter().map(|report| &*report.name).collect();
        // A follow-up may end before the task that left it behind.
        found.sort_unstable();
        assert_eq!(found, names);
    }
}
