//! The filters and tests a mapping can use: an allow-list, each with a bound on what it gives back.
//!
//! Owns: their names, their arguments and their meaning. A value that is not there passes through every filter untouched, so
//! that `default` works at the end of a chain. Never: reads a clock or a locale.
//! Fails: with a message that names the filter; the delivery is then parked. Proved by: the tests of
//! `apply`, and `an_expression_cannot_run_away` in `expression`.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use crate::limits::FILTER_OUTPUT_CHARS_MAX;

mod html;

/// How a filter computes: from a value and its arguments.
pub(crate) type Apply = fn(&Value, &[Value]) -> Result<Value, Error>;

/// A filter: its name, the fewest and the most arguments, and what it does.
pub(crate) struct Filter {
    pub(crate) name: &'static str,
    pub(crate) arguments: (usize, usize),
    pub(crate) apply: Apply,
}

const fn filter(name: &'static str, arguments: (usize, usize), apply: Apply) -> Filter {
    Filter { name, arguments, apply }
}

/// Every filter; explained in `docs/mapping.md`.
pub(crate) const FILTERS: &[Filter] = &[
    filter("capitalize", (0, 0), |value, _| text_filter(value, capitalized)),
    filter("cut", (1, 1), cut),
    filter("date", (0, 0), |value, _| time_filter(value, DATE)),
    filter("datetime", (0, 0), |value, _| time_filter(value, DATETIME)),
    filter("default", (1, 2), |value, arguments| Ok(default(value, arguments))),
    filter("first", (0, 0), |value, _| edge(value, false)),
    filter("html_to_text", (0, 0), |value, _| text_filter(value, html::to_text)),
    filter("int", (0, 0), |value, _| int(value)),
    filter("join", (0, 1), join),
    filter("last", (0, 0), |value, _| edge(value, true)),
    filter("length", (0, 0), |value, _| length(value)),
    filter("lines", (0, 0), |value, _| lines(value)),
    filter("lower", (0, 0), |value, _| text_filter(value, str::to_lowercase)),
    filter("map", (1, 1), |value, arguments| map(value, word(arguments, 0)?)),
    filter("replace", (2, 2), |value, arguments| replace(value, word(arguments, 0)?, word(arguments, 1)?)),
    filter("selectattr", (1, 3), select),
    filter("split", (1, 1), |value, arguments| split(value, word(arguments, 0)?)),
    filter("string", (0, 0), |value, _| text_filter(value, str::to_owned)),
    filter("time", (0, 0), |value, _| time(value)),
    filter("trim", (0, 0), |value, _| text_filter(value, |text| text.trim().to_owned())),
    filter("truncate", (1, 1), cut),
    filter("unique", (0, 0), |value, _| unique(value)),
    filter("upper", (0, 0), |value, _| text_filter(value, str::to_uppercase)),
];

/// The zero of Go and .NET.
const ZERO_DAY: &str = "0001-01-01";
/// As seconds this would be the year 5138, as milliseconds it is 1973.
const MILLIS_FROM: u64 = 100_000_000_000;
/// How ServiceNow writes a day.
const DATE: &str = "%Y-%m-%d";
/// How ServiceNow writes a moment, in UTC.
const DATETIME: &str = "%Y-%m-%d %H:%M:%S";

/// A test, with the number of its arguments.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) arguments: usize,
}

/// Every test; explained in `docs/mapping.md`.
pub(crate) const TESTS: &[Test] = &[
    Test { name: "defined", arguments: 0 },
    Test { name: "endingwith", arguments: 1 },
    Test { name: "none", arguments: 0 },
    Test { name: "number", arguments: 0 },
    Test { name: "startingwith", arguments: 1 },
    Test { name: "string", arguments: 0 },
    Test { name: "undefined", arguments: 0 },
];

/// Puts them into the engine.
pub(crate) fn install(engine: &mut Environment<'_>) {
    for filter in FILTERS.iter().filter(|filter| filter.name != "map") {
        let apply = filter.apply;
        engine.add_filter(filter.name, move |value: &Value, arguments: Rest<Value>| apply(value, &arguments));
    }
    engine.add_filter("map", |value: &Value, named: Kwargs| {
        let attribute: String = named.get("attribute")?;
        named.assert_all_used()?;
        map(value, &attribute)
    });
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

/// An argument that must be text.
fn word(arguments: &[Value], place: usize) -> Result<&str, Error> {
    arguments.get(place).and_then(Value::as_str).ok_or_else(|| refuse("this argument must be text"))
}

/// Whether there is no value; the model knows no difference between absent and null.
pub(crate) fn is_absent(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

/// A value as ServiceNow takes it: raw text. Lists are joined with commas; an object has no such form.
pub(crate) fn to_text(value: &Value) -> Result<Cow<'_, str>, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Cow::Borrowed(text));
    }
    let kind = value.kind();
    if is_absent(value) {
        Ok(Cow::Borrowed(""))
    } else if kind == ValueKind::Bool {
        Ok(Cow::Borrowed(if value.is_true() { "true" } else { "false" }))
    } else if kind == ValueKind::Number {
        Ok(number(value).into())
    } else if matches!(kind, ValueKind::Seq | ValueKind::Iterable) {
        joined(value, ",").map(Cow::Owned)
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

fn text_filter(value: &Value, change: impl Fn(&str) -> String) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    to_text(value).map(|text| Value::from(change(&text)))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters.flat_map(char::to_lowercase)).collect()
}

