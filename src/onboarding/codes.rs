//! The codes of what a check of an instance finds. A code never changes its meaning.
//!
//! Owns: code, meaning and the usual remedy, for reports and documentation. Fails: it cannot.
//! Proved by: the test below, which holds `docs/live-check.md` to this table.

/// One code.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Its name, such as `L022`.
    pub code: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// What to do about it, if a finding has nothing more precise to say.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($const:ident = $code:literal, $meaning:literal, $remedy:literal;)*) => {
        $(#[doc = $meaning] pub(super) const $const: &Code = &Code { code: $code, meaning: $meaning, remedy: $remedy };)*
        /// Every code, in the order of the documentation.
        pub const CODES: &[&Code] = &[$($const),*];
    };
}

codes! {
    UNREACHABLE = "L001", "The instance does not answer.", "Check `servicenow.instance`, name resolution and the firewall between the gateway and the instance.";
    CERTIFICATE = "L002", "TLS does not come about: a certificate is not accepted.", "If a proxy of your own opens TLS, give the gateway its authority; otherwise the instance's certificate or our client certificate must be mended.";
    FORBIDDEN = "L003", "The operator's egress rules forbid this address.", "The operator adds the host to `egress.allow_hosts`, or, for a simulator, its block to `egress.allow_private`.";
    NOT_SERVICENOW = "L004", "Something answers that is not the Table API: a page, a redirect, another service.", "Open the address in a browser: wake a hibernating instance, correct `servicenow.instance`, take the login page out of the way of `/api/now`.";
    CREDENTIALS = "L005", "The instance does not accept our credentials.", "It says the same to every cause; its own log (System Logs, filter `OAuth`) says which it is.";
    NO_ACCESS = "L006", "We are let in, but not to the REST API.", "Give the integration user the role `snc_platform_rest_api_access` (or `sn_incident_write`), look at REST API access policies and IP address rules, and switch on `Allow access to this table via web services` in the table's record.";
    THROTTLED = "L007", "The instance, or our own limits for it, allow no call just now.", "Wait until the time named, then check again; raise the rate limit rule or `servicenow.limits` if it happens often.";
    UNFINISHED = "L008", "A part of the check could not be done.", "Check again when the instance is well; what it said is in the message.";
    NO_TABLE = "L010", "The table does not exist, or its web service access is off.", "Correct `target.table`, or switch on `Allow access to this table via web services` in its table record.";
    NO_DICTIONARY = "L011", "The dictionary cannot be read; the test ticket alone decides about the fields.", "Give the integration user read access to `sys_dictionary` and `sys_db_object` for the time of the check (role `personalize_dictionary`, or an ACL of your own).";
    NO_CHOICES = "L012", "The choices cannot be read; the test ticket alone decides about them.", "Give the integration user read access to `sys_choice` for the time of the check.";
    NO_POLICIES = "L013", "The data policies cannot be read; the test ticket alone decides what is mandatory.", "Give the integration user read access to `sys_data_policy2` and `sys_data_policy_rule` for the time of the check.";
    NO_COLUMN = "L014", "The table has no such column, or it is switched off. ServiceNow ignores what is written to it.", "Correct the name in the mapping, or create the column.";
    READ_ONLY = "L015", "The column is read-only. ServiceNow ignores what is written to it.", "Leave it out of the mapping, or clear `Read only` in its dictionary entry.";
    TOO_SHORT = "L016", "The column is shorter than what the mapping writes. ServiceNow cuts it without a word.", "Lower `max` to the column's length, or make the column longer.";
    NO_CHOICE = "L017", "The value is none of the column's choices. ServiceNow drops it without a word.", "Write a value from the list (its value, not its label), or add the choice.";
    INACTIVE_CHOICE = "L018", "The choice is switched off.", "Write another value, or switch the choice on.";
    WRONG_TYPE = "L019", "The value does not fit the column's type. ServiceNow drops it without a word.", "Write a value of that type.";
    NOT_LOOKED_UP = "L020", "The column refers to a record, and the mapping writes a text that is no key.", "Add a `lookup:` to the field, so that the record's `sys_id` is written.";
    WRONG_REFERENCE = "L021", "The mapping looks up a record of another table than the column refers to.", "Look up in the table that the column refers to.";
    NO_LOOKUP = "L022", "A table or column that the mapping looks records up in does not exist or may not be queried.", "Correct `lookup:`, or give the integration user read access to that table and column.";
    NOT_FOUND = "L023", "A record that the mapping looks up is not there.", "Correct the name in the mapping, create the record, or say with `missing:` what to do without.";
    AMBIGUOUS = "L024", "More than one record has the value that the mapping looks up.", "Look up by a column that is unique, or rename one of the records.";
    MANDATORY_TO_OPEN = "L025", "A column that must be filled to make a ticket is not written by the mapping.", "Map the field under `to_ticket.fields`.";
    MANDATORY_TO_RESOLVE = "L026", "A column that must be filled to resolve a ticket is not written by the mapping.", "Map the field under `to_ticket.fields`, or under `on: incident.resolved`.";
    PERHAPS_MANDATORY = "L027", "A column is mandatory under a condition that cannot be judged from here, or only in forms.", "Map the field if tickets of the managed service can meet the condition.";
    UNKNOWN_STATE = "L028", "The way back does not know a ticket state of the instance, or knows one that the instance has not.", "Add the row to `to_incident.state`; a state without a row says nothing about the incident.";
    NOT_ACTIVE = "L029", "A record that the mapping looks up is switched off.", "Switch the record on, or look up another one.";
    CREATE_REFUSED = "L030", "The instance refuses to make the test ticket: nothing would be delivered.", "The message has what the instance said; mend the mapping or the instance accordingly.";
    STORED_OTHERWISE = "L031", "A field was stored otherwise than asked.", "Give the integration user write access to the field, correct the value, or stop the rule that changes it.";
    UNREADABLE = "L032", "The integration user cannot read the ticket, or a column of it.", "Give the integration user read access to the table and this column.";
    SYS_ID_NOT_KEPT = "L033", "The instance gives tickets keys of its own, so each create costs a look-up, and a retry after a lost answer is slower.", "Nothing must be done if `correlation_id` is kept; `create: lookup_first` says the same in the tenant's file.";
    CORRELATION_NOT_KEPT = "L034", "The instance does not keep `correlation_id`: a ticket could not be found again, and would be made twice.", "Give the integration user write access to `correlation_id`, and stop rules that change it.";
    MARK_NOT_KEPT = "L035", "The instance does not keep `correlation_display`: after a lost answer it cannot be told whether a message arrived.", "Give the integration user write access to `correlation_display`, and stop rules that change it.";
    NOT_FOUND_BY_KEY = "L036", "A search by `correlation_id` does not find the ticket that has it.", "Give the integration user query access (`query_match`) to `correlation_id`, and read access to its own tickets.";
    STRANGERS = "L037", "A search returned tickets that were not asked for: the instance ignored a part of the query.", "Give the integration user read and query access to `correlation_id` and `sys_updated_on`; see `glide.invalid_query.returns_no_rows`.";
    NO_SWEEP = "L038", "What changed since a moment cannot be searched, so that a lost webhook would stay lost.", "Give the integration user query access (`query_range`, which also covers sorting) to `sys_updated_on` and `correlation_id`.";
    UPDATE_REFUSED = "L040", "The instance refuses to change the test ticket.", "The message has what the instance said; mend the mapping or the instance accordingly.";
    JOURNAL_LOST = "L041", "What was written to a journal is not there.", "Give the integration user write and read access to the journal column.";
    JOURNAL_ROWS_HIDDEN = "L042", "The rows of journals (`sys_journal_field`) are hidden; only their text can be read, in the account's zone and without keys.", "Give the integration user read access to `sys_journal_field`.";
    RESOLVE_REFUSED = "L043", "The instance refuses to resolve the test ticket.", "Map what the message names as mandatory, under `on: incident.resolved` or with a `when`.";
    NOT_RESOLVED = "L044", "The test ticket was not resolved although the instance said so.", "Compare `state` in the mapping with the instance's states; a rule may also have set it back.";
    LEFT_OPEN = "L045", "The test ticket could not be removed, cancelled or resolved.", "Close it by hand: its number is in the message.";
    LEFT_CLOSED = "L046", "The test ticket stays behind, cancelled or resolved: the account may not delete, as it should be.", "Nothing must be done.";
    LEFT_OVER = "L047", "A ticket of an earlier test that was interrupted was found, and put away.", "Nothing must be done.";
    VANISHED = "L048", "The test ticket disappeared while it was in use.", "Was another check under way? Check again; otherwise look for a rule that moves or deletes such tickets.";
    CANNOT_MAP = "L049", "The mapping cannot map the test incident.", "See the message; `snowgate preview` shows the same without an instance.";
    DEPENDENT_CHOICE = "L050", "The choice belongs to another value of the column it depends on; forms do not offer the two together.", "Write a choice of that value, or the other value.";
    FILES_REFUSED = "L051", "The instance refuses files, or changes them.", "Give the integration user the right to attach files to the table, and look at `glide.attachment.extensions`, `com.glide.attachment.max_size` and the roles in `glide.attachment.role`.";
    CLOCK = "L060", "The instance's clock and ours differ.", "Let both follow a time server (NTP); signatures of webhooks hold for five minutes.";
    TIME_ZONE = "L061", "The account's time zone is not GMT: texts of journals show times of that zone.", "Set the integration user's time zone to GMT.";
    DATE_FORMAT = "L062", "The account's date format is not the system's own.", "Set the integration user's date and time format to `yyyy-MM-dd` and `HH:mm:ss`.";
    RATE_RULE = "L063", "A rule of the instance counts our calls.", "Keep `servicenow.limits.calls_per_hour` below it, or ask for a higher limit.";
    CAN_DELETE = "L070", "The account may delete tickets. Nothing needs that.", "Take the right to delete away from the integration user.";
    ADMIN_ROLE = "L071", "The account has a role far beyond what is needed.", "Take the role away: `snc_platform_rest_api_access` and `sn_incident_write` do.";
    READS_PEOPLE = "L072", "The account reads personal data of other users that nothing needs.", "Restrict read access to `sys_user` to the columns that the mapping looks people up by.";
    INTERACTIVE = "L073", "The account may also be used to log in as a person.", "Set `Web service access only` on the integration user.";
    ROLES_UNKNOWN = "L074", "The account's roles and own record cannot be read, so what it can do beyond what is needed is not known.", "Nothing must be done; an administrator can compare its roles with `docs/servicenow-admin.md`.";
    OWN_CALLER = "L075", "The account is the caller of the ticket, so each of our comments takes the ticket out of On Hold.", "Map `caller_id` to a resource account, or stop the rule that makes whoever calls the API the caller.";
    PROVED = "L090", "Something that is needed was proved.", "Nothing must be done.";
}

/// The table of the documentation, as Markdown.
pub fn markdown() -> String {
    let row = |code: &&Code| format!("| {} | {} | {} |\n", code.code, code.meaning, code.remedy);
    let rows: Vec<String> = CODES.iter().map(row).collect();
    format!("| code | meaning | what to do |\n|---|---|---|\n{}", rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_used_once() {
        let mut codes: Vec<&str> = CODES.iter().map(|code| code.code).collect();
        assert!(codes.is_sorted());
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }

    #[test]
    fn the_documentation_holds_this_very_table() {
        let page = include_str!("../../docs/live-check.md");
        assert!(page.contains(&markdown()), "docs/live-check.md must contain:\n{}", markdown());
    }
}
