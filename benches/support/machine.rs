//! The machine it all runs on: facts without which a figure means nothing.
//!
//! Owns: cores, load, file system, and the disk's own speed. Never: judges them, but for one: a file system in memory
//! makes every durable figure a lie, so it is refused.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::Failed;

/// Appends in the probe of the disk: enough for a median, half a second on a slow disk.
const SYNCS: usize = 100;

/// A directory for everything the measured processes write, on a real disk.
pub(crate) fn scratch() -> Result<PathBuf, Failed> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gateway-bench");
    fs::create_dir_all(&directory).map_err(|error| Failed::io("could not create the scratch directory", &error))?;
    if file_system(&directory)? == "tmpfs" {
        return Err(Failed::new(format!("{} is in memory; durable figures need a disk", directory.display())));
    }
    Ok(directory)
}

/// One line: cores, load, file system, sync time.
pub(crate) fn facts(scratch: &Path) -> Result<String, Failed> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    let sync = sync_millis(scratch).map_err(|error| Failed::io("could not probe the disk", &error))?;
    let system = file_system(scratch)?;
    Ok(format!("{cores} cores, load {load}, {system}, append 1 KiB + fdatasync {sync:.2} ms (median)"))
}

fn file_system(directory: &Path) -> Result<String, Failed> {
    let output = Command::new("stat").args(["--file-system", "--format=%T"]).arg(directory).output();
    let output = output.map_err(|error| Failed::io("could not run stat", &error))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn sync_millis(directory: &Path) -> std::io::Result<f64> {
    let path = directory.join("probe");
    let mut file = File::create(&path)?;
    let mut millis = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[b'x'; 1024])?;
        file.sync_data()?;
        millis.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    fs::remove_file(path)?;
    Ok(super::figures::median(&millis))
}
