//! The Rust side of docs/porting.md: each block of the guide stands here as it is there.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bocadillo::{App, HttpError, Request, Response, gather, route};
use futures_core::Stream;
use serde::Deserialize;
use serde_json::json;

/// What the tasks say; asked for by the comparison.
#[derive(Clone, Default)]
pub(crate) struct Ran(pub(crate) Arc<Mutex<Vec<String>>>);

impl Ran {
    pub(crate) fn push(&self, what: String) {
        self.0.lock().expect("no panic").push(what);
    }
}

// -- routes --

#[route("/hello")]
async fn hello(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

#[route("/both", methods = ["get", "post"])]
async fn both(req: &mut Request, res: &mut Response) {
    res.text(req.method().to_string());
}

#[route("/items/{id}")]
async fn item(_req: &mut Request, res: &mut Response, id: u64) {
    res.json(&json!({ "id": id }));
}

#[route("/files/{rest:path}")]
async fn files(_req: &mut Request, res: &mut Response, rest: String) {
    res.text(rest);
}

#[route("/slash/")]
async fn slash(_req: &mut Request, res: &mut Response) {
    res.text("slash");
}

#[route("/list")]
async fn listing(_req: &mut Request, res: &mut Response) {
    res.json(&[1, 2]);
}

#[route("/things")]
async fn things(_req: &mut Request, res: &mut Response) {
    res.text("all");
}

#[route("/things", methods = ["post"])]
async fn create_thing(_req: &mut Request, res: &mut Response) {
    res.status(201);
}

// -- requests --

#[route("/query")]
async fn query(req: &mut Request, res: &mut Response) {
    let q = req.query_param("q");
    res.text(q.unwrap_or("nothing".into()).into_owned());
}

#[derive(Deserialize)]
struct Search {
    #[serde(default = "first_page")]
    page: u32,
}

fn first_page() -> u32 {
    1
}

#[route("/search")]
async fn search(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let search: Search = req.query()?;
    res.json(&json!({ "page": search.page }));
    Ok(())
}

#[route("/headers")]
async fn headers(req: &mut Request, res: &mut Response) {
    res.text(req.header("X-Who").unwrap_or("nobody").to_owned());
}

#[route("/cookies")]
async fn cookies(req: &mut Request, res: &mut Response) {
    let theme = req.cookie("theme");
    res.text(theme.map_or("light".to_owned(), |it| it.value().to_owned()));
}

#[route("/body", methods = ["post"])]
async fn body(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.text(req.body().await?.len().to_string());
    Ok(())
}

#[derive(Deserialize)]
struct Order {
    email: String,
}

#[route("/json", methods = ["post"])]
async fn read_json(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let order: Order = req.json().await?;
    res.json(&json!({ "email": order.email }));
    Ok(())
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

#[route("/form", methods = ["post"])]
async fn form(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let form: Login = req.form().await?;
    res.text(form.name);
    Ok(())
}

#[route("/upload", methods = ["post"])]
async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let mut form = req.multipart()?;
    while let Some(mut field) = form.next_field().await? {
        if field.name() == Some("file") {
            let name = field.file_name().unwrap_or_default().to_owned();
            res.text(format!("{name}: {}", field.bytes().await?.len()));
        }
    }
    Ok(())
}

#[route("/chunks", methods = ["post"])]
async fn chunks(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let mut length = 0;
    let mut stream = req.stream();
    while let Some(chunk) = stream.chunk().await? {
        length += chunk.len();
    }
    res.text(length.to_string());
    Ok(())
}

// -- responses --

#[route("/html")]
async fn html(_req: &mut Request, res: &mut Response) {
    res.html("<h1>Hello</h1>");
}

#[route("/bytes")]
async fn content(_req: &mut Request, res: &mut Response) {
    res.bytes(vec![0, 1]);
}

#[route("/status", methods = ["post"])]
async fn created(_req: &mut Request, res: &mut Response) {
    res.status(201);
    res.header("x-id", "7");
    res.json(&json!({ "id": 7 }));
}

#[route("/none", methods = ["delete"])]
async fn no_content(_req: &mut Request, res: &mut Response) {
    res.status(204);
}

#[route("/attachment")]
async fn attachment(_req: &mut Request, res: &mut Response) {
    res.text("a,b");
    res.attachment("table.csv");
}

#[route("/stream")]
async fn stream(_req: &mut Request, res: &mut Response) {
    res.stream(lines(0..3));
}

#[route("/last")]
async fn last(_req: &mut Request, res: &mut Response) {
    res.text("first");
    res.json("last");
}

// -- errors --

#[route("/forbidden")]
async fn forbidden(_req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
    Err(HttpError::new(403).detail("not you").into())
}

#[route("/moved")]
async fn moved(_req: &mut Request, res: &mut Response) {
    res.redirect("/hello");
}

#[route("/moved-forever")]
async fn moved_for_ever(_req: &mut Request, res: &mut Response) {
    res.redirect("/hello");
    res.status(301);
}

#[derive(Debug)]
struct OutOfStock(u32);

impl std::fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} left", self.0)
    }
}

