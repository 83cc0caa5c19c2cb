//! What asks the server: `wrk` where it is installed, else the bench's own client.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::args::CLIENT;
use crate::client::{CONNECTIONS, ORDER};
use crate::cores::Place;

/// What a server has answered.
pub(crate) struct Answers {
    pub(crate) number: u64,
    /// In a second.
    pub(crate) rate: f64,
}

pub(crate) enum Load {
    Wrk { script: PathBuf },
    Own { driver: PathBuf },
}

impl Load {
    pub(crate) fn find(folder: &Path) -> Result<Self> {
        // It exits with 1 after its version.
        if Command::new("wrk").arg("--version").output().is_err() {
            let driver = env::current_exe()?;
            return Ok(Self::Own { driver });
        }
        let script = folder.join("saturation.lua");
        let lines = format!(
            "wrk.method = \"POST\"\nwrk.body = '{ORDER}'\n\
             wrk.headers[\"content-type\"] = \"application/json\"\n"
        );
        fs::write(&script, lines)?;
        Ok(Self::Wrk { script })
    }

    /// Asks a server for so long; returns what was answered.
    pub(crate) fn drive(&self, place: &Place, port: u16, time: Duration) -> Result<Answers> {
        let seconds = time.as_secs();
        let output = match self {
            Self::Wrk { script } => place
                .load("wrk".as_ref())
                .arg("--threads=1")
                .arg(format!("--connections={CONNECTIONS}"))
                .arg(format!("--duration={seconds}s"))
                .arg("--script")
                .arg(script)
                .arg(format!("http://127.0.0.1:{port}/orders"))
                .output()?,
            Self::Own { driver } => place
                .load(driver)
                .args([CLIENT, &port.to_string(), &seconds.to_string()])
                .output()?,
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr);
        let is_wrong = ["Non-2xx", "Socket errors"]
            .iter()
            .any(|wrong| said.contains(wrong));
        if !output.status.success() || is_wrong {
            return Err(format!("the load failed:\n{said}{told}").into());
        }
        answers(&said).ok_or_else(|| format!("no number of requests in:\n{said}").into())
    }
}

/// Reads two lines that both write: `  12345 requests in 3.10s, 2MB read` and `Requests/sec: 3982.26`.
/// The rate is read too, as `wrk` takes longer than it is asked to.
fn answers(said: &str) -> Option<Answers> {
    let mut number = said
        .lines()
        .filter_map(|line| line.split_once(" requests in "));
    let mut rate = said
        .lines()
        .filter_map(|line| line.strip_prefix("Requests/sec:"));
    Some(Answers {
        number: number.next()?.0.trim().parse().ok()?,
        rate: rate.next()?.trim().parse().ok()?,
    })
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Wrk { .. } => "wrk",
            Self::Own { .. } => "the bench's own client (no wrk)",
        };
        write!(f, "{name}, {CONNECTIONS} connections")
    }
}
