//! The calls we make to the Table API, and how each is spelled (`facts/servicenow.md` 1.1, 1.2 and 1.5).
//!
//! Every parameter whose default varies with an instance's properties is sent, so that an answer means the same
//! everywhere: raw values in UTC (beside them what people see, where a call wants both), references as bare keys, no
//! link headers, no counting unless it is asked for.

use std::sync::Arc;

use serde::Serializer as _;

use super::lists::{Rows, push_query};
use super::rows::FIELDS_ALWAYS;
use super::text::{self, UnsafeText};
use crate::domain::id::SysId;
use crate::limits::{ADDRESS_CHARS_MAX, CORRELATION_ROWS_MAX, REFERENCE_ROWS_MAX};
use crate::peer::message::{HeaderMap, HeaderName, HeaderValue, Method, Request};

/// Fields and their raw values, in the order they are to be sent.
pub type Fields = [(String, String)];

/// What we call ourselves. An administrator finds our calls in the transaction log by it.
const USER_AGENT: &str = concat!("snowgate/", env!("CARGO_PKG_VERSION"));

/// The columns that tell a ticket of ours from a stranger, and how far it has been written.
const FIELDS_OF_A_LINK: &str =
    "sys_id,number,correlation_id,correlation_display,sys_created_on,sys_created_by,sys_mod_count,state";

/// What is read of a ticket beside [`FIELDS_ALWAYS`], whatever the mapping wants.
const FIELDS_OF_A_TICKET: &str = "opened_at";

/// The columns whose display value is the whole history of a journal.
const FIELDS_OF_HISTORY: &str = "comments,work_notes";

/// What kind of call it was: the same answer means different things to different calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// POST: makes a record.
    Create,
    /// PATCH by `sys_id`.
    Update,
    /// GET by `sys_id`.
    ReadOne,
    /// GET of a list.
    List,
    /// POST of a file.
    Upload,
    /// GET of a file.
    Download,
    /// DELETE by `sys_id`.
    Delete,
}

impl CallKind {
    /// The word used in logs and as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::ReadOne => "read",
            Self::List => "list",
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Delete => "delete",
        }
    }

    /// Whether it makes something, so that a second one would make a second thing.
    pub const fn makes(self) -> bool {
        match self {
            Self::Create | Self::Upload => true,
            Self::Update | Self::ReadOne | Self::List | Self::Download | Self::Delete => false,
        }
    }

    /// Whether it changes nothing.
    pub const fn reads(self) -> bool {
        match self {
            Self::ReadOne | Self::List | Self::Download => true,
            Self::Create | Self::Update | Self::Upload | Self::Delete => false,
        }
    }
}

/// One call, not yet spelled.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// Makes a record.
    Create {
        /// The table.
        table: &'a str,
        /// Its first values.
        fields: &'a Fields,
        /// Columns wanted back beside those written.
        also: &'a [&'a str],
    },
    /// Changes the fields named, and no others.
    Update {
        /// The table.
        table: &'a str,
        /// The record.
        sys_id: &'a SysId,
        /// The new values.
        fields: &'a Fields,
        /// Columns wanted back beside those written.
        also: &'a [&'a str],
    },
    /// Reads one record.
    ReadOne {
        /// The table.
        table: &'a str,
        /// The record.
        sys_id: &'a SysId,
        /// The columns wanted beside those that are always read.
        fields: &'a [&'a str],
    },
    /// Reads one ticket, raw and as people see it.
    ReadTicket {
        /// The table.
        table: &'a str,
        /// The ticket.
        sys_id: &'a SysId,
        /// The columns wanted beside those that are always read.
        columns: &'a [&'a str],
        /// Whether the text of its journals is wanted too.
        history: bool,
    },
    /// Reads a list.
    Rows(Rows<'a>),
    /// Looks for our own tickets by the key we gave them, the oldest first.
    Correlated {
        /// The table.
        table: &'a str,
        /// The key.
        correlation_id: &'a str,
    },
    /// Removes one record.
    Delete {
        /// The table.
        table: &'a str,
        /// The record.
        sys_id: &'a SysId,
    },
    /// Looks for a record that something refers to, such as a group by its name.
    Reference {
        /// The table.
        table: &'a str,
        /// The column.
        by: &'a str,
        /// The value it must have.
        value: &'a str,
    },
}

