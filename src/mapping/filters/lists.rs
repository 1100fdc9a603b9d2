//! Filters that look into the records of a list: what Jinja calls `map(attribute=…)`, `selectattr` and `rejectattr`.
//!
//! Owns: dotted attributes, and which records stay. Never: keeps a record that is not there. Fails: with a message that names the filter.
//! Proved by: the tests here, and in `expression`, where `map` is compared with the engine.

use minijinja::Error;
use minijinja::value::Value;

use super::{is_absent, refuse, word};

/// A field of a record, or of a record inside it: `labels.instance`.
fn attribute(record: &Value, dotted: &str) -> Value {
    let mut value = record.clone();
    for name in dotted.split('.') {
        value = value.get_attr(name).unwrap_or(Value::UNDEFINED);
    }
    value
}

/// That field of every record that has it.
pub(crate) fn map(value: &Value, dotted: &str) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let picked = value.try_iter()?.map(|record| attribute(&record, dotted));
    Ok(picked.filter(|item| !is_absent(item)).collect())
}

/// The records of which this holds (`selectattr`), or does not (`rejectattr`): `('status', 'equalto', 'firing')`, or `('note')` for records
/// where it is neither absent nor empty.
pub(super) fn select(name: &str, value: &Value, arguments: &[Value], wanted: bool) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let dotted = word(arguments, 0)?;
    let equal = match arguments {
        [_] => None,
        [_, test, to] if matches!(test.as_str(), Some("equalto" | "eq" | "==")) => Some(to),
        [..] => return Err(refuse(format!("`{name}` compares with `equalto`: `{name}('status', 'equalto', 'firing')`"))),
    };
    let holds = |record: &Value| {
        let found = attribute(record, dotted);
        equal.map_or_else(|| found.is_true(), |equal| found == *equal)
    };
    Ok(value.try_iter()?.filter(|record| holds(record) == wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn alerts() -> Value {
        Value::from_serialize(json!([
            {"status": "firing", "labels": {"instance": "a"}, "note": ""},
            {"status": "resolved", "labels": {"instance": "b"}, "note": "x"},
            {"status": "firing", "labels": null},
        ]))
    }

    #[test]
    fn records_are_chosen_by_what_they_say() {
        let names = |list: &Value| map(list, "labels.instance").unwrap().to_string();
        let select = |arguments: &[&str], wanted| {
            let arguments: Vec<Value> = arguments.iter().map(|text| Value::from(*text)).collect();
            select("selectattr", &alerts(), &arguments, wanted)
        };
        let firing = select(&["status", "equalto", "firing"], true).unwrap();
        assert_eq!((firing.len(), names(&firing)), (Some(2), r#"["a"]"#.to_owned()));
        assert_eq!(names(&select(&["status", "equalto", "firing"], false).unwrap()), r#"["b"]"#);
        assert_eq!(names(&select(&["note"], true).unwrap()), r#"["b"]"#);
        assert_eq!(names(&select(&["labels.instance", "equalto", "a"], true).unwrap()), r#"["a"]"#);
        assert!(select(&["status", "above", "1"], true).is_err());
        assert!(select_nothing().is_undefined());
    }

    fn select_nothing() -> Value {
        select("selectattr", &Value::UNDEFINED, &[Value::from("status")], true).unwrap()
    }
}
