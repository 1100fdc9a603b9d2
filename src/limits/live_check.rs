//! Bounds of checks against an instance.

use std::time::Duration;

/// One check, test ticket and tidying included: some sixty calls at five a second are a quarter of a minute, and a person
/// waits for the answer.
pub const LIVE_CHECK_TIME: Duration = Duration::from_mins(2);
/// What of it is kept for putting the test ticket away: four calls of an instance that is slow.
pub const LIVE_CHECK_TIDY_TIME: Duration = Duration::from_secs(30);
/// How long one call of a check waits for the tenant's own pace, which deliveries use at the same time.
pub const LIVE_CHECK_PERMIT_WAIT: Duration = Duration::from_secs(20);
/// Calls a second of a check from the command line, which knows nothing of what the gateway calls meanwhile.
pub const LIVE_CHECK_CALLS_PER_SECOND: u32 = 5;
/// Rows of one page of a dictionary: an incident has some two hundred columns, a customer's rarely twice as many.
pub const CHECK_ROWS_MAX: usize = 2_000;
/// Names of a mapping that are looked up in one check; half a minute of calls at most.
pub const CHECK_LOOKUPS_MAX: usize = 100;
/// Tables a table is made of: `incident` has one above it, configuration items have six.
pub const TABLE_ANCESTORS_MAX: usize = 10;
/// Test tickets looked at for being left over: resolved ones stay active for some days.
pub const CHECK_LEFT_OVERS_MAX: usize = 100;
/// Groups and other records named in a drafted mapping: enough to choose from, few enough for a comment.
pub const DRAFT_EXAMPLES_MAX: usize = 20;
/// A difference of clocks that is worth a word: far more than a clock that follows a time server ever has.
pub const CLOCKS_APART_NOTED: Duration = Duration::from_secs(30);

const _: () = assert!(LIVE_CHECK_TIDY_TIME.as_secs() < LIVE_CHECK_TIME.as_secs());
