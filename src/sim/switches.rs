//! The switches: one named field per behaviour that differs between real instances, or that no public source settles.
//!
//! Owns: the defaults, each with its reason. Never: behaviour. Fails: it cannot.
//! Proved by: `tests`, `rules`, `oauth` and `rate`, which run both positions of every switch.
//!
//! `..Switches::default()` is a current base system with an integration user that has the role `itil`.

use std::collections::{BTreeMap, BTreeSet};

use super::instance::Operation;
use crate::limits::{SIM_ATTACHMENT_BYTES_MAX, SIM_REFRESH_TOKEN_SECS};

/// What becomes of a query part on a column that does not exist or may not be read (facts/servicenow 1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvalidQuery {
    /// The part is dropped and the rest runs: a typo returns strangers. The platform's default ("Table API" reference).
    #[default]
    Ignored,
    /// `glide.invalid_query.returns_no_rows=true`: nothing matches.
    NoRows,
    /// Query access control of current releases: 403.
    Refused,
}

/// What becomes of `state` 7 when the user lacks `itil_admin` (facts/servicenow 4.6; "Resolve and close an incident").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseWithoutRole {
    /// 403 with an ACL exception. Default: the loud one of two undocumented answers.
    #[default]
    Refused,
    /// The field is left as it was, and the call succeeds.
    Ignored,
    /// Closing is open to everyone, as many customers configure it.
    Allowed,
}

/// What a reference field keeps when a name leads nowhere (facts/servicenow 1.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnresolvedReference {
    /// The text as it was sent. Default: what the Change API's published script does.
    #[default]
    StoreRaw,
    /// The empty string.
    LeaveEmpty,
}

/// How a table that may not be read says so (facts/servicenow 1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// `403 Insufficient rights to query records`.
    Refused,
    /// Every row is filtered: `200` with an empty list, as row access rules do.
    Hidden,
}

/// What stands where the instance should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Front {
    /// The instance.
    #[default]
    Instance,
    /// A developer instance asleep: `200` and a page, on every path (facts/servicenow 2.2).
    Hibernating,
    /// Another program that speaks JSON.
    OtherProduct,
    /// A redirect to that URL.
    Redirect(String),
}

/// A data policy (`sys_data_policy2`): columns that must be filled while its conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPolicy {
    /// The table it is for.
    pub table: String,
    /// Its short description.
    pub name: String,
    /// An encoded query over the record as it would be stored; empty is always.
    pub conditions: String,
    /// The columns.
    pub mandatory: Vec<String>,
    /// Whether it counts.
    pub active: bool,
}

/// A customer's "before" business rule that sets a column in every write, whatever was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewritingRule {
    /// The table.
    pub table: String,
    /// The column …
    pub column: String,
    /// … and what it is set to.
    pub value: String,
}

/// A customer's business rule that refuses a write: `setAbortAction(true)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortRule {
    /// The rule applies when this column …
    pub column: String,
    /// … contains this text after the write.
    pub contains: String,
    /// The rule's name, the only thing of it that crosses REST.
    pub name: String,
}

/// A customer's business rule that does not agree: it sets a column back, as `system`, whenever somebody else changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FightingRule {
    /// The column it guards …
    pub column: String,
    /// … and the value it insists on.
    pub value: String,
}

