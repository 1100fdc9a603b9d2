//! Dying on purpose: kill tests arm one named point, and the process aborts there at the n-th pass.
//!
//! Owns: the one armed point of this process. Never: exists in a release build, where [`hit`] is empty and [`arm`]
//! declines; reads the environment (the composition root passes the point in). A static is right here and nowhere
//! else: the point must be reachable from any depth without a parameter that exists only for tests.
//! Fails: by design. Proved by: the tests below, in child processes.

use std::num::NonZeroU64;

/// Arms `point`: the process aborts when it passes there for the `pass`-th time. Says whether it was armed; a release
/// build and a process that has one already decline.
#[must_use = "a point that was not armed will not abort"]
pub fn arm(point: &str, pass: NonZeroU64) -> bool {
    armed::arm(point, pass)
}

/// Marks a moment after which a crash must lose nothing, such as `accept.after_commit`.
#[inline]
pub fn hit(point: &'static str) {
    armed::hit(point);
}

#[cfg(debug_assertions)]
mod armed {
    use std::num::NonZeroU64;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Armed> = OnceLock::new();

    struct Armed {
        point: String,
        passes_left: AtomicU64,
    }

    pub(super) fn arm(point: &str, pass: NonZeroU64) -> bool {
        ARMED.set(Armed { point: point.to_owned(), passes_left: AtomicU64::new(pass.get()) }).is_ok()
    }

    pub(super) fn hit(point: &'static str) {
        let Some(armed) = ARMED.get().filter(|armed| armed.point == point) else { return };
        // Exactly one thread sees the count at 1. An abort runs no destructor and flushes nothing, like `kill -9`.
        if armed.passes_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }
}

#[cfg(not(debug_assertions))]
mod armed {
    use std::num::NonZeroU64;

    pub(super) fn arm(_point: &str, _pass: NonZeroU64) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn hit(_point: &'static str) {}
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
        assert!(arm("test.point", NonZeroU64::new(3).unwrap()));
        for _ in 0..3 {
            hit("test.point");
        }
    }

    #[test]
    #[ignore = "runs in a child process of `it_lives_before_that_pass_and_at_other_points`"]
    fn child_passes_twice_and_elsewhere() {
        assert!(arm("test.point", NonZeroU64::new(3).unwrap()));
        assert!(!arm("test.second", NonZeroU64::MIN), "one point per process");
        for _ in 0..9 {
            hit("test.other");
        }
        hit("test.point");
        hit("test.point");
    }
}
