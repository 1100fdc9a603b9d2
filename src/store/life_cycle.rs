//! From a draft to being served: the record of a tenant's last check against its instance, and by whose word it is served.
//!
//! Owns: the records, their bounds, and the one rule: without a passed check of exactly this configuration only force
//! enables. Never: performs a check, or knows what a digest is made of.
//! Proved by: `tests/store`, part `life_cycle`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::{Actor, Hash};
use crate::domain::time::Timestamp;
use crate::limits::{CHECK_FINDINGS_BYTES_MAX, CHECK_FINDINGS_COUNT_MAX};

/// A check that was made, to be recorded.
#[derive(Clone, Debug)]
pub struct CheckRecord {
    /// Of what was checked: the tenant's instance, account and mapping.
    pub digest: Hash,
    /// Whether nothing stands against serving it.
    pub passed: bool,
    /// What was found, each a JSON object; the first [`CHECK_FINDINGS_COUNT_MAX`] are kept.
    pub findings: Vec<Value>,
    /// Who asked for it.
    pub by: Actor,
}

/// The last check, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// When.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// Of what was checked.
    pub digest: Hash,
    /// Whether nothing stood against serving it.
    pub passed: bool,
    /// What was found.
    pub findings: Vec<Value>,
}

/// By whose word a tenant is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Since when.
    pub at: Timestamp,
    /// Whose.
    pub by: String,
    /// Of what was enabled.
    pub digest: Hash,
    /// Without a passed check of exactly that.
    pub forced: bool,
}

/// What came of enabling a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// It is served from now on; whether only force did it.
    Done {
        /// Without a passed check.
        forced: bool,
    },
    /// No check of exactly this configuration passed; nothing was changed. With the last check, if there was one.
    Untested(Option<Check>),
}

/// How far a tenant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Not checked yet, or the check failed, or something changed since.
    Draft,
    /// A check of exactly this configuration passed.
    Tested,
    /// Served.
    Enabled,
}

impl Stage {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Tested => "tested",
            Self::Enabled => "enabled",
        }
    }
}

impl Check {
    /// Whether it speaks for exactly this configuration.
    pub fn speaks_for(&self, digest: &Hash) -> bool {
        self.passed && self.digest == *digest
    }
}

/// Whether a tenant may be enabled: `Some(forced)` or not.
pub(super) fn may_release(check: Option<&Check>, digest: &Hash, force: bool) -> Option<bool> {
    let tested = check.is_some_and(|check| check.speaks_for(digest));
    (tested || force).then_some(!tested)
}

/// As many findings as are kept.
pub(super) fn kept(findings: Vec<Value>) -> Vec<Value> {
    let mut bytes = 0;
    let fits = |finding: &Value| {
        bytes += finding.to_string().len();
        bytes <= CHECK_FINDINGS_BYTES_MAX
    };
    findings.into_iter().take(CHECK_FINDINGS_COUNT_MAX).take_while(fits).collect()
}
