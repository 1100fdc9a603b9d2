//! `task` and the tables that extend it: incident, and the case of customer service.
//!
//! Owns: their columns, each with the table that defines it, as `sys_dictionary` tells it. Never: behaviour. Fails: it cannot.
//! Proved by: `tests`. Which columns stand at `task` and which at `incident` is general knowledge of the platform; the states
//! of a case are from `case-api.md` (facts/servicenow 5.5), its resolution codes have no public source.
//!
//! `task` describes only: on the platform it lists the rows of every table that extends it, here it is empty.

use super::super::dictionary::{Choice, Column, Kind, Table};
use super::{choices, column, count, moment, reference, system, text};

const TASK_STATES: &[(&str, &str)] = &[
    ("-5", "Pending"),
    ("1", "Open"),
    ("2", "Work in Progress"),
    ("3", "Closed Complete"),
    ("4", "Closed Incomplete"),
    ("7", "Closed Skipped"),
];
const CASE_STATES: &[(&str, &str)] =
    &[("1", "New"), ("10", "Open"), ("18", "Awaiting Info"), ("6", "Resolved"), ("3", "Closed")];
const CASE_CHANNELS: &[(&str, &str)] =
    &[("chat", "Chat"), ("email", "Email"), ("phone", "Phone"), ("social", "Social"), ("web", "Web")];
const CASE_RESOLUTIONS: &[(&str, &str)] = &[
    ("1", "Solved - Fixed by Support/Guidance provided"),
    ("2", "Solved - Workaround provided"),
    ("3", "Solved - Fixed by Customer"),
    ("4", "Void/Cancelled - No resolution"),
];
const STATES: &[(&str, &str)] =
    &[("1", "New"), ("2", "In Progress"), ("3", "On Hold"), ("6", "Resolved"), ("7", "Closed"), ("8", "Canceled")];
const HOLD_REASONS: &[(&str, &str)] = &[
    ("", "-- None --"),
    ("1", "Awaiting Caller"),
    ("3", "Awaiting Problem"),
    ("4", "Awaiting Vendor"),
    ("5", "Awaiting Change"),
];
const THREE_LEVELS: &[(&str, &str)] = &[("1", "1 - High"), ("2", "2 - Medium"), ("3", "3 - Low")];
const PRIORITIES: &[(&str, &str)] =
    &[("1", "1 - Critical"), ("2", "2 - High"), ("3", "3 - Moderate"), ("4", "4 - Low"), ("5", "5 - Planning")];
const CHANNELS: &[(&str, &str)] = &[
    ("chat", "Chat"),
    ("email", "Email"),
    ("phone", "Phone"),
    ("monitoring", "Monitoring"),
    ("self-service", "Self-service"),
    ("virtual_agent", "Virtual Agent"),
    ("walk-in", "Walk-in"),
];
const CATEGORIES: &[(&str, &str)] = &[
    ("inquiry", "Inquiry / Help"),
    ("software", "Software"),
    ("hardware", "Hardware"),
    ("network", "Network"),
    ("database", "Database"),
];
/// Value, label, and the category under which a form offers it.
const SUBCATEGORIES: &[[&str; 3]] = &[
    ["antivirus", "Antivirus", "inquiry"],
    ["email", "Email", "inquiry"],
    ["internal application", "Internal Application", "inquiry"],
    ["os", "Operating System", "software"],
    ["cpu", "CPU", "hardware"],
    ["disk", "Disk", "hardware"],
    ["keyboard", "Keyboard", "hardware"],
    ["memory", "Memory", "hardware"],
    ["monitor", "Monitor", "hardware"],
    ["mouse", "Mouse", "hardware"],
    ["dhcp", "DHCP", "network"],
    ["dns", "DNS", "network"],
    ["ip address", "IP Address", "network"],
    ["vpn", "VPN", "network"],
    ["wireless", "Wireless", "network"],
    ["db2", "DB2", "database"],
    ["oracle", "Oracle", "database"],
    ["sql server", "MS SQL Server", "database"],
];
const CLOSE_CODES: &[&str] = &[
    "Duplicate",
    "Known error",
    "No resolution provided",
    "Resolved by caller",
    "Resolved by change",
    "Resolved by problem",
    "Resolved by request",
    "Solution provided",
    "Workaround provided",
    "User error",
];
const OLD_CLOSE_CODES: &[&str] = &[
    "Solved (Work Around)",
    "Solved (Permanently)",
    "Solved Remotely (Work Around)",
    "Solved Remotely (Permanently)",
    "Not Solved (Not Reproducible)",
    "Not Solved (Too Costly)",
    "Closed/Resolved by Caller",
];
const ESCALATIONS: &[(&str, &str)] = &[("0", "Normal"), ("1", "Moderate"), ("2", "High"), ("3", "Overdue")];
const NOTIFY: &[(&str, &str)] = &[("1", "Do Not Notify"), ("2", "Send Email"), ("3", "Telephone")];
const APPROVALS: &[(&str, &str)] = &[
    ("not requested", "Not Yet Requested"),
    ("requested", "Requested"),
    ("approved", "Approved"),
    ("rejected", "Rejected"),
];
const UPON_REJECT: &[(&str, &str)] =
    &[("cancel", "Cancel all future Tasks"), ("goto", "Go to a previous approval Task")];
