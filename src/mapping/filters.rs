//! The filters and tests a mapping can use: an allow-list, each with a bound on what it gives back.
//!
//! Owns: their names, their arguments and their meaning. A value that is not there passes through every filter untouched, so
//! that `default` works at the end of a chain. Never: reads a clock or a locale.
//! Fails: with a message that names the filter; the delivery is then parked. Proved by: the tests here.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use crate::limits::FILTER_OUTPUT_CHARS_MAX;

/// What a filter takes.
pub(crate) struct Filter {
    pub(crate) name: &'static str,
    /// The fewest and the most arguments in parentheses.
    pub(crate) arguments: (usize, usize),
}

const fn filter(name: &'static str, least: usize, most: usize) -> Filter {
    Filter { name, arguments: (least, most) }
}

/// Every filter; explained in `docs/mapping.md`.
pub(crate) const FILTERS: &[Filter] = &[
    filter("capitalize", 0, 0),
    filter("cut", 1, 1),
    filter("date", 0, 0),
    filter("datetime", 0, 0),
    filter("default", 1, 2),
    filter("first", 0, 0),
    filter("int", 0, 0),
    filter("join", 0, 1),
    filter("last", 0, 0),
    filter("length", 0, 0),
    filter("lower", 0, 0),
    filter("map", 1, 1),
    filter("replace", 2, 2),
    filter("string", 0, 0),
    filter("trim", 0, 0),
    filter("truncate", 1, 1),
    filter("unique", 0, 0),
    filter("upper", 0, 0),
];

/// Every test; explained in `docs/mapping.md`.
pub(crate) const TESTS: &[Filter] = &[
    filter("defined", 0, 0),
    filter("endingwith", 1, 1),
    filter("none", 0, 0),
    filter("number", 0, 0),
    filter("startingwith", 1, 1),
    filter("string", 0, 0),
    filter("undefined", 0, 0),
];

/// Puts them into the engine.
pub(crate) fn install(engine: &mut Environment<'_>) {
    engine.add_filter("capitalize", |value: &Value| text_filter(value, |text| capitalized(&text)));
    engine.add_filter("cut", cut);
    engine.add_filter("date", |value: &Value| time_filter(value, "%Y-%m-%d"));
    engine.add_filter("datetime", |value: &Value| time_filter(value, "%Y-%m-%d %H:%M:%S"));
    engine.add_filter("default", default);
    engine.add_filter("first", |value: &Value| edge(value, false));
    engine.add_filter("int", int);
    engine.add_filter("join", join);
    engine.add_filter("last", |value: &Value| edge(value, true));
    engine.add_filter("length", length);
    engine.add_filter("lower", |value: &Value| text_filter(value, |text| text.to_lowercase()));
    engine.add_filter("map", map);
    engine.add_filter("replace", replace);
    engine.add_filter("string", |value: &Value| text_filter(value, |text| text));
    engine.add_filter("trim", |value: &Value| text_filter(value, |text| text.trim().to_owned()));
    engine.add_filter("truncate", cut);
    engine.add_filter("unique", unique);
    engine.add_filter("upper", |value: &Value| text_filter(value, |text| text.to_uppercase()));
    engine.add_test("defined", |value: &Value| !is_absent(value));
    engine.add_test("undefined", |value: &Value| is_absent(value));
    engine.add_test("none", |value: &Value| is_absent(value));
    engine.add_test("number", |value: &Value| value.is_number());
    engine.add_test("string", |value: &Value| value.as_str().is_some());
    engine.add_test("startingwith", |value: &Value, start: &str| {
        value.as_str().is_some_and(|text| text.starts_with(start))
    });
    engine.add_test("endingwith", |value: &Value, end: &str| value.as_str().is_some_and(|text| text.ends_with(end)));
}

