//! The tables that describe the instance: its tables, columns, choices, data policies, roles and properties, as rows.
//!
//! Owns: the rows of `sys_db_object`, `sys_glide_object`, `sys_dictionary`, `sys_choice`, `sys_data_policy2`,
//! `sys_data_policy_rule`, `sys_user_role`, `sys_user_has_role` and `sys_properties`. They are derived, never the other way
//! round: what an instance does is decided by [`Dictionary`] and [`Switches`], so that rows and behaviour cannot disagree.
//! Never: decides who may read them (that is `table_api`). Fails: it cannot. Proved by: `tests/describing`.
//!
//! Tables and columns are described when they change; what follows from switches is described when somebody asks.

use std::collections::BTreeSet;

use super::dictionary::{Column, Dictionary, Kind, Table};
use super::policies;
use super::seed::{id, put};
use super::store::{Store, value};
use super::switches::{InvalidQuery, Switches};

/// Roles and what they contain (facts/servicenow 4.6).
const ROLES: &[(&str, &[&str])] = &[
    ("admin", &[]),
    ("itil", &["sn_incident_write", "snc_platform_rest_api_access"]),
    ("itil_admin", &["itil"]),
    ("sn_incident_write", &["sn_incident_read"]),
    ("sn_incident_read", &[]),
    ("snc_platform_rest_api_access", &[]),
];

/// The types of columns: the dictionary's word and its label.
const TYPES: &[(&str, &str)] = &[
    ("string", "String"),
    ("integer", "Integer"),
    ("boolean", "True/False"),
    ("glide_date_time", "Date/Time"),
    ("reference", "Reference"),
    ("glide_list", "List"),
    ("journal_input", "Journal Input"),
    ("journal_list", "Journal List"),
    ("collection", "Collection"),
];

/// Whether the rows of a table follow from switches, and must be written again before they are read.
pub(super) fn follows_switches(table: &str) -> bool {
    ["sys_properties", "sys_data_policy2", "sys_data_policy_rule", "sys_user_has_role"].contains(&table)
}

/// Describes every table, column and choice, in place of what was described before.
pub(super) fn tables(store: &mut Store, dictionary: &Dictionary) {
    for described in ["sys_db_object", "sys_glide_object", "sys_dictionary", "sys_choice"] {
        store.clear(described);
    }
    for (name, label) in TYPES {
        put(store, "sys_glide_object", name, &[("name", name), ("label", label)]);
    }
    for table in dictionary.tables() {
        one(store, table);
    }
}

fn one(store: &mut Store, table: &Table) {
    let name = table.name.as_str();
    let parent = table.extends.map(|parent| id("sys_db_object", parent)).unwrap_or_default();
    let access = word(table.web_service);
    let columns = [("name", name), ("label", &table.label), ("super_class", &parent), ("ws_access", access)];
    put(store, "sys_db_object", name, &columns);
    // The table itself is a row without a column name: a trap for whoever counts columns.
    let collection =
        [("name", name), ("column_label", &table.label), ("internal_type", "collection"), ("active", "true")];
    put(store, "sys_dictionary", name, &collection);
    for column in &table.columns {
        if column.home == *name {
            entry(store, name, column);
        }
        if column.choices_home == *name {
            choices(store, name, column);
        }
    }
}

fn entry(store: &mut Store, table: &str, column: &Column) {
    let target = if let Kind::Reference(target) = column.kind { target } else { "" };
    let columns = [
        ("name", table),
        ("element", &column.name),
        ("column_label", &column.label),
        ("internal_type", column.type_word()),
        ("max_length", &column.max_length.to_string()),
        ("mandatory", word(column.mandatory)),
        ("read_only", word(column.read_only)),
        ("active", "true"),
        ("reference", target),
        ("default_value", column.default),
        // 3: a drop-down without "-- None --".
        ("choice", if column.kind == Kind::Choice { "3" } else { "" }),
        ("dependent_on_field", &column.depends_on),
    ];
    put(store, "sys_dictionary", &format!("{table}.{}", column.name), &columns);
}

fn choices(store: &mut Store, table: &str, column: &Column) {
    for (at, choice) in column.choices.iter().enumerate() {
        let columns = [
            ("name", table),
            ("element", &column.name),
            ("value", &choice.value),
            ("label", &choice.label),
            ("language", "en"),
            ("dependent_value", &choice.dependent),
            ("inactive", word(choice.inactive)),
            ("sequence", &at.to_string()),
        ];
        put(store, "sys_choice", &format!("{table}.{}={}", column.name, choice.value), &columns);
    }
}

