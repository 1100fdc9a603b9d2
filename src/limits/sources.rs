//! Bounds of source files and of what tools post to them.

use std::time::Duration;

use super::{BATCH_EVENTS_MAX, BODY_BYTES_MAX};

/// A source is part of a path and of every event's identity, as a tenant is.
pub const SOURCE_NAME_CHARS_MAX: usize = 40;
/// Events of one payload, as of one batch: they share a commit and an answer.
pub const SOURCE_EVENTS_MAX: usize = BATCH_EVENTS_MAX;
/// Values of one payload, everything inside others counted. Tools that send a full body of logs stay below a tenth; what is
/// mostly brackets would cost many times its size in memory.
pub const SOURCE_VALUES_COUNT_MAX: usize = 50_000;
/// Faults reported for one payload: enough to repair a sender or a file in one go, few enough to read.
pub const SOURCE_PROBLEMS_COUNT_MAX: usize = 50;
/// A tool is to send again after this long, where nothing says more: Azure Monitor gives up after about a minute in all.
pub const SOURCE_RETRY_AFTER: Duration = Duration::from_secs(10);
/// Tags of an HTML text inside each other. What people write stays below twenty; laying out thousands takes minutes.
pub const HTML_DEPTH_MAX: usize = 100;
/// An HTML text that is laid out; the rest of a longer one is cut. Twice the longest text of an incident.
pub const HTML_BYTES_MAX: usize = 64_000;
/// Columns of a laid-out HTML text: no sentence is broken, and a table's empty cells stay cheap.
pub const HTML_WIDTH_CHARS: usize = 500;

const _: () = assert!(HTML_BYTES_MAX < BODY_BYTES_MAX);
