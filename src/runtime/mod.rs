//! Tasks, stopping, readiness and the machine's clock: what every long-running part needs and no business word.
//!
//! Owns: [`tasks`] (the only spawner), [`drain`] (stopping as a value with a deadline), [`readiness`] (why we are not
//! ready yet), [`signals`] (SIGTERM and SIGINT), [`failpoint`] (dying on purpose in kill tests), [`entropy`] (the
//! machine's randomness) and [`clock`]. Never: knows tenants, incidents or HTTP; holds a static that stops anything.
//! Fails: a task that panics is told (log and metric) and its handle says so; nothing else here can fail after start.
//! Proved by: the tests in each file; `failpoint` by processes that really die.

pub mod clock;
pub mod drain;
pub mod entropy;
pub mod failpoint;
pub mod luck;
pub mod readiness;
pub mod signals;
pub mod tasks;
pub mod wake;