fn cut(value: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let chars = arguments.first().and_then(Value::as_usize).ok_or_else(|| refuse("the length must be a number"))?;
    text_filter(value, |text| text.chars().take(chars).collect())
}

fn default(value: &Value, arguments: &[Value]) -> Value {
    let falsy = arguments.get(1).is_some_and(Value::is_true);
    let missing = is_absent(value) || (falsy && !value.is_true());
    if missing { arguments.first().cloned().unwrap_or_default() } else { value.clone() }
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

fn join(value: &Value, arguments: &[Value]) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let separator = if arguments.is_empty() { ", " } else { word(arguments, 0)? };
    joined(value, separator).map(Value::from)
}

fn length(value: &Value) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::from(0));
    }
    let count = value.as_str().map(|text| text.chars().count()).or_else(|| value.len());
    count.map(Value::from).ok_or_else(|| refuse("`length` needs a text or a list"))
}

pub(crate) fn map(value: &Value, attribute: &str) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let picked = value.try_iter()?.map(|item| attribute_of(&item, attribute));
    Ok(picked.filter(|item| !is_absent(item)).collect())
}

/// A field by its name, or by dotted names a field inside it.
fn attribute_of(item: &Value, attribute: &str) -> Value {
    let steps = attribute.split('.').try_fold(item.clone(), |value, name| value.get_attr(name).ok());
    steps.unwrap_or(Value::UNDEFINED)
}

/// The items of a list of which a field is true, or equal to a value: `selectattr('status', 'equalto', 'firing')`.
fn select(value: &Value, arguments: &[Value]) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let attribute = word(arguments, 0)?;
    let wanted = match arguments {
        [_] => None,
        [_, test, wanted] if matches!(test.as_str(), Some("equalto" | "==")) => Some(wanted),
        _ => return Err(refuse("`selectattr` takes a field alone, or a field, 'equalto' and a value")),
    };
    let taken = |item: &Value| {
        let found = attribute_of(item, attribute);
        wanted.map_or_else(|| found.is_true(), |wanted| found == *wanted)
    };
    Ok(value.try_iter()?.filter(taken).collect())
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

/// A list of named values as text: one `name: value` a line.
fn lines(value: &Value) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let mut text = String::new();
    for name in value.try_iter()? {
        let named = value.get_item(&name)?;
        if is_absent(&named) {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        // What has no text form is shown as it was written.
        let said = to_text(&named).map_or_else(|_| named.to_string(), Cow::into_owned);
        text.push_str(&to_text(&name)?);
        text.push_str(": ");
        text.push_str(&said);
        capped("lines", text.len())?;
    }
    Ok(Value::from(text))
}

fn split(value: &Value, separator: &str) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    if separator.is_empty() {
        return Err(refuse("`split` needs something to look for"));
    }
    Ok(to_text(value)?.split(separator).map(Value::from).collect())
}

/// A time as the model writes it; absent for an empty text and for the zero of languages that know no absence.
fn time(value: &Value) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let stamp = moment(&to_text(value)?).map_err(refuse)?;
    Ok(stamp.map_or(Value::UNDEFINED, |stamp| Value::from(stamp.to_string())))
}

/// Reads a time: RFC 3339, the same without a zone (UTC), or seconds or milliseconds since 1970. The year 1 and 0 are no time.
pub(crate) fn moment(text: &str) -> Result<Option<jiff::Timestamp>, String> {
    let text = text.trim();
    let read = match text.parse::<i64>() {
        Ok(number) if number.unsigned_abs() >= MILLIS_FROM => jiff::Timestamp::from_millisecond(number).ok(),
        Ok(number) => jiff::Timestamp::from_second(number).ok(),
        Err(_) => text.parse().ok().or_else(|| {
            let civil: Option<jiff::civil::DateTime> = text.parse().ok().filter(|_| text.contains(':'));
            civil?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        }),
    };
    match read {
        _ if text.is_empty() || text.starts_with(ZERO_DAY) => Ok(None),
        Some(stamp) if stamp == jiff::Timestamp::UNIX_EPOCH => Ok(None),
        Some(stamp) => Ok(Some(stamp)),
        None => Err(format!("`{text}` is not a time such as 2026-11-22T06:00:00Z")),
    }
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
