//! Mistakes in tables, columns and choices, and in the rights to single columns.
//!
//! Owns: see the table below. Fails: if there is no such table, column or choice. Proved by: `tests/misconfigured`.

use super::super::columns;
use super::super::dictionary::{Choice, Kind};
use super::super::instance::Instance;
use super::super::switches::DataPolicy;
use super::Apply::Change;
use super::{Known, column, column_and, known, number, table};

pub(super) const KNOWN: &[Known] = &[
    known("table_missing", "incident", "the table does not exist", Change(table_missing)),
    known(
        "table_without_web_service",
        "incident",
        "the table may not be reached by web services",
        Change(table_without_web_service),
    ),
    known(
        "column_missing",
        "incident.contact_type",
        "the column does not exist; what is written to it vanishes",
        Change(column_missing),
    ),
    known(
        "column_read_only",
        "incident.impact",
        "the dictionary makes the column read-only; what is written to it vanishes",
        Change(column_read_only),
    ),
    known(
        "column_unwritable",
        "incident.urgency",
        "the user has no write access to the column; what is written to it vanishes",
        Change(column_unwritable),
    ),
    known(
        "column_unreadable",
        "incident.correlation_id",
        "the user has no read access to the column",
        Change(column_unreadable),
    ),
    known(
        "column_not_rangeable",
        "incident.sys_updated_on",
        "the user may not compare or sort by the column (query_range)",
        Change(column_not_rangeable),
    ),
    known(
        "column_short",
        "incident.short_description:40",
        "the column is this short; longer text is cut",
        Change(column_short),
    ),
    known(
        "column_integer",
        "incident.correlation_display",
        "the column holds whole numbers; words vanish",
        Change(column_integer),
    ),
    known(
        "column_mandatory",
        "incident.caller_id",
        "forms ask for the column; calls do not have to",
        Change(column_mandatory),
    ),
    known(
        "choice_missing",
        "incident.close_code:Solution provided",
        "the column has no such choice; the value vanishes",
        Change(choice_missing),
    ),
    known(
        "choice_inactive",
        "incident.category:hardware",
        "the choice is switched off; the value vanishes",
        Change(choice_inactive),
    ),
    known(
        "choice_dependent",
        "incident.category:hardware:contact_type:phone",
        "forms offer the choice only while another column has a value",
        Change(choice_dependent),
    ),
    known(
        "mandatory_to_open",
        "incident.u_cost_center",
        "a data policy wants the column (made if need be) in every ticket",
        Change(mandatory_to_open),
    ),
    known(
        "mandatory_to_resolve",
        "incident.u_root_cause",
        "a data policy wants the column (made if need be) in resolved tickets",
        Change(mandatory_to_resolve),
    ),
    known(
        "mandatory_sometimes",
        "incident.u_site_contact:impact=1",
        "a data policy wants the column (made if need be) while a query fits",
        Change(mandatory_sometimes),
    ),
];

fn table_missing(instance: &mut Instance, value: &str) -> Result<(), String> {
    let name = table(instance, value)?;
    instance.change_dictionary(|dictionary| dictionary.remove_table(name));
    Ok(())
}

fn table_without_web_service(instance: &mut Instance, value: &str) -> Result<(), String> {
    let name = table(instance, value)?;
    instance.change_dictionary(|dictionary| {
        if let Some(table) = dictionary.table_mut(name) {
            table.web_service = false;
        }
    });
    Ok(())
}

fn column_missing(instance: &mut Instance, value: &str) -> Result<(), String> {
    let (table, name) = column(instance, value)?;
    instance.change_dictionary(|dictionary| dictionary.remove_column(table, name));
    Ok(())
}

fn column_read_only(instance: &mut Instance, value: &str) -> Result<(), String> {
    change(instance, value, |column| column.read_only = true)
}

fn column_mandatory(instance: &mut Instance, value: &str) -> Result<(), String> {
    change(instance, value, |column| column.mandatory = true)
}

fn column_integer(instance: &mut Instance, value: &str) -> Result<(), String> {
    change(instance, value, |column| column.kind = Kind::Integer)
}

fn column_short(instance: &mut Instance, value: &str) -> Result<(), String> {
    let ((table, name), length) = column_and(instance, value)?;
    let max_length = number(length)?;
    instance.change_dictionary(|dictionary| dictionary.change(table, name, |column| column.max_length = max_length));
    Ok(())
}

