//! The methods are an option with a name, and a list.

use bocadillo::{App, Request, Response, route};

#[route("/a", ["get"])]
async fn a(_req: &mut Request, _res: &mut Response) {}

#[route("/b", "get")]
async fn b(_req: &mut Request, _res: &mut Response) {}

#[route("/c", methods = "get")]
async fn c(_req: &mut Request, _res: &mut Response) {}

#[route("/d", methods = [get])]
async fn d(_req: &mut Request, _res: &mut Response) {}

fn main() {
    let _ = App::new().route(a).route(b).route(c).route(d);
}
