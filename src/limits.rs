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

// ── simulator ────────────────────────────────────────────────────────────────────────────────────────────────

// ── relations ────────────────────────────────────────────────────────────────────────────────────────────────
