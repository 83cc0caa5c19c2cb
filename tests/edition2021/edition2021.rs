//! The same forms as in edition 2024, and the facade under another name.

// The forms have it under its own.
extern crate sandwich as bocadillo;

#[path = "../forms/forms.rs"]
mod forms;

#[sandwich::route("/renamed/{number}", crate = sandwich)]
async fn renamed(req: &mut sandwich::Request, res: &mut sandwich::Response, number: u32) {
    let path = req.path().to_owned();
    #[background(timeout = "1s", when = "success")]
    async fn of_a_renamed_route() {
        assert_eq!(path, format!("/renamed/{number}"));

        #[background]
        async fn follow_up() {}
    }
    res.status(204);
}

#[tokio::test]
async fn under_another_name() {
    let client = sandwich::testing::Client::new(sandwich::App::new().route(renamed));
    let reports = client.get("/renamed/7").await.tasks().await;
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports.iter().all(|report| report.error.is_none()));
}
