//! A simulated instance over real HTTP, and what the tests look at there.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::Value;
use snowgate::sim::fault_plan::FaultPlan;
use snowgate::sim::server::{self, Call, Options, OutageKind, Simulator};
use snowgate::sim::switches::Switches;

use super::events::title;
use super::reply::text;

/// Secrets with marks by which they are found wherever they must not be.
pub(crate) const PASSWORD: &str = "canary-password-7fQ2";
/// See [`PASSWORD`].
pub(crate) const CLIENT_SECRET: &str = "canary-client-secret-9dKz";

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance(Simulator);

/// A ticket as the instance holds it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket(Value);

impl Instance {
    /// A current base system.
    pub(crate) fn start() -> Self {
        Self::started(Options::default())
    }

    /// One that differs from the base system.
    pub(crate) fn with(change: impl FnOnce(&mut Switches)) -> Self {
        let mut options = Options::default();
        change(&mut options.switches);
        Self::started(options)
    }

    /// One of a given speed, or at a given address; its secrets are replaced by those with marks.
    pub(crate) fn started(options: Options) -> Self {
        let (password, client_secret) = (PASSWORD.to_owned(), CLIENT_SECRET.to_owned());
        Self(server::start(Options { password, client_secret, ..options }).expect("the address is free"))
    }

    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }

    /// Plays a plan such as `answer_lost=1000,budget=1`.
    pub(crate) fn plays(&self, plan: &str) {
        self.0.set_faults(FaultPlan::parse(plan).expect("a plan"));
    }

    pub(crate) fn fails(&self, kind: OutageKind) {
        self.0.begin_outage(kind, Duration::from_mins(10));
    }

    pub(crate) fn recovers(&self) {
        self.0.end_outage();
    }

    /// Turns a switch while the instance lives.
    pub(crate) fn turn(&self, change: impl FnOnce(&mut Switches)) {
        let instance = self.0.instance();
        change(instance.lock().unwrap_or_else(PoisonError::into_inner).switches_mut());
    }

    /// A person edits a ticket.
    pub(crate) fn edit(&self, user: &str, sys_id: &str, fields: &[(&str, &str)]) {
        let instance = self.0.instance();
        let now = jiff::Timestamp::now().as_millisecond();
        let mut instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
        instance.edit_as(user, "incident", sys_id, fields, now).expect("a person may");
    }

    /// A person opens a ticket.
    pub(crate) fn create(&self, user: &str, fields: &[(&str, &str)]) {
        let instance = self.0.instance();
        let now = jiff::Timestamp::now().as_millisecond();
        let mut instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
        instance.create_as(user, "incident", fields, now).expect("a person may");
    }

    /// A person deletes a ticket.
    pub(crate) fn delete(&self, user: &str, sys_id: &str) {
        let instance = self.0.instance();
        let now = jiff::Timestamp::now().as_millisecond();
        let mut instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
        instance.delete_as(user, "incident", sys_id, now).expect("a person may");
    }

    /// Every ticket, in the order of their numbers.
    pub(crate) fn tickets(&self) -> Vec<Ticket> {
        let instance = self.0.instance();
        let state = instance.lock().unwrap_or_else(PoisonError::into_inner).state();
        let mut tickets: Vec<Ticket> =
            state["tickets"].as_array().expect("a list").iter().cloned().map(Ticket).collect();
        tickets.sort_by_key(|ticket| ticket.field("number"));
        tickets
    }

    /// The tickets of an incident whose title was not changed.
    pub(crate) fn tickets_of(&self, incident: &str) -> Vec<Ticket> {
        self.tickets().into_iter().filter(|ticket| ticket.field("short_description") == title(incident)).collect()
    }

    /// The one ticket of an incident.
    #[track_caller]
    pub(crate) fn ticket_of(&self, incident: &str) -> Ticket {
        let tickets = self.tickets_of(incident);
        assert_eq!(tickets.len(), 1, "tickets of {incident}: {tickets:#?}");
        tickets.into_iter().next().expect("counted")
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.calls()
    }

    /// Writes that the instance handled.
    pub(crate) fn writes(&self, verb: &str) -> usize {
        self.calls().iter().filter(|call| call.verb == verb && call.applied && call.target.contains("/table/")).count()
    }

    /// Tokens that were asked for.
    pub(crate) fn token_fetches(&self) -> usize {
        self.calls().iter().filter(|call| call.target.starts_with("/oauth_token.do")).count()
    }
}

impl Ticket {
    /// A column's raw value, empty if it has none.
    pub(crate) fn field(&self, name: &str) -> String {
        text(&self.0, &format!("/{name}"))
    }

    /// The texts of a journal column, oldest first, without the reference under those of ours.
    pub(crate) fn journal(&self, element: &str) -> Vec<String> {
        let texts = self.whole_journal(element).into_iter();
        texts.map(|text| text.split("\n[sg ").next().unwrap_or_default().to_owned()).collect()
    }

    /// The texts of a journal column as people see them, oldest first.
    pub(crate) fn whole_journal(&self, element: &str) -> Vec<String> {
        let entries = self.0["journal"].as_array().map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter(|entry| entry["element"] == element).map(|entry| text(entry, "/text")).collect()
    }
}
