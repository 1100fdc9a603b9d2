//! `snowgate schema`: the JSON Schema of a file, for editors that complete and check while one types.

use super::print::Printer;
use super::{DONE, SchemaOf};
use crate::{app, mapping, settings};

pub(super) fn run(of: SchemaOf, printer: &Printer) -> u8 {
    let schema = match of {
        SchemaOf::Mapping => mapping::schema(),
        SchemaOf::Source => mapping::source_schema(),
        SchemaOf::Tenant => settings::schema::tenant().clone(),
        SchemaOf::Settings => settings::schema::settings().clone(),
        SchemaOf::Openapi => app::openapi().clone(),
    };
    printer.line(format_args!("{schema:#}"));
    DONE
}
