//! Bounds of how we show an instance who we are: assertions, certificates, and credentials that end.

use std::time::Duration;

/// Life of a signed assertion. It is used at once; the rest is for a queue on the way. Instances whose console is new
/// allow the clocks no difference at all, so ours is corrected first (`facts/servicenow.md` 4.1).
pub const ASSERTION_LIFE: Duration = Duration::from_mins(2);
/// A difference of clocks below this is the time an answer travels, and not worth another request.
pub const CLOCK_SKEW_MIN: Duration = Duration::from_secs(3);
/// A `Date` further away than this is a broken clock, not a skew, and is not followed.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_hours(24);
/// Certificates of a chain; public ones have three.
pub const CERTIFICATES_MAX: usize = 10;
/// How long before its end a client certificate is warned of: enough for an order in a large company.
pub const CERTIFICATE_WARNING: Duration = Duration::from_hours(30 * 24);
/// How long before its end a refresh token is warned of: somebody must log in by hand (`facts/reliability.md` 4.6).
pub const REFRESH_TOKEN_WARNING: Duration = Duration::from_hours(14 * 24);
/// Life of a refresh token in days, as ServiceNow gives it (`facts/servicenow.md` 4.1).
pub const REFRESH_TOKEN_DAYS: u32 = 100;
/// Ten years: longer is a slip, not a life.
pub const REFRESH_TOKEN_DAYS_MAX: u32 = 3_650;
/// An audience, an issuer or a subject is a name or an address.
pub const CLAIM_CHARS_MAX: usize = 500;

const _: () = assert!(ASSERTION_LIFE.as_secs() > CLOCK_SKEW_MIN.as_secs());
const _: () = assert!(CLOCK_SKEW_MIN.as_secs() < CLOCK_SKEW_MAX.as_secs());
const _: () = assert!(REFRESH_TOKEN_DAYS <= REFRESH_TOKEN_DAYS_MAX);
