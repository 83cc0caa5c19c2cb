//! Events through nginx, whose buffers are on.

use std::time::Duration;

use tokio::runtime::Builder;

use crate::{
    nginx::{self, Nginx},
    support::{Http1, find, soon},
    upstream::Upstream,
};

#[test]
#[ignore = "needs nginx; `./test --all` runs it"]
fn each_event_comes_at_once() {
    let shown = nginx::shown();
    each_event_comes_through("events", shown);
    // Of nginx's own accord this is HTTP/1.0, whose parts it collects until a buffer is full.
    let version = "proxy_http_version 1.1;";
    assert!(shown.contains(version));
    each_event_comes_through("old-events", &shown.replace(version, ""));
}

/// Nothing else would flush nginx's buffer: the second event is made when the first has come.
fn each_event_comes_through(name: &str, shown: &str) {
    let folder = nginx::folder(name);
    let addr = nginx::free_addr();
    let _server = Upstream::start(addr, Duration::ZERO, &folder.join("orders"));
    let nginx = Nginx::start(&folder, [addr, addr], shown);
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut stream = Http1::connect(nginx.addr).await;
        stream.send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut other = Http1::connect(nginx.addr).await;
        let mut seen = Vec::new();
        for count in 1..=3 {
            other
                .send("POST /next HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
                .await;
            assert_eq!(other.reply(false).await.status(), 200);
            let text = format!("event {count}");
            soon(&text, async {
                while count_of(&seen, b"data: tick\n\n") < count {
                    seen.extend_from_slice(&stream.some().await);
                }
            })
            .await;
        }
    });
}

fn count_of(bytes: &[u8], what: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = bytes;
    while let Some(at) = find(rest, what) {
        count += 1;
        rest = &rest[at + what.len()..];
    }
    count
}
