//! The Table API: verbs, lists, headers.
//!
//! Owns: `/api/now[/v1|/v2]/table/{table}[/{sys_id}]`. Never: the meaning of values (`values`, `write`) or of incidents (`rules`).
//! Fails: with the refusals of `errors`. Proved by: `tests` beside this file and `tests/sim_clients.rs`.
//! Source: "Table API" reference (`c_TableAPI.md`), KB0534905, KB0551763, KB0564204 (facts/servicenow 1.1 to 1.5).

use super::access::Caller;
use super::body;
use super::describe;
use super::dictionary::{Kind, Table};
use super::errors::Refusal;
use super::instance::Instance;
use super::message::{self, Request, Response};
use super::params::Params;
use super::query::{self, Query, Surroundings};
use super::store::Record;
use super::switches::{InvalidQuery, Unreadable};
use super::values::View;
use crate::limits::SIM_BODY_BYTES_MAX;
use serde_json::{Value, json};
use std::cmp::Ordering;

/// What a path addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Version 1 answers empty lists with 404.
    version_1: bool,
    table: String,
    sys_id: Option<String>,
}

impl Target {
    /// A table, or one of its rows, of the current version.
    pub(super) fn of(table: &str, sys_id: Option<&str>) -> Self {
        Self { version_1: false, table: table.to_owned(), sys_id: sys_id.map(str::to_owned) }
    }

    pub(super) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/api/now/")?;
        let (version_1, rest) = match rest.split_once('/')? {
            ("v1", rest) => (true, rest),
            ("v2", rest) => (false, rest),
            _ => (false, rest),
        };
        let mut parts = rest.strip_prefix("table/")?.split('/').filter(|part| !part.is_empty());
        let target = Self { version_1, table: parts.next()?.to_owned(), sys_id: parts.next().map(str::to_owned) };
        parts.next().is_none().then_some(target)
    }
}

/// One call, with everything that answering it needs besides the instance.
struct Call<'c> {
    request: &'c Request,
    target: &'c Target,
    caller: &'c Caller,
    params: Params,
}

/// Answers a call on the Table API.
pub(super) fn handle(
    instance: &mut Instance,
    request: &Request,
    target: &Target,
    caller: &Caller,
) -> Result<Response, Refusal> {
    if request.body.len() > SIM_BODY_BYTES_MAX {
        return Err(Refusal::payload_too_large(request.body.len(), SIM_BODY_BYTES_MAX));
    }
    negotiate(request)?;
    let params = Params::parse(&request.query)?;
    let table = instance.dictionary.table(&target.table).ok_or_else(|| Refusal::invalid_table(&target.table))?;
    if !table.web_service {
        return Err(Refusal::api_acl());
    }
    if describe::follows_switches(&target.table) {
        instance.describe_settings();
    }
    let call = Call { request, target, caller, params };
    match (request.verb().as_str(), target.sys_id.as_deref()) {
        ("GET" | "HEAD", None) => list(instance, &call),
        ("GET" | "HEAD", Some(sys_id)) => one(instance, &call, sys_id).map(|body| Response::json(200, &body)),
        ("POST", None) => insert(instance, &call),
        ("PUT" | "PATCH", Some(sys_id)) => update(instance, &call, sys_id),
        ("DELETE", Some(sys_id)) => delete(instance, &call, sys_id),
        _ => Err(Refusal::method_not_supported()),
    }
}

/// JSON is the only format simulated; leaving the headers out means JSON.
fn negotiate(request: &Request) -> Result<(), Refusal> {
    let allows = |value: &str| {
        let value = value.to_ascii_lowercase();
        value.contains("json") || value.contains("*/*") || value.contains("application/*")
    };
    if !request.header("Accept").is_none_or(allows) {
        return Err(Refusal::not_acceptable());
    }
    if request.is_write() && !request.body.is_empty() && !request.header("Content-Type").is_none_or(allows) {
        return Err(Refusal::unsupported_media());
    }
    Ok(())
}

fn one(instance: &Instance, call: &Call<'_>, sys_id: &str) -> Result<Value, Refusal> {
    let table = table(instance, call)?;
    let record = instance.visible(&table.name, sys_id).ok_or_else(Refusal::no_record)?;
    Ok(json!({"result": instance.view(call.caller).record(table, record, &call.params)}))
}

fn table<'i>(instance: &'i Instance, call: &Call<'_>) -> Result<&'i Table, Refusal> {
    instance.dictionary.table(&call.target.table).ok_or_else(|| Refusal::invalid_table(&call.target.table))
}

