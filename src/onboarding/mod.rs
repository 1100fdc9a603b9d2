//! Trying a tenant's instance before its work depends on it: `snowgate check --live`, and the customer's Test button.
//!
//! What is needed follows from the mapping and the tenant's file ([`needs`]). Then the instance is asked: how it is reached
//! (`way`), what its dictionary says (`dictionary`, judged by `judge`), whether the records are there that the mapping looks up
//! (`lookups`). Then it is tried: a test ticket goes through the life of an incident (`rehearsal`, `trial`, `journals`, `files`) and is put
//! away (`tidy`). Last, what the account can do beyond that (`rights`). Everything becomes a [`report::LiveFinding`] with a
//! code, a place and a remedy. The same reading gives a customer a mapping to start from ([`facts`], [`draft`]).
//!
//! Owns: what a check does, and its report. Never: touches a record but its own test tickets; tells the managed service;
//! retries; shows a secret. Fails: into the report, always; what was made is put away also when the time is up.
//! Proved by: the tests in each file, `tests/it/live_check.rs`, and `tests/onboarding` with seeded misconfigurations.

pub mod codes;
mod compare;
mod conditions;
mod desk;
mod dictionary;
pub mod draft;
pub mod facts;
mod files;
mod journals;
mod judge;
mod lookups;
pub mod needs;
mod rehearsal;
pub mod report;
mod rights;
mod tidy;
mod trial;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use tokio::time::{Instant, timeout_at};

use self::desk::Desk;
use self::needs::Needs;
use self::rehearsal::Rehearsal;
pub use self::rehearsal::TEST_TITLE;
use self::report::{Findings, LiveReport, Severity};
use self::trial::Trial;
use crate::delivery::connection_test;
use crate::domain::time::SharedClock;
use crate::limits::{LIVE_CHECK_TIDY_TIME, LIVE_CHECK_TIME};
use crate::runtime::entropy;
use crate::servicenow::client::Client;
use crate::tenants::Tenant;

/// What a check is made with.
pub struct LiveCheck<'a> {
    /// The client of the tenant's instance; its pace pays for every call.
    pub client: &'a Client,
    /// Whose instance.
    pub tenant: &'a Tenant,
    /// The text all keys are derived from.
    pub deployment_key: &'a str,
    /// The time.
    pub clock: &'a SharedClock,
    /// Whether a test ticket may be made.
    pub ticket: bool,
    /// Told what is being done, for whoever waits.
    pub progress: &'a (dyn Fn(&str) + Send + Sync),
}

