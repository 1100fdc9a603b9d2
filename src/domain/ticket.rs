//! The ServiceNow record as the rest of the program sees it: a key, a number and a place.

use serde::{Deserialize, Serialize};

use super::id::{IncidentId, SysId};

/// Which ticket belongs to an incident. `number` is for people; `sys_id` is the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The record's primary key.
    pub sys_id: SysId,
    /// What people call it, such as `INC0010001`; empty when the instance did not say.
    #[serde(default)]
    pub number: String,
    /// The table it lives in, `incident` by default.
    pub table: String,
}

impl Ticket {
    /// The address a person can open, built from the instance's base URL and never copied from an answer.
    pub fn url(&self, instance: &str) -> String {
        format!("{}/nav_to.do?uri={}.do?sys_id={}", instance.trim_end_matches('/'), self.table, self.sys_id)
    }
}

/// Which incident a ticket belongs to: what a webhook needs to find, as it only knows the ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The ticket.
    pub ticket: Ticket,
    /// The incident.
    pub incident: IncidentId,
    /// Which time it became active.
    pub episode: u32,
}
