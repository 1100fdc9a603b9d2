//! Finding the record's key in text that is no JSON: templates whose quotes broke, forms, XML, links.
//!
//! Owns: what counts as a label and what may stand between a label and its value: punctuation, `%22` and `&quot;`. Never:
//! takes a part of a longer word for a key. Fails: it finds nothing. Proved by: the tests of `sighting`.

use super::snapshot::table_name;
use crate::domain::id::SysId;
use crate::limits::SIGHTING_LABEL_GAP_BYTES_MAX;

const SYS_ID_CHARS: usize = 32;
/// `&`-entities are at most this long, with their semicolon: `quot;`, `#34;`, `#x0022;`.
const ENTITY_BYTES_MAX: usize = 7;

/// The first key that is labelled as the record's own.
pub(super) fn labelled_sys_id(text: &str) -> Option<SysId> {
    ["record_id", "sys_id", "sysid"].iter().find_map(|label| {
        values_of(text, label).find_map(|rest| {
            let word = leading_word(rest);
            sys_id(word)
        })
    })
}

/// The table, if it is labelled.
pub(super) fn labelled_table(text: &str) -> Option<String> {
    let labels = ["table", "table_name", "sys_class_name"];
    labels.iter().find_map(|label| values_of(text, label).find_map(|rest| table_name(leading_word(rest))))
}

/// The only word of the text that has the form of a key.
pub(super) fn only_sys_id(text: &str) -> Option<SysId> {
    let mut found = None;
    for word in text.split(|c: char| !is_word(c)) {
        let Some(sys_id) = sys_id(word) else { continue };
        match &found {
            Some(other) if *other != sys_id => return None,
            Some(_) | None => found = Some(sys_id),
        }
    }
    found
}

/// A key as a whole word. Tools that print in capitals mean the same key.
fn sys_id(word: &str) -> Option<SysId> {
    (word.len() == SYS_ID_CHARS).then(|| SysId::parse(&word.to_ascii_lowercase()).ok()).flatten()
}

/// What follows each place where this label stands as a whole word, behind what separates them.
fn values_of<'a>(text: &'a str, label: &'static str) -> impl Iterator<Item = &'a str> {
    let bytes = text.as_bytes();
    let starts = (0..bytes.len()).filter(move |&at| {
        let here = bytes.get(at..at + label.len()).is_some_and(|word| word.eq_ignore_ascii_case(label.as_bytes()));
        here && text.get(..at).is_some_and(ends_word)
    });
    starts.filter_map(move |at| {
        let rest = text.get(at + label.len()..)?;
        if rest.starts_with(is_word) { None } else { Some(behind_gap(rest)) }
    })
}

/// Whether a word may begin behind this text: its last character is none of a word, or part of an escape.
fn ends_word(before: &str) -> bool {
    let escape = before.len().checked_sub(3).and_then(|at| before.get(at..)).is_some_and(|end| end.starts_with('%'));
    escape || !before.ends_with(is_word)
}

/// The text behind punctuation, escapes such as `%3A`, and entities such as `&quot;`.
fn behind_gap(text: &str) -> &str {
    let mut rest = text;
    while text.len() - rest.len() < SIGHTING_LABEL_GAP_BYTES_MAX {
        rest = match rest.chars().next() {
            Some('%') => after_escape(rest),
            Some('&') => after_entity(rest),
            Some(c) if !is_word(c) => rest.get(c.len_utf8()..).unwrap_or_default(),
            Some(_) | None => return rest,
        };
    }
    rest
}

fn after_escape(text: &str) -> &str {
    let escape = text.get(1..3).is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.get(if escape { 3 } else { 1 }..).unwrap_or_default()
}

fn after_entity(text: &str) -> &str {
    // Only a few bytes are looked at: `&sys_id&sys_id…` must not be searched to its end again and again.
    let name = text.get(1..).unwrap_or_default().bytes().take(ENTITY_BYTES_MAX);
    let end = name
        .clone()
        .position(|byte| byte == b';')
        .filter(|&end| end > 0 && name.take(end).all(|byte| byte == b'#' || byte.is_ascii_alphanumeric()));
    text.get(end.map_or(1, |end| end + 2)..).unwrap_or_default()
}

fn leading_word(text: &str) -> &str {
    text.split(|c: char| !is_word(c)).next().unwrap_or_default()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
