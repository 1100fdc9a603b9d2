//! Texts of an instance, written so that they stay texts.
//!
//! Owns: quoting, and what may stand in a comment. Never: writes what it cannot quote. Fails: it cannot; see [`is_plain`].
//! Proved by: the tests here.

use serde_json::json;

/// A YAML scalar with this text: bare where nobody could read it as anything else, else in double quotes, which are JSON's.
pub(super) fn text(text: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, ' ' | '_' | '-' | '.');
    let bare = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(is_word)
        && !text.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n", "default"]
            .contains(&text.to_lowercase().as_str());
    let number = text.len() < 10 && text.parse::<u32>().is_ok_and(|number| number.to_string() == text);
    if bare || number { text.to_owned() } else { json!(text).to_string() }
}

/// The same as the key of a block, where a number would be none of the file's words.
pub(super) fn key(text: &str) -> String {
    json!(text).to_string()
}

/// Whether a text of the instance can stand as a value: no line breaks, and nothing that we would take for an expression.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && !text.chars().any(char::is_control)
        && !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// A text of the instance for a comment: one line, and not endless.
pub(super) fn comment(text: &str) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(120).collect();
    line.trim().to_owned()
}

/// Lines of a comment from a list, at most `width` characters each, behind `indent` and `# `.
pub(super) fn listed<'t>(indent: &str, items: impl Iterator<Item = &'t str>, width: usize) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    let mut items = items.peekable();
    while let Some(item) = items.next() {
        let item = comment(item);
        if !line.is_empty() && line.chars().count() + item.chars().count() + 2 > width {
            lines.extend([indent, "# ", line.trim_end(), "\n"]);
            line.clear();
        }
        line.push_str(&item);
        line.push_str(if items.peek().is_some() { ", " } else { "" });
    }
    if !line.is_empty() {
        lines.extend([indent, "# ", &line, "\n"]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts() {
        for (given, written) in [
            ("AV Support", "AV Support"),
            ("6", "6"),
            ("06", "\"06\""),
            ("-5", "\"-5\""),
            ("no", "\"no\""),
            ("Solved (Permanently)", "\"Solved (Permanently)\""),
            ("a: b", "\"a: b\""),
            ("Say \"x\"", "\"Say \\\"x\\\"\""),
            ("", "\"\""),
        ] {
            assert_eq!(text(given), written);
        }
        assert!(is_plain("Solved (Permanently)"));
        for refused in ["", "{{ incident.title }}", "a\nb", "{% x %}"] {
            assert!(!is_plain(refused), "{refused}");
        }
        assert_eq!(comment("a\nb: {{ c }}"), "a b: {{ c }}");
        assert_eq!(listed("  ", ["one", "two", "three"].into_iter(), 10), "  # one, two,\n  # three\n");
    }
}
