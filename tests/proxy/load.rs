//! Clients that ask one thing after the other, until they are told to stop.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::sleep;

use crate::support::Http1;

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// The next request's.
    id: AtomicU64,
    posted: Mutex<Vec<u64>>,
    wrong: Mutex<Vec<String>>,
}

/// Clients on a thread of their own.
pub(crate) struct Load {
    shared: Arc<Shared>,
    thread: std::thread::JoinHandle<()>,
}

/// What became of the requests.
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    /// Those whose tasks are promised.
    pub(crate) posted: Vec<u64>,
    /// Requests without their right answer.
    pub(crate) wrong: Vec<String>,
}

impl Load {
    /// Begins; each client pauses for so long after each response.
    pub(crate) fn start(addr: SocketAddr, clients: usize, pause: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let all = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let clients =
                    (0..clients).map(|_| tokio::spawn(ask(addr, Arc::clone(&all), pause)));
                for client in clients.collect::<Vec<_>>() {
                    client.await.expect("no panic");
                }
            });
        });
        Self { shared, thread }
    }

    /// How many have begun.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.id.load(SeqCst)
    }

    /// Lets each client finish the request that it is at.
    pub(crate) fn end(self) -> Outcome {
        self.shared.is_over.store(true, SeqCst);
        self.thread.join().expect("no client panics");
        let take = |list: &Mutex<Vec<String>>| std::mem::take(&mut *list.lock().expect("no panic"));
        Outcome {
            requests: self.shared.id.load(SeqCst),
            wrong: take(&self.shared.wrong),
            posted: self.shared.posted.lock().expect("no panic").clone(),
        }
    }
}

async fn ask(addr: SocketAddr, shared: Arc<Shared>, pause: Duration) {
    let mut client = Http1::connect(addr).await;
    while !shared.is_over.load(SeqCst) {
        let id = shared.id.fetch_add(1, SeqCst);
        let is_post = id % 2 == 1;
        let (line, expected) = if is_post {
            let body = format!("order {id}");
            let line = format!("POST /orders/{id} HTTP/1.1\r\nhost: a\r\ncontent-length: ");
            (format!("{line}{}\r\n\r\n{body}", body.len()), (201, body))
        } else {
            let line = format!("GET /items/{id} HTTP/1.1\r\nhost: a\r\n\r\n");
            (line, (200, format!("item {id}")))
        };
        client.send(&line).await;
        let reply = client.reply(false).await;
        if (reply.status(), &reply.body) != (expected.0, &expected.1) {
            let head = reply.head.lines().next().unwrap_or_default().to_owned();
            let method = line.split(' ').next().unwrap_or_default();
            let wrong = format!("{method} {id}: {head}");
            shared.wrong.lock().expect("no panic").push(wrong);
        } else if is_post {
            shared.posted.lock().expect("no panic").push(id);
        }
        if reply.has("connection: close") {
            client = Http1::connect(addr).await;
        }
        sleep(pause).await;
    }
}