/// See the module's text. A `bool` here is a system property or a customer's setting, not a state of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each mirrors an independent yes/no property of an instance")]
pub struct Switches {
    // ── writing ──
    /// A `sys_id` sent with a POST is kept. Default true: ServiceNow's own client test inserts with a chosen id
    /// (`PySNC`, `test_insert_custom_guid`).
    pub sys_id_honoured: bool,
    /// Status of a duplicate `sys_id`. Default 403: not documented, but refusals of a write are usually 403.
    pub duplicate_status: u16,
    /// `glide.rest.choice.allow_non_existing_value`. Default false, as documented.
    pub unknown_choices_stored: bool,
    /// See [`UnresolvedReference`].
    pub unresolved_reference: UnresolvedReference,
    /// Names in reference fields are resolved although `sysparm_input_display_value` is false ("for certain fields",
    /// KB0546240). Default false.
    pub names_resolved_in_raw_mode: bool,
    /// Columns (`table.column`) whose writes vanish without an error: a field without write access. Default none;
    /// `incident.correlation_id` here is the customer who did not give us the link fields.
    pub unwritable_columns: BTreeSet<String>,
    /// Columns (`table.column`) that are left out of every answer and may not be queried. Default none.
    pub unreadable_columns: BTreeSet<String>,
    /// Row access for the integration user. Default true each.
    pub insert_allowed: bool,
    /// See `insert_allowed`.
    pub update_allowed: bool,
    /// See `insert_allowed`.
    pub delete_allowed: bool,
    /// A business rule of the customer. Default none.
    pub abort_rule: Option<AbortRule>,
    /// The rule refuses this operation alone. Default `None`: inserts and updates.
    pub abort_rule_on: Option<Operation>,
    /// See [`RewritingRule`]. Default none.
    pub rewriting_rules: Vec<RewritingRule>,
    /// A rule makes whoever calls the API the caller of an incident without one. Default false.
    pub caller_is_session_user: bool,
    /// Any comment ends On Hold, not only the caller's. Default false: the state model speaks of the caller.
    pub comments_end_hold: bool,
    // ── attachments ──
    /// The integration user may not create `sys_attachment`. Default false.
    pub attachments_refused: bool,
    /// `glide.attachment.extensions`, lower case, without the dot; empty is every type. Default empty.
    pub attachment_extensions: BTreeSet<String>,
    /// `com.glide.attachment.max_size`, bytes. Default 1024 MB, as documented.
    pub attachment_bytes_max: u64,
    /// The bytes of files are kept; if not, only their size and SHA-256, so that a test of large files needs no memory.
    /// Default true.
    pub attachment_content_kept: bool,
    /// A file that comes or goes counts as an update of its record. Default false: no public source, differs by rules.
    pub attachment_counts_as_update: bool,
    // ── rules of the instance and of the customer ──
    /// A rule that saves the record again as `system` after every update by anyone else: `sys_mod_count` and
    /// `sys_updated_by` move, nothing else (facts/servicenow 8.8). Default false.
    pub resaved_by_system: bool,
    /// See [`FightingRule`]. Default none.
    pub fighting_rule: Option<FightingRule>,
    /// In Progress, On Hold and Resolved of a parent incident are copied to its children
    /// (`parent-child-state-sync`). Default true.
    pub parent_state_to_children: bool,
    // ── incident rules ──
    /// Resolving and closing need `close_code` and `close_notes` by data policy. Default true: current base systems.
    pub resolve_data_policy: bool,
    /// Columns of `incident` that a data policy makes mandatory always. Default none.
    pub mandatory_columns: Vec<String>,
    /// The customer's data policies, besides these. Default none.
    pub data_policies: Vec<DataPolicy>,
    /// See [`CloseWithoutRole`].
    pub close_without_role: CloseWithoutRole,
    /// The integration user has `itil_admin`. Default false.
    pub integration_user_is_itil_admin: bool,
    /// The resolution codes of older systems (`Solved (Permanently)` …) instead of the current list. Default false.
    pub old_close_codes: bool,
    /// A write of journal text alone counts as an update (`sys_mod_count`, `sys_updated_on`). Default true; differs by
    /// rules and releases.
    pub journal_counts_as_update: bool,
    /// Days after which a scheduled job closes a resolved incident (`glide.ui.autoclose.time`); 0 is off. Default 7.
    pub autoclose_days: u32,
    /// The user of that job. Default `admin` (facts/servicenow 8.8, "Configure incident auto close").
    pub autoclose_user: String,
    // ── reading ──
    /// See [`InvalidQuery`].
    pub invalid_query: InvalidQuery,
    /// Tables the integration user may not read. Default none: the user was given what the check of a set-up reads. A plain
    /// `itil` user often may not read `sys_dictionary`.
    pub unreadable_tables: BTreeMap<String, Unreadable>,
    /// Tickets may be written but not read: a write that succeeded answers 403 (KB2697679). Default false.
    pub tickets_unreadable: bool,
    /// New tickets move to a domain that the integration user does not see (facts/servicenow 8.24). Default false.
    pub new_tickets_move_away: bool,
    /// A "before query" rule: tickets that this encoded query does not match are invisible. Default none.
    pub query_rule: Option<String>,
    /// Columns (`table.column`) without `query_range`: sorting by them and comparing them is refused (facts/servicenow 8.41).
    /// Default none.
    pub unrangeable_columns: BTreeSet<String>,
    /// `sys_journal_field` may be read; if not it answers `[]` without an error. Default true.
    pub journal_readable: bool,
    /// With `sysparm_no_count`, `X-Total-Count` still appears and holds the rows returned (KB0564204). Default false.
    pub total_count_despite_no_count: bool,
    /// The zone of the integration user, minutes east of UTC. Default 0, as recommended for integrations.
    pub zone_minutes: i64,
    /// `glide.sys.default.tz`, the zone of users without one of their own. Default GMT; real systems ship `US/Pacific`.
    pub system_time_zone: String,
    /// `glide.sys.date_format`, the format of users without one of their own. Default `yyyy-MM-dd`, as on the base system.
    pub system_date_format: String,
    /// How far the instance's clock is ahead, seconds. Default 0.
    pub clock_ahead_secs: i64,
    /// Longest URL before `414`, bytes. Default 8192: sources speak of 2 to 8 kB.
    pub url_bytes_max: usize,
    // ── authentication ──
    /// See [`Front`].
    pub front: Front,
    /// The REST endpoint rules are active and the user lacks `snc_platform_rest_api_access`. Default false: they ship inactive.
    pub rest_api_refused: bool,
    /// Multi-factor authentication is asked of the user: 401 with `X-MFA_TOKEN: invalid`. Default false.
    pub second_factor_asked: bool,
    /// The wording of 401 on current releases. Default false.
    pub newer_401_wording: bool,
    /// The gate of current releases that refuses basic authentication for users who may log in. Default false.
    pub basic_auth_refused: bool,
    /// Wrong passwords before the user is locked; `None` is never. Default `None`: a customer's script.
    pub lock_out_after: Option<u32>,
    /// `glide.oauth.inbound.client.credential.grant_type.enabled`. Default true here, although real systems ship without
    /// it: a simulator that refuses its first caller teaches nothing. Turn it off to rehearse the refusal.
    pub client_credentials_enabled: bool,
    /// `glide.oauth.inbound.ropc.grant_type.disabled`. Default false, as documented.
    pub password_grant_disabled: bool,
    /// Asking again for a living token pushes its end forward (KB0791140). Default false: `expires_in` goes down.
    pub token_reuse_extends: bool,
    /// Lifetime of an access token, seconds. Default 1800, as documented.
    pub access_token_secs: u32,
    /// Lifetime of a refresh token, seconds. Default 100 days, as documented.
    pub refresh_token_secs: i64,
    /// Differences of clocks that are forgiven in an assertion, seconds. Default 300, as in the older form; the newer
    /// console begins with 0 ("Configure an OAuth JWT bearer grant").
    pub assertion_skew_secs: u32,
    /// The column of `sys_user` that the subject of an assertion names. Default `user_name`; the documentation's example is `email`.
    pub assertion_user_field: &'static str,
    /// Every call must come with a certificate that is mapped to a user, whatever else it shows. Default false.
    pub certificate_required: bool,
    /// A bearer token that this instance did not give out is the integration user's: an external identity provider is
    /// configured, and its tokens are not looked into. Default false.
    pub tokens_of_others: bool,
    // ── limits ──
    /// How late rate counters are committed, seconds. Default 0 (strict); real nodes commit every 30 s and over-admit
    /// until then ("Inbound REST API rate limiting").
    pub rate_lag_secs: u32,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            sys_id_honoured: true,
            duplicate_status: 403,
            unknown_choices_stored: false,
            unresolved_reference: UnresolvedReference::StoreRaw,
            names_resolved_in_raw_mode: false,
            unwritable_columns: BTreeSet::new(),
            unreadable_columns: BTreeSet::new(),
            insert_allowed: true,
            update_allowed: true,
            delete_allowed: true,
            abort_rule: None,
            abort_rule_on: None,
            rewriting_rules: Vec::new(),
            caller_is_session_user: false,
            comments_end_hold: false,
            attachments_refused: false,
            attachment_extensions: BTreeSet::new(),
            attachment_bytes_max: SIM_ATTACHMENT_BYTES_MAX,
            attachment_content_kept: true,
            attachment_counts_as_update: false,
            resaved_by_system: false,
            fighting_rule: None,
            parent_state_to_children: true,
            resolve_data_policy: true,
            mandatory_columns: Vec::new(),
            data_policies: Vec::new(),
            close_without_role: CloseWithoutRole::Refused,
            integration_user_is_itil_admin: false,
            old_close_codes: false,
            journal_counts_as_update: true,
            autoclose_days: 7,
            autoclose_user: "admin".to_owned(),
            invalid_query: InvalidQuery::Ignored,
            unreadable_tables: BTreeMap::new(),
            tickets_unreadable: false,
            new_tickets_move_away: false,
            query_rule: None,
            unrangeable_columns: BTreeSet::new(),
            journal_readable: true,
            total_count_despite_no_count: false,
            zone_minutes: 0,
            system_time_zone: "GMT".to_owned(),
            system_date_format: "yyyy-MM-dd".to_owned(),
            clock_ahead_secs: 0,
            url_bytes_max: 8_192,
            front: Front::Instance,
            rest_api_refused: false,
            second_factor_asked: false,
            newer_401_wording: false,
            basic_auth_refused: false,
            lock_out_after: None,
            client_credentials_enabled: true,
            password_grant_disabled: false,
            token_reuse_extends: false,
            access_token_secs: 1_800,
            refresh_token_secs: SIM_REFRESH_TOKEN_SECS,
            assertion_skew_secs: 300,
            assertion_user_field: "user_name",
            certificate_required: false,
            tokens_of_others: false,
            rate_lag_secs: 0,
        }
    }
}
