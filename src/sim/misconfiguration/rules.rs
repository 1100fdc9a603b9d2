//! Rules of the customer that do not suit us, and rights to write whole tickets.
//!
//! Owns: see the table below. Fails: if there is no such column, or a number is none. Proved by: `tests/misconfigured`.

use super::super::instance::{Instance, Operation};
use super::super::switches::{AbortRule, CloseWithoutRole, FightingRule, RewritingRule, Switches};
use super::Apply::{Change, Switch};
use super::{Known, column, column_and, known, number};

pub(super) const KNOWN: &[Known] = &[
    known(
        "create_refused",
        "",
        "the user may not create tickets",
        Switch(|switches, _| switches.insert_allowed = false),
    ),
    known(
        "update_refused",
        "",
        "the user may not change tickets",
        Switch(|switches, _| switches.update_allowed = false),
    ),
    known(
        "delete_refused",
        "",
        "the user may not delete tickets",
        Switch(|switches, _| switches.delete_allowed = false),
    ),
    known(
        "rule_aborts_create",
        "Only the desk opens tickets",
        "a business rule of that name refuses every new ticket",
        Switch(|switches, name| aborts(switches, name, (Operation::Insert, "sys_id", ""))),
    ),
    known(
        "rule_aborts_update",
        "Only the desk works on tickets",
        "a business rule of that name refuses every change of a ticket",
        Switch(|switches, name| aborts(switches, name, (Operation::Update, "sys_id", ""))),
    ),
    known(
        "rule_aborts_resolve",
        "Resolve with the form only",
        "a business rule of that name refuses to resolve a ticket",
        Switch(|switches, name| aborts(switches, name, (Operation::Update, "state", "6"))),
    ),
    known(
        "rule_rewrites",
        "incident.state:2",
        "a business rule sets the column to this in every write",
        Change(rule_rewrites),
    ),
    known(
        "rule_sets_back",
        "state:2",
        "a business rule sets the incident's column back, as system, after every change of it",
        Change(rule_sets_back),
    ),
    known(
        "rule_resaves",
        "",
        "a business rule saves each changed ticket once more, as system",
        Switch(|switches, _| switches.resaved_by_system = true),
    ),
    known(
        "caller_is_the_account",
        "",
        "a rule makes the integration user the caller of every ticket, so that its comments end On Hold",
        Switch(|switches, _| switches.caller_is_session_user = true),
    ),
    known(
        "comments_end_hold",
        "",
        "any comment, by whomever, ends On Hold",
        Switch(|switches, _| switches.comments_end_hold = true),
    ),
    known(
        "sys_id_not_honoured",
        "",
        "the instance gives tickets ids of its own",
        Switch(|switches, _| switches.sys_id_honoured = false),
    ),
    known(
        "close_ignored",
        "",
        "the user may not close (7), and is not told so",
        Switch(|switches, _| switches.close_without_role = CloseWithoutRole::Ignored),
    ),
    known(
        "attachments_refused",
        "",
        "the user may not attach files",
        Switch(|switches, _| switches.attachments_refused = true),
    ),
    known(
        "attachment_types",
        "docx,xlsx",
        "files of other extensions are refused (glide.attachment.extensions)",
        Switch(|switches, value| {
            switches.attachment_extensions =
                value.split(',').map(|extension| extension.trim().to_lowercase()).collect();
        }),
    ),
    known(
        "attachment_bytes",
        "100",
        "larger files are refused (com.glide.attachment.max_size)",
        Change(|instance, value| {
            instance.switches.attachment_bytes_max = number(value)?;
            Ok(())
        }),
    ),
];

fn aborts(switches: &mut Switches, name: &str, (on, column, contains): (Operation, &str, &str)) {
    let [name, column, contains] = [name, column, contains].map(str::to_owned);
    switches.abort_rule = Some(AbortRule { column, contains, name });
    switches.abort_rule_on = Some(on);
}

fn rule_rewrites(instance: &mut Instance, value: &str) -> Result<(), String> {
    let ((table, name), text) = column_and(instance, value)?;
    let [table, column, value] = [table, name, text].map(str::to_owned);
    instance.switches.rewriting_rules.push(RewritingRule { table, column, value });
    Ok(())
}

fn rule_sets_back(instance: &mut Instance, value: &str) -> Result<(), String> {
    let (name, text) = value.split_once(':').ok_or("say `column:value`")?;
    column(instance, &format!("incident.{name}"))?;
    instance.switches.fighting_rule = Some(FightingRule { column: name.to_owned(), value: text.to_owned() });
    Ok(())
}