impl LiveCheck<'_> {
    /// Checks. Ends within [`LIVE_CHECK_TIME`], whatever the instance does.
    pub async fn run(self) -> LiveReport {
        let began = self.clock.now();
        let deadline = Instant::now() + LIVE_CHECK_TIME;
        let desk = Desk::new(self.client, self.clock, self.progress);
        // Whoever orders a check has mended what was wrong, or wants to hear that it is still wrong.
        self.client.trust_credentials_again();
        let mut findings = Findings::default();
        self.check(&desk, deadline, &mut findings).await;
        let findings = findings.sorted();
        let took = self.clock.now().since(began);
        LiveReport {
            tenant: self.tenant.id().clone(),
            instance: self.tenant.settings().servicenow.instance.origin(),
            passed: findings.iter().all(|finding| finding.severity != Severity::Error),
            at: began,
            findings,
            took: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            calls: desk.calls(),
        }
    }

    async fn check(&self, desk: &Desk<'_>, deadline: Instant, findings: &mut Findings) {
        let (mapping, needs) = (self.tenant.mapping(), Needs::of(self.tenant));
        let Some(rehearsal) = Rehearsal::of(mapping) else {
            findings.error(codes::CANNOT_MAP, &needs.table, "no test incident can be made");
            return;
        };
        let before_tidying = deadline.checked_sub(LIVE_CHECK_TIDY_TIME).unwrap_or(deadline);
        let mut asked = Findings::default();
        let learned = timeout_at(before_tidying, self.ask(desk, &needs, &rehearsal, &mut asked)).await;
        findings.append(asked);
        let Ok(learned) = learned else { return out_of_time(findings) };
        let Some((dictionary, found)) = learned else { return };
        let mut user = self.tenant.settings().servicenow.user.as_deref().map(ToOwned::to_owned);
        let mut ticket = None;
        if self.ticket {
            let run = entropy::new_word();
            let (key, tenant) = (self.deployment_key, self.tenant.id());
            let trial = Trial {
                desk,
                mapping,
                needs: &needs,
                dictionary: &dictionary,
                rehearsal: &rehearsal,
                found: &found,
                keys: connection_test::keys(key, tenant, &run),
                prefix: connection_test::prefix(key, tenant),
                made: Mutex::default(),
            };
            self.try_out(&trial, (before_tidying, deadline), findings).await;
            let made = trial.ticket();
            ticket = made.as_ref().map(|made| made.sys_id.clone());
            user = made.and_then(|made| made.by).or(user);
        }
        let mut rights = Findings::default();
        let looked =
            timeout_at(deadline, rights::look(desk, &needs, (user.as_deref(), ticket.as_ref()), &mut rights)).await;
        findings.append(rights);
        if looked.is_err() {
            out_of_time(findings);
        }
    }

    /// Everything that only reads. `None`: there is no use in going on.
    async fn ask(
        &self,
        desk: &Desk<'_>,
        needs: &Needs,
        rehearsal: &Rehearsal,
        findings: &mut Findings,
    ) -> Option<(dictionary::Dictionary, rehearsal::Found)> {
        let mapping = self.tenant.mapping();
        if !way::reach(desk, self.tenant, &needs.table, findings).await {
            return None;
        }
        desk.tell("reading its dictionary, choices and data policies");
        let choices_of = judge::choice_columns(&mapping.wants().fields);
        let dictionary = dictionary::read(desk, &needs.table, &choices_of, findings).await;
        let mut ancestors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let tables: BTreeSet<&str> = needs.lookups.iter().map(|need| need.table.as_str()).collect();
        for table in tables.into_iter().filter(|_| dictionary.columns.is_some()) {
            ancestors.insert(table.to_owned(), dictionary::ancestry(desk, table).await.unwrap_or_default());
        }
        let ancestors_of = |table: &str| ancestors.get(table).cloned().unwrap_or_default();
        judge::judge(needs, &dictionary, &ancestors_of, findings);
        judge::mandatory(needs, &dictionary, rehearsal, mapping, findings);
        judge::states(needs, &dictionary, mapping, findings);
        desk.tell("looking for the records that the mapping names");
        let found = lookups::look(desk, needs, rehearsal.lookups(mapping), findings).await;
        Some((dictionary, found))
    }

    /// Makes the test ticket, and puts it away, whatever happens in between.
    async fn try_out(&self, trial: &Trial<'_>, (until, deadline): (Instant, Instant), findings: &mut Findings) {
        let mut tried = Findings::default();
        let run = async {
            trial.left_overs(&mut tried).await;
            // Why it ended early was reported.
            trial.run(&mut tried).await.is_ok()
        };
        let ended = timeout_at(until, run).await;
        findings.append(tried);
        if ended.is_err() {
            out_of_time(findings);
        }
        let mut tidied = Findings::default();
        let tidy = timeout_at(deadline, trial.tidy(&mut tidied)).await;
        findings.append(tidied);
        if tidy.is_err() {
            let number = trial.ticket().map_or_else(|| "perhaps one".to_owned(), |made| made.number);
            let message = format!("there was no time to put the test ticket away ({number}); the next check does");
            findings.error(codes::LEFT_OPEN, &trial.needs.table, message);
        }
    }
}

fn out_of_time(findings: &mut Findings) {
    let message = format!("the check was not done within {} s", LIVE_CHECK_TIME.as_secs());
    findings.error(codes::UNFINISHED, "servicenow.instance", message);
}
