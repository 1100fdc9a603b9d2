//! The audit log's vocabulary and its chain: who did what, in rows of which each one proves all before it.
//!
//! Owns: the closed set of actions, the canonical form of a row, its hash, and following a chain of them. Never: writes a
//! row, reads a clock, or holds a secret: what was changed is named and hashed, not copied.
//!
//! A row's hash is SHA-256 over the 32 bytes of the hash before it and the row's texts as netstrings (`5:hello,`) in this
//! order: sequence, at, who, role, tenant, action, target, before, after, source, request, note. What is absent is empty
//! (`0:,`), hashes are hexadecimal, `at` is RFC 3339 with milliseconds. So an export can be verified by other programs.
//!
//! A chain shows that a row was changed, added or taken out, but not that its newest rows were cut off: for that, note the
//! head now and then and compare ([`Checked::expect`]).
//! Fails: with [`Break`], which names the row. Proved by: the tests in [`chain`], and `tests/store`.

mod chain;

use std::fmt;

pub use chain::{Break, Checked};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::limits::AUDIT_TEXT_CHARS_MAX;

/// What was done. Words are stable; new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditAction {
    /// Many requests in a short time could not say who they are.
    AuthBurst,
    /// A tenant was checked against its instance.
    Checked,
    /// A tenant is not served any more.
    Disabled,
    /// A parked delivery was given up.
    Dropped,
    /// A tenant is served, after a check that passed.
    Enabled,
    /// A tenant is served by somebody's word alone.
    EnabledUntested,
    /// A tenant was held back.
    Paused,
    /// A parked delivery was put back to work.
    Replayed,
    /// A tenant's pause was ended.
    Resumed,
    /// New settings are in use.
    SettingsApplied,
    /// New settings had errors; the old ones are still in use.
    SettingsRefused,
    /// The oldest rows were removed; `target` is the last of them, `after` its hash.
    Trimmed,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 12] = [
        Self::AuthBurst,
        Self::Checked,
        Self::Disabled,
        Self::Dropped,
        Self::Enabled,
        Self::EnabledUntested,
        Self::Paused,
        Self::Replayed,
        Self::Resumed,
        Self::SettingsApplied,
        Self::SettingsRefused,
        Self::Trimmed,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthBurst => "auth_burst",
            Self::Checked => "checked",
            Self::Disabled => "disabled",
            Self::Dropped => "dropped",
            Self::Enabled => "enabled",
            Self::EnabledUntested => "enabled_untested",
            Self::Paused => "paused",
            Self::Replayed => "replayed",
            Self::Resumed => "resumed",
            Self::SettingsApplied => "settings_applied",
            Self::SettingsRefused => "settings_refused",
            Self::Trimmed => "trimmed",
        }
    }
}

/// Who did it, and by which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// An operator's name; `loopback` where nobody is asked for theirs; `gateway` for ourselves.
    pub name: String,
    /// `read`, `operate`, `admin` or `gateway`.
    pub role: &'static str,
    /// The address the request came from; empty without a request.
    pub source: String,
    /// The request's id; empty without a request.
    pub request: String,
}

impl Actor {
    /// The gateway itself.
    pub fn gateway() -> Self {
        Self { name: "gateway".to_owned(), role: "gateway", source: String::new(), request: String::new() }
    }
}

/// A SHA-256.
pub type Hash = [u8; 32];

/// One deed, to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who did it.
    pub by: Actor,
    /// What was done.
    pub action: AuditAction,
    /// To which tenant, if to one.
    pub tenant: Option<TenantId>,
    /// To what: a delivery's id, a file's name.
    pub target: String,
    /// A hash of how it was before.
    pub before: Option<Hash>,
    /// A hash of how it is now.
    pub after: Option<Hash>,
    /// A few words for people. Never a secret, never a tenant's text.
    pub note: String,
}

