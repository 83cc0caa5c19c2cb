//! A closure that captures.

use bocadillo::{App, Request, Response};

fn main() {
    let greeting = String::from("hello");
    let view = async move |_req: &mut Request, res: &mut Response| res.text(greeting.clone());
    let _ = App::new().add("/", &["get"], view);
}
