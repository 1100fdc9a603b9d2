//! Every bound of the program, with its reason. Units are in the name: bytes, chars, secs, millis, max counts.
//!
//! Relations between bounds are checked while compiling, at the end of this file.

// ── names ────────────────────────────────────────────────────────────────────────────────────────────────────

/// A tenant name is part of URLs, file names, metric labels and lane keys: short enough to read in all of them.
pub const TENANT_CHARS_MAX: usize = 40;
/// Long enough for any tracker's id or URL-shaped key; it is hashed before it reaches ServiceNow (100 characters there).
pub const INCIDENT_ID_CHARS_MAX: usize = 255;
/// CloudEvents sets no bound; `source` is often a URI, `id` a UUID. It is an indexed key, so it is kept short.
pub const EVENT_KEY_CHARS_MAX: usize = 512;

// ── intake ───────────────────────────────────────────────────────────────────────────────────────────────────

// ── canonical model and mapping ──────────────────────────────────────────────────────────────────────────────

// ── store ────────────────────────────────────────────────────────────────────────────────────────────────────

// ── calls to ServiceNow ──────────────────────────────────────────────────────────────────────────────────────

// ── worker ───────────────────────────────────────────────────────────────────────────────────────────────────

// ── settings and tenants ─────────────────────────────────────────────────────────────────────────────────────

/// Our keys have 47 characters; this leaves room for keys made elsewhere and keeps the hashing of a guess cheap.
pub const API_KEY_BYTES_MAX: usize = 256;
/// Two active credentials for each of eight tools. Every presented key is compared with this many hashes, so that the
/// time does not tell how many a tenant has.
pub const SENDERS_PER_TENANT_MAX: usize = 16;
/// One in use and one coming; a third survives a rotation that was begun twice.
pub const WEBHOOK_SECRETS_MAX: usize = 3;
/// Standard Webhooks 1.0: a secret has 24 to 64 bytes.
pub const WEBHOOK_SECRET_BYTES_MIN: usize = 24;
/// Standard Webhooks 1.0: a secret has 24 to 64 bytes.
pub const WEBHOOK_SECRET_BYTES_MAX: usize = 64;
/// A UUID has 36 characters and a prefix; the id is part of the signed text and kept to recognise repeats.
pub const WEBHOOK_ID_CHARS_MAX: usize = 256;
/// Standard Webhooks suggests five minutes either way: more than clocks drift, less than a replay is worth.
pub const SIGNATURE_WINDOW_SECS: i64 = 300;
/// A rotation of two secrets in two versions makes four signatures; the rest of a longer header is not looked at.
pub const SIGNATURES_EXAMINED_MAX: usize = 8;
/// A browser's practical bound for URLs; also keeps log lines readable.
pub const TARGET_URL_CHARS_MAX: usize = 2_048;

// ── simulator ────────────────────────────────────────────────────────────────────────────────────────────────

// ── relations ────────────────────────────────────────────────────────────────────────────────────────────────