fn change(
    instance: &mut Instance,
    value: &str,
    change: fn(&mut super::super::dictionary::Column),
) -> Result<(), String> {
    let (table, name) = column(instance, value)?;
    instance.change_dictionary(|dictionary| dictionary.change(table, name, change));
    Ok(())
}

fn column_unwritable(instance: &mut Instance, value: &str) -> Result<(), String> {
    column(instance, value)?;
    instance.switches.unwritable_columns.insert(value.to_owned());
    Ok(())
}

fn column_unreadable(instance: &mut Instance, value: &str) -> Result<(), String> {
    column(instance, value)?;
    instance.switches.unreadable_columns.insert(value.to_owned());
    Ok(())
}

fn column_not_rangeable(instance: &mut Instance, value: &str) -> Result<(), String> {
    column(instance, value)?;
    instance.switches.unrangeable_columns.insert(value.to_owned());
    Ok(())
}

fn choice_missing(instance: &mut Instance, value: &str) -> Result<(), String> {
    let (at, wanted) = column_and(instance, value)?;
    choice(instance, at, wanted, |choices, wanted| choices.retain(|choice| choice.value != wanted))
}

fn choice_inactive(instance: &mut Instance, value: &str) -> Result<(), String> {
    let (at, wanted) = column_and(instance, value)?;
    choice(instance, at, wanted, |choices, wanted| {
        choices.iter_mut().filter(|choice| choice.value == wanted).for_each(|choice| choice.inactive = true);
    })
}

/// The server takes a dependent choice whatever the other column says; only forms do not offer it (no public source says
/// more).
fn choice_dependent(instance: &mut Instance, value: &str) -> Result<(), String> {
    let (at, rest) = column_and(instance, value)?;
    let mut parts = rest.splitn(3, ':');
    let parts = (parts.next(), parts.next(), parts.next());
    let (Some(wanted), Some(other), Some(depends)) = parts else {
        return Err("say `table.column:choice:other column:its value`".to_owned());
    };
    let other = instance.dictionary.table(at.0).and_then(|table| table.column(other)).map(|column| column.name.clone());
    let other = other.ok_or("there is no such other column")?;
    choice(instance, at, wanted, |_, _| {})?;
    instance.change_dictionary(|dictionary| {
        dictionary.change_choices(at.0, at.1, |choices| {
            choices
                .iter_mut()
                .filter(|choice| choice.value == wanted)
                .for_each(|choice| depends.clone_into(&mut choice.dependent));
        });
        dictionary.change(at.0, at.1, |column| other.clone_into(&mut column.depends_on));
    });
    Ok(())
}

fn choice(
    instance: &mut Instance,
    (table, name): (&str, &str),
    wanted: &str,
    change: fn(&mut Vec<Choice>, &str),
) -> Result<(), String> {
    let column = instance.dictionary.table(table).and_then(|table| table.column(name));
    if column.is_none_or(|column| column.label_of(wanted).is_none()) {
        return Err(format!("{table}.{name} has no choice `{wanted}`"));
    }
    instance.change_dictionary(|dictionary| dictionary.change_choices(table, name, |choices| change(choices, wanted)));
    Ok(())
}

fn mandatory_to_open(instance: &mut Instance, value: &str) -> Result<(), String> {
    mandatory(instance, value, "to open", "")
}

fn mandatory_to_resolve(instance: &mut Instance, value: &str) -> Result<(), String> {
    mandatory(instance, value, "to resolve", "state=6")
}

fn mandatory_sometimes(instance: &mut Instance, value: &str) -> Result<(), String> {
    let (path, conditions) = value.split_once(':').ok_or("say `table.column:query`")?;
    mandatory(instance, path, "sometimes", conditions)
}

/// A customer's policy, on a column of their own as often as on one of the base system.
fn mandatory(instance: &mut Instance, path: &str, when: &str, conditions: &str) -> Result<(), String> {
    let (on, name) = path.split_once('.').ok_or("say `table.column`")?;
    let on = table(instance, on)?;
    if column(instance, path).is_err() {
        let own = columns::column(name, &label(name), Kind::Text);
        instance.change_dictionary(|dictionary| dictionary.add(on, own));
    }
    instance.switches.data_policies.push(DataPolicy {
        table: on.to_owned(),
        name: format!("{name} is mandatory {when}"),
        conditions: conditions.to_owned(),
        mandatory: vec![name.to_owned()],
        active: true,
    });
    Ok(())
}

/// `u_cost_center` as an administrator would have called it: `Cost center`.
fn label(name: &str) -> String {
    let words = name.strip_prefix("u_").unwrap_or(name).replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
