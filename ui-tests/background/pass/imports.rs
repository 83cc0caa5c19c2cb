//! An import that only tasks use is used, and none is needed within a view.
#![deny(warnings)]

mod with_an_import {
    use bocadillo::{Request, Response, background, route, view};

    #[route("/one")]
    pub async fn one(_req: &mut Request, res: &mut Response) {
        #[background]
        async fn task() {}
    }

    #[view]
    pub async fn two(_req: &mut Request, res: &mut Response) {
        #[background(add)]
        async fn task() {}
    }
}

mod without {
    use bocadillo::{Request, Response, route};

    #[route("/three")]
    pub async fn three(_req: &mut Request, res: &mut Response) {
        #[background]
        async fn task() {}
    }
}

mod with_the_prelude {
    use bocadillo::prelude::*;

    #[route("/four")]
    pub async fn four(_req: &mut Request, res: &mut Response) {
        #[background]
        async fn task() {}
    }
}

/// A name of the user's own goes before ours.
mod with_another {
    use bocadillo::{Request, Response, route};

    fn background() -> &'static str {
        "mine"
    }

    #[route("/five")]
    pub async fn five(_req: &mut Request, res: &mut Response) {
        #[background]
        async fn task() {}
        res.text(background());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let app = bocadillo::App::new()
        .route(with_an_import::one)
        .add("/two", &["get"], with_an_import::two)
        .route(without::three)
        .route(with_the_prelude::four)
        .route(with_another::five);
    let client = bocadillo::testing::Client::new(app);
    for path in ["/one", "/two", "/three", "/four", "/five"] {
        assert_eq!(client.get(path).await.tasks().await.len(), 1, "{path}");
    }
}
