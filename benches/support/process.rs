//! The processes that are measured: each candidate runs on its own, started and ended by the harness.
//!
//! Owns: starting, waiting until ready, memory, ending. Never: leaves one behind: it is killed when dropped, and a
//! reference also ends by itself when its standard input does. Fails: with the last lines the process wrote.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Failed;

/// Lines of a dead process's log that are quoted.
const LOG_LINES: usize = 20;

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: Option<PathBuf>,
}

impl Process {
    /// Starts this very program again in another role, and waits until it says where it listens.
    pub(crate) fn role(role: &str, argument: &OsStr) -> Result<(Self, SocketAddr), Failed> {
        let program = std::env::current_exe().map_err(|error| Failed::io("where is this program", &error))?;
        let mut child = Command::new(program)
            .arg(role)
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failed::io(&format!("could not start {role}"), &error))?;
        let mut line = String::new();
        let said = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let process = Self { name: role.to_owned(), child, log: None };
        match (said, line.trim().parse()) {
            (Some(Ok(_)), Ok(address)) => Ok((process, address)),
            _ => Err(Failed::new(format!("{role} did not say where it listens"))),
        }
    }

    /// Starts a program whose output goes to `log`.
    pub(crate) fn program(name: &str, mut command: Command, log: &Path) -> Result<Self, Failed> {
        let output = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = output.map_err(|error| Failed::io("could not create the log file", &error))?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.map_err(|error| Failed::io(&format!("could not start {name}"), &error))?;
        Ok(Self { name: name.to_owned(), child, log: Some(log.to_owned()) })
    }

    /// An error with the process's last words if it has ended.
    pub(crate) fn still_runs(&mut self) -> Result<(), Failed> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(Failed::new(format!("{} ended early ({status})\n{}", self.name, self.last_words())))
            }
            Err(error) => Err(Failed::io("could not ask for a process's state", &error)),
        }
    }

    /// The end of its log, for a message about why it failed.
    pub(crate) fn last_words(&self) -> String {
        let text = self.log.as_ref().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time it has used so far, its own and the system's for it.
    pub(crate) fn processor_time(&mut self) -> Result<Duration, Failed> {
        self.still_runs()?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.map_err(|error| Failed::io("could not read a process's times", &error))?;
        // The name is in brackets and may hold anything; behind it the times are the 12th and the 13th word.
        let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks: Option<u64> = ticks.map(|word| word.parse::<u64>().ok()).sum();
        // A hundredth of a second, whatever the kernel counts in inside.
        ticks.map(|ticks| Duration::from_millis(ticks * 10)).ok_or_else(|| Failed::new("no times of a process"))
    }

    /// Memory it holds now (`VmRSS`), in MiB.
    pub(crate) fn resident_mib(&mut self) -> Result<f64, Failed> {
        self.still_runs()?;
        let path = format!("/proc/{}/status", self.child.id());
        let status =
            fs::read_to_string(path).map_err(|error| Failed::io("could not read a process's status", &error))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib.map(|kib| kib / 1_024.0).ok_or_else(|| Failed::new("no VmRSS in a process's status"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and its state is still to be collected.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Told when the process that started this one is gone, however it ended.
pub(crate) fn parent_gone() -> io::Result<oneshot::Receiver<()>> {
    let (gone, told) = oneshot::channel();
    let watch = move || {
        drop(io::stdin().read_to_end(&mut Vec::new()));
        gone.send(()).ok();
    };
    drop(std::thread::Builder::new().name("parent".to_owned()).spawn(watch)?);
    Ok(told)
}
