//! The expansions need no `allow`: each form, where the lints that it could meet are forbidden.

use bocadillo::{App, testing::Client};

/// The forms.
pub mod forms {
    #![forbid(
        warnings,
        missing_docs,
        missing_debug_implementations,
        non_camel_case_types,
        unreachable_code,
        unreachable_pub,
        unused,
        unused_qualifications,
        clippy::all,
        clippy::pedantic
    )]

    use bocadillo::{Request, Response, background, route};

    /// The import is for the tasks alone.
    pub mod views {
        use bocadillo::{Request, Response, background, view};

        /// A view.
        #[view]
        pub async fn viewed(_req: &mut Request, response: &mut Response) {
            #[background]
            async fn task() {
                #[background]
                async fn follow_up() {}
            }
            macro_rules! register {
                ($name:ident) => {
                    #[background(add)]
                    async fn $name() {}
                };
            }
            register!(of_a_macro);
        }
    }

    /// A route.
    ///
    /// # Errors
    ///
    /// Never.
    #[route("/routed/{number}")]
    pub async fn routed(
        _req: &mut Request,
        res: &mut Response,
        number: u8,
    ) -> bocadillo::Result<()> {
        #[background]
        async fn task() -> Result<(), std::num::ParseIntError> {
            let _number: u8 = "7".parse()?;
            Ok(())
        }
        #[background(add, blocking)]
        fn blocks() {}

        #[background(add)]
        async fn never_ends() -> ! {
            std::future::pending::<()>().await;
            unreachable!("it is pending");
        }
        std::future::ready(()).await;
        res.json(&number);
        Ok(())
    }

    /// Without an attribute of its own.
    pub async fn alone(_req: &mut Request, res: &mut Response) {
        #[background(name = "alone")]
        async fn task() {}
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_needs_an_allow() {
    let app = App::new()
        .route(forms::routed)
        .add("/viewed", &["get"], forms::views::viewed)
        .add("/alone", &["get"], forms::alone);
    let client = Client::new(app);
    for (path, count) in [("/routed/7", 3), ("/viewed", 3), ("/alone", 1)] {
        assert_eq!(client.get(path).await.tasks().await.len(), count, "{path}");
    }
}
