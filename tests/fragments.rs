//! The parts of a handler that a `macro_rules!` of the user's fills in, in invisible groups.

use std::time::Duration;

use bocadillo::{
    App, Request, Response, background, background::TaskState, route, testing::Client, view,
};

const LIMIT: Duration = Duration::from_secs(5);

/// Every kind of fragment, where an attribute reads it or hands it on.
macro_rules! handlers {
    ($block:block, $body:block, $never:ty, $result:ty, $limit:literal, $path:path, $name:expr,
     $condition:literal, $sum:expr, $meta:meta, $number:ty, $url:literal, $item:item, $vis:vis) => {
        #[view]
        $vis async fn blocks(_req: &mut Request, res: &mut Response) $body

        async fn task_of_a_block(_req: &mut Request, res: &mut Response) {
            #[background]
            async fn of_a_block() $block
        }

        #[view]
        async fn results(_req: &mut Request, response: &mut Response) {
            #[background(timeout = $limit, name = $name, when = $condition)]
            async fn by_literals() -> $result {
                Ok(())
            }
            #[background(add, timeout = $path, args(sum = 2 * $sum, negative = -$sum))]
            async fn by_a_path(sum: i32, negative: $number) -> $never {
                assert_eq!((sum, negative), (6, -3));
                loop {
                    tokio::time::sleep(LIMIT).await;
                }
            }
        }

        async fn results_alone(_req: &mut Request, res: &mut Response) {
            #[background(res, timeout = $limit, name = $name, when = $condition)]
            async fn by_literals() -> $result {
                Ok(())
            }
            #[background(res, add, timeout = $path, args(sum = 2 * $sum, negative = -$sum))]
            async fn by_a_path(sum: i32, negative: $number) -> $never {
                assert_eq!((sum, negative), (6, -3));
                loop {
                    tokio::time::sleep(LIMIT).await;
                }
            }
        }

        #[view]
        async fn attributes(_req: &mut Request, response: &mut Response) {
            #[$meta]
            async fn by_meta() {}
        }

        #[route($url)]
        async fn numbers(_req: &mut Request, res: &mut Response, id: $number) -> $result {
            res.json(&(2 * $sum + id));
            Ok(())
        }

        #[view]
        $item
    };
}

handlers!(
    { let _nothing = 3; },
    { #[background] async fn in_a_block() {} },
    !,
    Result<(), std::fmt::Error>,
    "5s",
    LIMIT,
    "a name",
    "success",
    1 + 2,
    background(add),
    i32,
    "/numbers/{id}",
    async fn item(_req: &mut Request, response: &mut Response) {
        #[background]
        async fn of_an_item() {}
    },
    pub(crate)
);

/// The whole task is a fragment.
macro_rules! view_of {
    ($($task:item)*) => {
        #[view]
        async fn items(_req: &mut Request, response: &mut Response) {
            $(#[background(add)] $task)*
        }
    };
}
view_of! {
    async fn first() {}
    async fn second() -> Result<(), std::fmt::Error> {
        Ok(())
    }
}

async fn names(path: &str) -> Vec<String> {
    let app = App::new()
        .add("/blocks", &["get"], blocks)
        .add("/task_of_a_block", &["get"], task_of_a_block)
        .add("/results", &["get"], results)
        .add("/results_alone", &["get"], results_alone)
        .add("/attributes", &["get"], attributes)
        .add("/item", &["get"], item)
        .add("/items", &["get"], items);
    let reports = Client::new(app).get(path).await.tasks().await;
    let mut names: Vec<_> = reports
        .iter()
        .map(|report| {
            let is_endless = report.name == "by_a_path";
            let expected = if is_endless {
                TaskState::TimedOut
            } else {
                TaskState::Completed
            };
            assert_eq!(report.outcome, expected, "{path}: {report:?}");
            report.name.to_string()
        })
        .collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn fragments_are_read_as_what_they_are() {
    assert_eq!(names("/blocks").await, ["in_a_block"]);
    assert_eq!(names("/task_of_a_block").await, ["of_a_block"]);
    assert_eq!(names("/results").await, ["a name", "by_a_path"]);
    assert_eq!(names("/results_alone").await, ["a name", "by_a_path"]);
    assert_eq!(names("/attributes").await, ["by_meta"]);
    assert_eq!(names("/item").await, ["of_an_item"]);
    assert_eq!(names("/items").await, ["first", "second"]);
}

#[tokio::test]
async fn a_route_is_made_of_fragments() {
    let client = Client::new(App::new().route(numbers));
    assert_eq!(client.get("/numbers/7").await.json::<i32>(), 13);
}
