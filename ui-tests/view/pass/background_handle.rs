//! A handler of axum's: its tasks are registered on the `Background`, whatever its name and place.

#![deny(warnings)]

use axum::{Json, debug_handler, routing::post};
use bocadillo::{background::Background, view};

#[view]
async fn first(res: Background) {
    #[background]
    async fn task() {}
}

#[view]
#[debug_handler]
async fn last(answer: Background, Json(text): Json<String>) -> &'static str {
    #[background]
    async fn task() {
        drop(text);
    }

    "last"
}

#[view]
#[debug_handler]
async fn below(handle: bocadillo::background::Background, _body: String) {
    #[background(name = "below")]
    async fn task() {}
}

#[view]
async fn borrowed(count: u32, handle: &Background) -> u32 {
    #[background]
    async fn task() {}

    count
}

struct Orders;

impl Orders {
    #[view]
    async fn method(&self, handle: Background) {
        #[background]
        async fn task() {}
    }
}

fn main() {
    let _: axum::Router = axum::Router::new()
        .route("/first", post(first))
        .route("/last", post(last))
        .route("/below", post(below));
    let handle = Background::default();
    let _ = borrowed(1, &handle);
    let _ = Orders.method(handle.clone());
}
