//! What a fresh instance contains: a few people, groups, devices, and the readable dictionary.
//!
//! Owns: the seeded rows; their ids depend only on their names ([`sys_id_of`]), so they may be quoted.
//! Never: tickets; those come from the tests and the demo. Fails: it cannot. Proved by: `tests`.

use super::describe;
use super::dictionary::Dictionary;
use super::random::sys_id_of;
use super::store::{Record, Store, set};

const SEEDED_ON: &str = "2026-01-01 00:00:00";

/// User name, name, email, title and roles.
const USERS: &[[&str; 5]] = &[
    ["admin", "System Administrator", "admin@example.com", "System Administrator", "admin"],
    ["abel.tuter", "Abel Tuter", "abel.tuter@example.com", "Service Desk Analyst", "itil"],
    ["beth.anglin", "Beth Anglin", "beth.anglin@example.com", "AV Technician", "itil"],
    ["itil.manager", "Fred Luddy", "fred.luddy@example.com", "Incident Manager", "itil,itil_admin"],
    ["joe.employee", "Joe Employee", "joe.employee@example.com", "Accountant", ""],
    ["conference.rooms", "Conference Rooms", "rooms@example.com", "Resource account", ""],
];

/// Name and description.
const GROUPS: &[[&str; 2]] = &[
    ["Service Desk", "First line"],
    ["AV Support", "Meeting rooms, all sites"],
    ["Berlin AV Support", "Meeting rooms in Berlin"],
    ["Network", "Network operations"],
    ["Major Incident Management", "Escalations"],
    ["Teams Rooms SOC", "The managed service for meeting rooms"],
];

/// Name, serial number, asset tag, model, location.
const COMPUTERS: &[[&str; 5]] = &[
    ["MTR-BER-01", "5CG1234ABC", "P1000101", "Meeting room console", "Berlin"],
    ["MTR-BER-02", "5CG1234ABD", "P1000102", "Meeting room console", "Berlin"],
    ["MTR-MUC-01", "5CG9876XYZ", "P1000201", "Meeting room console", "Munich"],
];

const LOCATIONS: &[[&str; 3]] = &[["Berlin", "Berlin", "Germany"], ["Munich", "Munich", "Germany"]];

/// Fills an empty store; `integration_user` is the account the gateway signs in with.
pub(super) fn fill(store: &mut Store, dictionary: &Dictionary, integration_user: &str) {
    let integration = [integration_user, "Snowgate Integration", "snowgate@example.com", "Integration", "itil"];
    for [user_name, name, email, title, roles] in USERS.iter().chain([&integration]) {
        let integration_account = *user_name == integration_user;
        let (first, last) = name.split_once(' ').unwrap_or((name, ""));
        let columns = [
            ("user_name", *user_name),
            ("name", *name),
            ("first_name", first),
            ("last_name", last),
            ("email", *email),
            ("title", *title),
            ("roles", *roles),
            ("active", "true"),
            ("locked_out", "false"),
            ("time_zone", if integration_account { "GMT" } else { "" }),
            ("web_service_access_only", if integration_account { "true" } else { "false" }),
        ];
        put(store, "sys_user", user_name, &columns);
    }
    for [name, description] in GROUPS {
        put(store, "sys_user_group", name, &[("name", name), ("description", description), ("active", "true")]);
    }
    for [name, city, country] in LOCATIONS {
        put(store, "cmn_location", name, &[("name", name), ("city", city), ("country", country)]);
    }
    for [name, serial_number, asset_tag, model_number, location] in COMPUTERS {
        let (location, group) = (id("cmn_location", location), id("sys_user_group", "AV Support"));
        let columns = [
            ("name", *name),
            ("serial_number", *serial_number),
            ("asset_tag", *asset_tag),
            ("model_number", *model_number),
            ("location", location.as_str()),
            ("support_group", group.as_str()),
        ];
        put(store, "cmdb_ci_computer", name, &columns);
    }
    describe::tables(store, dictionary);
    describe::people(store, None);
}

/// The id of a seeded row, by the name used in the tables above.
pub(super) fn id(table: &str, name: &str) -> String {
    sys_id_of(&format!("{table}:{name}"))
}

/// Adds a row whose id depends on its name alone; the first one of that name stays.
pub(super) fn put(store: &mut Store, table: &str, name: &str, columns: &[(&str, &str)]) {
    let mut row = Record::new();
    for (column, text) in columns {
        set(&mut row, column, *text);
    }
    for (column, text) in [
        ("sys_created_on", SEEDED_ON),
        ("sys_updated_on", SEEDED_ON),
        ("sys_created_by", "admin"),
        ("sys_updated_by", "admin"),
        ("sys_mod_count", "0"),
    ] {
        set(&mut row, column, text);
    }
    set(&mut row, "sys_id", id(table, name));
    // Two rows of one name would be a slip in the tables.
    let inserted = store.insert(table, row);
    debug_assert!(inserted.is_ok(), "{table}:{name} is seeded twice");
}
