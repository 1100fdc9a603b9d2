//! Every bound of the program, with its reason. Units are in the name: bytes, chars, secs, millis, max counts.
//!
//! Relations between bounds are checked while compiling, at the end of this file.

mod audit;
mod callers;
mod copying;
mod crashes;
mod credentials;
mod fairness;
mod history;
mod live_check;
mod postgres;
mod postgres_rest;
mod reload;
mod sharing;
mod simulator;
mod sources;
mod way_back;

use std::time::Duration;

pub use audit::*;
pub use callers::*;
pub use copying::*;
pub use crashes::*;
pub use credentials::*;
pub use fairness::*;
pub use history::*;
pub use live_check::*;
pub use postgres::*;
pub use postgres_rest::*;
pub use reload::*;
pub use sharing::*;
pub use simulator::*;
pub use sources::*;
pub use way_back::*;

// ── names ────────────────────────────────────────────────────────────────────────────────────────────────────

/// A tenant name is part of URLs, file names, metric labels and lane keys: short enough to read in all of them.
pub const TENANT_CHARS_MAX: usize = 40;
/// Long enough for any tracker's id or URL-shaped key; it is hashed before it reaches ServiceNow (100 characters there).
pub const INCIDENT_ID_CHARS_MAX: usize = 255;
/// CloudEvents sets no bound; `source` is often a URI, `id` a UUID. It is an indexed key, so it is kept short.
pub const EVENT_KEY_CHARS_MAX: usize = 512;

// ── intake ───────────────────────────────────────────────────────────────────────────────────────────────────

/// One request's body. CloudEvents obliges receivers to take 64 KiB; four times that holds long conversations.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Room made for a body before its first byte: most events are smaller, and an announcement costs its sender nothing.
pub const BODY_BYTES_RESERVED: usize = 8 * 1024;
/// Events of one batch: more would hold one commit and one answer for too long.
pub const BATCH_EVENTS_MAX: usize = 500;
/// Nesting of a body. Known senders stay below ten; a parser's stack is not to be measured from outside.
pub const JSON_DEPTH_MAX: usize = 32;
/// A sender that asks to wait for the end of a delivery waits at most this long, so that connections do not pile up.
pub const PREFER_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a client may take to send its request head, and its body after that (slow senders hold a slot).
pub const REQUEST_HEAD_WAIT: Duration = Duration::from_secs(5);
/// See [`REQUEST_HEAD_WAIT`].
pub const REQUEST_BODY_WAIT: Duration = Duration::from_secs(10);
/// Connections held open at once by the public listener.
pub const CONNECTIONS_MAX: usize = 10_000;
/// An idle connection is kept this long: longer than the minute that load balancers usually keep theirs.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// After a stop was requested the listeners answer this long, because load balancers notice late.
pub const ACCEPT_AFTER_STOP: Duration = Duration::from_secs(5);
/// How long a stopping gateway waits for deliveries in flight: one call's deadline and a little.
pub const STOP_GRACE: Duration = Duration::from_secs(50);
/// How long a stopping gateway waits for the last holder of the store, so that its file is closed in order.
pub const STORE_CLOSE_WAIT: Duration = Duration::from_secs(3);
/// How often the gauges of what waits are read from the store.
pub const BACKLOG_REPORT_EVERY: Duration = Duration::from_secs(10);
/// One webhook of ServiceNow. Ten journal entries of 4,000 characters, each written as `\u00e9`, are 240 KiB.
pub const WEBHOOK_BODY_BYTES_MAX: usize = 256 * 1024;
/// An instance calls us over four connections, and gives up after ten seconds: a store that has not answered by now is
/// said to be busy well before, and within the two seconds that are promised.
pub const WEBHOOK_STORE_WAIT: Duration = Duration::from_millis(1_500);
/// A store or a lane that cannot take a webhook just now is worth another look after this long.
pub const WEBHOOK_RETRY_AFTER: Duration = Duration::from_secs(30);
/// Systems an event may have passed on its way: from its tool to the managed service, and from there to us. What has
/// gone further is going round.
pub const HOPS_MAX: u64 = 2;
/// Deliveries on one page of a list.
pub const PAGE_MAX: usize = 200;
/// Events that one plan asks a gateway for: fifty pages, some seconds of a person's patience.
pub const PLAN_EVENTS_MAX: i64 = 10_000;

