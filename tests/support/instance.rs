//! A simulated instance over real HTTP, and what the tests look at there.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::Value;
use snowgate::sim::acts::Act;
use snowgate::sim::fault_plan::FaultPlan;
use snowgate::sim::keyring::Verifier;
use snowgate::sim::outbound::{CallState, OutboundRecord, WebhookRule, Wire};
use snowgate::sim::server::{self, Call, Options, OutageKind, Simulator};
use snowgate::sim::switches::Switches;

use super::events::title;
use super::reply::text;
use super::wait::eventually;

/// Secrets with marks by which they are found wherever they must not be.
pub(crate) const PASSWORD: &str = "canary-password-7fQ2";
/// See [`PASSWORD`].
pub(crate) const CLIENT_SECRET: &str = "canary-client-secret-9dKz";
/// The secret that replaces [`CLIENT_SECRET`] in a rotation.
pub(crate) const CLIENT_SECRET_NEXT: &str = "canary-client-secret-next-5tRw";

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance(Simulator);

/// A ticket as the instance holds it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket(Value);

/// One row of a journal.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) sys_id: String,
    pub(crate) element: String,
    pub(crate) text: String,
    pub(crate) by: String,
    pub(crate) at: String,
}

/// A file of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) sys_id: String,
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) sha256: String,
    pub(crate) by: String,
}

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

    /// Its admin replaces the OAuth client's secret, and ends every token.
    pub(crate) fn rotates_the_client_secret(&self) {
        let instance = self.0.instance();
        let mut instance = instance.lock().unwrap_or_else(PoisonError::into_inner);
        instance.set_client_secret(CLIENT_SECRET_NEXT);
        instance.drop_tokens();
    }

    /// Its admin puts this key into the verifier map, in the place of every other, and ends every token.
    pub(crate) fn trusts_assertions_of(&self, key_id: &str, key: &rcgen::KeyPair) {
        let public_key = rcgen::PublicKeyData::der_bytes(key).to_vec();
        let verifier = Verifier { key_id: key_id.to_owned(), algorithm: "ES256".to_owned(), public_key };
        self.at(|instance, _| {
            instance.trust_assertions_of(vec![verifier]);
            instance.drop_tokens();
        });
    }

    /// Its admin maps this certificate to our user, in the place of another one, by their SHA-256.
    pub(crate) fn maps_certificate(&self, sha256: &str, before: Option<&str>) {
        self.at(|instance, _| {
            instance.map_certificate(sha256, "snowgate");
            if let Some(before) = before {
                instance.unmap_certificate(before);
            }
        });
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

    fn at<T>(&self, does: impl FnOnce(&mut snowgate::sim::instance::Instance, i64) -> T) -> T {
        let instance = self.0.instance();
        let now = jiff::Timestamp::now().as_millisecond();
        does(&mut instance.lock().unwrap_or_else(PoisonError::into_inner), now)
    }

    /// A person does something to a ticket.
    pub(crate) fn act(&self, user: &str, sys_id: &str, act: &Act) {
        self.at(|instance, now| instance.act_as(user, sys_id, act, now)).expect("a person may");
    }

    /// A script changes columns, and leaves no trace of it.
    pub(crate) fn edit_silently(&self, sys_id: &str, fields: &[(&str, &str)]) {
        assert!(self.at(|instance, _| instance.edit_silently("incident", sys_id, fields)), "there is such a ticket");
    }

    /// Makes a journal entry older than it is.
    pub(crate) fn backdate_entry(&self, sys_id: &str, at: &str) {
        let fields = [("sys_created_on", at)];
        assert!(
            self.at(|instance, _| instance.edit_silently("sys_journal_field", sys_id, &fields)),
            "there is such a row"
        );
    }

    /// Its business rule, the only one, calls somebody.
    pub(crate) fn calls_only(&self, rule: WebhookRule) {
        self.at(|instance, _| {
            instance.unsubscribe_all();
            instance.subscribe(rule).expect("a rule");
        });
    }

    /// Its business rule calls somewhere else from now on.
    pub(crate) fn redirected(&self, url: &str) {
        let rule = self.at(|instance, _| instance.subscriptions().next().map(|(_, rule)| rule.clone()));
        self.calls_only(WebhookRule { url: url.to_owned(), ..rule.expect("a rule") });
    }

    /// What the wire does to its calls.
    pub(crate) fn wire(&self, wire: Wire) {
        self.0.set_wire(wire);
    }

    /// A clone of it, on a port of its own.
    pub(crate) fn clone_as(&self, name: &str) -> Self {
        Self(self.0.clone_as(name, 99).expect("a free port"))
    }

    /// The calls it made, oldest first.
    pub(crate) fn outbound(&self) -> Vec<OutboundRecord> {
        self.0.outbound_calls()
    }

    /// Waits until no call of its rules waits or is on its way.
    pub(crate) async fn quiet(&self) {
        eventually("the instance's calls end", async || {
            let waiting = self.at(|instance, _| instance.jobs_waiting());
            let sent = self.outbound().iter().any(|call| call.state == CallState::Sent);
            (waiting == 0 && !sent).then_some(())
        })
        .await;
    }

    /// Runs its scheduled jobs, and gives how many tickets they closed.
    pub(crate) fn runs_jobs(&self) -> usize {
        self.at(snowgate::sim::instance::Instance::run_jobs)
    }

    /// Adds a group.
    pub(crate) fn add_group(&self, name: &str) {
        let fields = [("name", name), ("active", "true")];
        self.at(|instance, now| instance.create_as("admin", "sys_user_group", &fields, now)).expect("an admin may");
    }

    /// Adds a customer's own column to its incidents.
    pub(crate) fn add_column(&self, name: &str) {
        self.at(|instance, _| instance.add_column("incident", name, 100));
    }

    /// Removes a group.
    pub(crate) fn remove_group(&self, name: &str) {
        let key = self.group(name);
        self.at(|instance, now| instance.delete_as("admin", "sys_user_group", &key, now)).expect("an admin may");
    }

    /// The key of a group.
    pub(crate) fn group(&self, name: &str) -> String {
        self.at(|instance, _| instance.find("sys_user_group", "name", name)).into_iter().next().expect("it is there")
    }

    /// The key of a seeded record.
    pub(crate) fn seeded(table: &str, name: &str) -> String {
        snowgate::sim::instance::Instance::seeded(table, name)
    }

    /// A ticket's journal rows, oldest first.
    pub(crate) fn entries(&self, sys_id: &str) -> Vec<Entry> {
        let journal = self.at(|instance, _| instance.journal(sys_id));
        journal
            .iter()
            .map(|entry| Entry {
                sys_id: entry.sys_id.clone(),
                element: entry.element.clone(),
                text: entry.text.clone(),
                by: entry.by.clone(),
                at: entry.at.clone(),
            })
            .collect()
    }

    /// A ticket's files, by name.
    pub(crate) fn files(&self, ticket: &Ticket) -> Vec<Attached> {
        let rows = self.at(|instance, _| {
            let keys = instance.find("sys_attachment", "table_sys_id", &ticket.field("sys_id"));
            keys.iter().filter_map(|key| instance.record("sys_attachment", key)).collect::<Vec<_>>()
        });
        let file = |row: std::collections::BTreeMap<String, String>| {
            let of = |column: &str| row.get(column).cloned().unwrap_or_default();
            let (sys_id, name, by) = (of("sys_id"), of("file_name"), of("sys_created_by"));
            Attached { sys_id, name, by, media_type: of("content_type"), sha256: of("hash") }
        };
        let mut files: Vec<Attached> = rows.into_iter().map(file).collect();
        files.sort_by(|one, other| one.name.cmp(&other.name));
        files
    }

    /// One ticket.
    #[track_caller]
    pub(crate) fn ticket(&self, sys_id: &str) -> Ticket {
        self.tickets().into_iter().find(|ticket| ticket.field("sys_id") == sys_id).expect("it is there")
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

    /// The tickets with this title.
    pub(crate) fn tickets_named(&self, title: &str) -> Vec<Ticket> {
        self.tickets().into_iter().filter(|ticket| ticket.field("short_description") == title).collect()
    }

    /// The tickets of an incident whose title was not changed.
    pub(crate) fn tickets_of(&self, incident: &str) -> Vec<Ticket> {
        self.tickets_named(&title(incident))
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
