//! Reading the body of a write.
//!
//! Owns: JSON, and the single-quoted JSON that the platform's own documentation samples use.
//! Never: XML (not simulated). Fails: with `Exception while reading request`. Proved by: the table below.

use serde_json::{Map, Value};

use super::errors::Refusal;

/// The record a body describes; of an array, the first (KB0534905 Q4).
pub(super) fn record(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let text = String::from_utf8_lossy(body);
    let value: Value = serde_json::from_str(&text)
        .or_else(|error| serde_json::from_str(&double_quoted(&text)).map_err(|_| error))
        .map_err(|error| Refusal::unreadable_body(&error.to_string()))?;
    match value {
        Value::Object(record) => Ok(record),
        Value::Array(records) => match records.into_iter().next() {
            Some(Value::Object(record)) => Ok(record),
            Some(_) | None => Err(Refusal::unreadable_body("expected a JSON object")),
        },
        _ => Err(Refusal::unreadable_body("expected a JSON object")),
    }
}

/// Rewrites `{'a':'b "c"'}` as `{"a":"b \"c\""}`; text inside double quotes is left alone.
fn double_quoted(text: &str) -> String {
    let mut rewritten = String::with_capacity(text.len());
    let mut open: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (open, letter) {
            (None, '\'' | '"') => {
                open = Some(letter);
                rewritten.push('"');
            }
            (Some(quote), letter) if letter == quote => {
                open = None;
                rewritten.push('"');
            }
            (Some(_), '\\') => match letters.next() {
                Some('\'') => rewritten.push('\''),
                Some(escaped) => rewritten.extend(['\\', escaped]),
                None => rewritten.push('\\'),
            },
            (Some('\''), '"') => rewritten.push_str("\\\""),
            (_, letter) => rewritten.push(letter),
        }
    }
    rewritten
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Option<&str>) {
        let record = record(body.as_bytes()).ok().map(|record| Value::Object(record).to_string());
        assert_eq!(record.as_deref(), expected, "{body}");
    }

    #[test]
    fn bodies_are_read_leniently() {
        check(r#"{"a":"b"}"#, Some(r#"{"a":"b"}"#));
        check(r"{'a':'it\'s','c':'d'}", Some(r#"{"a":"it's","c":"d"}"#));
        check(r#"{'a':'say "x"'}"#, Some(r#"{"a":"say \"x\""}"#));
        check(r#"[{"a":"1"},{"a":"2"}]"#, Some(r#"{"a":"1"}"#));
        check("", Some("{}"));
        check("{", None);
        check("3", None);
    }
}