impl AuditEntry {
    /// A deed; the fields are public, for all that there is more to say.
    pub const fn new(by: Actor, action: AuditAction) -> Self {
        Self { by, action, tenant: None, target: String::new(), before: None, after: None, note: String::new() }
    }

    /// Done to this tenant.
    #[must_use]
    pub fn of(mut self, tenant: &TenantId) -> Self {
        self.tenant = Some(tenant.clone());
        self
    }

    /// Done to this.
    #[must_use]
    pub fn to(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    /// What it changed.
    #[must_use]
    pub const fn changing(mut self, before: Option<Hash>, after: Option<Hash>) -> Self {
        (self.before, self.after) = (before, after);
        self
    }

    /// In words.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// One row, as it is shown and exported. Texts and not types, because a row must verify as it was written, also one that
/// a newer version wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its place, from 1.
    pub sequence: u64,
    /// When: RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Who.
    pub who: String,
    /// In which role.
    pub role: String,
    /// To which tenant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// What was done.
    pub action: String,
    /// To what.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// SHA-256 of what was, hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// SHA-256 of what is, hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// The address the request came from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The request's id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Proves this row and all before it, hexadecimal.
    pub hash: String,
}

impl AuditRow {
    /// The row that follows a head.
    pub(super) fn after(head: &AuditHead, at: Timestamp, entry: &AuditEntry) -> Self {
        let mut row = Self {
            sequence: head.sequence + 1,
            at: at.to_string(),
            who: bounded(&entry.by.name),
            role: entry.by.role.to_owned(),
            tenant: entry.tenant.as_ref().map(ToString::to_string).unwrap_or_default(),
            action: entry.action.as_str().to_owned(),
            target: bounded(&entry.target),
            before: entry.before.as_ref().map(hex).unwrap_or_default(),
            after: entry.after.as_ref().map(hex).unwrap_or_default(),
            source: bounded(&entry.by.source),
            request: bounded(&entry.by.request),
            note: bounded(&entry.note),
            hash: String::new(),
        };
        row.hash = hex(&row.hash_after(&head.hash));
        row
    }

    /// What its hash has to be.
    pub fn hash_after(&self, before: &Hash) -> Hash {
        let sequence = self.sequence.to_string();
        let texts: [&str; 12] = [
            &sequence,
            &self.at,
            &self.who,
            &self.role,
            &self.tenant,
            &self.action,
            &self.target,
            &self.before,
            &self.after,
            &self.source,
            &self.request,
            &self.note,
        ];
        let mut hash = Sha256::new().chain_update(before);
        for text in texts {
            hash.update(format!("{}:{text},", text.len()));
        }
        hash.finalize().into()
    }

    /// Its hash as bytes; `None` if it is none.
    pub fn hash_bytes(&self) -> Option<Hash> {
        unhex(&self.hash)
    }
}

/// A place in the chain: a row and its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The row; 0 before the first one.
    pub sequence: u64,
    /// Its hash; zeros before the first one.
    #[serde(with = "in_hex")]
    pub hash: Hash,
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.hash))
    }
}

/// Both ends of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEnds {
    /// The row before the first one that is there.
    pub anchor: AuditHead,
    /// The newest row.
    pub head: AuditHead,
}

/// Which rows to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only of this tenant.
    pub tenant: Option<TenantId>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    /// Only beyond this row, in the order asked for (the cursor of the page before).
    pub beyond: Option<u64>,
    /// At most this many.
    pub limit: usize,
}

/// A page of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// In the order asked for.
    pub rows: Vec<AuditRow>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
    /// Both ends of the whole log at that moment.
    pub ends: AuditEnds,
}

/// A hash in hexadecimal.
pub fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}

/// A hash from 64 hexadecimal digits.
pub fn unhex(text: &str) -> Option<Hash> {
    if text.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

fn bounded(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(AUDIT_TEXT_CHARS_MAX)
        .collect()
}

mod in_hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(hash: &super::Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<super::Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::unhex(&text).ok_or_else(|| de::Error::custom("a hash has 64 hexadecimal digits"))
    }
}
