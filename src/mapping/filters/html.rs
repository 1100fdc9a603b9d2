//! Readable text of HTML, for tools that send comments as a browser made them.
//!
//! Owns: what keeps a hostile text cheap: its length, and the nesting of its tags. Never: fetches what a text
//! links to. Fails: it cannot; what cannot be laid out loses its tags and nothing else. Proved by: the tests here.

use crate::limits::{HTML_BYTES_MAX, HTML_DEPTH_MAX, HTML_WIDTH_CHARS};
use crate::mapping::diagnostic::floor;

/// The text people would read. A text without tags and entities comes back as it is.
pub(super) fn to_text(html: &str) -> String {
    if !html.contains(['<', '&']) {
        return html.to_owned();
    }
    let html = html.get(..floor(html, HTML_BYTES_MAX)).unwrap_or(html);
    if depth(html) > HTML_DEPTH_MAX {
        return without_tags(html);
    }
    // The layout knows no rules, and would join what stands on both sides of one.
    let html = html.replace("<hr", "<br><br").replace("<HR", "<br><br");
    let layout = html2text::config::plain_no_decorate().link_footnotes(true).no_table_borders().allow_width_overflow();
    let text = layout.string_from_read(html.as_bytes(), HTML_WIDTH_CHARS);
    text.map_or_else(|_| without_tags(&html), |text| tidy(&text))
}

/// How deep tags stand inside each other, at most: every tag that opens counts, those that never close as well.
fn depth(html: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    for tag in html.split('<').skip(1) {
        if tag.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if tag.starts_with(|first: char| first.is_ascii_alphabetic()) && !is_void(tag) {
            depth += 1;
            deepest = deepest.max(depth);
        }
    }
    deepest
}

/// Tags that hold nothing.
fn is_void(tag: &str) -> bool {
    let name = tag.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default();
    ["br", "hr", "img", "input", "meta", "link", "wbr", "col"].iter().any(|void| name.eq_ignore_ascii_case(void))
}

fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    for (place, piece) in html.split('<').enumerate() {
        let kept = if place == 0 { piece } else { piece.split_once('>').map_or("", |(_, behind)| behind) };
        text.push_str(kept);
    }
    tidy(&text)
}

/// No spaces at the ends of lines, never more than one empty line.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if !tidy.is_empty() {
            tidy.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        tidy.push_str(line);
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn what_a_browser_made_becomes_readable() {
        for (html, text) in [
            ("plain", "plain"),
            ("a < b", "a < b"),
            ("<p>checked</p>", "checked"),
            ("<p>one</p><p>two &amp; three</p>", "one\n\ntwo & three"),
            ("one<br>two<hr>three", "one\ntwo\n\nthree"),
            ("<ul><li>a</li><li>b</li></ul>", "* a\n* b"),
            ("<div>see <a href=\"https://x.example\">this</a></div>", "see [this][1]\n\n[1]: https://x.example"),
            ("<script>alert(1)</script><b>safe</b>", "safe"),
            ("", ""),
        ] {
            assert_eq!(to_text(html), text, "{html}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this measures the work itself")]
    fn a_hostile_text_is_cheap() {
        let deep = |tag: &str| format!("<{tag}>").repeat(20_000) + "end";
        let table = "<table>".to_owned() + &"<tr><td>a<td>b".repeat(4_000);
        let nested = "<table><tr><td>".repeat(30) + "x" + &"</td></tr></table>".repeat(30);
        let started = Instant::now();
        for html in
            [deep("div"), deep("ul><li"), deep("blockquote"), table, nested, "<hr>".repeat(20_000), "&".repeat(99_000)]
        {
            let text = to_text(&html);
            assert!(text.len() < 16 * HTML_BYTES_MAX, "{} bytes of {}", text.len(), html.get(..20).unwrap_or(&html));
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