const UPON_APPROVAL: &[(&str, &str)] = &[("proceed", "Proceed to Next Task"), ("do_nothing", "Wait for a User")];

/// The tables of this file.
pub(super) fn tables(old_close_codes: bool) -> Vec<Table> {
    let task = Table::new(("task", "Task"), "number", task_columns());
    let mut incident = extension(("incident", "Incident"), incident_columns(old_close_codes), |column| {
        if column.name == "state" {
            column.override_choices("incident", STATES);
        }
    });
    incident.number_prefix = Some("INC");
    incident.indexed = &["number", "correlation_id", "parent_incident"];
    let mut case =
        extension(("sn_customerservice_case", "Case"), case_columns(), |column| match column.name.as_str() {
            "state" => column.override_choices("sn_customerservice_case", CASE_STATES),
            "contact_type" => column.override_choices("sn_customerservice_case", CASE_CHANNELS),
            "priority" => column.default = "4",
            _ => {}
        });
    case.number_prefix = Some("CS");
    case.indexed = &["number", "correlation_id"];
    vec![task, incident, case]
}

impl Column {
    /// Choices of its own at an extending table replace those of `task` as a whole.
    fn override_choices(&mut self, table: &str, choices: &[(&str, &str)]) {
        table.clone_into(&mut self.choices_home);
        self.choices = choices.iter().map(|(value, label)| Choice::of(value, label, "")).collect();
    }
}