/// Whether there is no value; the model knows no difference between absent and null.
pub(crate) fn is_absent(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

/// A value as ServiceNow takes it: raw text. Lists are joined with commas; an object has no such form.
pub(crate) fn to_text(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let kind = value.kind();
    if is_absent(value) {
        Ok(String::new())
    } else if kind == ValueKind::Bool {
        Ok(if value.is_true() { "true" } else { "false" }.to_owned())
    } else if kind == ValueKind::Number {
        Ok(number(value))
    } else if matches!(kind, ValueKind::Seq | ValueKind::Iterable) {
        joined(value, ",")
    } else {
        Err(refuse("this is an object, which has no text form"))
    }
}

/// Whole numbers without `.0`.
fn number(value: &Value) -> String {
    match (value.as_i64(), f64::try_from(value.clone())) {
        (Some(whole), _) => whole.to_string(),
        (None, Ok(fraction)) => fraction.to_string(),
        (None, Err(_)) => value.to_string(),
    }
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Refuses to build something unreasonably long; asked before it is built.
fn capped(name: &str, bytes: usize) -> Result<(), Error> {
    // A character has at most four bytes, so this never refuses what is allowed.
    if bytes > FILTER_OUTPUT_CHARS_MAX * 4 {
        return Err(refuse(format!("`{name}` would give back more than {FILTER_OUTPUT_CHARS_MAX} characters")));
    }
    Ok(())
}

fn text_filter(value: &Value, change: impl Fn(String) -> String) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    to_text(value).map(|text| Value::from(change(text)))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect())
}

fn cut(value: &Value, chars: usize) -> Result<Value, Error> {
    text_filter(value, |text| text.chars().take(chars).collect())
}

fn default(value: Value, other: Value, falsy: Option<bool>) -> Value {
    let missing = is_absent(&value) || (falsy == Some(true) && !value.is_true());
    if missing { other } else { value }
}

fn edge(value: &Value, last: bool) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    if let Some(text) = value.as_str() {
        let letter = if last { text.chars().next_back() } else { text.chars().next() };
        return Ok(letter.map_or(Value::UNDEFINED, |letter| Value::from(letter.to_string())));
    }
    let mut items = value.try_iter()?;
    Ok(if last { items.last() } else { items.next() }.unwrap_or(Value::UNDEFINED))
}

fn int(value: &Value) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let text = to_text(value)?;
    let text = text.trim();
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    whole.parse::<i64>().map(Value::from).map_err(|_| refuse(format!("`int`: `{text}` is not a number")))
}

fn joined(list: &Value, separator: &str) -> Result<String, Error> {
    let mut text = String::new();
    for (place, item) in list.try_iter()?.filter(|item| !is_absent(item)).enumerate() {
        if place > 0 {
            text.push_str(separator);
        }
        // An item is at most a text of the event, so checking after each is soon enough.
        text.push_str(&to_text(&item)?);
        capped("join", text.len())?;
    }
    Ok(text)
}

fn join(value: &Value, separator: Option<&str>) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    joined(value, separator.unwrap_or(", ")).map(Value::from)
}

fn length(value: &Value) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::from(0));
    }
    let count = value.as_str().map(|text| text.chars().count()).or_else(|| value.len());
    count.map(Value::from).ok_or_else(|| refuse("`length` needs a text or a list"))
}

#[expect(clippy::needless_pass_by_value, reason = "the engine hands keyword arguments over by value")]
fn map(value: &Value, named: Kwargs) -> Result<Value, Error> {
    let attribute: String = named.get("attribute")?;
    named.assert_all_used()?;
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let picked = value.try_iter()?.map(|item| item.get_attr(&attribute).unwrap_or(Value::UNDEFINED));
    Ok(picked.filter(|item| !is_absent(item)).collect())
}

fn replace(value: &Value, from: &str, to: &str) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    if from.is_empty() {
        return Err(refuse("`replace` needs something to look for"));
    }
    let text = to_text(value)?;
    capped("replace", text.len() + text.matches(from).count().saturating_mul(to.len()))?;
    Ok(Value::from(text.replace(from, to)))
}

fn unique(value: &Value) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let mut seen: Vec<Value> = Vec::new();
    for item in value.try_iter()? {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    Ok(seen.into_iter().collect())
}

/// RFC 3339 text, or seconds since 1970, as ServiceNow writes time: UTC, without a zone.
fn time_filter(value: &Value, format: &str) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let text = to_text(value)?;
    if text.is_empty() {
        return Ok(Value::from(""));
    }
    let stamp = match text.parse::<i64>() {
        Ok(seconds) => jiff::Timestamp::from_second(seconds),
        Err(_) => text.parse::<jiff::Timestamp>(),
    };
    let stamp = stamp.map_err(|_| refuse(format!("`{text}` is not a time such as 2026-11-22T06:00:00Z")))?;
    let mut written = String::new();
    write!(written, "{}", stamp.to_zoned(TimeZone::UTC).strftime(format)).map_err(|_| refuse("not a time"))?;
    Ok(Value::from(written))
}
