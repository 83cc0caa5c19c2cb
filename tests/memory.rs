//! Memory over many requests. `./test --all` runs the long forms: `BOCADILLO_MEMORY=long`.
#![cfg(target_os = "linux")]

mod support;

use std::{env, fs};

use bocadillo::{App, Request, Response, Runner, Task, route};
use support::{Http1, soon, start};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Mutex,
};

const MIB: usize = 1024 * 1024;

/// The memory that they look at is the whole process's: one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

fn is_long() -> bool {
    env::var_os("BOCADILLO_MEMORY").is_some_and(|it| it == "long")
}

/// What this process has in memory.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = pages.split(' ').nth(1).expect("a second number");
    pages.parse::<usize>().expect("a number") * 4096
}

#[route("/task")]
async fn with_a_task(req: &mut Request, res: &mut Response) {
    let path = req.path().to_owned();
    #[background]
    async fn mail() {
        tokio::task::yield_now().await;
        drop(path);
    }
    res.text("hello");
}

async fn pipelined(client: &mut Http1, requests: usize) {
    const AT_ONCE: usize = 50;
    let burst = "GET /task HTTP/1.1\r\nhost: a\r\n\r\n".repeat(AT_ONCE);
    for _ in 0..requests / AT_ONCE {
        client.send(&burst).await;
        for _ in 0..AT_ONCE {
            assert_eq!(client.reply(false).await.body, "hello");
        }
    }
}

#[tokio::test]
async fn many_requests_with_tasks_leave_nothing_behind() {
    let _alone = ALONE.lock().await;
    let requests = if is_long() { 1_000_000 } else { 20_000 };
    let runner = Runner::dedicated(1).build();
    let (addr, _) = start(App::new().route(with_a_task).background(runner.clone())).await;
    let mut client = Http1::connect(addr).await;
    let settled = async || {
        soon("the tasks' end", async {
            let is_busy = || runner.stats().running + runner.stats().waiting > 0;
            while is_busy() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    pipelined(&mut client, 20_000).await;
    settled().await;
    let before = resident();
    pipelined(&mut client, requests).await;
    settled().await;
    let grown = resident().saturating_sub(before);
    assert!(
        grown < 2 * MIB,
        "{grown} bytes more after {requests} requests"
    );
    assert_eq!(runner.stats().completed as usize, 20_000 + requests);
}

/// The body is read, and the response has one as large; the task holds neither.
#[route("/large", methods = ["post"])]
async fn large(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let body = req.body().await?;
    res.bytes(body);
    res.background(Task::new(std::future::pending::<()>()).name("never_ends"));
    Ok(())
}

#[tokio::test]
async fn a_request_is_freed_whatever_its_task_does() {
    let _alone = ALONE.lock().await;
    let requests = if is_long() { 10_000 } else { 200 };
    let runner = Runner::dedicated(1).build();
    let (addr, _) = start(App::new().route(large).background(runner.clone())).await;
    let mut client = Http1::connect(addr).await;
    let head = format!(
        "POST /large HTTP/1.1\r\nhost: a\r\nx-large: {}\r\ncontent-length: {MIB}\r\n\r\n",
        "x".repeat(4096)
    );
    let body = vec![b'x'; MIB];
    let mut answer = vec![0; MIB];
    let mut before = 0;
    for number in 0..requests {
        if number == 20 {
            before = resident();
        }
        client.send(&head).await;
        client.stream.write_all(&body).await.expect("it reads");
        // The body comes right after its head.
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(client.stream.read_u8().await.expect("a head"));
        }
        let read = client.stream.read_exact(&mut answer);
        soon("the body", read).await.expect("a whole body");
    }
    let stats = soon("the tasks' start", async {
        loop {
            let stats = runner.stats();
            let at_most = requests.min(1024) as u64;
            if stats.running == at_most && stats.registered == requests as u64 {
                break stats;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let grown = resident().saturating_sub(before);
    // Each task itself is below 1 KiB; what is left is the allocator's.
    assert!(
        grown < 48 * MIB,
        "{grown} bytes more with {requests} tasks: {stats:?}"
    );
}