impl std::error::Error for OutOfStock {}

fn on_out_of_stock(_req: &Request, res: &mut Response, error: &OutOfStock) {
    res.status(409);
    res.text(error.to_string());
}

#[route("/out-of-stock")]
async fn out_of_stock(_req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
    Err(OutOfStock(3))?;
    Ok(())
}

// -- background tasks --

#[route("/orders", methods = ["post"])]
async fn create_order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let Order { email } = req.json().await?;
    let ran = req.state::<Ran>()?.clone();

    #[background]
    async fn send_confirmation() {
        ran.push(format!("to {email}"));
    }

    res.status(201);
    Ok(())
}

async fn send(ran: Ran, who: &'static str) {
    ran.push(format!("to {who}"));
}

#[route("/parametrised", methods = ["post"])]
async fn parametrised(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let ran = req.state::<Ran>()?.clone();
    res.background(send(ran, "user@example.net"));
    res.status(201);
    Ok(())
}

#[route("/latest", methods = ["post"])]
async fn latest(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let ran = req.state::<Ran>()?.clone();
    res.background(send(ran.clone(), "first"));
    res.background(send(ran, "second"));
    Ok(())
}

#[route("/several", methods = ["post"])]
async fn several(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let ran = req.state::<Ran>()?.clone();
    res.background(gather((send(ran.clone(), "a"), send(ran, "b"))));
    Ok(())
}

#[route("/task-and-error", methods = ["post"])]
async fn task_and_error(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let ran = req.state::<Ran>()?.clone();
    res.background(send(ran, "all the same"));
    Err(HttpError::new(400).into())
}

#[route("/task-and-stream")]
async fn task_and_stream(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let ran = req.state::<Ran>()?.clone();
    res.stream(lines(1..2));
    res.background(send(ran, "after the stream"));
    Ok(())
}

// -- the app --

pub(crate) fn app(ran: Ran) -> App {
    App::new()
        .route(hello)
        .route(both)
        .route(item)
        .route(files)
        .route(slash)
        .group("/v1", |v1| v1.route(listing))
        .route(things)
        .route(create_thing)
        .route(query)
        .route(search)
        .route(headers)
        .route(cookies)
        .route(body)
        .route(read_json)
        .route(form)
        .route(upload)
        .route(chunks)
        .route(html)
        .route(content)
        .route(created)
        .route(no_content)
        .route(attachment)
        .route(stream)
        .route(last)
        .route(forbidden)
        .route(moved)
        .route(moved_for_ever)
        .on_error(on_out_of_stock)
        .route(out_of_stock)
        .route(create_order)
        .route(parametrised)
        .route(latest)
        .route(several)
        .route(task_and_error)
        .route(task_and_stream)
        .state(ran)
}

/// A stream of lines, as a view has one from a file or a database.
fn lines(numbers: std::ops::Range<u32>) -> Lines {
    Lines(numbers)
}

struct Lines(std::ops::Range<u32>);

impl Stream for Lines {
    type Item = Result<String, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(|number| Ok(format!("{number}\n"))))
    }
}
