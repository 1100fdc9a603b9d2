//! What surrounds the tickets (people, groups, devices, places), and what describes them: the dictionary's own tables.
//!
//! Owns: their columns, under the names the Table API knows them by. Never: behaviour. Fails: it cannot. Proved by: `tests`.
//! The names of the describing tables' columns are the platform's (general knowledge; facts/servicenow has no list).

use super::super::dictionary::{Column, Kind, Table};
use super::{column, count, reference, simple, table, text};

/// The tables of this file.
pub(super) fn tables() -> Vec<Table> {
    let mut tables = vec![
        user(),
        group(),
        membership(),
        computer(),
        simple(("cmn_location", "Location"), "name", &["name", "city", "country"]),
        simple(("core_company", "Company"), "name", &["name"]),
        simple(("cmdb_ci_service", "Service"), "name", &["name"]),
        simple(("service_offering", "Offering"), "name", &["name"]),
        simple(("problem", "Problem"), "number", &["number", "short_description"]),
        simple(("change_request", "Change Request"), "number", &["number", "short_description"]),
    ];
    let described = [
        journal(),
        attachment(),
        tables_table(),
        types(),
        dictionary(),
        choice(),
        data_policy(),
        data_policy_rule(),
        role(),
        has_role(),
        property(),
    ];
    // Administrators write here, on pages; nobody does over REST.
    tables.extend(described.map(|table| Table { read_only: true, ..table }));
    tables
}

fn yes_no(name: &str, label: &str, default: &'static str) -> Column {
    column(name, label, Kind::Boolean).or(default)
}

fn user() -> Table {
    let columns = vec![
        text("user_name", "User ID", 40),
        text("name", "Name", 151),
        text("first_name", "First name", 50),
        text("last_name", "Last name", 50),
        text("email", "Email", 100),
        text("phone", "Business phone", 40),
        text("title", "Title", 60),
        yes_no("active", "Active", "true"),
        yes_no("locked_out", "Locked out", "false"),
        text("roles", "Roles", 255),
        text("time_zone", "Time zone", 40),
        text("date_format", "Date format", 40),
        text("time_format", "Time format", 40),
        yes_no("web_service_access_only", "Web service access only", "false"),
        yes_no("internal_integration_user", "Internal Integration User", "false"),
        reference("company", "Company", "core_company"),
        reference("location", "Location", "cmn_location"),
    ];
    Table { indexed: &["user_name", "email", "name"], ..table("sys_user", "User", "name", columns) }
}

fn group() -> Table {
    let columns = vec![
        text("name", "Name", 80),
        text("description", "Description", 1_000),
        text("email", "Group email", 100),
        reference("manager", "Manager", "sys_user"),
        yes_no("active", "Active", "true"),
    ];
    Table { indexed: &["name"], ..table("sys_user_group", "Group", "name", columns) }
}

fn membership() -> Table {
    let columns = vec![reference("user", "User", "sys_user"), reference("group", "Group", "sys_user_group")];
    table("sys_user_grmember", "Group Member", "user", columns)
}

fn computer() -> Table {
    let columns = vec![
        text("name", "Name", 255),
        text("serial_number", "Serial number", 255),
        text("asset_tag", "Asset tag", 40),
        text("model_number", "Model number", 255),
        reference("location", "Location", "cmn_location"),
        reference("support_group", "Support group", "sys_user_group"),
    ];
    Table { indexed: &["serial_number", "name"], ..table("cmdb_ci_computer", "Computer", "name", columns) }
}

fn journal() -> Table {
    let columns = vec![
        text("element_id", "Element ID", 32),
        text("element", "Element", 80),
        text("name", "Name", 80),
        text("value", "Value", 65_000),
    ];
    Table { indexed: &["element_id"], ..table("sys_journal_field", "Journal Entry", "element", columns) }
}

/// Written through the Attachment API alone.
fn attachment() -> Table {
    let columns = vec![
        text("file_name", "File name", 255),
        text("content_type", "Content type", 255),
        text("table_name", "Table name", 80),
        text("table_sys_id", "Table sys ID", 32),
        column("size_bytes", "Size bytes", Kind::Integer),
        column("size_compressed", "Size compressed", Kind::Integer),
        yes_no("compressed", "Compressed", ""),
        text("hash", "Hash", 64),
    ];
    Table { indexed: &["table_sys_id"], ..table("sys_attachment", "Attachment", "file_name", columns) }
}

