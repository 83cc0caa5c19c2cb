//! A rust-analyzer, and the few words of LSP that a test needs.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// To load the workspace, which builds its macros.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct Server {
    child: Child,
    stdin: ChildStdin,
    incoming: Receiver<Value>,
    /// What came while an answer was awaited.
    notices: VecDeque<Value>,
    last_id: u64,
    version: u64,
}

impl Server {
    /// Starts one for the workspace at `root`, and waits until it has loaded that.
    pub(crate) fn start(root: &Path, target: &Path) -> Self {
        let mut child = Command::new("rust-analyzer")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("rust-analyzer is installed");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, incoming) = channel();
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            while let Some(message) = read(&mut stdout) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            child,
            stdin,
            incoming,
            notices: VecDeque::new(),
            last_id: 0,
            version: 0,
        };
        server.initialize(root, target);
        server
    }

    fn initialize(&mut self, root: &Path, target: &Path) {
        self.request(
            "initialize",
            &json!({
                "processId": null,
                "rootUri": uri(root),
                "capabilities": {
                    "experimental": { "serverStatusNotification": true },
                    "textDocument": {
                        "hover": { "contentFormat": ["plaintext"] },
                        "publishDiagnostics": {}
                    },
                },
                "initializationOptions": {
                    "checkOnSave": false,
                    "cargo": { "targetDir": target, "buildScripts": { "enable": true } },
                    "procMacro": { "enable": true, "attributes": { "enable": true } },
                    "cachePriming": { "enable": false },
                    "diagnostics": { "enable": true, "experimental": { "enable": true } },
                },
            }),
        );
        self.notify("initialized", &json!({}));
        let status = self.notice("experimental/serverStatus", |params| {
            params["quiescent"] == true
        });
        assert_ne!(status["health"], "error", "{status}");
    }

    pub(crate) fn open(&mut self, file: &Path, text: &str) {
        let document =
            json!({ "uri": uri(file), "languageId": "rust", "version": 0, "text": text });
        self.notify("textDocument/didOpen", &json!({ "textDocument": document }));
    }

    /// Types: the file has this text now.
    pub(crate) fn change(&mut self, file: &Path, text: &str) {
        self.version += 1;
        let document = json!({ "uri": uri(file), "version": self.version });
        let params = json!({ "textDocument": document, "contentChanges": [{ "text": text }] });
        self.notify("textDocument/didChange", &params);
    }

    /// Asks about a place in a file.
    pub(crate) fn ask(&mut self, method: &str, file: &Path, place: &Place) -> Value {
        let params = json!({ "textDocument": { "uri": uri(file) }, "position": place.json() });
        self.request(method, &params)
    }

    /// What it says of the file as it is now.
    pub(crate) fn diagnostics(&mut self, file: &Path) -> Vec<Value> {
        let params = json!({ "textDocument": { "uri": uri(file) } });
        let report = self.request("textDocument/diagnostic", &params);
        report["items"].as_array().cloned().unwrap_or_default()
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        let until = Instant::now() + PATIENCE;
        // A server that loads or has seen a change meanwhile says so, and is asked again.
        loop {
            self.last_id += 1;
            let id = self.last_id;
            self.send(&json!({ "id": id, "method": method, "params": params }));
            let answer = self.answer(id, until);
            let code = &answer["error"]["code"];
            if code == &json!(-32801) || code == &json!(-32800) {
                continue;
            }
            assert!(answer["error"].is_null(), "{method}: {answer}");
            return answer["result"].clone();
        }
    }

    fn answer(&mut self, id: u64, until: Instant) -> Value {
        loop {
            let message = self.next(until);
            if message["id"] == id && message["method"].is_null() {
                return message;
            }
            self.notices.push_back(message);
        }
    }

    fn notice(&mut self, method: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let message = match self.notices.pop_front() {
                Some(message) => message,
                None => self.next(until),
            };
            if message["method"] == method && is_it(&message["params"]) {
                return message["params"].clone();
            }
        }
    }

    /// The next message; what the server asks for is answered with nothing.
    fn next(&mut self, until: Instant) -> Value {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.incoming.recv_timeout(left);
            let message = message.expect("rust-analyzer answers in time");
            if message["method"].is_null() || message["id"].is_null() {
                return message;
            }
            self.send(&json!({ "id": message["id"], "result": null }));
        }
    }

    fn notify(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "method": method, "params": params }));
    }

    fn send(&mut self, message: &Value) {
        let mut message = message.clone();
        message["jsonrpc"] = json!("2.0");
        let text = message.to_string();
        write!(self.stdin, "Content-Length: {}\r\n\r\n{text}", text.len())
            .and_then(|()| self.stdin.flush())
            .expect("rust-analyzer reads");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line and a column, as LSP counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    column: u64,
}

impl Place {
    /// Where `|` stands in the text, and the text without it.
    pub(crate) fn marked(text: &str) -> (Self, String) {
        let at = text.find('|').expect("a mark");
        let before = &text[..at];
        let place = Self {
            line: before.matches('\n').count() as u64,
            column: (before.len() - before.rfind('\n').map_or(0, |end| end + 1)) as u64,
        };
        (place, format!("{before}{}", &text[at + 1..]))
    }

    fn json(self) -> Value {
        json!({ "line": self.line, "character": self.column })
    }
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn read(stdout: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stdout.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
