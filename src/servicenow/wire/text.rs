//! Text in addresses: percent encoding, and values inside an encoded query of ServiceNow.
//!
//! An encoded query has an operator alphabet of its own (`^`, `^OR`, `ORDERBY`, `javascript:`), and ServiceNow drops a
//! part it does not understand *and runs the rest*. So a value is either proved harmless or refused, never cleaned up.

use std::fmt::Write as _;

use crate::limits::LOOKUP_VALUE_CHARS_MAX;

/// Why a value must not stand in a query; says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeText {
    /// Not a table or column.
    #[error("`{0}` is not a name of a table or column: a-z, 0-9 and `_`, columns may be joined by `.`")]
    Name(String),
    /// Not one of our keys.
    #[error("a key in a query has only A-Z, a-z, 0-9, `_`, `.`, `:` and `-`")]
    Key,
    /// Not a moment.
    #[error("a moment in a query is UTC to the second, as in `2026-11-22 06:00:00`")]
    Moment,
    /// Not a value to look something up by.
    #[error("a value to look up has 1 to {LOOKUP_VALUE_CHARS_MAX} characters, no control characters, and is no script")]
    Value,
}

/// Accepts the name of a table or column; a column may be reached over references, as in `caller_id.email`.
pub fn name(text: &str) -> Result<&str, UnsafeText> {
    let word = |part: &str| {
        part.len() <= 80
            && part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if text.split('.').all(word) { Ok(text) } else { Err(UnsafeText::Name(text.chars().take(80).collect())) }
}

/// Accepts a key of our own making, which needs no escaping at all.
pub fn key(text: &str) -> Result<&str, UnsafeText> {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    if !text.is_empty() && text.bytes().all(harmless) { Ok(text) } else { Err(UnsafeText::Key) }
}

/// Accepts a moment as ServiceNow spells it raw: `2026-11-22 06:00:00`, UTC. Literals are compared as they are; the
/// script functions that make moments would be evaluated in the integration user's time zone.
pub fn moment(text: &str) -> Result<&str, UnsafeText> {
    const FORM: &[u8; 19] = b"0000-00-00 00:00:00";
    let fits = |(form, byte): (&u8, u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
    if text.len() == FORM.len() && FORM.iter().zip(text.bytes()).all(fits) { Ok(text) } else { Err(UnsafeText::Moment) }
}

/// Accepts a free text such as a group's name, with `^` doubled, which is how a query spells one `^`.
pub fn value(text: &str) -> Result<String, UnsafeText> {
    let text = text.trim();
    let script = text.get(..11).is_some_and(|start| start.eq_ignore_ascii_case("javascript:"));
    let length = text.chars().count();
    if length == 0 || length > LOOKUP_VALUE_CHARS_MAX || script || text.chars().any(char::is_control) {
        return Err(UnsafeText::Value);
    }
    Ok(text.replace('^', "^^"))
}

/// Appends `text` percent-encoded; only the unreserved characters of RFC 3986 stay as they are.
pub fn push_encoded(address: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            address.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(address, "%{byte:02X}").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_what_a_dictionary_allows() {
        for good in ["incident", "u_rooms_2", "caller_id.email", "sn_si_incident"] {
            assert_eq!(name(good), Ok(good));
        }
        for bad in ["", "Incident", "a-b", "a/b", "a?b", "..", "a.", ".a", "_a", "1a", "a b", &"x".repeat(81)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_never_need_escaping() {
        assert!(key("sg1-abc.DEF:9_").is_ok());
        for bad in ["", "a^b", "a b", "a=b", "é", "a\n", "javascript:x()"] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_digits_in_their_places() {
        assert!(moment("2026-11-22 06:00:00").is_ok());
        for bad in [
            "",
            "2026-11-22",
            "2026-11-22T06:00:00",
            "2026-11-22 06:00:00Z",
            "2026-11-22 06:00:0^",
            "javascript:gs.now()",
        ] {
            assert_eq!(moment(bad), Err(UnsafeText::Moment), "{bad}");
        }
    }

    #[test]
    fn a_value_cannot_end_its_condition() {
        assert_eq!(value("AV ^ Support"), Ok("AV ^^ Support".to_owned()));
        assert_eq!(value("^ORpriority=1"), Ok("^^ORpriority=1".to_owned()));
        assert_eq!(value("  Müller & Söhne "), Ok("Müller & Söhne".to_owned()));
        for bad in ["", "  ", "javascript:gs.x()", " JavaScript:1", "a\nb", "a\0", &"x".repeat(256)] {
            assert_eq!(value(bad), Err(UnsafeText::Value), "{bad}");
        }
    }

    #[test]
    fn only_unreserved_characters_stay_bare() {
        let mut address = String::new();
        push_encoded(&mut address, "a-Z_0.~ &^=é%");
        assert_eq!(address, "a-Z_0.~%20%26%5E%3D%C3%A9%25");
    }

    proptest! {
        /// Whatever is asked for, every `^` of the value is one of a pair: it can neither start nor end a condition.
        #[test]
        fn carets_always_come_in_pairs(text in ".*") {
            if let Ok(safe) = value(&text) {
                prop_assert!(!safe.replace("^^", "").contains('^'));
                prop_assert!(!safe.chars().any(char::is_control));
            }
        }
    }
}
