//! The test kit: waits are bounded, name what was pending, and need no sleeping.

use std::time::Duration;

use bocadillo::{App, Request, Response, Task, background, background::State, testing::Client};

async fn registers(_req: &mut Request, res: &mut Response) {
    res.background(Task::new(std::future::pending::<()>()).name("never ends"));
    res.add_background(Task::new(async {}).name("ends"));
}

#[tokio::test(start_paused = true)]
async fn wait_has_a_limit_and_names_what_was_pending() {
    let response = Client::new(App::new().add("/", &["get"], registers))
        .get("/")
        .await;
    let pending = response
        .tasks()
        .within(Duration::from_secs(5))
        .await
        .expect_err("one never ends");
    assert_eq!(pending.names(), ["never ends"]);
    assert_eq!(
        pending.to_string(),
        "background tasks still pending after 5s: `never ends`"
    );
}

/// The default limit is real time: with paused time, a long sleep is no wait.
#[tokio::test(start_paused = true)]
async fn paused_time_works() {
    async fn sleeps(_req: &mut Request, res: &mut Response) {
        res.background(tokio::time::sleep(Duration::from_secs(500)));
    }
    let begun = std::time::Instant::now();
    let response = Client::new(App::new().add("/", &["get"], sleeps))
        .get("/")
        .await;
    let reports = response.tasks().await;
    assert_eq!(reports[0].outcome, State::Completed);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn what_has_ended_is_returned_at_once_and_again() {
    async fn view(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(async {}).name("quick"));
    }
    let response = Client::new(App::new().add("/", &["get"], view))
        .get("/")
        .await;
    assert_eq!(response.tasks().await.len(), 1);
    assert_eq!(response.tasks().await[0].name, "quick");
}

#[tokio::test]
async fn response_without_tasks_has_none() {
    async fn view(_req: &mut Request, _res: &mut Response) {}
    let client = Client::new(App::new().add("/", &["get"], view));
    assert!(client.get("/").await.tasks().await.is_empty());
    assert_eq!(client.runner().stats(), background::Stats::default());
}

#[tokio::test]
async fn waits_for_exactly_the_tasks_of_one_response() {
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let is_slow = req.uri().query() == Some("slow");
        res.background(Task::new(async move {
            if is_slow {
                std::future::pending::<()>().await;
            }
        }));
        Ok(())
    }
    let client = Client::new(App::new().add("/", &["get"], view));
    let slow = client.get("/?slow").await;
    assert_eq!(client.get("/").await.tasks().await.len(), 1);
    assert!(
        slow.tasks()
            .within(Duration::from_millis(10))
            .await
            .is_err()
    );
}

#[tokio::test]
#[should_panic(expected = "`background::current()` was called outside of a background task")]
async fn current_outside_of_a_task_says_what_to_do() {
    let _ = background::current();
}
