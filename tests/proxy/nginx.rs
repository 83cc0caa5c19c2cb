//! nginx, in a folder of its own, with the configuration that `docs/running.md` shows.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::atomic::{AtomicU16, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use crate::support::PATIENCE;

pub(crate) struct Nginx {
    child: Child,
    folder: PathBuf,
    pub(crate) addr: SocketAddr,
}

impl Nginx {
    /// Starts it in front of two servers, and waits until it listens.
    pub(crate) fn start(folder: &Path, upstreams: [SocketAddr; 2], shown: &str) -> Self {
        let addr = free_addr();
        let path = folder.join("nginx.conf");
        fs::write(&path, config(folder, addr, upstreams, shown))
            .expect("its configuration is written");
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&path)
            // Where it writes before it has read where its log is.
            .args(["-e", "stderr"])
            .spawn()
            .expect("nginx is installed");
        let mut nginx = Self {
            child,
            folder: folder.to_owned(),
            addr,
        };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(addr).is_err() {
            let ended = nginx.child.try_wait().expect("a child");
            assert!(ended.is_none(), "nginx ended: {:#?}", nginx.errors());
            assert!(Instant::now() < end, "nginx does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        nginx
    }

    /// What it complained of, but for servers that were not there: it asked the other one.
    pub(crate) fn errors(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.join("error.log")).unwrap_or_default();
        let lines = log.lines().filter(|line| !line.contains("refused"));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The configuration in `docs/running.md`.
pub(crate) fn shown() -> &'static str {
    let page = include_str!("../../docs/running.md");
    let (_, shown) = page.split_once("```nginx\n").expect("a configuration");
    shown.split_once("```").expect("its end").0
}

fn config(folder: &Path, addr: SocketAddr, upstreams: [SocketAddr; 2], shown: &str) -> String {
    let folder = folder.display();
    let mut shown = shown.to_owned();
    for (port, addr) in ["8001", "8002", "8080"]
        .iter()
        .zip([upstreams[0], upstreams[1], addr])
    {
        let old = format!("127.0.0.1:{port}");
        assert_eq!(shown.matches(&old).count(), 1, "{old} in `docs/running.md`");
        shown = shown.replace(&old, &addr.to_string());
    }
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
        .collect();
    // One process, which stays that of the test's user; its clients keep their connections.
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{\naccess_log off;\nkeepalive_requests 1000000;\n{temp}\n{shown}\n}}\n"
    )
}

/// An address that nobody listens on. It is not of the ports that the system gives to clients: a
/// server that is started again finds it free.
pub(crate) fn free_addr() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 100).expect("it is below 100");
    for _ in 0..100 {
        let port = 20_000 + process * 100 + NEXT.fetch_add(1, SeqCst);
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
    panic!("no free port");
}

/// A new folder below `target/`.
pub(crate) fn folder(name: &str) -> PathBuf {
    let name = format!("proxy-{name}-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}
