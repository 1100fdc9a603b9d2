//! Each mistake of a set-up is named with its code, its subject, and what to do.

use futures_util::StreamExt as _;
use snowgate::onboarding::report::Severity;

use super::customer::{Customer, Login, MAPPING, complaints};

/// What is wrong, how the account logs in, and what the check has to say: code, subject, and words of the remedy.
struct Row(&'static str, Login, &'static str, &'static str, &'static str);

use Login::{Client, Password};

const TABLE: &[Row] = &[
    // the way to it
    Row("hibernating", Password, "L004", "servicenow.instance", "wake a hibernating instance"),
    Row("other_product", Password, "L004", "servicenow.instance", "servicenow.instance"),
    Row("redirect", Password, "L004", "servicenow.instance", "servicenow.instance"),
    Row("hibernating", Client, "L004", "servicenow.instance", "wake a hibernating instance"),
    // the account
    Row("client_secret_changed", Client, "L005", "servicenow.auth", "client"),
    Row("client_credentials_off", Client, "L005", "servicenow.auth", "client.credential"),
    Row("password_changed", Password, "L005", "servicenow.auth", "password"),
    Row("user_locked", Password, "L005", "servicenow.auth", "locked"),
    Row("user_inactive", Client, "L005", "servicenow.auth", "active"),
    Row("second_factor", Password, "L005", "servicenow.auth", "multi-factor"),
    Row("basic_auth_refused", Password, "L005", "servicenow.auth", "Web service access only"),
    Row("rest_role_missing", Password, "L006", "servicenow.auth", "snc_platform_rest_api_access"),
    Row("user_is_admin", Password, "L071", "sys_user_has_role", "Take the role away"),
    Row("user_may_log_in", Password, "L073", "sys_user", "Web service access only"),
    Row("rate_limit=10", Password, "L007", "servicenow.limits", "rate limit"),
    Row("rate_limit=1000", Password, "L063", "servicenow.limits.calls_per_hour", "calls_per_hour"),
    // clock, zone, format
    Row("clock_ahead=600", Password, "L060", "clock", "NTP"),
    Row("clock_ahead=-600", Password, "L060", "clock", "NTP"),
    Row("time_zone", Password, "L061", "sys_user.time_zone", "GMT"),
    Row("time_zone_of_system", Password, "L061", "sys_user.time_zone", "GMT"),
    Row("date_format", Password, "L062", "sys_user.date_format", "yyyy-MM-dd"),
    // tables and columns
    Row("table_missing", Password, "L010", "incident", "target.table"),
    Row("table_without_web_service", Password, "L006", "servicenow.auth", "web services"),
    Row("table_refused=sys_dictionary", Password, "L011", "sys_dictionary", "read access to `sys_dictionary`"),
    Row("table_hidden=sys_dictionary", Password, "L011", "sys_dictionary", "read access to `sys_dictionary`"),
    Row("table_hidden=sys_choice", Password, "L012", "sys_choice", "read access to `sys_choice`"),
    Row("table_refused=sys_data_policy2", Password, "L013", "sys_data_policy2", "read access to `sys_data_policy2`"),
    Row("column_missing", Password, "L014", "incident.contact_type", "create the column"),
    Row("column_missing=incident.correlation_display", Password, "L014", "incident.correlation_display", "column"),
    Row("column_read_only", Password, "L015", "incident.impact", "Read only"),
    Row("column_unwritable", Password, "L031", "incident.urgency", "write access"),
    Row("column_short", Password, "L016", "incident.short_description", "max: 40"),
    Row("column_short=incident.correlation_id:40", Password, "L016", "incident.correlation_id", "100 characters"),
    Row("column_integer", Password, "L035", "incident.correlation_display", "write access"),
    Row("column_integer=incident.description", Password, "L031", "incident.description", "write access"),
    Row("column_mandatory", Password, "L027", "incident.caller_id", "Map the field"),
    Row("choice_missing", Password, "L017", "incident.close_code", "Write one of"),
    Row("choice_missing=incident.state:8", Password, "L017", "incident.state", "Write one of"),
    Row("choice_inactive", Password, "L018", "incident.category", "switch the choice on"),
    Row("choice_dependent", Password, "L050", "incident.category", "contact_type"),
    // records
    Row("record_missing", Password, "L023", "sys_user_group.name", "create the record"),
    Row("record_twice", Password, "L024", "sys_user_group.name", "unique"),
    Row("record_inactive", Password, "L029", "sys_user_group.name", "Switch the record on"),
    Row("table_hidden=sys_user_group", Password, "L023", "sys_user_group.name", "create the record"),
    Row("table_refused=sys_user_group", Password, "L022", "sys_user_group.name", "read access"),
    // data policies and rules
    Row("mandatory_to_open", Password, "L025", "incident.u_cost_center", "to_ticket.fields"),
    Row("mandatory_to_resolve", Password, "L026", "incident.u_root_cause", "on: incident.resolved"),
    Row("mandatory_sometimes=incident.u_site:company=1", Password, "L027", "incident.u_site", "Map the field"),
    Row("rule_aborts_create", Password, "L030", "incident", "message"),
    Row("rule_aborts_update", Password, "L040", "incident", "message"),
    Row("rule_aborts_resolve", Password, "L043", "incident", "message"),
    Row("rule_rewrites", Password, "L031", "incident.state", "rule"),
    Row(
        "rule_rewrites=incident.assignment_group:0123456789abcdef0123456789abcdef",
        Password,
        "L031",
        "incident.assignment_group",
        "rule",
    ),
    Row(
        "rule_rewrites=incident.correlation_id:THEIRS",
        Password,
        "L034",
        "incident.correlation_id",
        "stop rules that change it",
    ),
    Row(
        "rule_rewrites=incident.correlation_display:THEIRS",
        Password,
        "L035",
        "incident.correlation_display",
        "stop rules that change it",
    ),
    Row(
        "column_unwritable=incident.correlation_id",
        Password,
        "L034",
        "incident.correlation_id",
        "write access to `correlation_id`",
    ),
    Row(
        "column_unwritable=incident.correlation_display",
        Password,
        "L035",
        "incident.correlation_display",
        "write access to `correlation_display`",
    ),
    Row("sys_id_not_honoured", Password, "L033", "incident.sys_id", "lookup_first"),
    Row("rule_sets_back=state:2", Password, "L044", "incident.state", "rule"),
    Row("caller_is_the_account", Password, "L075", "incident.caller_id", "resource account"),
    // rights
    Row("create_refused", Password, "L030", "incident", "sn_incident_write"),
    Row("update_refused", Password, "L040", "incident", "sn_incident_write"),
    Row("tickets_unreadable", Password, "L030", "incident", "make, read and change"),
    Row("domain_hides", Password, "L032", "incident", "read access"),
    Row("query_rule", Password, "L032", "incident", "read access"),
    Row("column_unreadable", Password, "L037", "incident.correlation_id", "read and query access"),
    Row("column_not_rangeable", Password, "L038", "incident.sys_updated_on", "query_range"),
    Row("journal_hidden", Password, "L042", "sys_journal_field", "sys_journal_field"),
    Row("column_unwritable=incident.work_notes", Password, "L041", "incident.work_notes", "write and read access"),
    Row("column_unwritable=incident.comments", Password, "L041", "incident.comments", "write and read access"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_instance_that_is_set_up_right_is_green() {
    for login in [Password, Client] {
        let customer = Customer::with(&[], MAPPING, login);
        let report = customer.check().await;
        assert!(report.passed, "{}", complaints(&report));
        assert_eq!(report.count(Severity::Warning), 0, "{}", complaints(&report));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_mistake_is_named_with_what_to_do() {
    let checks = TABLE.iter().map(|row| async move {
        let Row(mistake, login, code, subject, remedy) = row;
        let report = Customer::with(&[mistake], MAPPING, *login).check().await;
        let told = report
            .findings
            .iter()
            .any(|finding| finding.code == *code && finding.subject == *subject && finding.remedy.contains(remedy));
        (!told).then(|| {
            format!("{mistake} ({login:?}): expected {code} {subject} … {remedy}, got\n{}", complaints(&report))
        })
    });
    // A few at a time: each has a server of its own.
    let wrong: Vec<String> =
        futures_util::stream::iter(checks).buffer_unordered(4).filter_map(async |wrong| wrong).collect().await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), TABLE.len(), wrong.join("\n"));
}