impl Call<'_> {
    /// What kind of call it is.
    pub const fn kind(&self) -> CallKind {
        match self {
            Self::Create { .. } => CallKind::Create,
            Self::Update { .. } => CallKind::Update,
            Self::ReadOne { .. } | Self::ReadTicket { .. } => CallKind::ReadOne,
            Self::Rows(_) | Self::Correlated { .. } | Self::Reference { .. } => CallKind::List,
            Self::Delete { .. } => CallKind::Delete,
        }
    }

    /// The method, the address and the body. Refuses what could mean something else than it says.
    pub fn spell(&self, origin: &Arc<str>, authorization: (HeaderName, HeaderValue)) -> Result<Request, UnsafeText> {
        let read = |address| (Method::Get, address, Vec::new());
        let (method, path_and_query, body) = match *self {
            Self::Create { table, fields, also } => {
                (Method::Post, write_address(table_address(table, None)?, fields, also)?, json_object(fields))
            }
            Self::Update { table, sys_id, fields, also } => {
                (Method::Patch, write_address(table_address(table, Some(sys_id))?, fields, also)?, json_object(fields))
            }
            Self::ReadOne { table, sys_id, fields } => {
                let mut address = table_address(table, Some(sys_id))?;
                push_read_parameters(&mut address, RAW, FIELDS_ALWAYS);
                push_columns(&mut address, fields.iter().copied())?;
                read(address)
            }
            Self::ReadTicket { table, sys_id, columns, history } => {
                let mut address = table_address(table, Some(sys_id))?;
                push_ticket_columns(&mut address, columns)?;
                if history {
                    push_columns(&mut address, FIELDS_OF_HISTORY.split(','))?;
                }
                read(address)
            }
            Self::Rows(rows) => read(rows.address()?),
            Self::Delete { table, sys_id } => (Method::Delete, table_address(table, Some(sys_id))?, Vec::new()),
            Self::Correlated { table, correlation_id } => {
                let query = format!("correlation_id={}^ORDERBYsys_created_on", text::key(correlation_id)?);
                let mut address = table_address(table, None)?;
                push_read_parameters(&mut address, RAW, FIELDS_OF_A_LINK);
                push_query(&mut address, &query, CORRELATION_ROWS_MAX, false);
                read(address)
            }
            Self::Reference { table, by, value } => {
                // Not ordered: sorting needs a right of its own on newer instances, and a second row is only counted.
                let by = text::name(by)?;
                let query = format!("{by}={}", text::value(value)?);
                let mut address = table_address(table, None)?;
                push_read_parameters(&mut address, RAW, &format!("sys_id,{by}"));
                push_query(&mut address, &query, REFERENCE_ROWS_MAX, false);
                read(address)
            }
        };
        let headers = headers(authorization, !body.is_empty());
        Ok(Request { method, origin: Arc::clone(origin), path_and_query, headers, body })
    }
}

pub(in super::super) fn headers((name, value): (HeaderName, HeaderValue), has_body: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert("user-agent", HeaderValue::from_static(USER_AGENT));
    headers.insert("accept", HeaderValue::from_static("application/json"));
    if has_body {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    headers.insert(name, value);
    headers
}

/// The values of `sysparm_display_value`: what is stored, or that and what people see.
pub(super) const RAW: &str = "false";
const RAW_AND_SHOWN: &str = "all";

pub(super) fn table_address(table: &str, sys_id: Option<&SysId>) -> Result<String, UnsafeText> {
    let mut address = String::with_capacity(512);
    address.push_str("/api/now/table/");
    address.push_str(text::name(table)?);
    if let Some(sys_id) = sys_id {
        address.push('/');
        address.push_str(sys_id.as_str());
    }
    Ok(address)
}

pub(super) fn push_read_parameters(address: &mut String, values: &str, columns: &str) {
    address.push_str("?sysparm_display_value=");
    address.push_str(values);
    address.push_str("&sysparm_exclude_reference_link=true&sysparm_fields=");
    address.push_str(columns);
}

pub(super) fn push_ticket_columns(address: &mut String, columns: &[&str]) -> Result<(), UnsafeText> {
    push_read_parameters(address, RAW_AND_SHOWN, FIELDS_ALWAYS);
    push_columns(address, FIELDS_OF_A_TICKET.split(',').chain(columns.iter().copied()))
}

/// Appends columns to those that are always asked for.
fn push_columns<'a>(address: &mut String, columns: impl Iterator<Item = &'a str>) -> Result<(), UnsafeText> {
    for column in columns {
        let column = text::name(column)?;
        if !FIELDS_ALWAYS.split(',').any(|always| always == column) {
            address.push(',');
            address.push_str(column);
        }
    }
    Ok(())
}