/// Describes the roles, and who has which; a role brings those it contains. `more` is a role that a user has by a switch.
pub(super) fn people(store: &mut Store, more: Option<(&str, &str)>) {
    store.clear("sys_user_role");
    store.clear("sys_user_has_role");
    for (role, _) in ROLES {
        put(store, "sys_user_role", role, &[("name", role)]);
    }
    let users: Vec<(String, String, String)> = store
        .rows("sys_user")
        .map(|(sys_id, user)| (sys_id.clone(), value(user, "user_name").to_owned(), value(user, "roles").to_owned()))
        .collect();
    for (user, name, roles) in users {
        let more = more.filter(|(user, _)| *user == name).map(|(_, role)| role);
        let own: BTreeSet<&str> = roles.split(',').filter(|role| !role.is_empty()).chain(more).collect();
        let mut held = BTreeSet::new();
        for role in &own {
            hold(role, &mut held);
        }
        for role in held {
            let inherited = word(!own.contains(role));
            let columns = [("user", user.as_str()), ("role", &id("sys_user_role", role)), ("inherited", inherited)];
            put(store, "sys_user_has_role", &format!("{name}:{role}"), &columns);
        }
    }
}

fn hold<'r>(role: &'r str, held: &mut BTreeSet<&'r str>) {
    held.insert(role);
    let contained = ROLES.iter().filter(|(name, _)| *name == role).flat_map(|(_, contained)| contained.iter());
    for role in contained {
        hold(role, held);
    }
}

/// Describes what follows from the switches: properties and data policies.
pub(super) fn settings(store: &mut Store, switches: &Switches) {
    store.clear("sys_properties");
    for (name, text) in properties(switches) {
        put(store, "sys_properties", name, &[("name", name), ("value", &text)]);
    }
    store.clear("sys_data_policy2");
    store.clear("sys_data_policy_rule");
    for policy in policies::of(switches) {
        let columns = [
            ("model_table", policy.table.as_str()),
            ("short_description", &policy.name),
            ("conditions", &policy.conditions),
            ("active", word(policy.active)),
            ("inherit", "false"),
            ("reverse_if_false", "true"),
            ("enforce_ui", "true"),
            ("apply_import_set", "true"),
            ("apply_soap", "true"),
        ];
        put(store, "sys_data_policy2", &policy.name, &columns);
        for column in &policy.mandatory {
            let columns = [
                ("sys_data_policy", id("sys_data_policy2", &policy.name)),
                ("table", policy.table.clone()),
                ("field", column.clone()),
                ("mandatory", "true".to_owned()),
                ("disabled", "ignore".to_owned()),
            ];
            let columns: Vec<(&str, &str)> = columns.iter().map(|(column, text)| (*column, text.as_str())).collect();
            put(store, "sys_data_policy_rule", &format!("{}:{column}", policy.name), &columns);
        }
    }
}

/// The properties that switches stand for (facts/servicenow 1 to 4).
fn properties(switches: &Switches) -> Vec<(&'static str, String)> {
    let yes_no = |yes: bool| word(yes).to_owned();
    let extensions: Vec<&str> = switches.attachment_extensions.iter().map(String::as_str).collect();
    vec![
        ("glide.sys.default.tz", switches.system_time_zone.clone()),
        ("glide.sys.date_format", switches.system_date_format.clone()),
        ("glide.sys.time_format", "HH:mm:ss".to_owned()),
        ("glide.rest.choice.allow_non_existing_value", yes_no(switches.unknown_choices_stored)),
        ("glide.invalid_query.returns_no_rows", yes_no(switches.invalid_query == InvalidQuery::NoRows)),
        ("glide.ui.autoclose.time", switches.autoclose_days.to_string()),
        ("glide.attachment.extensions", extensions.join(",")),
        // Megabytes; a limit below one is shown as 0.
        ("com.glide.attachment.max_size", (switches.attachment_bytes_max / 1_048_576).to_string()),
        ("glide.authenticate.basic_auth.restriction.enforce", yes_no(switches.basic_auth_refused)),
        ("glide.oauth.inbound.client.credential.grant_type.enabled", yes_no(switches.client_credentials_enabled)),
        ("glide.oauth.inbound.ropc.grant_type.disabled", yes_no(switches.password_grant_disabled)),
    ]
}

const fn word(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}
