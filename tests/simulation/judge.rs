//! The history checker as the judge of a run: what the senders were answered, what the store has on record, what the instance
//! holds. The very code behind `snowgate verify-history`.

use serde_json::json;
use snowgate::domain::time::Timestamp;
use snowgate::history::{EntryRow, History, TicketRow, Verdict, Verdicts, Violation};
use snowgate::sim::instance::{Instance, Operation};

use super::people;
use super::run::{DEPLOYMENT_KEY, World};

/// What the checker says of a run that is over.
pub(crate) fn verdicts(world: &World) -> Verdicts {
    let mut history = History::new(DEPLOYMENT_KEY).complete_since(Timestamp::EPOCH);
    world.service.receipts().into_iter().for_each(|receipt| history.acknowledged(receipt));
    world.ended.iter().for_each(|delivery| history.recorded(delivery));
    let shown = history.instance(std::slice::from_ref(&world.tenant));
    shown.written_by("snowgate");
    let instance = world.network.instance.lock().unwrap();
    for ticket in people::tickets(&instance) {
        shown.ticket(ticket_row(&instance, &ticket));
        entry_rows(&instance, &ticket).for_each(|row| shown.entry(row));
    }
    let deleted = instance.changes_after(0).filter(|change| change.operation == Operation::Delete);
    deleted.for_each(|change| shown.gone(&change.sys_id));
    history.judge()
}

/// A ticket as the Table API shows it.
pub(crate) fn ticket_row(instance: &Instance, sys_id: &str) -> TicketRow {
    let record = instance.record("incident", sys_id).unwrap_or_default();
    serde_json::from_value(json!(record)).unwrap()
}

/// Its journal, likewise.
pub(crate) fn entry_rows(instance: &Instance, sys_id: &str) -> impl Iterator<Item = EntryRow> {
    let sys_id = sys_id.to_owned();
    instance.journal(&sys_id).into_iter().map(move |entry| EntryRow {
        sys_id: entry.sys_id,
        element_id: sys_id.clone(),
        value: entry.text,
        sys_created_by: entry.by,
        sys_created_on: entry.at,
    })
}

/// Everything that is wrong, as lines.
pub(crate) fn of(world: &World) -> Vec<String> {
    // A text whose reference a rule of the instance took away is one the checker cannot see; the other checks can.
    let is_seen = |violation: &&Violation| !world.plan.strips_footers || violation.verdict != Verdict::Lost;
    verdicts(world).violations.iter().filter(is_seen).map(ToString::to_string).collect()
}
