//! A to-do service, ported from `app.py` beside it: ten routes, cookies, a form, files, a stream and
//! three background tasks.
//!
//! Run with `cargo run --example todo --features full`, and try
//!
//! ```text
//! curl -i http://127.0.0.1:8000/todos -H 'content-type: application/json' -d '{"title": "bread"}'
//! curl -i http://127.0.0.1:8000/todos
//! curl -i http://127.0.0.1:8000/import -F file=@Cargo.toml
//! curl -i http://127.0.0.1:8000/login -d name=Ada
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bocadillo::{App, HttpError, Request, Response, cookie::Cookie, gather, route};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Clone, Serialize)]
struct Todo {
    id: usize,
    title: String,
    done: bool,
}

/// What the original keeps in its module's variables.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<Vec<Todo>>>);

impl Store {
    fn all(&self) -> MutexGuard<'_, Vec<Todo>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, title: String) -> Todo {
        let mut all = self.all();
        let id = all.len() + 1;
        let todo = Todo {
            id,
            title,
            done: false,
        };
        all.push(todo.clone());
        todo
    }

    /// Changes a to-do; returns what it is then.
    fn change(&self, id: usize, change: impl FnOnce(&mut Todo)) -> bocadillo::Result<Todo> {
        let mut all = self.all();
        let todo = all.iter_mut().find(|todo| todo.id == id);
        let todo = todo.ok_or_else(|| HttpError::new(404).detail("no such to-do"))?;
        change(todo);
        Ok(todo.clone())
    }
}

/// Where the tasks say what they have done.
#[derive(Clone)]
pub(crate) struct Notifier(pub(crate) Arc<dyn Fn(String) + Send + Sync>);

impl Notifier {
    async fn notify(self, what: String) {
        (self.0)(what);
    }
}

#[derive(Deserialize)]
struct Filter {
    done: Option<bool>,
}

#[route("/todos")]
async fn index(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let Filter { done } = req.query()?;
    let mut found = req.state::<Store>()?.all().clone();
    found.retain(|todo| done.is_none_or(|done| todo.done == done));
    res.json(&found);
    Ok(())
}

#[derive(Deserialize)]
struct New {
    title: String,
}

#[route("/todos", methods = ["post"])]
async fn add(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let New { title } = req.json().await?;
    let todo = req.state::<Store>()?.create(title);
    let notifier = req.state::<Notifier>()?.clone();

    #[background(clone(todo))]
    async fn write_log() {
        notifier.notify(format!("created {}", todo.id)).await;
    }

    res.status(201);
    res.header("location", format!("/todos/{}", todo.id));
    res.json(&todo);
    Ok(())
}

#[route("/todos/{id}")]
async fn show(req: &mut Request, res: &mut Response, id: usize) -> bocadillo::Result<()> {
    res.json(&req.state::<Store>()?.change(id, |_| ())?);
    Ok(())
}

#[derive(Deserialize)]
struct Change {
    done: bool,
}

#[route("/todos/{id}", methods = ["put"])]
async fn update(req: &mut Request, res: &mut Response, id: usize) -> bocadillo::Result<()> {
    let Change { done } = req.json().await?;
    let todo = req.state::<Store>()?.change(id, |todo| todo.done = done)?;
    let notifier = req.state::<Notifier>()?.clone();
    res.background(notifier.notify(format!("{} is done", todo.title)));
    res.json(&todo);
    Ok(())
}

#[route("/todos/{id}", methods = ["delete"])]
async fn remove(req: &mut Request, res: &mut Response, id: usize) -> bocadillo::Result<()> {
    let removed = |todo: &mut Todo| todo.title = "removed".to_owned();
    req.state::<Store>()?.change(id, removed)?;
    res.status(204);
    Ok(())
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

#[route("/login", methods = ["post"])]
async fn login(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let Login { name } = req.form().await?;
    res.redirect("/me");
    res.cookie(Cookie::build(("user", name)).http_only(true).path("/"));
    Ok(())
}

#[route("/me")]
async fn me(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let user = req.cookie("user").ok_or(HttpError::new(401))?;
    res.text(user.value().to_owned());
    Ok(())
}

#[route("/import", methods = ["post"])]
async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let mut text = String::new();
    let mut form = req.multipart()?;
    while let Some(mut field) = form.next_field().await? {
        if field.name() == Some("file") {
            text = field.text().await?;
        }
    }
    let store = req.state::<Store>()?;
    let titles = text.split_whitespace().map(ToOwned::to_owned);
    let added: Vec<_> = titles.map(|title| store.create(title)).collect();
    let notifier = req.state::<Notifier>()?;
    let notices = added.iter().map(|todo| {
        let notifier = notifier.clone();
        notifier.notify(format!("imported {}", todo.title))
    });
    res.background(gather(notices.collect::<Vec<_>>()));
    res.status(201);
    res.json(&json!({ "added": added.len() }));
    Ok(())
}

#[route("/export")]
async fn export(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let (rows, stream) = tokio::sync::mpsc::channel(1);
    let todos = req.state::<Store>()?.all().clone();
    tokio::spawn(async move {
        for Todo { id, title, .. } in todos {
            if rows.send(format!("{id},{title}\n")).await.is_err() {
                return;
            }
        }
    });
    res.stream(Rows(stream));
    res.attachment("todos.csv");
    Ok(())
}

/// What comes through a channel, as a stream. (The crate `tokio-stream` has this.)
struct Rows(tokio::sync::mpsc::Receiver<String>);

impl futures_core::Stream for Rows {
    type Item = Result<String, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|row| row.map(Ok))
    }
}

#[route("/source")]
async fn source(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.file(
        req,
        concat!(env!("CARGO_MANIFEST_DIR"), "/examples/todo/license.txt"),
    )
    .await
}

pub(crate) fn app(notifier: Notifier) -> App {
    App::new()
        .route(index)
        .route(add)
        .route(show)
        .route(update)
        .route(remove)
        .route(login)
        .route(me)
        .route(upload)
        .route(export)
        .route(source)
        .state(Store::default())
        .state(notifier)
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    let notifier = Notifier(Arc::new(|what| tracing::info!("{what}")));
    app(notifier).serve("127.0.0.1:8000").await
}
