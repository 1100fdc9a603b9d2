//! Whether the records that the mapping looks up are there: every name that stands in the file, and those of the test.
//!
//! Owns: one look-up per name, and one per column for a name that nobody has, which shows whether the column can be
//! queried at all. Never: guesses between two records. Fails: with findings. Proved by: `tests/it/live_check.rs`.

use std::collections::BTreeMap;

use super::codes;
use super::desk::Desk;
use super::needs::{LookupNeed, Needs};
use super::rehearsal::Found;
use super::report::{Findings, Severity, Spot};
use super::way;
use crate::delivery::outcome::Outcome;
use crate::domain::id::SysId;
use crate::limits::CHECK_LOOKUPS_MAX;
use crate::mapping::LookupKey;

/// A name that no record has.
const NOBODY: &str = "snowgate-connection-test-nobody";

/// Looks everything up; gives what was found for the test's own keys.
pub(super) async fn look(desk: &Desk<'_>, needs: &Needs, keys: Vec<LookupKey>, findings: &mut Findings) -> Found {
    let mut known: BTreeMap<LookupKey, Option<String>> = BTreeMap::new();
    let mut left = CHECK_LOOKUPS_MAX;
    for need in &needs.lookups {
        if !queried(desk, need, findings).await {
            continue;
        }
        let mut values = need.values.clone();
        values.sort_by(|one, other| (&one.0, !one.2).cmp(&(&other.0, !other.2)));
        values.dedup_by(|one, other| one.0 == other.0);
        for (value, spot, parks) in values {
            if left == 0 {
                let message = format!("more than {CHECK_LOOKUPS_MAX} names are looked up; the rest was not");
                findings.note(codes::UNFINISHED, &subject(need), message);
                break;
            }
            left -= 1;
            let key = LookupKey { table: need.table.as_str().into(), by: need.by.as_str().into(), value };
            let found = one(desk, &key, Some((&spot, parks)), findings).await;
            known.insert(key, found);
        }
    }
    let mut found = Found::new();
    for key in keys {
        let sys_id = match known.get(&key) {
            Some(sys_id) => sys_id.clone(),
            // A name of the test incident alone: that it is missing says nothing about the mapping.
            None => one(desk, &key, None, findings).await,
        };
        found.insert(key, sys_id);
    }
    found
}

/// Whether the column can be queried: a name that nobody has finds nobody.
async fn queried(desk: &Desk<'_>, need: &LookupNeed, findings: &mut Findings) -> bool {
    let asked = match desk.permit().await {
        Ok(permit) => desk.client.lookup(permit, &need.table, &need.by, NOBODY).await,
        Err(outcome) => Err(outcome),
    };
    match asked {
        Ok(_) => true,
        Err(outcome) => {
            refused(&outcome, need.table.as_str(), &need.by, Some(&need.spot), findings);
            false
        }
    }
}

async fn one(desk: &Desk<'_>, key: &LookupKey, said: Option<(&Spot, bool)>, findings: &mut Findings) -> Option<String> {
    let asked = match desk.permit().await {
        Ok(permit) => desk.client.lookup(permit, &key.table, &key.by, &key.value).await,
        Err(outcome) => Err(outcome),
    };
    let name = format!("{}.{}", key.table, key.by);
    let severity = said.map_or(Severity::Note, |(_, parks)| if parks { Severity::Error } else { Severity::Warning });
    let spot = said.map(|(spot, _)| spot);
    match asked {
        Ok(Some(sys_id)) => {
            if said.is_some() && is_switched_off(desk, &key.table, &sys_id).await {
                let message = format!("the record of {} with {} = `{}` is switched off", key.table, key.by, key.value);
                findings.warning(codes::NOT_ACTIVE, &name, message).at(spot);
            }
            Some(sys_id.to_string())
        }
        Ok(None) => {
            let message = format!("no record of {} has {} = `{}`", key.table, key.by, key.value);
            findings.add(severity, codes::NOT_FOUND, &name, message).at(spot);
            None
        }
        Err(outcome) if outcome.code == "lookup_ambiguous" => {
            let message = format!("more than one record of {} has {} = `{}`", key.table, key.by, key.value);
            findings.add(severity, codes::AMBIGUOUS, &name, message).at(spot);
            None
        }
        Err(outcome) => {
            refused(&outcome, &key.table, &key.by, spot, findings);
            None
        }
    }
}

/// Whether the record has a column `active` that says no. What cannot be read is believed to be in use.
async fn is_switched_off(desk: &Desk<'_>, table: &str, sys_id: &SysId) -> bool {
    let Ok(permit) = desk.permit().await else { return false };
    let found = desk.client.find_by_sys_id(permit, table, sys_id, &["active"]).await;
    found.ok().flatten().is_some_and(|row| row.get("active") == Some("false"))
}

fn refused(outcome: &Outcome, table: &str, by: &str, spot: Option<&Spot>, findings: &mut Findings) {
    let subject = format!("{table}.{by}");
    let of_table =
        ["http_400_invalid_table", "http_404_no_table", "http_403_query", "http_403_acl", "lookup_untrusted"];
    if of_table.contains(&outcome.code.as_str()) {
        findings.error(codes::NO_LOOKUP, &subject, way::said(outcome)).at(spot);
    } else {
        way::failed(outcome, &subject, findings);
    }
}

fn subject(need: &LookupNeed) -> String {
    format!("{}.{}", need.table, need.by)
}
