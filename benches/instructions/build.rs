//! Builds the measured servers, so that one command measures what the sources say now.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

const PROFILE: &str = "instructions";

/// One measured server.
pub(crate) struct Server {
    /// What the table calls it.
    pub(crate) name: &'static str,
    executable: &'static str,
    /// Its argument, where the same executable serves in several ways.
    pub(crate) variant: Option<&'static str>,
}

impl Server {
    const fn new(
        name: &'static str,
        executable: &'static str,
        variant: Option<&'static str>,
    ) -> Self {
        Self {
            name,
            executable,
            variant,
        }
    }

    /// Where its executable is.
    pub(crate) fn binary(&self, folder: &Path) -> PathBuf {
        folder.join(self.executable)
    }
}

/// This project's rows, for `--check`.
pub(crate) const OURS: &str = "ours";
pub(crate) const OURS_DEFAULT: &str = "ours, default runner";

const HYPER: Server = Server::new("hyper", "instructions-hyper", None);
const HYPER_COLLECT: Server = Server::new("hyper, collect", "instructions-hyper-collect", None);
const HYPER_APART: Server = Server::new("hyper, own runtime", "instructions-hyper-apart", None);
const AXUM: Server = Server::new("axum", "instructions-axum", None);
const CURRENT: Server = Server::new(OURS, "instructions-ours", None);
const DEFAULT: Server = Server::new(OURS_DEFAULT, "instructions-ours", Some("default"));

/// The measured servers; the first is what the others are compared to.
pub(crate) const SERVERS: &[Server] = if cfg!(feature = "ours") {
    &[HYPER, HYPER_COLLECT, HYPER_APART, AXUM, CURRENT, DEFAULT]
} else {
    &[HYPER, HYPER_COLLECT, HYPER_APART, AXUM]
};

/// Builds them beside the driver's own executable and returns that folder.
pub(crate) fn servers() -> Result<PathBuf> {
    let driver = env::current_exe()?;
    let folder = driver.parent().ok_or("the driver has no folder")?;
    // Under another profile the servers would be built elsewhere, and older ones measured.
    if folder.file_name() != Some(PROFILE.as_ref()) {
        return Err(format!("the driver must be run with `--profile {PROFILE}`").into());
    }
    let target = folder.parent().ok_or("no target directory")?;
    let status = cargo_build(target).status()?;
    if !status.success() {
        return Err("the servers could not be built".into());
    }
    Ok(folder.to_path_buf())
}

/// The same features as the driver's, or cargo would build the dependencies twice.
fn cargo_build(target: &Path) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--package", "bocadillo-benches"])
        .args(["--profile", PROFILE, "--no-default-features"])
        .arg("--target-dir")
        .arg(target);
    if cfg!(feature = "ours") {
        command.args(["--features", "ours"]);
    }
    for server in SERVERS.iter().filter(|server| server.variant.is_none()) {
        command.arg("--bin").arg(server.executable);
    }
    command
}
