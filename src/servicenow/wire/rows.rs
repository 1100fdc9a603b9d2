//! Rows as they come back, and the envelope around them.
//!
//! A value may be a bare string, an object with `value` and perhaps `display_value` (where both were asked for, or a
//! parameter was ignored), or, from scripted endpoints, a number or a boolean: all become text. What has no text (lists, objects without a value) is
//! left out, as a column that did not come back. Every answer is foreign input: sizes are capped before, keys are
//! checked here.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::domain::id::SysId;

/// The columns every read and every write asks for.
pub const FIELDS_ALWAYS: &str =
    "sys_id,number,correlation_id,correlation_display,sys_created_on,sys_updated_on,sys_created_by,sys_mod_count,state";

/// One record, as far as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub sys_id: SysId,
    /// What people call it; empty if the table has none or it did not come back.
    pub number: String,
    /// Every column that came back, `sys_id` and `number` among them, as raw text.
    pub fields: BTreeMap<String, String>,
    /// What people see in a column, where that was asked for and is not the raw text itself.
    pub displays: BTreeMap<String, String>,
}

impl Row {
    /// A column's raw text; `None` if the column did not come back.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// The key that a column refers to, if it holds one.
    pub fn key(&self, field: &str) -> Option<SysId> {
        SysId::parse(&self.get(field)?.to_ascii_lowercase()).ok()
    }

    fn of(Cells { fields, displays }: Cells) -> Option<Self> {
        let sys_id = SysId::parse(&fields.get("sys_id")?.to_ascii_lowercase()).ok()?;
        let number = fields.get("number").cloned().unwrap_or_default();
        Some(Self { sys_id, number, fields, displays })
    }
}

/// What an answer's body says, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The rows of `result`, if there was one; the inner `None` is a row without a usable `sys_id`.
    pub rows: Option<Vec<Option<Row>>>,
    /// The `error`, if there was one.
    pub error: Option<Said>,
}

/// What an error envelope says.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// The kind of error, such as `Operation Failed`.
    #[serde(default)]
    pub message: Option<String>,
    /// The particulars.
    #[serde(default)]
    pub detail: Option<String>,
}

impl Envelope {
    /// Reads a body; `None` if it is not a JSON object.
    pub fn read(body: &[u8]) -> Option<Self> {
        // A list could stand for an object's fields in order; ServiceNow never means that.
        body.iter().find(|byte| !byte.is_ascii_whitespace()).filter(|first| **first == b'{')?;
        let spelled: Spelled = serde_json::from_slice(body).ok()?;
        let rows = spelled.result.map(|rows| rows.0.into_iter().map(Row::of).collect());
        Some(Self { rows, error: spelled.error.map(|error| error.0) })
    }
}

#[derive(Deserialize)]
struct Spelled {
    #[serde(default)]
    result: Option<Rows>,
    #[serde(default)]
    error: Option<Error>,
}

/// `{message, detail}`, or anything else in its place, such as the bare text of a scripted endpoint.
struct Error(Said);

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let said = match value {
            serde_json::Value::String(text) => Said { message: Some(text), detail: None },
            other => Said::deserialize(other).unwrap_or_default(),
        };
        Ok(Self(said))
    }
}

