//! Builds the measured servers, so that one command measures what the sources say now.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

const PROFILE: &str = "instructions";

/// The server of this project, for `--check`.
pub(crate) const OURS: &str = "ours";

/// The measured servers; the first is what the others are compared to.
pub(crate) const SERVERS: &[&str] = if cfg!(feature = "ours") {
    &["hyper", "axum", OURS]
} else {
    &["hyper", "axum"]
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

/// Where the server's executable is.
pub(crate) fn binary(folder: &Path, server: &str) -> PathBuf {
    folder.join(format!("instructions-{server}"))
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
    for server in SERVERS {
        command.arg("--bin").arg(format!("instructions-{server}"));
    }
    command
}
