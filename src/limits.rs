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

/// A title is one line; trackers cut at 255 to 1,000. A mapping cuts further (`max: 160`) for ServiceNow's column.
pub const INCIDENT_TITLE_CHARS_MAX: usize = 1_000;
/// Descriptions and messages: eight times ServiceNow's documented 4,000, so nothing a person wrote is refused.
pub const INCIDENT_TEXT_CHARS_MAX: usize = 32_000;
/// Names, ids, references and addresses: 2,048 is the longest URL that browsers and proxies agree on.
pub const INCIDENT_NAME_CHARS_MAX: usize = 2_048;
/// Rooms and devices of one incident. A site-wide outage names dozens; more belong into a parent incident.
pub const INCIDENT_AFFECTED_COUNT_MAX: usize = 200;
/// The conversation inside a snapshot. New messages travel as events of their own, so a longer past is not needed.
pub const INCIDENT_MESSAGES_COUNT_MAX: usize = 200;
/// Tags and labels are for filtering; PagerDuty and Prometheus stay far below.
pub const INCIDENT_LABELS_COUNT_MAX: usize = 200;
/// Nesting of values we do not know. Deeper ones are a document, which belongs into an attachment.
pub const INCIDENT_CUSTOM_DEPTH_MAX: usize = 8;
/// Values we do not know, counted with everything inside them; bounds the memory of one event together with the body.
pub const INCIDENT_CUSTOM_VALUES_COUNT_MAX: usize = 2_000;
/// Faults reported for one event: enough to repair a sender in one go, few enough to read and to log.
pub const CHANGE_FAULTS_COUNT_MAX: usize = 50;
/// A mapping file is read by people; the largest shipped one is a tenth of this.
pub const MAPPING_FILE_BYTES_MAX: usize = 256 * 1024;
/// One expression. A 200 KB source overflows the parser's stack; 4 KiB is far beyond what anyone reads.
pub const EXPRESSION_BYTES_MAX: usize = 4 * 1024;
/// Instructions of one evaluation. 4 KiB of source compiles to far fewer and has no loops: the last net.
pub const EXPRESSION_FUEL_MAX: u64 = 10_000;
/// Nesting while one expression is evaluated: the last net as well.
pub const EXPRESSION_RECURSION_MAX: usize = 32;
/// What one filter may give back. Twice the longest text of an incident, so only runaway growth is refused.
pub const FILTER_OUTPUT_CHARS_MAX: usize = 64_000;
/// A field's value. ServiceNow's largest text columns hold about this much; anything longer is an attachment.
pub const FIELD_VALUE_CHARS_MAX: usize = 64_000;
/// ServiceNow's column names have 80 characters at most.
pub const FIELD_NAME_CHARS_MAX: usize = 80;
/// Fields of one mapping, kinds of change included. A ticket form has dozens.
pub const MAPPING_FIELDS_COUNT_MAX: usize = 500;
/// Findings reported for one file; the first ones are the ones to repair.
pub const MAPPING_FINDINGS_COUNT_MAX: usize = 200;

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
/// A tenant's file is a page; a megabyte is a mistake, and the YAML reader must not meet it.
pub const SETTINGS_FILE_BYTES_MAX: u64 = 256 * 1024;
/// A tenant's file has about a hundred values. Aliases multiply what a small file says, so its size is no bound.
pub const SETTINGS_NODES_MAX: usize = 10_000;
/// A PEM chain with its key is the longest secret there is.
pub const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Ten times the thousand tenants we measure with.
pub const TENANTS_MAX: usize = 10_000;
/// A large security operations centre has a few dozen people on its bridge.
pub const OPERATORS_MAX: usize = 64;
/// One thread per processor is right; this only catches slips such as `workers: 8080`.
pub const WORKERS_MAX: usize = 256;
/// An instance's node has 16 transaction threads for integrations; far more than that per second never helps.
pub const CALLS_PER_SECOND_MAX: u32 = 100;
/// `CALLS_PER_SECOND_MAX` for an hour.
pub const CALLS_PER_HOUR_MAX: u32 = CALLS_PER_SECOND_MAX * 3_600;
/// The semaphore pool for REST of a ServiceNow node has 16 places by default, shared with everyone else.
pub const CALL_CONCURRENCY_MAX: u32 = 16;
/// Shorter than the time a call may take, a settle time would look too early and send twice.
pub const SETTLE_SECS_MIN: u64 = 10;
/// A lane that waits longer than an hour for one unclear answer helps nobody.
pub const SETTLE_SECS_MAX: u64 = 3_600;
/// More often than this a sweep costs more calls than the work itself.
pub const SWEEP_SECS_MIN: u64 = 30;
/// The latency of a lost webhook.
pub const SWEEP_SECS_MAX: u64 = 86_400;

// ── simulator ────────────────────────────────────────────────────────────────────────────────────────────────

// ── relations ────────────────────────────────────────────────────────────────────────────────────────────────

const _: () = assert!(SETTLE_SECS_MIN < SETTLE_SECS_MAX && SWEEP_SECS_MIN < SWEEP_SECS_MAX);
const _: () = assert!(WEBHOOK_SECRETS_MAX <= SIGNATURES_EXAMINED_MAX);