/// One row or a list of rows.
struct Rows(Vec<Cells>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row or a list of rows")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rows, A::Error> {
                Ok(Rows(vec![Cells::collect(map)?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
                std::iter::from_fn(|| list.next_element().transpose()).collect::<Result<_, _>>().map(Rows)
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// The cells of one row that have a text.
#[derive(Default)]
struct Cells {
    fields: BTreeMap<String, String>,
    displays: BTreeMap<String, String>,
}

impl Cells {
    fn collect<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut cells = Self::default();
        while let Some((column, cell)) = map.next_entry::<String, Cell>()? {
            let Some(text) = cell.text else { continue };
            if let Some(shown) = cell.shown.filter(|shown| *shown != text) {
                cells.displays.insert(column.clone(), shown);
            }
            cells.fields.insert(column, text);
        }
        Ok(cells)
    }
}

impl<'de> Deserialize<'de> for Cells {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;
        impl<'de> Visitor<'de> for RowVisitor {
            type Value = Cells;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Cells, A::Error> {
                Cells::collect(map)
            }
        }
        deserializer.deserialize_map(RowVisitor)
    }
}

/// A cell's raw text, if it has one, and what people see, if that was told.
#[derive(Default)]
struct Cell {
    text: Option<String>,
    shown: Option<String>,
}

impl Cell {
    const fn of(text: String) -> Self {
        Self { text: Some(text), shown: None }
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::of(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::of(text))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::of(String::new()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Cell, E> {
        Ok(Cell::of(truth.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::of(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
        Ok(Cell::of(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
        Ok(Cell::of(number.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::default())
    }

    /// `{"value": …, "link": …}` or `{"display_value": …, "value": …}`: the raw value is the text.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        let mut cell = Cell::default();
        while let Some(part) = map.next_key::<String>()? {
            match part.as_str() {
                "value" => cell.text = map.next_value::<Cell>()?.text,
                "display_value" => cell.shown = map.next_value::<Cell>()?.text,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "699ec6375df7c9b27e8f0009f87025b7";

    fn only_row(json: &str) -> Row {
        let mut rows = Envelope::read(json.as_bytes()).unwrap().rows.unwrap();
        assert_eq!(rows.len(), 1);
        rows.remove(0).unwrap()
    }

    #[test]
    fn every_shape_of_a_value_becomes_its_raw_text() {
        let row = only_row(&format!(
            r#"{{"result":{{"sys_id":"{ID}","number":"INC1","state":"2","caller_id":{{"link":"https://x","value":"abc"}},
                "group":{{"display_value":"AV","value":"def"}},"active":true,"count":7,"none":null,"list":["x",{{}}],
                "odd":{{"link":"x"}}}}}}"#
        ));
        assert_eq!((row.sys_id.as_str(), row.number.as_str()), (ID, "INC1"));
        for (field, text) in [
            ("state", Some("2")),
            ("caller_id", Some("abc")),
            ("group", Some("def")),
            ("active", Some("true")),
            ("count", Some("7")),
            ("none", Some("")),
            ("list", None),
            ("odd", None),
            ("unknown", None),
        ] {
            assert_eq!(row.get(field), text, "{field}");
        }
    }

    #[test]
    fn what_people_see_is_kept_where_it_says_something_else() {
        let row = only_row(&format!(
            r#"{{"result":{{"sys_id":{{"display_value":"{ID}","value":"{ID}"}},"state":{{"display_value":"In Progress","value":"2"}},
                "comments":{{"display_value":"history","value":""}},"close_code":{{"display_value":"","value":""}},
                "parent":{{"display_value":null,"value":null}}}}}}"#
        ));
        let shown: Vec<_> = row.displays.iter().map(|(field, text)| (field.as_str(), text.as_str())).collect();
        assert_eq!(shown, [("comments", "history"), ("state", "In Progress")]);
        assert_eq!((row.get("close_code"), row.get("parent"), row.get("comments")), (Some(""), Some(""), Some("")));
        assert_eq!((row.key("sys_id"), row.key("state")), (SysId::parse(ID).ok(), None));
    }

    #[test]
    fn one_row_and_a_list_of_rows_are_both_rows() {
        let list = format!(r#"{{"result":[{{"sys_id":"{ID}"}},{{"sys_id":"{}"}},{{"name":"x"}}]}}"#, ID.to_uppercase());
        let rows = Envelope::read(list.as_bytes()).unwrap().rows.unwrap();
        assert_eq!(rows.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(Envelope::read(br#"{"result":[]}"#).unwrap().rows, Some(vec![]));
    }

    #[test]
    fn an_error_is_read_beside_a_result_and_in_any_shape() {
        let both =
            Envelope::read(br#"{"result":[],"error":{"detail":null,"message":"cut"},"status":"failure"}"#).unwrap();
        assert_eq!((both.rows, both.error.unwrap().message), (Some(vec![]), Some("cut".to_owned())));
        for odd in [r#"{"error":"no"}"#, r#"{"error":{"message":7}}"#, r#"{"error":[]}"#, r#"{"error":{}}"#] {
            assert!(Envelope::read(odd.as_bytes()).unwrap().error.is_some(), "{odd}");
        }
        assert_eq!(Envelope::read(b"{}").unwrap(), Envelope::default());
    }

    #[test]
    fn what_is_not_json_or_too_deep_is_no_envelope() {
        let deep = format!(r#"{{"error":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for bad in [
            "",
            "<html>",
            "[]",
            "[{\"sys_id\":\"1\"}]",
            "\"x\"",
            r#"{"result":{"#,
            r#"{"result":7}"#,
            &deep,
            "\u{feff}{}",
        ] {
            assert_eq!(Envelope::read(bad.as_bytes()), None, "{bad}");
        }
    }
}
