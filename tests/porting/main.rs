//! The ports answer as their Python originals did, but where a difference is named.
//!
//! What the originals answered is in `recorded.json` beside each; `tests/porting/record` writes it,
//! and `./test --all` compares it where Python is installed.
#![cfg(all(feature = "cookie", feature = "file", feature = "multipart"))]

#[path = "guide/ports.rs"]
mod guide;
#[path = "others/ports.rs"]
mod others;
#[path = "../../examples/todo/main.rs"]
#[allow(dead_code, reason = "its `main`")]
mod todo;

use std::{collections::BTreeMap, fs, path::Path};

use bocadillo::{
    App,
    testing::{Client, TestResponse},
};
use serde::Deserialize;
use serde_json::Value;

/// What both sides are asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    differs: Option<Differs>,
}

fn get() -> String {
    "GET".to_owned()
}

/// Where the port differs, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Differs {
    why: String,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    ran: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Answer {
    name: String,
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
    /// What the tasks have said.
    ran: Vec<String>,
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).expect("it is there");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

async fn compare(folder: &str, app: App, ran: &guide::Ran) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let asked: Vec<Asked> = read(&folder.join("requests.json"));
    let recorded: Vec<Answer> = read(&folder.join("recorded.json"));
    assert_eq!(asked.len(), recorded.len(), "record them again");
    let client = Client::new(app);
    let mut wrong = Vec::new();
    for (asked, recorded) in asked.into_iter().zip(recorded) {
        assert_eq!(asked.name, recorded.name, "record them again");
        let answered = ask(&client, &asked, ran).await;
        let mut expected = recorded.clone();
        if let Some(differs) = asked.differs {
            assert!(!differs.why.is_empty());
            expected.status = differs.status.unwrap_or(expected.status);
            expected.headers.extend(differs.headers);
            expected.body = differs.body.unwrap_or(expected.body);
            expected.ran = differs.ran.unwrap_or(expected.ran);
            assert_ne!(expected, recorded, "a difference that is none");
        }
        if !is_alike(&expected, &answered) {
            wrong.push(format!("expected {expected:#?}\nanswered {answered:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

async fn ask(client: &Client, asked: &Asked, ran: &guide::Ran) -> Answer {
    let method = asked.method.parse().expect("a method");
    let mut request = client.request(method, &asked.path);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let response: TestResponse = request.body(asked.body.clone()).await;
    response.tasks().await;
    let mut headers = BTreeMap::new();
    for name in [
        "allow",
        "content-disposition",
        "content-type",
        "location",
        "set-cookie",
        "x-id",
    ] {
        let values = response.headers().get_all(name).iter();
        let values: Vec<_> = values.map(|it| it.to_str().expect("text")).collect();
        if !values.is_empty() {
            headers.insert(name.to_owned(), values.join("; and "));
        }
    }
    let body = response.body().expect("it is whole");
    let mut ran = std::mem::take(&mut *ran.0.lock().expect("no panic"));
    ran.sort();
    Answer {
        name: asked.name.clone(),
        status: response.status().as_u16(),
        headers,
        // As the script writes it: a letter for each byte.
        body: body.iter().map(|&byte| char::from(byte)).collect(),
        ran,
    }
}

/// The same to a client: JSON as JSON, and no type of a content that is not there.
fn is_alike(expected: &Answer, answered: &Answer) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    let is_json = |answer: &Answer| {
        let kind = answer.headers.get("content-type");
        kind.is_some_and(|kind| kind == "application/json")
    };
    let same_body = expected.body == answered.body
        || (is_json(expected) && is_json(answered) && json(&expected.body) == json(&answered.body));
    let headers = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        if answer.body.is_empty() {
            headers.remove("content-type");
        }
        // The original leaves the charset to the client's guess.
        if let Some(kind) = headers.get_mut("content-type") {
            if let Some(bare) = kind.strip_suffix("; charset=utf-8") {
                *kind = bare.to_owned();
            }
        }
        // The original knows no `Allow`, but where a difference names it.
        if !expected.headers.contains_key("allow") {
            headers.remove("allow");
        }
        headers
    };
    expected.status == answered.status
        && headers(expected) == headers(answered)
        && same_body
        && expected.ran == answered.ran
}

#[tokio::test]
async fn the_guide_answers_alike() {
    let ran = guide::Ran::default();
    compare("tests/porting/guide", guide::app(ran.clone()), &ran).await;
}

#[tokio::test]
async fn the_to_do_service_answers_alike() {
    let ran = guide::Ran::default();
    let said = ran.clone();
    let notifier = todo::Notifier(std::sync::Arc::new(move |what| said.push(what)));
    compare("examples/todo", todo::app(notifier), &ran).await;
}

/// As the originals do, which were run by hand: Starlette 1.10, FastAPI 0.165.
#[tokio::test]
async fn starlette_and_fastapi() {
    let ran = guide::Ran::default();
    let client = Client::new(others::app(ran.clone()));
    let said = || std::mem::take(&mut *ran.0.lock().expect("no panic"));
    let response = client.post("/sign-up").body(r#"{"email": "a@b"}"#).await;
    response.tasks().await;
    assert_eq!(
        (response.text(), said()),
        (r#"{"status":"ok"}"#, vec!["to a@b".to_owned()])
    );
    client.post("/several").await.tasks().await;
    assert_eq!(said(), ["to a", "to b"]);
    let response = client.post("/notify/a@b").await;
    response.tasks().await;
    assert_eq!(
        (response.status().as_u16(), response.text()),
        (202, r#"{"email":"a@b"}"#)
    );
    assert_eq!(said(), ["notified a@b"]);
}

/// Every block of the guide is code that was run: it stands in one of the two programs as it is.
#[test]
fn the_guide_is_what_was_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    let guide = text("docs/porting.md");
    let ports = [
        text("tests/porting/guide/ports.rs"),
        text("tests/porting/others/ports.rs"),
    ];
    let originals = [
        text("tests/porting/guide/app.py"),
        text("tests/porting/others/starlette_app.py"),
        text("tests/porting/others/fastapi_app.py"),
    ];
    let mut blocks = 0;
    for (language, programs) in [("rust", &ports[..]), ("python", &originals[..])] {
        for block in guide.split(&format!("```{language}\n")).skip(1) {
            let block = block.split("```").next().expect("it ends");
            // Parts of it may stand in different places: each is a paragraph.
            for part in block.split("\n\n") {
                let part = part.trim();
                let stands = programs.iter().any(|program| program.contains(part));
                assert!(stands, "in no program of {language}:\n{part}");
            }
            blocks += 1;
        }
    }
    assert!(blocks > 20, "only {blocks} blocks");
}