// ── what ServiceNow tells ────────────────────────────────────────────────────────────────────────────────────

/// Columns of one snapshot: as many as a mapping may name. More are a table's whole row, which the worker reads itself.
pub const SIGHTING_FIELDS_COUNT_MAX: usize = 500;
/// Newest entries of the journal, or files, in one snapshot; the worker reads the others.
pub const SIGHTING_ENTRIES_COUNT_MAX: usize = 100;
/// Numbers, keys, user and instance names: the longest of them has 100 characters in ServiceNow, a file's name 255.
pub const SIGHTING_WORD_CHARS_MAX: usize = 255;
/// Between a label and its value in text that is no JSON: `%22%20%3A%20%22` is 15 bytes, `&quot;: &quot;` 14.
pub const SIGHTING_LABEL_GAP_BYTES_MAX: usize = 32;
/// Values of one webhook, all counted; a snapshot of every bound above has fewer. The rest is read over.
pub const SIGHTING_VALUES_COUNT_MAX: usize = 10_000;

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

// ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────

/// After how long the next try comes, by the number of tries made (`facts/reliability.md` 3.6); the last one repeats.
pub const RETRY_WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(4),
    Duration::from_hours(6),
];
/// Tries of a delivery's own before a person is asked: with the waits above about three days.
pub const ATTEMPTS_MAX: u32 = 25;
/// Refused credentials are tried again rarely: three failures in a row lock accounts on many instances.
pub const AUTH_PAUSE: Duration = Duration::from_mins(5);
/// A tenant that needs a person is looked at again after this long, in case the person forgot to say so.
pub const MISCONFIGURED_PAUSE: Duration = Duration::from_mins(15);

// ── store ────────────────────────────────────────────────────────────────────────────────────────────────────

/// Waiting deliveries of one incident before its sender is told to slow down (`facts/reliability.md` 3.6).
pub const LANE_WAITING_MAX: usize = 1_000;
/// Tries remembered per delivery: enough to see a pattern, bounded because a delivery may be tried for days.
pub const ATTEMPT_RECORDS_MAX: usize = 20;
/// Commands that wait for the writer: some commits' worth, about a tenth of a second of work on a slow disk.
pub const STORE_QUEUE_MAX: usize = 1_024;
/// Commands that share one commit: more would save no syncs worth having, and make the first one wait for the last.
pub const STORE_BATCH_MAX: usize = 256;
/// Lists and look-ups that wait for a reading thread; each takes milliseconds, so more would only be late.
pub const STORE_READS_MAX: usize = 256;
/// A lock on the database file held longer than this is nobody of ours.
pub const STORE_BUSY_MAX: Duration = Duration::from_secs(5);
/// Page cache of the writing connection: the inner pages of every index of some million deliveries, and the pages being
/// written. Together with the readers' it keeps a replica with 100,000 waiting deliveries under 100 MiB.
pub const STORE_WRITE_CACHE_KIB: usize = 36 * 1_024;
/// Page cache of each other connection; what it misses is in the system's own cache.
pub const STORE_READ_CACHE_KIB: usize = 2 * 1_024;
/// More than the number of different statements in the program, so that each is compiled once.
pub const SQLITE_STATEMENTS_MAX: usize = 64;
/// How often committed pages are copied from the log to the file, so that no commit has to do it.
pub const CHECKPOINT_EVERY: Duration = Duration::from_millis(200);
/// Pages of 4 KiB after which the writer ends the round itself, so that the log starts over in place (64 MiB): more
/// than a busy writer logs between two checkpoints, so that what is left for it to copy is little.
pub const WAL_PAGES_BEFORE_RESTART: u32 = 16_384;
/// A log this long (256 MiB) means that something kept it from starting over: it is cut, writers wait meanwhile.
pub const WAL_PAGES_MAX: i64 = 65_536;
/// The check for damage at start may take this long; a larger file is served with a warning instead.
pub const QUICK_CHECK_MAX: Duration = Duration::from_secs(5);
/// Room that must stay free for settling what was accepted, however small the disk.
pub const FREE_BYTES_MIN: u64 = 256 << 20;
/// One part in this many of the disk must be free (5 %) ...
pub const FREE_PART_MIN: u64 = 20;
/// ... but no more than this: a large disk need not keep a hundred gigabytes idle.
pub const FREE_BYTES_ENOUGH: u64 = 2 << 30;
/// Free space changes slowly against this, and asking for it is a system call.
pub const FREE_CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long an event is known as a repeat after its delivery ended. Known senders repeat for seven days at most; a month
/// leaves room for a person who sends a backlog again.
pub const EVENTS_REMEMBERED: Duration = Duration::from_hours(30 * 24);
/// Deliveries forgotten in one commit: some milliseconds of the writer's time, so that no receipt waits longer for it.
pub const TRIM_DELIVERIES_MAX: usize = 200;
/// How often records that are old enough are looked for: a day's worth goes in many small steps, not in one at night.
pub const TRIM_EVERY: Duration = Duration::from_mins(10);
/// Between two batches of a long tail, so that senders never wait for house-keeping.
pub const TRIM_REST: Duration = Duration::from_millis(500);
/// How far the stored time may lag behind: after a restart under a clock set back, no more than this is lived twice.
pub const TIME_STORED_EVERY: Duration = Duration::from_secs(1);

