//! Lists: which rows are read, and how many (`facts/servicenow.md` 1.2 and 6.2).
//!
//! Owns: the addresses of lists, those of the Attachment API among them. Never: believes that a short page is the last
//! one. Fails: with [`UnsafeText`] for a name that is none. Proved by: the spellings here.

use super::calls::{RAW, push_read_parameters, push_ticket_columns, table_address};
use super::query::Query;
use super::text::{self, UnsafeText, push_encoded};

/// A list to be read.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Of what.
    pub of: Listed<'a>,
    /// Which of them, and in which order.
    pub query: &'a Query,
    /// How many at most. Hidden rows count: a page may be short, or empty, although more rows follow.
    pub rows_max: usize,
    /// How many to pass over first.
    pub skip: usize,
    /// Whether to be told how many there are in all.
    pub count: bool,
}

/// What is listed.
#[derive(Clone, Copy, Debug)]
pub enum Listed<'a> {
    /// Tickets of a table, raw and as people see them, with these columns beside those that are always read.
    Tickets(&'a str, &'a [&'a str]),
    /// Records of any table, raw, with these columns beside their key.
    Records(&'a str, &'a [&'a str]),
    /// Entries of journals.
    Journal,
    /// What is known of attached files.
    Attachments,
}

impl Rows<'_> {
    /// The address, with everything in it escaped.
    pub(super) fn address(&self) -> Result<String, UnsafeText> {
        let mut address = match self.of {
            Listed::Tickets(table, columns) => {
                let mut address = table_address(table, None)?;
                push_ticket_columns(&mut address, columns)?;
                address
            }
            Listed::Records(table, columns) => {
                let mut address = table_address(table, None)?;
                push_read_parameters(&mut address, RAW, "sys_id");
                for column in columns {
                    address.push(',');
                    address.push_str(text::name(column)?);
                }
                address
            }
            Listed::Journal => {
                let mut address = table_address("sys_journal_field", None)?;
                push_read_parameters(
                    &mut address,
                    RAW,
                    "sys_id,element_id,element,value,sys_created_on,sys_created_by",
                );
                address
            }
            // The Attachment API knows no choice of columns; an attachment's are few.
            Listed::Attachments => "/api/now/attachment?sysparm_display_value=false".to_owned(),
        };
        push_query(&mut address, self.query.as_str(), self.rows_max, self.count);
        if self.skip > 0 {
            address.push_str("&sysparm_offset=");
            address.push_str(&self.skip.to_string());
        }
        Ok(address)
    }
}

/// Appends the conditions of a list and its length.
pub(super) fn push_query(address: &mut String, query: &str, rows_max: usize, count: bool) {
    address.push_str(if count { "" } else { "&sysparm_no_count=true" });
    address.push_str("&sysparm_suppress_pagination_header=true&sysparm_limit=");
    address.push_str(&rows_max.to_string());
    address.push_str("&sysparm_query=");
    push_encoded(address, query);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_name_their_columns_their_conditions_and_their_length() {
        let query = Query::new().is("active", "true").unwrap();
        let rows = |of| Rows { of, query: &query, rows_max: 50, skip: 0, count: false };
        assert_eq!(
            rows(Listed::Tickets("incident", &["active"])).address().unwrap(),
            "/api/now/table/incident?sysparm_display_value=all&sysparm_exclude_reference_link=true\
             &sysparm_fields=sys_id,number,correlation_id,correlation_display,sys_created_on,sys_updated_on,\
             sys_created_by,sys_mod_count,state,opened_at,active&sysparm_no_count=true\
             &sysparm_suppress_pagination_header=true&sysparm_limit=50&sysparm_query=active%3Dtrue",
        );
        assert_eq!(
            rows(Listed::Records("incident", &["number", "active"])).address().unwrap(),
            "/api/now/table/incident?sysparm_display_value=false&sysparm_exclude_reference_link=true\
             &sysparm_fields=sys_id,number,active&sysparm_no_count=true&sysparm_suppress_pagination_header=true\
             &sysparm_limit=50&sysparm_query=active%3Dtrue",
        );
        assert_eq!(
            rows(Listed::Journal).address().unwrap(),
            "/api/now/table/sys_journal_field?sysparm_display_value=false&sysparm_exclude_reference_link=true\
             &sysparm_fields=sys_id,element_id,element,value,sys_created_on,sys_created_by&sysparm_no_count=true\
             &sysparm_suppress_pagination_header=true&sysparm_limit=50&sysparm_query=active%3Dtrue",
        );
        assert_eq!(
            Rows { skip: 50, count: true, ..rows(Listed::Attachments) }.address().unwrap(),
            "/api/now/attachment?sysparm_display_value=false&sysparm_suppress_pagination_header=true\
             &sysparm_limit=50&sysparm_query=active%3Dtrue&sysparm_offset=50",
        );
        assert!(rows(Listed::Tickets("incident/x", &[])).address().is_err());
        assert!(rows(Listed::Tickets("incident", &["a,b"])).address().is_err());
    }
}
