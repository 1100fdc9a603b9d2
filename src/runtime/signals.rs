//! SIGTERM and SIGINT ask for the stop; a second one, of either kind, means "now". SIGHUP asks for the files to be read.
//!
//! Owns: the three signals. Never: ends the process; the second signal is a value that the composition root acts on.
//! Fails: only while registering. Proved by: the tests below, which signal their own process.

use std::fmt;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::drain::Stopper;

/// Both signals, caught from the moment this exists.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP, caught from the moment this exists.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Catches it from now on, in place of its default, which would end the process.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next one. Several that came meanwhile are one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // The runtime is shutting down: there will be no next one.
            std::future::pending::<()>().await;
        }
    }
}

/// Which signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// SIGTERM: what service managers and containers send.
    Terminate,
    /// SIGINT: what Ctrl-C sends.
    Interrupt,
}

impl Signals {
    /// Catches both signals from now on, in place of their default, which would end the process at once.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Turns the first signal into a stop request with this grace, and returns at the second.
    /// Run it beside the program: `select! { () = program => …, caught = signals.drive(…) => exit now }`.
    pub async fn drive(mut self, stopper: Stopper, grace: Duration) -> Caught {
        let first = self.next().await;
        tracing::info!(signal = %first, "Stopping after {first}; {grace:?} for work in flight, a second signal ends it now");
        stopper.request(grace);
        self.next().await
    }

    /// Waits for the next one, for as long as there is nothing to stop yet.
    pub async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::Terminate,
            _ = self.interrupt.recv() => Caught::Interrupt,
        }
    }
}

impl Caught {
    /// The exit code by convention: 128 and the number of the signal.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        }
    }
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{drain, tasks};

    fn send(kind: &str) {
        let pid = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args([kind, &pid]).status().unwrap();
        assert!(sent.success());
    }

    #[tokio::test]
    async fn a_hangup_is_heard_and_ends_nothing() {
        let mut hangups = Hangups::catch().unwrap();
        for _ in 0..2 {
            send("-HUP");
            tokio::time::timeout(Duration::from_secs(20), hangups.next()).await.expect("it is heard");
        }
    }

    #[tokio::test]
    async fn the_first_signal_asks_and_the_second_insists() {
        let (stopper, stop) = drain::channel();
        let signals = Signals::catch().unwrap();
        let driving = tasks::spawn("signals", signals.drive(stopper, Duration::from_secs(20)));
        send("-TERM");
        tokio::time::timeout(Duration::from_secs(20), stop.requested()).await.expect("the stop is requested");
        assert!(!driving.is_finished());
        send("-INT");
        let caught = tokio::time::timeout(Duration::from_secs(20), driving).await.expect("it returns").unwrap();
        assert_eq!((caught, caught.exit_code()), (Caught::Interrupt, 130));
    }
}
