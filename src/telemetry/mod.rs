//! Telling: log lines, metrics, and the events that write both together.
//!
//! Owns: [`logging`] (one escaped line per record on stderr), [`metrics`] (the recorder and its text form),
//! [`catalogue`] (every metric with type, labels and meaning) and [`events`] (one struct per thing that happens).
//! Never: decides anything; carries a body, a secret, a query string or a record's id as a label.
//! Fails: only while being set up; afterwards telling cannot fail.
//! Proved by: the tests in each file; `docs/telemetry.md` is held to the catalogue by one of them.

pub mod catalogue;
pub mod events;
pub mod logging;
pub mod metrics;
