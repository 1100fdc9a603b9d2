//! One line of a file, shown without what may be secret.
//!
//! Owns: what of a line may be seen: names, structure, and the value that is meant. Never: shows another value; a
//! secret may stand under any key, since keys can be misspelt, and on the same line as an innocent mistake.
//! Fails: towards hiding. Proved by: the tests below, and the canaries in `tests/settings.rs`.

use serde::{Serialize, Serializer};

use super::finding::Place;

/// A line of a file with the part that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line; `…` stands for values that are not meant.
    pub text: String,
    /// Where what is meant begins in `text`, in characters from 0.
    pub start: usize,
    /// How many characters are meant.
    pub width: usize,
}

/// What may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Names, and what stands at the place.
    Place,
    /// Names alone.
    Names,
}

/// Values that name something and are never secret.
const HARMLESS: [&str; 6] = ["env", "file", "kind", "name", "tenant", "role"];

impl Excerpt {
    /// `None` if nothing of the line may be shown: with names alone allowed, a line without any may be part of a value.
    pub(super) fn of(line: &str, place: Place, shown: Shown) -> Option<Self> {
        let chars: Vec<char> = line.chars().collect();
        if shown == Shown::Names && !chars.contains(&':') {
            return None;
        }
        let (meant, width) = (place.column.saturating_sub(1), place.width.max(1));
        let mut masked = Masked { chars: &chars, meant: meant..meant + width, shown, text: String::new(), start: None };
        masked.run();
        let length = masked.text.chars().count();
        let start = masked.start.unwrap_or(length);
        Some(Self { width: width.min(length.saturating_sub(start)).max(1), text: masked.text, start })
    }
}

/// Machines get the text alone; the place is in the finding.
impl Serialize for Excerpt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

struct Masked<'a> {
    chars: &'a [char],
    meant: std::ops::Range<usize>,
    shown: Shown,
    text: String,
    /// Where `meant.start` came to stand in `text`.
    start: Option<usize>,
}

impl Masked<'_> {
    fn run(&mut self) {
        let (mut at, mut open, mut name) = (0, Vec::new(), String::new());
        while let Some(&character) = self.chars.get(at) {
            self.mark(at);
            self.text.push(character);
            at += 1;
            match character {
                '{' | '[' => open.push(character),
                '}' | ']' => drop(open.pop()),
                _ => {}
            }
            let is_item = matches!(character, '[' | ',') && open.last() == Some(&'[') || self.is_block_item(at);
            if is_item || character == ':' && self.chars.get(at).is_none_or(|next| *next == ' ') {
                at = self.value(at, !open.is_empty(), &name);
            }
            let is_name = character.is_alphanumeric() || character == '_';
            if is_name { name.push(character) } else { name.clear() }
        }
        self.mark(at);
    }

    /// Whether what was just copied is the dash before an item without a name.
    fn is_block_item(&self, at: usize) -> bool {
        let (before, after) = self.chars.split_at(at);
        let dash = before.last() == Some(&'-') && before.iter().all(|character| matches!(character, ' ' | '-'));
        let named = after.windows(2).any(|pair| pair == [':', ' ']) || after.last() == Some(&':');
        dash && after.first() == Some(&' ') && !named
    }

    /// Copies what follows a colon or opens an item, masked unless it may be shown; returns where it ends.
    fn value(&mut self, at: usize, in_flow: bool, name: &str) -> usize {
        let rest = self.chars.get(at..).unwrap_or_default();
        let begin = at + rest.iter().take_while(|character| **character == ' ').count();
        self.copy(at..begin);
        let opens = self.chars.get(begin).is_none_or(|first| matches!(first, '{' | '[' | '}' | ']' | '#' | '|' | '>'));
        if opens {
            return begin;
        }
        let end = self.end_of_scalar(begin, in_flow);
        let is_meant = self.shown == Shown::Place && self.meant.start < end && begin < self.meant.end;
        if is_meant || HARMLESS.contains(&name) {
            self.copy(begin..end);
        } else {
            if (begin..end).contains(&self.meant.start) {
                self.mark(self.meant.start);
            }
            self.text.push('…');
        }
        end
    }

    /// A quoted value ends at its quote, another in braces at the next comma or brace, another at the end of the line.
    fn end_of_scalar(&self, begin: usize, in_flow: bool) -> usize {
        let rest = self.chars.get(begin..).unwrap_or_default();
        let ended = match rest.first() {
            Some(quote @ ('"' | '\'')) => rest.iter().skip(1).position(|character| character == quote).map(|at| at + 2),
            _ if in_flow => rest.iter().position(|character| matches!(character, ',' | '}' | ']')),
            _ => None,
        };
        ended.map_or(self.chars.len(), |length| begin + length)
    }

    fn copy(&mut self, range: std::ops::Range<usize>) {
        for at in range {
            self.mark(at);
            self.text.extend(self.chars.get(at));
        }
    }

    fn mark(&mut self, at: usize) {
        if at == self.meant.start && self.start.is_none() {
            self.start = Some(self.text.chars().count());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, meant: &str, shown: Shown) -> (String, String) {
        let column = line.find(meant).unwrap() + 1;
        let place = Place { line: 1, column, width: meant.len() };
        let excerpt = Excerpt::of(line, place, shown).unwrap();
        let pointed = excerpt.text.chars().skip(excerpt.start).take(excerpt.width).collect();
        (excerpt.text, pointed)
    }

    #[test]
    fn only_the_value_that_is_meant_is_shown() {
        for (line, meant, text) in [
            ("  instance: nowhere", "nowhere", "  instance: nowhere"),
            ("  client_secret: hunter2", "client_secret", "  client_secret: …"),
            ("  pasword: hunter2, really", "pasword", "  pasword: …"),
            ("auth: {kind: basik, username: x, pw: \"a, b\"}", "basik", "auth: {kind: basik, username: …, pw: …}"),
            ("auth: {pw: 'a, b', settle: soon}", "soon", "auth: {pw: …, settle: soon}"),
            ("- {name: soc, webhook_secret: {env: NAME}}", "{env", "- {name: soc, webhook_secret: {env: NAME}}"),
            ("allow_hosts: [\"*\", b]", "\"*\"", "allow_hosts: [\"*\", …]"),
            ("webhook: {secrets: [hunter2, {env: A}], hex: 3}", "3", "webhook: {secrets: […, {env: A}], hex: 3}"),
            ("  - hunter2", "-", "  - …"),
            ("  - name: soc", "soc", "  - name: soc"),
        ] {
            assert_eq!(check(line, meant, Shown::Place), (text.to_owned(), meant.to_owned()), "{line}");
        }
    }

    #[test]
    fn where_a_secret_may_stand_no_value_is_shown() {
        assert_eq!(check("url: postgres://a:b@c/d", "postgres", Shown::Names), ("url: …".to_owned(), "…".to_owned()));
        let part_of_a_value =
            Excerpt::of("MIIEvQIBADANBgkqhkiG9w0", Place { line: 1, column: 3, width: 1 }, Shown::Names);
        assert_eq!(part_of_a_value, None);
    }

    #[test]
    fn a_quote_that_is_never_closed_hides_the_rest() {
        assert_eq!(check("a: {pw: \"hunter2, b: c}", "a", Shown::Names).0, "a: {pw: …");
    }
}
