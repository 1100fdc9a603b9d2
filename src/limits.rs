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

// ── simulator ────────────────────────────────────────────────────────────────────────────────────────────────

// ── relations ────────────────────────────────────────────────────────────────────────────────────────────────
