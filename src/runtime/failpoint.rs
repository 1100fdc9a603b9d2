//! Dying on purpose: kill tests arm one named point, and the process aborts, stops or panics there at the n-th pass.
//!
//! Owns: the one armed point of this process, and the lease that a test shortens so that it need not wait minutes for one
//! to run out. Never: exists in a release build, where [`hit`] is empty and [`arm`] declines; reads the environment (the
//! composition root passes both in). A static is right here and nowhere else: the point must be reachable from any depth
//! without a parameter that exists only for tests.
//! Fails: by design. Proved by: the tests below, in child processes.

use std::num::NonZeroU64;
use std::time::Duration;

/// What happens at the armed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The process ends as `kill -9` would end it.
    Abort,
    /// The process is frozen as `kill -STOP` freezes it, until somebody continues it.
    Stop,
    /// The task panics, at this pass and at every later one: what it works on does this to whoever touches it.
    Panic,
}

/// Arms `point`: the process dies in this manner when it passes there for the `pass`-th time. `point/incident` arms it for
/// one incident alone, where the point knows of one. Says whether it was armed; a release build and a process that has one
/// already decline.
#[must_use = "a point that was not armed will not abort"]
pub fn arm(point: &str, pass: NonZeroU64, manner: Manner) -> bool {
    armed::arm(point, pass, manner)
}

/// Marks a moment after which a crash must lose nothing, such as `accept.after_commit`.
#[inline]
pub fn hit(point: &'static str) {
    armed::hit(point, "");
}

/// The same, of an incident.
#[inline]
pub fn hit_of(point: &'static str, incident: &str) {
    armed::hit(point, incident);
}

/// Makes every lease so long instead; for tests that wait for one to run out. A release build declines.
#[must_use = "leases that were not shortened take minutes"]
pub fn shorten_leases(to: Duration) -> bool {
    armed::shorten_leases(to)
}

/// How long a lease lasts: the usual time, unless a test shortened it.
#[inline]
pub fn lease(usual: Duration) -> Duration {
    armed::lease(usual)
}

#[cfg(debug_assertions)]
mod armed {
    use std::num::NonZeroU64;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::Manner;

    static ARMED: OnceLock<Armed> = OnceLock::new();
    static LEASE: OnceLock<Duration> = OnceLock::new();

    struct Armed {
        point: String,
        passes_left: AtomicU64,
        manner: Manner,
    }

    pub(super) fn arm(point: &str, pass: NonZeroU64, manner: Manner) -> bool {
        ARMED.set(Armed { point: point.to_owned(), passes_left: AtomicU64::new(pass.get()), manner }).is_ok()
    }

    pub(super) fn hit(point: &'static str, incident: &str) {
        let Some(armed) = ARMED.get().filter(|armed| armed.is_at(point, incident)) else { return };
        // Exactly one thread sees the count at 1.
        let left = armed.passes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match (armed.manner, left) {
            // An abort runs no destructor and flushes nothing, like `kill -9`.
            (Manner::Abort, Ok(1)) => std::process::abort(),
            (Manner::Stop, Ok(1)) => freeze(),
            #[expect(clippy::panic, reason = "a test asked for it")]
            (Manner::Panic, Ok(1) | Err(_)) => panic!("on purpose, at {point}"),
            (Manner::Abort | Manner::Stop | Manner::Panic, _) => {}
        }
    }

    impl Armed {
        fn is_at(&self, point: &str, incident: &str) -> bool {
            match self.point.split_once('/') {
                Some((name, only)) => name == point && only == incident,
                None => self.point == point,
            }
        }
    }

    /// Returns when somebody continues the process.
    fn freeze() {
        let us = std::process::id().to_string();
        let stopped = std::process::Command::new("kill").args(["-STOP", &us]).status();
        assert!(stopped.is_ok_and(|status| status.success()), "`kill` stops us");
    }

    pub(super) fn shorten_leases(to: Duration) -> bool {
        LEASE.set(to).is_ok()
    }

    pub(super) fn lease(usual: Duration) -> Duration {
        LEASE.get().copied().unwrap_or(usual)
    }
}

#[cfg(not(debug_assertions))]
mod armed {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::Manner;

    pub(super) fn arm(_point: &str, _pass: NonZeroU64, _manner: Manner) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn hit(_point: &'static str, _incident: &str) {}

    pub(super) fn shorten_leases(_to: Duration) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn lease(usual: Duration) -> Duration {
        usual
    }
}

#[cfg(test)]
#[cfg(all(debug_assertions, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus, Stdio};

    use super::*;

    const SIGABRT: i32 = 6;

    /// Runs one of the ignored tests below in a process of its own.
    fn run_in_child(test: &str) -> ExitStatus {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("runtime::failpoint::tests::{test}"), "--ignored"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
    }

    #[test]
    fn the_process_dies_at_the_armed_pass() {
        assert_eq!(run_in_child("child_passes_three_times").signal(), Some(SIGABRT));
    }

    #[test]
    fn it_lives_before_that_pass_and_at_other_points() {
        assert!(run_in_child("child_passes_twice_and_elsewhere").success());
    }

    #[test]
    #[ignore = "dies; runs in a child process of `the_process_dies_at_the_armed_pass`"]
    fn child_passes_three_times() {
        assert!(arm("test.point", NonZeroU64::new(3).unwrap(), Manner::Abort));
        for _ in 0..3 {
            hit("test.point");
        }
    }

    #[test]
    #[ignore = "runs in a child process of `it_lives_before_that_pass_and_at_other_points`"]
    fn child_passes_twice_and_elsewhere() {
        assert!(arm("test.point", NonZeroU64::new(3).unwrap(), Manner::Abort));
        assert!(!arm("test.second", NonZeroU64::MIN, Manner::Abort), "one point per process");
        for _ in 0..9 {
            hit("test.other");
        }
        hit("test.point");
        hit("test.point");
    }

    #[test]
    fn a_task_panics_at_the_armed_pass_and_ever_after_for_one_incident_alone() {
        assert!(run_in_child("child_panics_for_one_incident").success());
    }

    #[test]
    #[ignore = "runs in a child process of `a_task_panics_at_the_armed_pass_and_ever_after_for_one_incident_alone`"]
    fn child_panics_for_one_incident() {
        assert!(arm("test.point/MTR-1", NonZeroU64::new(2).unwrap(), Manner::Panic));
        let panics = |incident: &'static str| std::panic::catch_unwind(|| hit_of("test.point", incident)).is_err();
        assert_eq!(["MTR-1", "MTR-2", "MTR-1", "MTR-1", "MTR-2"].map(panics), [false, false, true, true, false]);
    }

    #[test]
    fn leases_last_as_long_as_a_test_says() {
        assert!(run_in_child("child_shortens_leases").success());
    }

    #[test]
    #[ignore = "runs in a child process of `leases_last_as_long_as_a_test_says`"]
    fn child_shortens_leases() {
        let (usual, short) = (Duration::from_mins(2), Duration::from_secs(3));
        assert_eq!(lease(usual), usual);
        assert!(shorten_leases(short));
        assert_eq!(lease(usual), short);
    }
}