fn insert(instance: &mut Instance, call: &Call<'_>) -> Result<Response, Refusal> {
    if !instance.switches.insert_allowed {
        return Err(Refusal::acl("Insert"));
    }
    let body = body::record(&call.request.body)?;
    let sys_id = instance.insert(&call.target.table, &body, call.params.input_display, call.caller)?;
    let location = format!("{}/api/now/table/{}/{sys_id}", instance.base_url, call.target.table);
    let answer = match instance.written(&call.target.table, &sys_id) {
        _ if silent(call.request) => Response::empty(201),
        Some(record) => {
            let shown = instance.view(call.caller).record(table(instance, call)?, record, &call.params);
            Response::json(201, &json!({"result": shown}))
        }
        None => return Err(Refusal::written_but_unreadable()),
    };
    if instance.switches.new_tickets_move_away {
        instance.hide(&call.target.table, &sys_id);
    }
    Ok(answer.with_header("Location", &location))
}

/// PUT and PATCH alike change only the fields sent, and never create (KB0534905 Q9, Q11).
fn update(instance: &mut Instance, call: &Call<'_>, sys_id: &str) -> Result<Response, Refusal> {
    if instance.visible(&call.target.table, sys_id).is_none() {
        return Err(Refusal::no_record());
    }
    if !instance.switches.update_allowed {
        return Err(Refusal::acl("Update"));
    }
    let body = body::record(&call.request.body)?;
    let record = (call.target.table.as_str(), sys_id);
    instance.update(record, &body, call.params.input_display, call.caller)?;
    if silent(call.request) {
        return Ok(Response::empty(204));
    }
    // A rule may have moved it out of sight; what was written is still in hand.
    let record = instance.written(&call.target.table, sys_id).ok_or_else(Refusal::written_but_unreadable)?;
    let shown = instance.view(call.caller).record(table(instance, call)?, record, &call.params);
    Ok(Response::json(200, &json!({"result": shown})))
}

fn delete(instance: &mut Instance, call: &Call<'_>, sys_id: &str) -> Result<Response, Refusal> {
    if instance.visible(&call.target.table, sys_id).is_none() {
        return Err(Refusal::no_record());
    }
    if !instance.switches.delete_allowed {
        return Err(Refusal::acl("Delete"));
    }
    instance.delete((&call.target.table, sys_id), call.caller)?;
    Ok(Response::empty(204))
}

/// `X-no-response-body: true` suppresses the record in the answer to a write.
fn silent(request: &Request) -> bool {
    request.header("X-no-response-body").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn list(instance: &Instance, call: &Call<'_>) -> Result<Response, Refusal> {
    let table = table(instance, call)?;
    if instance.switches.unreadable_tables.get(&table.name) == Some(&Unreadable::Refused) {
        return Err(Refusal::table_refused());
    }
    let view = instance.view(call.caller);
    let matched = matching(view, table, call)?;
    // The limit comes before row access rules: a page may be short although more rows follow (KB0546297).
    let page = matched.iter().skip(call.params.offset).take(call.params.limit);
    let rows = page.filter(|(id, _)| !instance.is_hidden(&table.name, id));
    let rows: Vec<Value> = rows.map(|(_, record)| view.record(table, record, &call.params)).collect();
    if rows.is_empty() && call.target.version_1 {
        return Err(Refusal::no_records_v1());
    }
    let shown = rows.len();
    let mut answer = Response::json(200, &json!({"result": rows}));
    if !call.params.no_count {
        answer = answer.with_header("X-Total-Count", &matched.len().to_string());
    } else if instance.switches.total_count_despite_no_count {
        answer = answer.with_header("X-Total-Count", &shown.to_string());
    }
    if !call.params.suppress_pagination {
        let links = links(&instance.base_url, call, matched.len());
        answer = answer.with_header("Link", &links);
    }
    Ok(answer)
}

type Row<'i> = (&'i str, &'i Record);

/// Every row that matches, in order; hidden ones too.
fn matching<'i>(view: View<'i>, table: &'i Table, call: &Call<'_>) -> Result<Vec<Row<'i>>, Refusal> {
    let query = read_query(view, table, call);
    if query.ranges().any(|path| view.switches.unrangeable_columns.contains(&format!("{}.{path}", table.name))) {
        return Err(Refusal::query_refused());
    }
    match view.switches.invalid_query {
        InvalidQuery::NoRows if !query.invalid.is_empty() => return Ok(Vec::new()),
        InvalidQuery::Refused if !query.invalid.is_empty() => return Err(Refusal::query_refused()),
        InvalidQuery::Ignored | InvalidQuery::NoRows | InvalidQuery::Refused => {}
    }
    let matches = |(_, record): &Row<'_>| {
        query.matches(&|path| view.text(table, record, path).to_owned()) && fits_pairs(view, table, record, call)
    };
    let mut rows: Vec<Row<'i>> = match candidates(view, table, &query) {
        Some(rows) => rows.into_iter().filter(matches).collect(),
        None => view.store.rows(&table.name).map(|(id, record)| (id.as_str(), record)).filter(matches).collect(),
    };
    if !query.order.is_empty() {
        sort(view, table, &query, &mut rows);
    }
    Ok(rows)
}

