//! A subscription: the business rule an admin wrote so that the instance calls somebody.
//!
//! Owns: what a rule says, and whether it can be meant. Never: fires. Fails: with [`InvalidRule`], at once.
//! Proved by: `tests/outbound`. Source: facts/servicenow 7.1 to 7.5.
//!
//! There is no built-in subscription to record changes: every customer writes such a rule, each one differently. The
//! fields below are the differences that matter to a receiver.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a rule sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// The record as it is when the job runs, with its newest journal entries and its attachments.
    #[default]
    Snapshot,
    /// `{"table":…,"sys_id":…}` and nothing else.
    Hint,
    /// Flat JSON of display values, as published integrations send it (facts/servicenow 7.5).
    Flat,
    /// A template with the text of users pasted in unescaped: no JSON as soon as it holds a quote or a line break
    /// (`…NoEscape` parameters; KB0692465).
    BadEscaping,
}

impl Payload {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Snapshot, Self::Hint, Self::Flat, Self::BadEscaping];

    /// The word used in flags and in the control face.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Hint => "hint",
            Self::Flat => "flat",
            Self::BadEscaping => "bad-escaping",
        }
    }

    /// Reads `snapshot`, `hint`, `flat` or `bad-escaping`.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|payload| payload.word() == word)
    }
}

/// How the 32 bytes of a signature are written after `v1,`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureForm {
    /// Base64: what the standard says and what `generateMac` gives (facts/servicenow 7.4).
    #[default]
    Base64,
    /// Hexadecimal, as scripts with `javax.crypto` print it.
    Hex,
}

/// How the wait between two attempts of a flow grows ("Retry policy").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backoff {
    /// Always the same.
    #[default]
    Fixed,
    /// Twice as long each time.
    Exponential,
    /// What the receiver's `Retry-After` asks for; the same wait if it asks for nothing.
    RetryAfter,
}

/// What follows a failed call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: `RESTMessageV2` has no retry, the call is lost ("Outbound REST authentication").
    #[default]
    None,
    /// A flow's REST step with a retry policy; it repeats on `408`, `429`, `5xx` and broken connections.
    Flow {
        /// Attempts after the first.
        count: u32,
        /// The first wait, seconds.
        wait_secs: u32,
        /// How it grows.
        backoff: Backoff,
    },
}

/// A business rule that calls a URL. `..WebhookRule::new(url, secret)` is the rule of a careful admin.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRule {
    /// Where it posts to.
    pub url: String,
    /// `whsec_` and base64; never shown.
    pub secret: String,
    /// The table it watches.
    pub table: String,
    /// Only changes of these columns fire it (`VALCHANGES` conditions); empty is any column.
    pub columns: Vec<String>,
    /// See [`Payload`].
    pub payload: Payload,
    /// The fields of a snapshot; empty is the usual list.
    pub fields: Vec<String>,
    /// The condition "current user is not …", evaluated when the change happens.
    pub skip_user: Option<String>,
    /// A second rule, on `sys_attachment`: a file that comes or goes sends the ticket's payload too. Default true.
    pub attachments: bool,
    /// The instance's own name in snapshots. It belongs to the rule because some scripts write it down instead of asking
    /// for `instance_name`; a clone of such an instance lies about it.
    pub instance_name: String,
    /// See [`Retry`].
    pub retry: Retry,
    /// See [`SignatureForm`].
    pub signature: SignatureForm,
    /// An async job runs within this many milliseconds of its change, so jobs overtake each other. Default 1,000: the
    /// scheduler's workers are usually that quick.
    pub delay_ms_max: u64,
}

impl WebhookRule {
    /// Snapshots of incidents, sent for every change, not retried.
    pub fn new(url: &str, secret: &str) -> Self {
        Self {
            url: url.to_owned(),
            secret: secret.to_owned(),
            table: "incident".to_owned(),
            columns: Vec::new(),
            payload: Payload::Snapshot,
            fields: Vec::new(),
            skip_user: None,
            attachments: true,
            instance_name: "example".to_owned(),
            retry: Retry::None,
            signature: SignatureForm::Base64,
            delay_ms_max: 1_000,
        }
    }
}

/// Without the secret.
impl fmt::Debug for WebhookRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookRule")
            .field("url", &self.url)
            .field("table", &self.table)
            .field("payload", &self.payload)
            .field("skip_user", &self.skip_user)
            .field("instance_name", &self.instance_name)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// Why a rule cannot be subscribed. Never quotes the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// Not an absolute http or https URL.
    #[error("the URL of a webhook begins with http:// or https:// and names a host")]
    Url,
    /// Not `whsec_` and base64.
    #[error("the secret of a webhook is `whsec_` and base64")]
    Secret,
    /// Too many rules.
    #[error("this instance has as many webhooks as it can")]
    TooMany,
}

/// A rule that was accepted, with what was read from it.
#[derive(Clone)]
pub(super) struct Subscription {
    pub(super) id: u32,
    pub(super) rule: WebhookRule,
    /// Host and port: what the limit of connections counts.
    pub(super) host: String,
    /// The signing key.
    pub(super) key: Vec<u8>,
}

impl Subscription {
    pub(super) fn read(id: u32, rule: WebhookRule) -> Result<Self, InvalidRule> {
        let url = url::Url::parse(&rule.url).map_err(|_| InvalidRule::Url)?;
        let host = url.host_str().filter(|_| ["http", "https"].contains(&url.scheme())).ok_or(InvalidRule::Url)?;
        let host = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let key = rule.secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let key = key.filter(|key| !key.is_empty()).ok_or(InvalidRule::Secret)?;
        Ok(Self { id, rule, host, key })
    }
}

/// Without the key.
impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.id).field("rule", &self.rule).finish_non_exhaustive()
    }
}
