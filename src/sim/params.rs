//! The `sysparm_…` parameters of a call.
//!
//! Owns: reading them with their defaults. Never: acts on them. Fails: a number that is none, or a negative offset.
//! Proved by: `tests`. Source: "Table API" reference, query parameters (facts/servicenow 1.2).

use super::errors::Refusal;
use super::message;
use crate::limits::SIM_PAGE_ROWS_DEFAULT;

/// How values are shown (facts/servicenow 1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Display {
    /// Stored values: `false`.
    #[default]
    Raw,
    /// Labels: `true`.
    Shown,
    /// Both: `all`.
    Both,
}

/// The parameters of one call.
#[expect(clippy::struct_excessive_bools, reason = "each is one independent yes/no parameter of the API")]
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    pub(super) query: Option<String>,
    /// `field=value` pairs, the alternative to `sysparm_query`.
    pub(super) pairs: Vec<(String, String)>,
    pub(super) fields: Option<Vec<String>>,
    pub(super) display: Display,
    pub(super) exclude_link: bool,
    pub(super) input_display: bool,
    pub(super) limit: usize,
    pub(super) offset: usize,
    pub(super) no_count: bool,
    pub(super) suppress_pagination: bool,
}

impl Params {
    pub(super) fn parse(query: &str) -> Result<Self, Refusal> {
        let mut params = Self { limit: SIM_PAGE_ROWS_DEFAULT, ..Self::default() };
        for (name, value) in message::pairs(query) {
            params.take(&name, value)?;
        }
        Ok(params)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), Refusal> {
        let yes = value.eq_ignore_ascii_case("true");
        let number = || value.parse::<usize>().map_err(|_| Refusal::bad_parameter(name));
        match name {
            "sysparm_query" => self.query = Some(value),
            "sysparm_fields" if !value.is_empty() => {
                self.fields = Some(value.split(',').map(|field| field.trim().to_owned()).collect());
            }
            "sysparm_display_value" => {
                // Without regard to case: pysnow sends Python's `True` and real instances take it.
                self.display = match value.to_ascii_lowercase().as_str() {
                    "all" => Display::Both,
                    "true" => Display::Shown,
                    _ => Display::Raw,
                };
            }
            "sysparm_exclude_reference_link" => self.exclude_link = yes,
            "sysparm_input_display_value" => self.input_display = yes,
            "sysparm_limit" => self.limit = number()?,
            "sysparm_offset" => self.offset = number()?,
            "sysparm_no_count" => self.no_count = yes,
            "sysparm_suppress_pagination_header" => self.suppress_pagination = yes,
            // Views, query categories and parameters of other releases change nothing we show.
            name if name.starts_with("sysparm_") => {}
            name => self.pairs.push((name.to_owned(), value)),
        }
        Ok(())
    }
}