/// A table that extends `task`: its columns, those of `task`, and what it says differently of them.
fn extension((name, label): (&'static str, &str), own: Vec<Column>, overrides: fn(&mut Column)) -> Table {
    let mut columns = task_columns();
    for column in &mut columns {
        overrides(column);
        if column.name == "sys_class_name" {
            column.default = name;
        }
    }
    columns.extend(own.into_iter().map(|column| column.at(name)));
    let mut table = Table::new((name, label), "number", columns);
    table.extends = Some("task");
    table
}

fn task_columns() -> Vec<Column> {
    let columns = system().into_iter().chain(links()).chain(description()).chain(life_cycle()).chain(rarely_used());
    columns.map(|column| column.at("task")).collect()
}

fn links() -> Vec<Column> {
    vec![
        text("number", "Number", 40),
        text("sys_class_name", "Task type", 80).or("task").fixed(),
        reference("sys_domain", "Domain", "sys_user_group").or("global").fixed(),
        text("sys_domain_path", "Domain Path", 255).or("/").fixed(),
        reference("opened_by", "Opened by", "sys_user"),
        reference("assigned_to", "Assigned to", "sys_user"),
        reference("assignment_group", "Assignment group", "sys_user_group"),
        reference("closed_by", "Closed by", "sys_user"),
        reference("cmdb_ci", "Configuration item", "cmdb_ci_computer"),
        reference("business_service", "Service", "cmdb_ci_service"),
        reference("service_offering", "Service offering", "service_offering"),
        reference("company", "Company", "core_company"),
        reference("location", "Location", "cmn_location"),
        // A reference to `task` on the platform; here only incidents have parents.
        reference("parent", "Parent", "incident"),
        text("correlation_id", "Correlation ID", 100),
        text("correlation_display", "Correlation display", 100),
    ]
}

fn description() -> Vec<Column> {
    vec![
        text("short_description", "Short description", 160),
        text("description", "Description", 4_000),
        column("comments", "Additional comments", Kind::Journal),
        column("work_notes", "Work notes", Kind::Journal),
        column("comments_and_work_notes", "Comments and Work notes", Kind::JournalView).fixed(),
        column("watch_list", "Watch list", Kind::List),
        column("work_notes_list", "Work notes list", Kind::List),
        choices("contact_type", "Channel", CHANNELS),
    ]
}

fn life_cycle() -> Vec<Column> {
    vec![
        choices("state", "State", TASK_STATES).or("1"),
        choices("impact", "Impact", THREE_LEVELS).or("3"),
        choices("urgency", "Urgency", THREE_LEVELS).or("3"),
        choices("priority", "Priority", PRIORITIES),
        column("active", "Active", Kind::Boolean).or("true"),
        text("close_notes", "Close notes", 4_000),
        moment("opened_at", "Opened"),
        moment("closed_at", "Closed"),
        count("reassignment_count", "Reassignment count"),
        choices("escalation", "Escalation", ESCALATIONS).or("0"),
        column("made_sla", "Made SLA", Kind::Boolean).or("true"),
    ]
}

fn rarely_used() -> Vec<Column> {
    vec![
        moment("due_date", "Due date"),
        moment("follow_up", "Follow up"),
        column("knowledge", "Knowledge", Kind::Boolean).or("false"),
        choices("approval", "Approval", APPROVALS).or("not requested"),
        choices("upon_reject", "Upon reject", UPON_REJECT).or("cancel"),
        choices("upon_approval", "Upon approval", UPON_APPROVAL).or("proceed"),
        text("task_effective_number", "Effective number", 40),
        text("route_reason", "Transfer reason", 40),
        text("universal_request", "Universal Request", 32),
    ]
}

fn incident_columns(old_close_codes: bool) -> Vec<Column> {
    let codes = if old_close_codes { OLD_CLOSE_CODES } else { CLOSE_CODES };
    let codes: Vec<(&str, &str)> = codes.iter().map(|code| (*code, *code)).collect();
    vec![
        reference("caller_id", "Caller", "sys_user"),
        reference("resolved_by", "Resolved by", "sys_user"),
        reference("reopened_by", "Last reopened by", "sys_user"),
        reference("parent_incident", "Parent Incident", "incident"),
        reference("problem_id", "Problem", "problem"),
        reference("rfc", "Change Request", "change_request"),
        reference("caused_by", "Caused by Change", "change_request"),
        choices("category", "Category", CATEGORIES).or("inquiry"),
        subcategory(),
        choices("incident_state", "Incident state", STATES).or("1"),
        choices("hold_reason", "On hold reason", HOLD_REASONS),
        choices("severity", "Severity", THREE_LEVELS).or("3"),
        choices("close_code", "Resolution code", &codes),
        moment("resolved_at", "Resolved"),
        moment("reopened_time", "Last reopened at"),
        count("reopen_count", "Reopen count"),
        choices("notify", "Notify", NOTIFY).or("1"),
        text("origin_table", "Origin table", 80),
        text("origin_id", "Origin", 32),
    ]
}

/// A form offers the choices of the chosen category; the server takes any.
fn subcategory() -> Column {
    let choices = SUBCATEGORIES.iter().map(|[value, label, category]| Choice::of(value, label, category));
    Column {
        choices: choices.collect(),
        depends_on: "category".to_owned(),
        ..column("subcategory", "Subcategory", Kind::Choice)
    }
}

fn case_columns() -> Vec<Column> {
    vec![
        reference("contact", "Contact", "sys_user"),
        reference("account", "Account", "core_company"),
        choices("resolution_code", "Resolution code", CASE_RESOLUTIONS),
        text("cause", "Cause", 4_000),
        moment("resolved_at", "Resolved"),
        reference("resolved_by", "Resolved by", "sys_user"),
    ]
}
