//! Bounds of who may call us: credentials, tokens, the keys of their issuers, failed attempts.

use std::time::Duration;

/// A secret of PagerDuty has 64 characters or more; shorter than this it could be guessed.
pub const PAGERDUTY_SECRET_BYTES_MIN: usize = 16;
/// Far above what PagerDuty makes; only bounds what is kept.
pub const PAGERDUTY_SECRET_BYTES_MAX: usize = 256;
/// A name in a certificate: a DNS name has 253 characters, a SPIFFE id is meant to stay below.
pub const CERTIFICATE_NAME_CHARS_MAX: usize = 255;
/// Names of one certificate that are looked at. A client's certificate has one or two.
pub const CERTIFICATE_NAMES_EXAMINED_MAX: usize = 16;
/// Routes a sender can be confined to: `events`, `deliveries` and as many sources as there are tools.
pub const SCOPES_MAX: usize = 32;
/// How long before its end a credential is spoken of: a rotation takes a change request on the sender's side.
pub const CREDENTIAL_EXPIRY_NOTICE: Duration = Duration::from_hours(14 * 24);

/// Entra's tokens have two to four kilobytes. Also what the HTTP parser leaves for one header.
pub const BEARER_TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Clocks of issuers and ours: a minute is what the libraries of all large issuers allow.
pub const TOKEN_LEEWAY: Duration = Duration::from_mins(1);
/// Audiences, clients, roles or scopes that one sender names: a person keeps them in mind.
pub const TOKEN_WORDS_MAX: usize = 32;
/// One of those: a URI of an application or a client's id.
pub const TOKEN_WORD_CHARS_MAX: usize = 255;

/// Keys of one issuer. Entra publishes about ten, most others two.
pub const ISSUER_KEYS_MAX: usize = 64;
/// A set of keys with its certificates; Entra's has some 20 KB.
pub const ISSUER_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// One document of an issuer, from the first name look-up to its last byte.
pub const ISSUER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller waits for the keys that prove it; then it is asked to come back. PagerDuty gives us five seconds.
pub const ISSUER_CALLER_WAIT: Duration = Duration::from_secs(3);
/// How long keys are used without looking for newer ones. Issuers publish a key a day or more before they use it.
pub const ISSUER_KEYS_FRESH: Duration = Duration::from_hours(1);
/// How long keys serve while nothing newer can be had: an issuer's outage must not become ours at once.
pub const ISSUER_KEYS_KEPT: Duration = Duration::from_hours(24);
/// After a fetch that did not bring the key it was for, the issuer is left alone: made-up key ids must not become a cannon.
pub const ISSUER_FETCH_GAP: Duration = Duration::from_mins(1);
/// Between two fetches if the first one failed: an issuer's short trouble should not keep its callers out for long.
pub const ISSUER_FAILURE_GAP: Duration = Duration::from_secs(10);

/// Failures of one address before it is held off: a sender with an old key finds out, a guesser learns nothing.
pub const FAILURES_MAX: u32 = 30;
/// Each so much time forgives one failure.
pub const FAILURE_FORGIVEN_AFTER: Duration = Duration::from_secs(2);
/// Addresses whose failures are counted apart: at 32 bytes each half a megabyte. Those beyond it share one count.
pub const FAILING_ADDRESSES_MAX: usize = 16_384;
/// Proxies that one request is believed to have passed; the rest of a longer header is not looked at.
pub const FORWARDED_HOPS_MAX: usize = 16;

const _: () = assert!(ISSUER_CALLER_WAIT.as_millis() < ISSUER_TIMEOUT.as_millis());
const _: () = assert!(ISSUER_FETCH_GAP.as_millis() < ISSUER_KEYS_FRESH.as_millis());
const _: () = assert!(ISSUER_KEYS_FRESH.as_millis() < ISSUER_KEYS_KEPT.as_millis());