// ── calls to ServiceNow ──────────────────────────────────────────────────────────────────────────────────────

/// Name, TCP and TLS together: farther than any healthy instance, short enough to learn of a dead one.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A whole call, its body included. ServiceNow cuts its own work at 60 s, but answers that late are worth nothing: the
/// write is settled by a look-up instead, and the slot is free again.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(45);
/// Asking for a token: shorter than a call, because every other call of the tenant waits for it.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);
/// A full incident row is about 10 kB; a hundred of them fit. More is an answer we did not ask for.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// A token is some hundred bytes, a signed one some thousand.
pub const TOKEN_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// What is set aside at once for an answer of announced length; a lie about the length costs no more than this.
pub const ANSWER_BYTES_RESERVED: usize = 32 * 1024;
/// ServiceNow sends about twenty; a flood of them is refused by the HTTP parser.
pub const ANSWER_HEADERS_MAX: usize = 100;
/// As many as a tenant may use at once at most, so that no call of a busy instance waits for a handshake: beyond this number
/// each finished call would close its connection, and the next one make it anew. Those of a quieter time end by themselves
/// after [`IDLE_CONNECTION_TIME`].
pub const IDLE_CONNECTIONS_PER_HOST_MAX: usize = CALL_CONCURRENCY_MAX as usize;
/// Shorter than the 60 s after which an instance ends an idle integration session, so that we close first.
pub const IDLE_CONNECTION_TIME: Duration = Duration::from_secs(50);
/// What is kept of a peer's own words: a sentence or two, for people.
pub const DETAIL_CHARS_MAX: usize = 500;
/// Rows asked for when a ticket is looked for by its key: one is right, two are a duplicate, three prove a habit.
pub const CORRELATION_ROWS_MAX: usize = 3;
/// Rows asked for when a reference is looked up: the second one only shows that the first is not the only one.
pub const REFERENCE_ROWS_MAX: usize = 2;
/// A callback, its answer included. Receivers are asked to answer first and work later; Standard Webhooks suggests 15 to
/// 30 s.
pub const CALLBACK_TIMEOUT: Duration = Duration::from_secs(20);
/// An answer to a callback says the id of a new incident, or nothing; the rest of a longer one is not read.
pub const CALLBACK_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Where the word `duplicate` is looked for in a refusal: a sentence, not a page.
pub const CALLBACK_WORDS_BYTES_MAX: usize = 1024;
/// One file, from the first look-up to its last byte: a hundred megabytes at a megabyte a second, within one lease.
pub const FILE_TIMEOUT: Duration = Duration::from_secs(100);
/// What of a file is in memory at once, on each way: large enough that the hop to the disk costs little.
pub const FILE_PIECE_BYTES: usize = 64 * 1024;
/// What is read of an answer that comes instead of a file.
pub const FILE_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Keys named in one query: 30 take about a thousand characters of an address, which leaves room for columns.
pub const KEYS_IN_A_QUERY_MAX: usize = 30;
/// One of so many rows of a page may have changed while it was read; more of them, and the page is in no order at all.
pub const MOVED_ROWS_SHARE: usize = 4;
/// Pages of one walk through a journal or a list of files: thousands of rows, far beyond what people write on a ticket.
pub const READ_PAGES_MAX: usize = 20;
/// Files listed in one page: a row has about 900 bytes, so that a page stays under half of [`ANSWER_BYTES_MAX`].
pub const ATTACHMENT_ROWS_MAX: usize = 500;
/// Longer addresses are refused by some instances and proxies with 414 from about 2,000 characters.
pub const ADDRESS_CHARS_MAX: usize = 1_800;
/// A name, a serial number, a mail address; longer texts are not keys.
pub const LOOKUP_VALUE_CHARS_MAX: usize = 255;

