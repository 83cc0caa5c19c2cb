//! Rolling restarts: a server ends and comes again while the other one serves.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    load::Load,
    nginx::{self, Nginx},
    support::PATIENCE,
    upstream::Upstream,
};

/// The first server ends at once; the second one, as it should behind a balancer, after a delay.
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(400)];
const ROUNDS: usize = 8;
const REQUESTS: u64 = 3000;
/// Time for nginx to use a server that has just come.
const BETWEEN: Duration = Duration::from_millis(100);

#[test]
#[ignore = "needs nginx; `./test --all` runs it"]
fn a_rolling_restart_loses_neither_requests_nor_tasks() {
    let folder = nginx::folder("restarts");
    let orders = folder.join("orders");
    let addrs = [nginx::free_addr(), nginx::free_addr()];
    let start = |at: usize| Upstream::start(addrs[at], DELAYS[at], &orders);
    let mut servers = [Some(start(0)), Some(start(1))];
    let nginx = Nginx::start(&folder, addrs, nginx::shown());
    let load = Load::start(nginx.addr, 16, Duration::from_millis(5));
    for round in 0..ROUNDS {
        let at = round % servers.len();
        thread::sleep(BETWEEN);
        let server = servers[at].take().expect("it runs");
        assert_eq!(server.terminate().code(), Some(0), "a clean end");
        servers[at] = Some(start(at));
    }
    let end = Instant::now() + PATIENCE;
    while load.requests() < REQUESTS && Instant::now() < end {
        thread::sleep(BETWEEN);
    }
    let outcome = load.end();
    for server in servers.into_iter().flatten() {
        assert_eq!(server.terminate().code(), Some(0), "a clean end");
    }
    let wrong = &outcome.wrong;
    assert!(wrong.is_empty(), "{wrong:#?}\n{:#?}", nginx.errors());
    assert!(outcome.requests >= REQUESTS, "{}", outcome.requests);
    let mut posted = outcome.posted;
    posted.sort_unstable();
    assert!(posted.len() as u64 >= REQUESTS / 2 - 16);
    assert_eq!(written(&orders), posted, "each task ran once");
}

fn written(orders: &Path) -> Vec<u64> {
    let text = fs::read_to_string(orders).expect("tasks have run");
    let ids = text.lines().map(|id| id.parse().expect("a number"));
    let mut ids: Vec<u64> = ids.collect();
    ids.sort_unstable();
    ids
}
