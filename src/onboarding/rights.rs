//! What the account can do beyond what is needed, seen by harmless reads of its own record, its roles and its neighbours.
//!
//! Owns: which roles are too much. Never: tries a write to see whether it is refused; what may be deleted shows on our own
//! test ticket alone. Fails: what cannot be read is a note. Proved by: `tests/it/live_check.rs`, `tests/onboarding`.

use super::codes;
use super::desk::Desk;
use super::needs::Needs;
use super::report::Findings;
use crate::delivery::outcome::Outcome;
use crate::domain::id::SysId;
use crate::limits::CHECK_ROWS_MAX;
use crate::servicenow::wire::query::Query;
use crate::servicenow::wire::rows::Row;
use crate::servicenow::wire::text::UnsafeText;

/// Roles that reach far beyond tickets.
const TOO_MUCH: [&str; 8] = [
    "admin",
    "security_admin",
    "user_admin",
    "impersonator",
    "maint",
    "itil_admin",
    "sn_incident_admin",
    "rest_api_admin",
];
const USER: &str = "sys_user";
/// What is personal about a person, and no mapping writes.
const PERSONAL: [&str; 4] = ["phone", "mobile_phone", "home_phone", "employee_number"];

/// Looks at the account. `name` is its user name, if that is known.
/// `ticket` is the test ticket, if one was made.
pub(super) async fn look(
    desk: &Desk<'_>,
    needs: &Needs,
    (name, ticket): (Option<&str>, Option<&SysId>),
    findings: &mut Findings,
) {
    desk.tell("looking at what the account can do beyond that");
    let Some(me) = own_record(desk, name).await else {
        findings.note(codes::ROLES_UNKNOWN, USER, "the account's own record cannot be read");
        return;
    };
    if me.get("web_service_access_only") == Some("false") {
        let name = me.get("user_name").unwrap_or("the account");
        findings.warning(codes::INTERACTIVE, USER, format!("`{name}` may also log in as a person"));
    }
    match roles(desk, &me.sys_id).await {
        Ok(roles) if roles.is_empty() => {
            findings.note(codes::ROLES_UNKNOWN, "sys_user_has_role", "the account's roles cannot be read");
        }
        Ok(roles) => {
            for role in roles.iter().filter(|role| TOO_MUCH.contains(&role.as_str())) {
                let message = format!("the account has the role `{role}`");
                findings.warning(codes::ADMIN_ROLE, "sys_user_has_role", message);
            }
            findings.note(codes::PROVED, "sys_user_has_role", format!("the account's roles: {}", roles.join(", ")));
        }
        Err(_) => {
            findings.note(codes::ROLES_UNKNOWN, "sys_user_has_role", "the account's roles cannot be read");
        }
    }
    neighbours(desk, needs, &me, findings).await;
    if let Some(ticket) = ticket {
        own_caller(desk, needs, (&me.sys_id, ticket), findings).await;
    }
}

/// Whether the test ticket has the account itself as its caller, by the mapping or by a rule of the instance.
async fn own_caller(desk: &Desk<'_>, needs: &Needs, (me, ticket): (&SysId, &SysId), findings: &mut Findings) {
    let Ok(permit) = desk.permit().await else { return };
    let row = desk.client.find_by_sys_id(permit, &needs.table, ticket, &["caller_id"]).await;
    if row.ok().flatten().and_then(|row| row.key("caller_id")).as_ref() == Some(me) {
        let message = "the account itself is the caller of the test ticket";
        findings.warning(codes::OWN_CALLER, &format!("{}.caller_id", needs.table), message);
    }
}

/// The account's own record: asked for by the instance's own word for the caller, else by name. More than one row, or one
/// that is somebody else's, is nobody's.
async fn own_record(desk: &Desk<'_>, name: Option<&str>) -> Option<Row> {
    const COLUMNS: [&str; 3] = ["user_name", "web_service_access_only", "active"];
    let ask = async |query: Result<Query, UnsafeText>| -> Option<Row> {
        let rows = desk.client.records(desk.permit().await.ok()?, (USER, &COLUMNS), query, 2).await.ok()?;
        let [row] = <[Row; 1]>::try_from(rows).ok()?;
        let known = row.get("user_name").filter(|known| !known.is_empty());
        let fits = name.zip(known).is_none_or(|(name, known)| name.eq_ignore_ascii_case(known));
        fits.then_some(row)
    };
    match ask(Ok(Query::new().is_the_caller("sys_id"))).await {
        Some(row) => Some(row),
        None => ask(Query::new().has("user_name", name?)).await,
    }
}

async fn roles(desk: &Desk<'_>, me: &SysId) -> Result<Vec<String>, Outcome> {
    const COLUMNS: [&str; 3] = ["user", "role", "role.name"];
    let query = Ok(Query::new().refers_to("user", std::slice::from_ref(me)));
    let permit = desk.permit().await?;
    let rows = desk.client.records(permit, ("sys_user_has_role", &COLUMNS), query, CHECK_ROWS_MAX).await?;
    let mine: Vec<&Row> = rows.iter().filter(|row| row.key("user").as_ref() == Some(me)).collect();
    let walked = mine.iter().filter_map(|row| row.get("role.name").filter(|name| !name.is_empty()));
    let mut names: Vec<String> = walked.map(ToOwned::to_owned).collect();
    if names.is_empty() {
        let keys: Vec<SysId> = mine.iter().filter_map(|row| row.key("role")).collect();
        if !keys.is_empty() {
            let query = Ok(Query::new().refers_to("sys_id", &keys));
            let permit = desk.permit().await?;
            let rows = desk.client.records(permit, ("sys_user_role", &["name"]), query, CHECK_ROWS_MAX).await?;
            let wanted = rows.iter().filter(|row| keys.contains(&row.sys_id));
            names.extend(wanted.filter_map(|row| row.get("name").map(ToOwned::to_owned)));
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Whether personal columns of other people come back. Only that they do is noted, never what they say.
async fn neighbours(desk: &Desk<'_>, needs: &Needs, me: &Row, findings: &mut Findings) {
    let looked_up = |column: &str| needs.lookups.iter().any(|need| need.table == USER && need.by == column);
    let columns: Vec<&str> = PERSONAL.into_iter().filter(|column| !looked_up(column)).collect();
    let Ok(permit) = desk.permit().await else { return };
    let Ok(rows) = desk.client.records(permit, (USER, &columns), Ok(Query::new()), 3).await else { return };
    let others: Vec<&Row> = rows.iter().filter(|row| row.sys_id != me.sys_id).collect();
    let readable: Vec<&str> =
        columns.into_iter().filter(|column| others.iter().any(|row| row.get(column).is_some())).collect();
    if !readable.is_empty() {
        let message = format!("`{}` of every user can be read", readable.join("`, `"));
        findings.warning(codes::READS_PEOPLE, USER, message);
    }
}
