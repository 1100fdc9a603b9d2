//! What a peer says, made fit for a record that people read: short, one line, no control characters, no markup.

use super::message::Answer;
use crate::limits::DETAIL_CHARS_MAX;

/// One line of at most [`DETAIL_CHARS_MAX`] characters: white space collapses, control characters and those that
/// turn or hide text are left out.
pub fn clean(text: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut line = String::new();
    for word in text.split_whitespace() {
        let separator = if line.is_empty() { "" } else { " " };
        line.push_str(separator);
        line.extend(word.chars().filter(|c| !hides(*c)));
        if line.len() > DETAIL_CHARS_MAX * 4 {
            break;
        }
    }
    match line.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => {
            line.truncate(end);
            line.push('…');
            line
        }
        None => line,
    }
}

/// Whether an answer is a page for people: it says so, or it looks like one.
pub fn is_html(answer: &Answer) -> bool {
    let said = answer.header("content-type").is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.contains("html") || kind.contains("xml")
    });
    said || answer.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

/// The title of a page: the only part of a page that is ever quoted.
pub fn title(body: &[u8]) -> String {
    let page = String::from_utf8_lossy(body);
    let lower = page.to_ascii_lowercase();
    let text = || {
        let open = lower.find("<title")?;
        let start = open + lower.get(open..)?.find('>')? + 1;
        let end = start + lower.get(start..)?.find('<')?;
        page.get(start..end)
    };
    clean(text().unwrap_or_default())
}

/// The beginning of a body that is neither JSON nor a page; nothing of one that is not text.
pub fn excerpt(body: &[u8]) -> String {
    let start = body.get(..DETAIL_CHARS_MAX).unwrap_or(body);
    match std::str::from_utf8(start) {
        Ok(text) if !text.trim_start().starts_with('<') => clean(text),
        _ => String::new(),
    }
}

/// The host of an address, without user, path or query; those may hold a session.
pub fn host_of(location: &str) -> String {
    let host = || {
        let (_, rest) = location.split_once("//")?;
        let authority = rest.split(['/', '?', '#', '\\']).next()?;
        authority.rsplit('@').next()
    };
    match host() {
        Some(host) => clean(host),
        None if location.is_empty() => "nowhere".to_owned(),
        None => "another page of the same host".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_becomes_one_short_harmless_line() {
        assert_eq!(clean(" a\n\tb\u{0}\u{1b}[31m \u{202e}c "), "a b[31m c");
        let long = clean(&"é".repeat(2_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (DETAIL_CHARS_MAX + 1, true));
        assert!(clean(&"ab ".repeat(100_000)).chars().count() <= DETAIL_CHARS_MAX + 1);
    }

    #[test]
    fn of_a_page_only_the_title_is_quoted() {
        for (page, expected) in [
            ("<html><head><TITLE>Instance\n Hibernating page</TITLE></head>secret", "Instance Hibernating page"),
            ("<title lang=en>x</title>", "x"),
            ("<html>no title", ""),
            ("<title>never ends", ""),
            ("<title", ""),
        ] {
            assert_eq!(title(page.as_bytes()), expected, "{page}");
        }
        assert_eq!(excerpt(b"  <html>secret"), "");
        assert_eq!(excerpt(b"upstream connect error"), "upstream connect error");
        assert_eq!(excerpt(&[0xff, 0xfe, 0x00]), "");
    }

    #[test]
    fn of_a_redirect_only_the_host_is_kept() {
        for (location, expected) in [
            ("https://evil.example/steal?token=1", "evil.example"),
            ("https://user:pass@evil.example:8443/", "evil.example:8443"),
            ("//evil.example", "evil.example"),
            ("/login.do?x", "another page of the same host"),
            ("", "nowhere"),
        ] {
            assert_eq!(host_of(location), expected, "{location}");
        }
    }
}
