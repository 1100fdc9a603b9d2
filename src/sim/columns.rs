//! The columns of the base system, as data.
//!
//! Owns: names, labels, types, lengths, choices and insert defaults. Never: behaviour. Fails: it cannot.
//! Proved by: `tests`.
//!
//! Names and defaults: the samples of the Table API reference (`c_TableAPI.md`) and "Create an incident"; lengths:
//! `case-api.md` and `change-management-api.md` (facts/servicenow 5.1). Choices: facts/servicenow 5.2. Where no public
//! source gives a raw value (channel, subcategory, 40-character lengths) the usual base-system value is used.

use super::dictionary::{Column, Kind, Table};

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
const SUBCATEGORIES: &[(&str, &str)] = &[
    ("antivirus", "Antivirus"),
    ("email", "Email"),
    ("internal application", "Internal Application"),
    ("os", "Operating System"),
    ("cpu", "CPU"),
    ("disk", "Disk"),
    ("keyboard", "Keyboard"),
    ("memory", "Memory"),
    ("monitor", "Monitor"),
    ("mouse", "Mouse"),
    ("dhcp", "DHCP"),
    ("dns", "DNS"),
    ("ip address", "IP Address"),
    ("vpn", "VPN"),
    ("wireless", "Wireless"),
    ("db2", "DB2"),
    ("oracle", "Oracle"),
    ("sql server", "MS SQL Server"),
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

/// Every table of the base system.
pub(super) fn tables(old_close_codes: bool) -> Vec<Table> {
    vec![
        incident(old_close_codes),
        user(),
        group(),
        computer(),
        simple("cmn_location", "name", &["name", "city", "country"]),
        simple("core_company", "name", &["name"]),
        simple("cmdb_ci_service", "name", &["name"]),
        simple("service_offering", "name", &["name"]),
        simple("problem", "number", &["number", "short_description"]),
        simple("change_request", "number", &["number", "short_description"]),
        journal(),
        attachment(),
        choice(),
        dictionary(),
    ]
}

/// A column with the lengths and defaults most columns have; the chained calls below say what differs.
pub(super) fn column(name: &str, label: &str, kind: Kind) -> Column {
    let max_length = match kind {
        Kind::Reference(_) => 32,
        Kind::Journal | Kind::JournalView | Kind::List => 4_000,
        Kind::Text | Kind::Choice | Kind::Integer | Kind::Boolean | Kind::DateTime => 40,
    };
    let (name, label) = (name.to_owned(), label.to_owned());
    Column { name, label, kind, max_length, default: "", read_only: false, choices: Vec::new() }
}

impl Column {
    const fn long(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn fixed(mut self) -> Self {
        self.read_only = true;
        self
    }

    fn of(mut self, choices: &[(&str, &str)]) -> Self {
        self.choices = choices.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect();
        self
    }
}

fn text(name: &str, label: &str, max_length: usize) -> Column {
    column(name, label, Kind::Text).long(max_length)
}

fn reference(name: &str, label: &str, table: &'static str) -> Column {
    column(name, label, Kind::Reference(table))
}

fn moment(name: &str, label: &str) -> Column {
    column(name, label, Kind::DateTime)
}

fn choices(name: &str, label: &str, of: &[(&str, &str)]) -> Column {
    column(name, label, Kind::Choice).of(of)
}

fn count(name: &str, label: &str) -> Column {
    column(name, label, Kind::Integer).or("0")
}

/// The columns every table has; writes to them are ignored ("typically cannot be updated", Table API reference).
fn system() -> Vec<Column> {
    vec![
        text("sys_id", "Sys ID", 32).fixed(),
        moment("sys_created_on", "Created").fixed(),
        text("sys_created_by", "Created by", 40).fixed(),
        moment("sys_updated_on", "Updated").fixed(),
        text("sys_updated_by", "Updated by", 40).fixed(),
        count("sys_mod_count", "Updates").fixed(),
        text("sys_tags", "Tags", 40).fixed(),
    ]
}

fn table(name: &str, display: &'static str, own: Vec<Column>) -> Table {
    let mut columns = system();
    columns.extend(own);
    Table::new(name, display, columns)
}

fn simple(name: &str, display: &'static str, own: &[&str]) -> Table {
    table(name, display, own.iter().map(|column| text(column, column, 255)).collect())
}

fn incident(old_close_codes: bool) -> Table {
    let mut columns = people_and_links();
    columns.extend(description());
    columns.extend(life_cycle(old_close_codes));
    columns.extend(rarely_used());
    let mut incident = table("incident", "number", columns);
    incident.number_prefix = Some("INC");
    incident.indexed = &["number", "correlation_id", "parent_incident"];
    incident
}

fn people_and_links() -> Vec<Column> {
    vec![
        text("number", "Number", 40),
        text("sys_class_name", "Task type", 80).or("incident").fixed(),
        reference("sys_domain", "Domain", "sys_user_group").or("global").fixed(),
        text("sys_domain_path", "Domain Path", 255).or("/").fixed(),
        reference("caller_id", "Caller", "sys_user"),
        reference("opened_by", "Opened by", "sys_user"),
        reference("assigned_to", "Assigned to", "sys_user"),
        reference("assignment_group", "Assignment group", "sys_user_group"),
        reference("resolved_by", "Resolved by", "sys_user"),
        reference("closed_by", "Closed by", "sys_user"),
        reference("reopened_by", "Last reopened by", "sys_user"),
        reference("cmdb_ci", "Configuration item", "cmdb_ci_computer"),
        reference("business_service", "Service", "cmdb_ci_service"),
        reference("service_offering", "Service offering", "service_offering"),
        reference("company", "Company", "core_company"),
        reference("location", "Location", "cmn_location"),
        reference("parent", "Parent", "incident"),
        reference("parent_incident", "Parent Incident", "incident"),
        reference("problem_id", "Problem", "problem"),
        reference("rfc", "Change Request", "change_request"),
        reference("caused_by", "Caused by Change", "change_request"),
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
        choices("category", "Category", CATEGORIES).or("inquiry"),
        choices("subcategory", "Subcategory", SUBCATEGORIES),
        choices("contact_type", "Channel", CHANNELS),
    ]
}

fn life_cycle(old_close_codes: bool) -> Vec<Column> {
    let codes = if old_close_codes { OLD_CLOSE_CODES } else { CLOSE_CODES };
    let codes: Vec<(&str, &str)> = codes.iter().map(|code| (*code, *code)).collect();
    vec![
        choices("state", "State", STATES).or("1"),
        choices("incident_state", "Incident state", STATES).or("1"),
        choices("hold_reason", "On hold reason", HOLD_REASONS),
        choices("impact", "Impact", THREE_LEVELS).or("3"),
        choices("urgency", "Urgency", THREE_LEVELS).or("3"),
        choices("priority", "Priority", PRIORITIES),
        choices("severity", "Severity", THREE_LEVELS).or("3"),
        column("active", "Active", Kind::Boolean).or("true"),
        choices("close_code", "Resolution code", &codes),
        text("close_notes", "Close notes", 4_000),
        moment("opened_at", "Opened"),
        moment("resolved_at", "Resolved"),
        moment("closed_at", "Closed"),
        moment("reopened_time", "Last reopened at"),
        count("reopen_count", "Reopen count"),
        count("reassignment_count", "Reassignment count"),
        choices("escalation", "Escalation", ESCALATIONS).or("0"),
        column("made_sla", "Made SLA", Kind::Boolean).or("true"),
    ]
}

fn rarely_used() -> Vec<Column> {
    vec![
        choices("notify", "Notify", NOTIFY).or("1"),
        moment("due_date", "Due date"),
        moment("follow_up", "Follow up"),
        column("knowledge", "Knowledge", Kind::Boolean).or("false"),
        choices("approval", "Approval", APPROVALS).or("not requested"),
        choices("upon_reject", "Upon reject", UPON_REJECT).or("cancel"),
        choices("upon_approval", "Upon approval", UPON_APPROVAL).or("proceed"),
        text("task_effective_number", "Effective number", 40),
        text("route_reason", "Transfer reason", 40),
        text("universal_request", "Universal Request", 32),
        text("origin_table", "Origin table", 80),
        text("origin_id", "Origin", 32),
    ]
}

fn user() -> Table {
    let mut user = table(
        "sys_user",
        "name",
        vec![
            text("user_name", "User ID", 40),
            text("name", "Name", 151),
            text("first_name", "First name", 50),
            text("last_name", "Last name", 50),
            text("email", "Email", 100),
            text("phone", "Business phone", 40),
            text("title", "Title", 60),
            column("active", "Active", Kind::Boolean).or("true"),
            column("locked_out", "Locked out", Kind::Boolean).or("false"),
            text("roles", "Roles", 255),
            reference("company", "Company", "core_company"),
            reference("location", "Location", "cmn_location"),
        ],
    );
    user.indexed = &["user_name", "email", "name"];
    user
}

fn group() -> Table {
    let mut group = table(
        "sys_user_group",
        "name",
        vec![
            text("name", "Name", 80),
            text("description", "Description", 1_000),
            text("email", "Group email", 100),
            reference("manager", "Manager", "sys_user"),
            column("active", "Active", Kind::Boolean).or("true"),
        ],
    );
    group.indexed = &["name"];
    group
}

fn computer() -> Table {
    let mut computer = table(
        "cmdb_ci_computer",
        "name",
        vec![
            text("name", "Name", 255),
            text("serial_number", "Serial number", 255),
            text("asset_tag", "Asset tag", 40),
            text("model_number", "Model number", 255),
            reference("location", "Location", "cmn_location"),
            reference("support_group", "Support group", "sys_user_group"),
        ],
    );
    computer.indexed = &["serial_number", "name"];
    computer
}

fn journal() -> Table {
    let mut journal = table(
        "sys_journal_field",
        "element",
        vec![
            text("element_id", "Element ID", 32),
            text("element", "Element", 80),
            text("name", "Name", 80),
            text("value", "Value", 65_000),
        ],
    );
    journal.indexed = &["element_id"];
    journal.read_only = true;
    journal
}

/// Written through the Attachment API alone.
fn attachment() -> Table {
    let mut attachment = table(
        "sys_attachment",
        "file_name",
        vec![
            text("file_name", "File name", 255),
            text("content_type", "Content type", 255),
            text("table_name", "Table name", 80),
            text("table_sys_id", "Table sys ID", 32),
            column("size_bytes", "Size bytes", Kind::Integer),
            column("size_compressed", "Size compressed", Kind::Integer),
            column("compressed", "Compressed", Kind::Boolean),
            text("hash", "Hash", 64),
        ],
    );
    attachment.indexed = &["table_sys_id"];
    attachment.read_only = true;
    attachment
}

fn choice() -> Table {
    let own = ["name", "element", "value", "label", "language", "inactive", "sequence"];
    let mut choice = simple("sys_choice", "label", &own);
    choice.read_only = true;
    choice
}

fn dictionary() -> Table {
    let own =
        ["name", "element", "column_label", "internal_type", "max_length", "read_only", "reference", "default_value"];
    let mut dictionary = simple("sys_dictionary", "column_label", &own);
    dictionary.read_only = true;
    dictionary
}