/// One row per table.
fn tables_table() -> Table {
    let columns = vec![
        text("name", "Name", 80),
        text("label", "Label", 80),
        reference("super_class", "Extends table", "sys_db_object"),
        yes_no("ws_access", "Allow access to this table via web services", "true"),
    ];
    Table { indexed: &["name"], ..table("sys_db_object", "Tables", "label", columns) }
}

/// One row per type of column; referenced by name, not by id.
fn types() -> Table {
    let columns = vec![text("name", "Name", 40), text("label", "Label", 80)];
    Table { indexed: &["name"], ..table("sys_glide_object", "Field class", "label", columns) }
}

/// One row per column at the table that defines it, and one of type `collection` per table.
fn dictionary() -> Table {
    let columns = vec![
        text("name", "Table", 80),
        text("element", "Column name", 80),
        text("column_label", "Column label", 80),
        reference("internal_type", "Type", "sys_glide_object"),
        column("max_length", "Max length", Kind::Integer),
        yes_no("mandatory", "Mandatory", "false"),
        yes_no("read_only", "Read only", "false"),
        yes_no("active", "Active", "true"),
        reference("reference", "Reference", "sys_db_object"),
        text("default_value", "Default value", 512),
        text("choice", "Choice", 40),
        text("dependent_on_field", "Dependent on field", 80),
    ];
    Table { indexed: &["name", "element"], ..table("sys_dictionary", "Dictionary Entry", "column_label", columns) }
}

fn choice() -> Table {
    let columns = vec![
        text("name", "Table", 80),
        text("element", "Element", 80),
        text("value", "Value", 40),
        text("label", "Label", 60),
        text("language", "Language", 40),
        text("dependent_value", "Dependent value", 40),
        yes_no("inactive", "Inactive", "false"),
        count("sequence", "Sequence"),
    ];
    Table { indexed: &["name", "element"], ..table("sys_choice", "Choice", "label", columns) }
}

/// Data policies are asked of every call over REST; there is no switch for that, only for import sets, SOAP and forms.
fn data_policy() -> Table {
    let columns = vec![
        text("model_table", "Table", 80),
        text("short_description", "Short description", 255),
        text("conditions", "Conditions", 4_000),
        yes_no("active", "Active", "true"),
        yes_no("inherit", "Inherit", "false"),
        yes_no("reverse_if_false", "Reverse if false", "true"),
        yes_no("enforce_ui", "Use as UI Policy on client", "false"),
        yes_no("apply_import_set", "Apply to import sets", "true"),
        yes_no("apply_soap", "Apply to SOAP", "true"),
    ];
    table("sys_data_policy2", "Data Policy", "short_description", columns)
}

/// `mandatory` and `disabled` (read-only) are `true`, `false` or `ignore`.
fn data_policy_rule() -> Table {
    let columns = vec![
        reference("sys_data_policy", "Data Policy", "sys_data_policy2"),
        text("table", "Table", 80),
        text("field", "Field name", 80),
        text("mandatory", "Mandatory", 40),
        text("disabled", "Read only", 40),
    ];
    table("sys_data_policy_rule", "Data Policy Rule", "field", columns)
}

fn role() -> Table {
    let columns = vec![text("name", "Name", 100), text("description", "Description", 1_000)];
    Table { indexed: &["name"], ..table("sys_user_role", "Role", "name", columns) }
}

fn has_role() -> Table {
    let columns = vec![
        reference("user", "User", "sys_user"),
        reference("role", "Role", "sys_user_role"),
        yes_no("inherited", "Inherited", "false"),
        text("state", "State", 40).or("active"),
    ];
    Table { indexed: &["user"], ..table("sys_user_has_role", "User Role", "role", columns) }
}

fn property() -> Table {
    let columns = vec![
        text("name", "Name", 100),
        text("value", "Value", 4_000),
        text("type", "Type", 40),
        text("description", "Description", 1_000),
    ];
    Table { indexed: &["name"], ..table("sys_properties", "System Property", "name", columns) }
}