/// The longest time a peer may ask for and be believed; beyond it is taken for a mistake.
pub const ASKED_WAIT_MAX: Duration = Duration::from_hours(24);
/// What is waited instead of an unbelievable time.
pub const ASKED_WAIT_INSTEAD: Duration = Duration::from_hours(1);
/// A rate window is an hour; a reset later than this is not a reset.
pub const RATE_RESET_WAIT_MAX: Duration = Duration::from_hours(2);
/// A `429` that names no usable time still means "not now".
pub const THROTTLED_WAIT: Duration = Duration::from_mins(1);
/// The least pause after a `429`, also when the time it names has passed: counters lag by up to 30 s.
pub const THROTTLED_WAIT_MIN: Duration = Duration::from_secs(5);
/// First and longest pause after a `429` without a time: a node's queue of 50 was full, which passes in seconds.
pub const CROWDED_WAIT_MIN: Duration = Duration::from_secs(5);
/// See [`CROWDED_WAIT_MIN`]; it doubles up to this.
pub const CROWDED_WAIT_MAX: Duration = Duration::from_mins(1);
/// Everybody's hourly window ends at once: the release is spread over this long, from a tenth of the rate to all of it.
pub const RELEASE_RAMP: Duration = Duration::from_mins(1);
/// A minute of success earns one more call at a time.
pub const CONCURRENCY_GROWTH_TIME: Duration = Duration::from_mins(1);
/// How long a caller waits for its turn; longer waits belong to the lane, which holds no connection meanwhile.
pub const PERMIT_WAIT_MAX: Duration = Duration::from_secs(2);
/// When every slot is taken: the next look. A call takes some hundred milliseconds.
pub const BUSY_WAIT: Duration = Duration::from_secs(1);

/// Retries saved up (`facts/reliability.md` 4.3): a burst of failures may be tried again at once, a lasting one not.
pub const RETRY_TOKENS_MAX: f64 = 20.0;
/// What each first try adds: one retry for five calls.
pub const RETRY_TOKENS_PER_CALL: f64 = 0.2;
/// One more by itself after this long, so that a quiet tenant is not stuck.
pub const RETRY_TOKEN_TIME: Duration = Duration::from_secs(15);

/// Failures in a row that show the instance is not well (`facts/reliability.md` 4.4).
pub const BREAKER_FAILURES_IN_A_ROW: u32 = 5;
/// The window in which half of the calls failing shows it too.
pub const BREAKER_WINDOW: Duration = Duration::from_mins(1);
/// Fewer calls in the window prove nothing.
pub const BREAKER_CALLS_MIN: u32 = 10;
/// First pause of an open breaker.
pub const BREAKER_OPEN_MIN: Duration = Duration::from_secs(30);
/// Longest pause of an open breaker.
pub const BREAKER_OPEN_MAX: Duration = Duration::from_mins(10);
/// Good answers of a half-open breaker that close it.
pub const BREAKER_GOOD_ANSWERS: u32 = 3;

/// Share of a learned hourly limit that we use; ServiceNow counts per node and others use the account too.
pub const HOURLY_SHARE_PERCENT: u64 = 80;
/// Share of the hourly budget kept for reading, so that a storm of writes cannot blind the look-ups.
pub const HOURLY_READING_PERCENT: u64 = 10;
/// A learned limit is believed this long without being told again.
pub const HOURLY_WINDOW: Duration = Duration::from_hours(1);

