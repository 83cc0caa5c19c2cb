//! What an editor shows within a task: hover, completion, definitions, and no false errors.
//!
//! Needs rust-analyzer; `./test --all` runs it. The file that it types into is an example of ours,
//! in the editor's memory only.

mod server;

use std::path::{Path, PathBuf};

use serde_json::Value;

use self::server::{Place, Server};

/// The handler around what a case types.
fn in_a_route(task: &str) -> String {
    format!(
        r#"use bocadillo::{{Request, Response, background, route}};

struct Order {{
    email: String,
}}

async fn send(email: String) -> usize {{
    email.len()
}}

#[route("/orders/{{id}}", methods = ["post"])]
async fn create_order(req: &mut Request, res: &mut Response, id: u64) -> bocadillo::Result<()> {{
    let order = Order {{ email: req.text().await? }};

{task}

    res.status(201);
    Ok(())
}}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {{
    bocadillo::App::new().route(create_order).serve("127.0.0.1:8000").await
}}
"#
    )
}

const IN_A_TASK: &str = "    #[background]
    async fn send_confirmation() {
        $
    }";

const PLAIN_CALL: &str = "    async fn send_confirmation(order: Order, id: u64) {
        $
    }
    res.background(send_confirmation(order, id));";

struct Editor {
    server: Server,
    file: PathBuf,
}

impl Editor {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("editor");
        let mut server = Server::start(root, &target);
        let file = root.join("examples/orders.rs");
        server.open(&file, "");
        Self { server, file }
    }

    /// Types a statement into a task; `|` is the cursor.
    fn types(&mut self, form: &str, statement: &str) -> Place {
        let (place, text) = Place::marked(&in_a_route(&form.replace('$', statement)));
        self.server.change(&self.file, &text);
        place
    }

    fn hover(&mut self, form: &str, statement: &str) -> String {
        let place = self.types(form, statement);
        let hover = self.server.ask("textDocument/hover", &self.file, &place);
        hover["contents"]["value"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn completions(&mut self, form: &str, statement: &str) -> Vec<String> {
        let place = self.types(form, statement);
        let list = self
            .server
            .ask("textDocument/completion", &self.file, &place);
        let items = list["items"]
            .as_array()
            .or(list.as_array())
            .cloned()
            .unwrap_or_default();
        let label = |item: &Value| item["label"].as_str().unwrap_or_default().to_owned();
        items.iter().map(label).collect()
    }

    /// The line, counted from 0, of what stands at the cursor.
    fn definition(&mut self, form: &str, statement: &str) -> Option<u64> {
        let place = self.types(form, statement);
        let found = self
            .server
            .ask("textDocument/definition", &self.file, &place);
        let first = found.get(0).unwrap_or(&found);
        let range = first.get("targetSelectionRange").or(first.get("range"))?;
        range["start"]["line"].as_u64()
    }

    /// The lines with an error, and what it says.
    fn errors(&mut self, form: &str, statement: &str) -> (Place, Vec<(u64, String)>) {
        let place = self.types(form, statement);
        let found = self.server.diagnostics(&self.file);
        let errors = found.iter().filter(|it| it["severity"] == 1);
        let errors = errors.map(|it| {
            let line = it["range"]["start"]["line"].as_u64().unwrap_or_default();
            (line, it["message"].as_str().unwrap_or_default().to_owned())
        });
        (place, errors.collect())
    }
}

#[test]
#[ignore = "needs rust-analyzer; `./test --all` runs it"]
fn an_editor_sees_into_a_task() {
    let mut editor = Editor::start();
    for form in [IN_A_TASK, PLAIN_CALL] {
        let hover = editor.hover(form, "send(order.em|ail).await;");
        assert!(hover.contains("email: String"), "{form}: {hover}");
        let hover = editor.hover(form, "let double = i|d * 2;");
        assert!(hover.contains("id: u64"), "{form}: {hover}");

        let completions = editor.completions(form, "order.|");
        assert!(
            completions.iter().any(|it| it == "email"),
            "{form}: {completions:?}"
        );
        let completions = editor.completions(form, "order.email.to_up|");
        assert!(
            completions.iter().any(|it| it.starts_with("to_uppercase")),
            "{form}: {completions:?}"
        );

        let line = editor.definition(form, "se|nd(order.email).await;");
        assert_eq!(line, Some(6), "{form}: the function `send`");

        let (_, errors) = editor.errors(form, "send(order.email).await;|");
        assert_eq!(errors, [], "{form}");
        for half_typed in [
            "order.|",
            "send(order.email|",
            "let address = |",
            "match order { | }",
        ] {
            let (place, errors) = editor.errors(form, half_typed);
            // A syntax error within an attribute's expansion stands at that attribute, for every
            // attribute macro there is; the file has one more where it was typed.
            let is_false = |(line, message): &&(u64, String)| {
                *line != place.line && !message.starts_with("Syntax Error in Expansion: ")
            };
            let elsewhere: Vec<_> = errors.iter().filter(is_false).collect();
            assert!(elsewhere.is_empty(), "{form}: {half_typed}: {elsewhere:?}");
        }
    }
    let completions = editor.completions(IN_A_TASK, "bocadillo::background::current().|");
    for method in ["delivery", "spawn"] {
        assert!(
            completions.iter().any(|it| it.starts_with(method)),
            "{completions:?}"
        );
    }
}
