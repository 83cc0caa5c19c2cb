//! A view and its tasks, tested: no socket, no sleep, exactly the tasks of one response.
//!
//! Run with `cargo run --example testing`, and the tests with `cargo test --example testing`, which need
//! tokio's `test-util`, and `http`; try
//!
//! ```text
//! curl -i -X POST http://127.0.0.1:8000/orders -d 'ada@example.net'         # 201, log: to ada@example.net
//! ```

use bocadillo::{App, Request, Response, route};

#[route("/orders", methods = ["post"])]
async fn create_order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let email = req.text().await?;
    #[background]
    async fn send_confirmation() -> Result<(), std::io::Error> {
        if !email.contains('@') {
            return Err(std::io::Error::other("no address"));
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        tracing::info!("to {email}");
        Ok(())
    }
    res.status(201);
    Ok(())
}

fn app() -> App {
    App::new().route(create_order)
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    app().serve("127.0.0.1:8000").await
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocadillo::{background::TaskState, testing::Client};
    use std::time::Duration;

    /// With paused time no test waits for a timer.
    #[tokio::test(start_paused = true)]
    async fn an_order_is_confirmed() {
        let response = Client::new(app())
            .post("/orders")
            .body("ada@example.net")
            .await;
        assert_eq!(response.status(), 201);
        // A wait has a limit, and on it names what has not ended.
        let reports = response.tasks().within(Duration::from_secs(5)).await;
        let reports = reports.expect("the tasks end in time");
        // In the order in which they ended.
        assert_eq!(reports[0].name, "send_confirmation");
        assert_eq!(reports[0].outcome, TaskState::Completed);
    }

    #[tokio::test]
    async fn a_failure_is_seen() {
        let response = Client::new(app()).post("/orders").body("nobody").await;
        let reports = response.tasks().await;
        assert_eq!(reports[0].outcome, TaskState::Failed);
        assert_eq!(reports[0].error.as_deref(), Some("no address"));
    }

    /// The function is there as it was written.
    #[tokio::test]
    async fn a_view_is_called_without_an_app() -> bocadillo::Result<()> {
        let request = http::Request::post("/").body("ada@example.net".into())?;
        let mut res = bocadillo::testing::response();
        create_order(&mut bocadillo::testing::request(request), &mut res).await?;
        assert_eq!(res.status_code(), 201);
        Ok(())
    }
}