/// Life of a token when its answer does not say; the default of ServiceNow.
pub const TOKEN_LIFE: Duration = Duration::from_mins(30);
/// Shortest and longest life believed.
pub const TOKEN_LIFE_MIN: Duration = Duration::from_mins(1);
/// See [`TOKEN_LIFE_MIN`].
pub const TOKEN_LIFE_MAX: Duration = Duration::from_hours(24);
/// How long a failure to get a token is shared instead of repeated.
pub const TOKEN_FAILURE_SHARED: Duration = Duration::from_secs(5);
/// Pauses after refused credentials, by the number of refusals in a row; the last one repeats. A few failures in a row
/// lock an account on many instances.
pub const AUTH_PAUSES: [Duration; 4] =
    [Duration::from_mins(1), Duration::from_mins(5), Duration::from_mins(15), Duration::from_mins(30)];

/// Looked-up references remembered per tenant: groups and rooms of one customer.
pub const LOOKUPS_REMEMBERED_MAX: usize = 512;
/// How long a found reference is believed: groups are renamed rarely, and never given another key.
pub const LOOKUP_FOUND_TIME: Duration = Duration::from_mins(10);
/// How long a missing one is believed: somebody is probably about to create it.
pub const LOOKUP_MISSING_TIME: Duration = Duration::from_mins(1);

const _: () = assert!(CALLBACK_TIMEOUT.as_millis() <= CALL_TIMEOUT.as_millis());
const _: () = assert!(CALLBACK_WORDS_BYTES_MAX <= CALLBACK_ANSWER_BYTES_MAX);
const _: () = assert!(FILE_TIMEOUT.as_millis() < LEASE.as_millis() && FILE_ANSWER_BYTES_MAX <= ANSWER_BYTES_MAX);
const _: () = assert!(KEYS_IN_A_QUERY_MAX * 35 + 500 < ADDRESS_CHARS_MAX);
const _: () = assert!(CONNECT_TIMEOUT.as_millis() < TOKEN_TIMEOUT.as_millis());
const _: () = assert!(TOKEN_TIMEOUT.as_millis() < CALL_TIMEOUT.as_millis());
const _: () = assert!(TOKEN_ANSWER_BYTES_MAX <= ANSWER_BYTES_MAX && ANSWER_BYTES_RESERVED <= ANSWER_BYTES_MAX);
const _: () = assert!(BREAKER_OPEN_MIN.as_millis() < BREAKER_OPEN_MAX.as_millis());
const _: () = assert!(CROWDED_WAIT_MIN.as_millis() < CROWDED_WAIT_MAX.as_millis());
const _: () = assert!(THROTTLED_WAIT_MIN.as_millis() <= THROTTLED_WAIT.as_millis());
const _: () = assert!(RATE_RESET_WAIT_MAX.as_millis() <= ASKED_WAIT_MAX.as_millis());

// ── worker ───────────────────────────────────────────────────────────────────────────────────────────────────

/// How long a lane is leased: more than twice the longest call, so that a slow answer does not lose the lane.
pub const LEASE: Duration = Duration::from_mins(2);
/// The longest time between asking for an intent and the first byte on the wire; a worker that was frozen longer sends
/// nothing. It is a term of the settle time (`facts/reliability.md` 2.3).
pub const SELF_FENCE: Duration = Duration::from_secs(5);
/// Waiting deliveries handed out with the head of a lane, so that a run of field updates becomes one call.
pub const FOLD_MAX: usize = 50;
/// Lanes worked on at once in one replica: most of them wait, for an instance or for a commit that many share. At a few
/// kilobytes each, a thousand cost little and keep hundreds of slow instances from holding up the others.
pub const WORKER_LANES_MAX: usize = 1_024;
/// How often a replica looks for due lanes when nothing woke it: retries and expired leases need no more.
pub const CLAIM_POLL: Duration = Duration::from_millis(250);

// ── settings and tenants ─────────────────────────────────────────────────────────────────────────────────────