fn read_query(view: View<'_>, table: &Table, call: &Call<'_>) -> Query {
    let knows = |path: &str| view.knows(table, path);
    let around = Surroundings { knows: &knows, zone_minutes: view.zone_minutes, user: &call.caller.sys_id };
    Query::parse(call.params.query.as_deref().unwrap_or_default(), &around)
}

/// The rows an index offers, if the query asks an indexed column for equality.
fn candidates<'i>(view: View<'i>, table: &'i Table, query: &Query) -> Option<Vec<Row<'i>>> {
    query.equalities().find_map(|(column, values)| {
        let ids: Option<Vec<Vec<&'i str>>> =
            values.iter().map(|value| view.store.indexed(&table.name, column, value)).collect();
        let mut ids = ids?.concat();
        ids.sort_unstable();
        ids.dedup();
        Some(ids.into_iter().filter_map(|id| view.store.row(&table.name, id).map(|record| (id, record))).collect())
    })
}

/// `field=value` pairs, the alternative to `sysparm_query`, take stored or shown values; unknown names are ignored.
fn fits_pairs(view: View<'_>, table: &Table, record: &Record, call: &Call<'_>) -> bool {
    if call.params.query.is_some() {
        return true;
    }
    call.params.pairs.iter().filter(|(path, _)| view.knows(table, path)).all(|(path, wanted)| {
        let stored = view.text(table, record, path);
        let label = view.dictionary.walk(table, path).and_then(|column| match column.kind {
            Kind::Reference(target) => Some(view.name_of(target, stored)),
            Kind::Choice => column.label_of(stored),
            Kind::Text
            | Kind::Integer
            | Kind::Boolean
            | Kind::DateTime
            | Kind::List
            | Kind::Journal
            | Kind::JournalView => None,
        });
        stored.eq_ignore_ascii_case(wanted) || label.is_some_and(|label| label.eq_ignore_ascii_case(wanted))
    })
}

/// References sort by the name they show, everything else by what is stored; ties keep the order of ids.
fn sort<'i>(view: View<'i>, table: &'i Table, query: &Query, rows: &mut [Row<'i>]) {
    let key = |record: &'i Record, path: &str| {
        let stored = view.text(table, record, path);
        match view.dictionary.walk(table, path).map(|column| &column.kind) {
            Some(Kind::Reference(target)) => view.name_of(target, stored),
            Some(_) | None => stored,
        }
    };
    rows.sort_by(|(_, left), (_, right)| {
        let mut orders = query.order.iter().map(|(path, descends)| {
            let order = query::compare(key(left, path), key(right, path));
            if *descends { order.reverse() } else { order }
        });
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
}

/// The `Link` header; it repeats the whole query, which is why large queries suppress it (facts/servicenow 1.3).
fn links(base_url: &str, call: &Call<'_>, total: usize) -> String {
    let parameters = message::pairs(&call.request.query);
    let kept = parameters.iter().filter(|(name, _)| name != "sysparm_offset");
    let kept: Vec<String> = kept.map(|(name, value)| format!("{name}={}", message::encode(value))).collect();
    let link = |offset: usize, relation: &str| {
        let separator = if kept.is_empty() { "" } else { "&" };
        let query = kept.join("&");
        format!("<{base_url}{}?{query}{separator}sysparm_offset={offset}>;rel=\"{relation}\"", call.request.path)
    };
    let (offset, limit) = (call.params.offset, call.params.limit.max(1));
    let mut links = vec![link(0, "first")];
    if offset > 0 {
        links.push(link(offset.saturating_sub(limit), "prev"));
    }
    if offset.saturating_add(limit) < total {
        links.push(link(offset.saturating_add(limit), "next"));
    }
    links.push(link(total.saturating_sub(1) / limit * limit, "last"));
    links.join(",")
}