/// The address of a write. It asks for the written columns back, and those that its caller names: the first are
/// compared, and the rest of the customer's record stays where it is. An address that would grow too long asks for the
/// whole record.
fn write_address(mut address: String, fields: &Fields, also: &[&str]) -> Result<String, UnsafeText> {
    address
        .push_str("?sysparm_input_display_value=false&sysparm_display_value=false&sysparm_exclude_reference_link=true");
    let plain = address.len();
    address.push_str("&sysparm_fields=");
    address.push_str(FIELDS_ALWAYS);
    let written = fields.iter().map(|(field, _)| field.as_str());
    let beside = also.iter().copied().filter(|also| fields.iter().all(|(field, _)| field != also));
    push_columns(&mut address, written.chain(beside))?;
    if address.len() > ADDRESS_CHARS_MAX {
        address.truncate(plain);
    }
    Ok(address)
}

/// The fields as one JSON object. A field named twice is sent twice; ServiceNow takes the last one.
fn json_object(fields: &Fields) -> Vec<u8> {
    let size: usize = fields.iter().map(|(field, value)| field.len() + value.len() + 8).sum();
    let mut body = Vec::with_capacity(size + 2);
    serde_json::Serializer::new(&mut body)
        .collect_map(fields.iter().map(|(field, value)| (field, value)))
        .expect("texts as keys and values always serialise into memory");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(call: &Call<'_>) -> Result<Request, UnsafeText> {
        let authorization = (HeaderName::from_static("authorization"), HeaderValue::from_static("x"));
        call.spell(&"https://acme.service-now.com".into(), authorization)
    }

    fn check(call: &Call<'_>, expected: &str) {
        let said = match spelled(call) {
            Ok(request) => {
                let body = String::from_utf8(request.body).unwrap();
                format!("{} {} {body}", request.method.as_str(), request.path_and_query)
            }
            Err(refusal) => format!("refused: {refusal}"),
        };
        assert_eq!(said.trim_end(), expected);
    }

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_create_sends_raw_values_and_asks_only_for_what_it_wrote() {
        check(
            &Call::Create {
                table: "incident",
                fields: &fields(&[("urgency", "1"), ("short_description", "a \"b\"\n")]),
                also: &[],
            },
            "POST /api/now/table/incident?sysparm_input_display_value=false&sysparm_display_value=false\
             &sysparm_exclude_reference_link=true&sysparm_fields=sys_id,number,correlation_id,correlation_display,\
             sys_created_on,sys_updated_on,sys_created_by,sys_mod_count,state,urgency,short_description \
             {\"urgency\":\"1\",\"short_description\":\"a \\\"b\\\"\\n\"}",
        );
    }

    #[test]
    fn an_update_names_its_record() {
        check(
            &Call::Update {
                table: "incident",
                sys_id: &SysId::from_bits(7),
                fields: &fields(&[("state", "2"), ("urgency", "1")]),
                also: &["hold_reason", "urgency"],
            },
            "PATCH /api/now/table/incident/00000000000000000000000000000007?sysparm_input_display_value=false\
             &sysparm_display_value=false&sysparm_exclude_reference_link=true&sysparm_fields=sys_id,number,\
             correlation_id,correlation_display,sys_created_on,sys_updated_on,sys_created_by,sys_mod_count,state,urgency,\
             hold_reason {\"state\":\"2\",\"urgency\":\"1\"}",
        );
    }

    #[test]
    fn reads_name_their_columns() {
        check(
            &Call::ReadOne { table: "incident", sys_id: &SysId::from_bits(7), fields: &["close_code"] },
            "GET /api/now/table/incident/00000000000000000000000000000007?sysparm_display_value=false\
             &sysparm_exclude_reference_link=true&sysparm_fields=sys_id,number,correlation_id,correlation_display,\
             sys_created_on,sys_updated_on,sys_created_by,sys_mod_count,state,close_code",
        );
        check(
            &Call::Correlated { table: "incident", correlation_id: "sg1-abc" },
            "GET /api/now/table/incident?sysparm_display_value=false&sysparm_exclude_reference_link=true\
             &sysparm_fields=sys_id,number,correlation_id,correlation_display,sys_created_on,sys_created_by,\
             sys_mod_count,state\
             &sysparm_no_count=true&sysparm_suppress_pagination_header=true&sysparm_limit=3\
             &sysparm_query=correlation_id%3Dsg1-abc%5EORDERBYsys_created_on",
        );
        check(
            &Call::Reference { table: "sys_user_group", by: "name", value: "AV^Support & more" },
            "GET /api/now/table/sys_user_group?sysparm_display_value=false&sysparm_exclude_reference_link=true\
             &sysparm_fields=sys_id,name&sysparm_no_count=true&sysparm_suppress_pagination_header=true\
             &sysparm_limit=2&sysparm_query=name%3DAV%5E%5ESupport%20%26%20more",
        );
    }

    #[test]
    fn tickets_are_read_raw_and_as_people_see_them() {
        check(
            &Call::ReadTicket {
                table: "incident",
                sys_id: &SysId::from_bits(7),
                columns: &["assigned_to"],
                history: true,
            },
            "GET /api/now/table/incident/00000000000000000000000000000007?sysparm_display_value=all\
             &sysparm_exclude_reference_link=true&sysparm_fields=sys_id,number,correlation_id,correlation_display,\
             sys_created_on,sys_updated_on,sys_created_by,sys_mod_count,state,opened_at,assigned_to,comments,work_notes",
        );
    }

    #[test]
    fn what_could_mean_something_else_is_refused() {
        for call in [
            Call::Create { table: "incident/../sys_user", fields: &[], also: &[] },
            Call::Create { table: "incident", fields: &fields(&[("a,b", "1")]), also: &[] },
            Call::Create { table: "incident", fields: &[], also: &["a,b"] },
            Call::ReadTicket { table: "incident", sys_id: &SysId::from_bits(7), columns: &["a&b"], history: false },
            Call::Correlated { table: "incident", correlation_id: "x^ORactive=true" },
            Call::Reference { table: "sys_user_group", by: "name=x^OR", value: "y" },
            Call::Reference { table: "sys_user_group", by: "name", value: "javascript:gs.getUserID()" },
        ] {
            assert!(spelled(&call).is_err(), "{call:?}");
        }
    }

    #[test]
    fn an_address_never_grows_until_it_is_refused() {
        let many: Vec<_> = (0..200).map(|at| (format!("u_a_rather_long_column_{at}"), "1".to_owned())).collect();
        let request = spelled(&Call::Create { table: "incident", fields: &many, also: &["state"] }).unwrap();
        assert!(request.path_and_query.len() <= ADDRESS_CHARS_MAX);
        assert!(!request.path_and_query.contains("sysparm_fields"));
    }

    #[test]
    fn a_call_says_who_it_is_and_keeps_no_session() {
        let request = spelled(&Call::Create { table: "incident", fields: &[], also: &[] }).unwrap();
        assert!(request.headers["user-agent"].to_str().unwrap().starts_with("snowgate/"));
        assert_eq!(request.headers["accept"], "application/json");
        assert_eq!(request.headers["content-type"], "application/json");
        assert!(!request.headers.contains_key("cookie"));
    }
}