/// Our keys have 47 characters; this leaves room for keys made elsewhere and keeps the hashing of a guess cheap.
pub const API_KEY_BYTES_MAX: usize = 256;
/// Two active credentials for each of sixteen tools. Every presented key is compared with this many hashes, so that the
/// time does not tell how many a tenant has.
pub const SENDERS_PER_TENANT_MAX: usize = 32;
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
/// Far above what an instance bears (4 threads a node, 50 ms a call at best); it only catches slips. Large instances with
/// many nodes, and simulators, go high.
pub const CALLS_PER_SECOND_MAX: u32 = 10_000;
/// `CALLS_PER_SECOND_MAX` for an hour.
pub const CALLS_PER_HOUR_MAX: u32 = CALLS_PER_SECOND_MAX * 3_600;
/// A node's pool for REST has 4 threads and a queue of 50 (KB0564204); large instances have many nodes.
pub const CALL_CONCURRENCY_MAX: u32 = 256;
/// Only a simulator settles this quickly; `docs/guarantees.md` says what a real instance needs.
pub const SETTLE_SECS_MIN: u64 = 1;
/// A lane that waits longer than an hour for one unclear answer helps nobody.
pub const SETTLE_SECS_MAX: u64 = 3_600;
/// Only a simulator is asked this often; an instance counts every call, and half a minute already costs it a few thousand a
/// day.
pub const SWEEP_SECS_MIN: u64 = 1;
/// The latency of a lost webhook.
pub const SWEEP_SECS_MAX: u64 = 86_400;
/// Reading every open ticket more often than this is a load test.
pub const COMPARE_SECS_MIN: u64 = 3_600;
/// A difference that nobody finds for longer than a month, nobody looks for.
pub const COMPARE_SECS_MAX: u64 = 2_592_000;
/// ServiceNow's `sys_user.user_name` has 40 characters by default; customers widen it to fit mail addresses.
pub const USER_NAME_CHARS_MAX: usize = 100;
/// An instance's name is the first label of its address, and a label has 63 characters.
pub const INSTANCE_NAME_CHARS_MAX: usize = 63;
/// A callback's scope is a few URLs.
pub const OAUTH_SCOPE_CHARS_MAX: usize = 1_000;
/// A password or token that is the only proof of who calls must not be guessed: 16 characters of a machine's choice.
pub const UNSIGNED_SECRET_BYTES_MIN: usize = 16;
/// With the longest user name, in base64, a credential still stays below what is hashed of a presented key.
pub const UNSIGNED_SECRET_BYTES_MAX: usize = 80;
/// ServiceNow closes resolved tickets after days, the managed service's description names 15; a year is a slip.
pub const INACTIVITY_DAYS_MAX: u32 = 366;
/// A first response later than in a month is none. Also bounds how many days are walked through to find its due time.
pub const FIRST_RESPONSE_SECS_MAX: u64 = 2_592_000;
/// Nobody answers within seconds; also catches `4s` where `4h` was meant.
pub const FIRST_RESPONSE_SECS_MIN: u64 = 60;
/// Some thirty years of holidays of a country that has many.
pub const HOLIDAYS_MAX: usize = 500;

// ── relations ────────────────────────────────────────────────────────────────────────────────────────────────

const _: () = assert!(SIM_OUTBOUND_CALLS_PER_HOST_MAX <= SIM_OUTBOUND_CALLS_MAX);
const _: () = assert!(SIM_OUTBOUND_CONNECT_SECS_MAX < SIM_OUTBOUND_CALL_SECS_MAX);
const _: () = assert!(SETTLE_SECS_MIN < SETTLE_SECS_MAX && SWEEP_SECS_MIN < SWEEP_SECS_MAX);
const _: () = assert!(COMPARE_SECS_MIN < COMPARE_SECS_MAX);
const _: () = assert!(UNSIGNED_SECRET_BYTES_MIN < UNSIGNED_SECRET_BYTES_MAX);
const _: () = assert!((USER_NAME_CHARS_MAX + 1 + UNSIGNED_SECRET_BYTES_MAX).div_ceil(3) * 4 <= API_KEY_BYTES_MAX);
const _: () = assert!(WEBHOOK_SECRETS_MAX <= SIGNATURES_EXAMINED_MAX);
const _: () = assert!(SIGHTING_FIELDS_COUNT_MAX * 4 + SIGHTING_ENTRIES_COUNT_MAX * 16 < SIGHTING_VALUES_COUNT_MAX);
// The promise is two seconds; half of one is left for reading, proving and answering.
const _: () = assert!(WEBHOOK_STORE_WAIT.as_millis() <= 1_500);
