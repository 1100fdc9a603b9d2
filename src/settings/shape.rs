//! Holds a file to its JSON Schema and finds everything wrong at once: unknown keys, missing keys, wrong kinds.
//!
//! Owns: the part of JSON Schema that our own schemas use, and the words for what is wrong. Never: judges a value
//! beyond what the schema says; resolves a secret; quotes what stands where a secret belongs.
//! Fails: it cannot. Proved by: `tests/settings.rs`, file by file.

use serde_json::Value as Json;

use super::codes;
use super::finding::{Finding, Place, Severity, nearest};
use super::tree::{Document, Key, Node, Value};

/// What is wrong with a file's shape, and the paths that cannot be read because of it.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) findings: Vec<Finding>,
    pub(super) broken: Vec<String>,
}

/// Holds the file to the schema.
pub(super) fn check(document: &Document, schema: &Json) -> Shape {
    let mut checker = Checker { document, root: schema, shape: Shape::default() };
    let start = Place { line: 1, column: 1, width: 1 };
    // An empty file says nothing; whether that is enough, the required keys decide.
    let empty = Node { place: start, value: Value::Map(Vec::new()) };
    let root = if matches!(document.root.value, Value::Nothing) { &empty } else { &document.root };
    checker.check(schema, root, At { path: "", place: start });
    checker.shape
}

/// The schema of the value at a path such as `server.listen`, if there may be one.
pub(super) fn lookup<'a>(root: &'a Json, path: &[&str]) -> Option<&'a Json> {
    path.iter().try_fold(root, |schema, step| {
        let schema = resolved(root, schema);
        let options = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
        std::iter::once(schema).chain(options).find_map(|option| option.get("properties")?.get(step))
    })
}

/// The names that may stand in the map at a path.
pub(super) fn names_at<'a>(root: &'a Json, path: &[&str]) -> Vec<&'a str> {
    lookup(root, path).map_or_else(Vec::new, |schema| names(resolved(root, schema)))
}

/// Whether the schema, references resolved, is of this type.
pub(super) fn is_type(root: &Json, schema: &Json, name: &str) -> bool {
    let schema = resolved(root, schema);
    let stated = schema.get("type");
    let as_enum = schema.get("oneOf").is_some() && words(schema).is_some() && name == "string";
    as_enum
        || stated
            .is_some_and(|stated| stated == name || stated.as_array().is_some_and(|all| all.contains(&name.into())))
}

struct Checker<'a> {
    document: &'a Document,
    root: &'a Json,
    shape: Shape,
}

/// Where we are: the path, and the place of the key that leads here.
#[derive(Clone, Copy)]
struct At<'a> {
    path: &'a str,
    place: Place,
}

impl At<'_> {
    fn below(self, step: &str) -> String {
        if self.path.is_empty() { step.to_owned() } else { format!("{}.{step}", self.path) }
    }

    fn name(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { format!("`{}`", self.path) }
    }
}

impl Checker<'_> {
    fn check(&mut self, schema: &Json, node: &Node, at: At<'_>) {
        let reference = reference_of(schema);
        let root = self.root;
        let schema = resolved(root, schema);
        if matches!(node.value, Value::Nothing) && (accepts_null(schema) || reference.is_nullable) {
            return;
        }
        if reference.name == Some("SecretRef") {
            self.check_secret(schema, node, at);
        } else if reference.name == Some("Enabled") {
            self.check_enabled(node, at);
        } else if let Some(any_of) = schema.get("anyOf").and_then(Json::as_array) {
            match any_of.iter().find(|option| self.fits(option, node)) {
                Some(option) => self.check(option, node, at),
                None if any_of.iter().any(|option| is_type(self.root, option, "array")) => {
                    self.wrong_type("text, or a list of texts", node, at);
                }
                None => self.wrong_type("text, or `{env: NAME}` or `{file: PATH}`", node, at),
            }
        } else if let Some(words) = words(schema) {
            self.check_word(&words, node, at);
        } else if let Some(kinds) = tagged(schema) {
            self.check_tagged(&kinds, node, at);
        } else {
            self.check_plain(schema, node, at);
        }
    }

    fn check_plain(&mut self, schema: &Json, node: &Node, at: At<'_>) {
        let is = |name: &str| is_type(self.root, schema, name);
        match &node.value {
            Value::Map(entries) if is("object") => self.check_map(schema, entries, at, &[]),
            Value::List(items) if is("array") => self.check_list(schema, items, node, at),
            Value::Text(text) if is("string") => self.check_text(schema, text, node, at),
            Value::Number(number) if is("integer") => self.check_integer(schema, number, node, at),
            Value::Flag(_) if is("boolean") => {}
            Value::Nothing | Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                let expected = [
                    ("object", "keys and values"),
                    ("array", "a list"),
                    ("string", "text"),
                    ("integer", "a whole number"),
                    ("boolean", "`true` or `false`"),
                ];
                let expected = expected.iter().find(|(name, _)| is(name)).map_or("another value", |(_, words)| words);
                self.wrong_type(expected, node, at);
            }
        }
    }

    fn check_map(&mut self, schema: &Json, entries: &[(Key, Node)], at: At<'_>, known_already: &[&str]) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let mut misspelt = Vec::new();
        for (key, node) in entries {
            let path = at.below(&key.text);
            match properties.and_then(|properties| properties.get(&key.text)) {
                Some(_) if known_already.contains(&key.text.as_str()) => {}
                Some(property) => self.check(property, node, At { path: &path, place: key.place }),
                None => misspelt.extend(self.unknown_key(schema, key, at)),
            }
        }
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        for name in required.filter(|name| !entries.iter().any(|(key, _)| key.text == *name)) {
            if misspelt.contains(&name) {
                // It is there, under a name that was reported.
                self.shape.broken.push(at.below(name));
            } else {
                self.error(codes::MISSING_KEY, at.place, format!("{} needs `{name}`", at.name()), at.below(name));
            }
        }
    }

    fn check_list(&mut self, schema: &Json, items: &[Node], node: &Node, at: At<'_>) {
        if items.is_empty() && schema.get("minItems").is_some() {
            self.error(
                codes::MISSING_KEY,
                node.place,
                format!("{} needs at least one entry", at.name()),
                at.path.to_owned(),
            );
        }
        let Some(of) = schema.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            let path = at.below(&index.to_string());
            self.check(of, item, At { path: &path, place: item.place });
        }
    }

    fn check_text(&mut self, schema: &Json, text: &str, node: &Node, at: At<'_>) {
        let bound = |name| schema.get(name).and_then(Json::as_u64);
        let length = text.chars().count() as u64;
        let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap_or(u64::MAX));
        if !(least..=most).contains(&length) {
            let message = format!("{} has {least} to {most} characters, not {length}", at.name());
            self.error(codes::OUT_OF_RANGE, node.place, message, at.path.to_owned());
        }
    }

    fn check_integer(&mut self, schema: &Json, number: &serde_json::Number, node: &Node, at: At<'_>) {
        let bound = |name| schema.get(name).and_then(Json::as_u64);
        let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(u64::MAX));
        if number.as_u64().is_none_or(|value| !(least..=most).contains(&value)) {
            let message = format!("{} is a whole number from {least} to {most}, not {number}", at.name());
            self.error(codes::OUT_OF_RANGE, node.place, message, at.path.to_owned());
        }
    }

    fn check_word(&mut self, words: &[&str], node: &Node, at: At<'_>) {
        let given = match &node.value {
            Value::Text(text) if words.contains(&text.as_str()) => return,
            Value::Text(text) => text,
            Value::Nothing | Value::Flag(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                return self.wrong_type(&one_of(words), node, at);
            }
        };
        let message = format!("{} is {}, not `{given}`", at.name(), one_of(words));
        let hint = nearest(given, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
        self.error(codes::OUT_OF_RANGE, node.place, message, at.path.to_owned()).hint = hint;
    }

    /// A flag, or the one word that may stand instead of it.
    fn check_enabled(&mut self, node: &Node, at: At<'_>) {
        let given = match &node.value {
            Value::Flag(_) => return,
            Value::Text(text) if text == "after_check" => return,
            Value::Text(text) => text,
            Value::Nothing | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                return self.wrong_type("`true`, `false` or `after_check`", node, at);
            }
        };
        let message = format!("{} is `true`, `false` or `after_check`, not the text `{given}`", at.name());
        let hint = nearest(given, ["after_check"]).map(|word| format!("did you mean `{word}`?"));
        self.error(codes::OUT_OF_RANGE, node.place, message, at.path.to_owned()).hint = hint;
    }

    /// A map whose keys depend on the word in its `kind`.
    fn check_tagged(&mut self, kinds: &[(&str, &str, &Json)], node: &Node, at: At<'_>) {
        let Value::Map(entries) = &node.value else { return self.wrong_type("keys and values", node, at) };
        let Some((tag, ..)) = kinds.first() else { return };
        let words: Vec<&str> = kinds.iter().map(|(_, word, _)| *word).collect();
        let Some((_, given)) = entries.iter().find(|(key, _)| key.text == *tag) else {
            let message = format!("{} needs `{tag}`: {}", at.name(), one_of(&words));
            self.error(codes::MISSING_KEY, at.place, message, at.below(tag));
            return;
        };
        let path = at.below(tag);
        let chosen = kinds.iter().find(|(_, word, _)| matches!(&given.value, Value::Text(text) if text == word));
        match chosen {
            Some((_, _, schema)) => self.check_map(schema, entries, at, &[tag]),
            None => self.check_word(&words, given, At { path: &path, place: given.place }),
        }
    }

    /// `{env: NAME}` or `{file: PATH}`; whatever else stands here may be the secret itself and is not shown.
    fn check_secret(&mut self, schema: &Json, node: &Node, at: At<'_>) {
        const HINT: &str = "write `{env: NAME}` or `{file: PATH}`, and keep the secret out of this file";
        let options = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
        let mut names = options.filter_map(|option| option.get("properties")?.as_object()?.keys().next());
        let is_reference = match &node.value {
            Value::Map(entries) => match entries.as_slice() {
                [(key, Node { value: Value::Text(text), .. })] => {
                    !text.is_empty() && names.any(|name| *name == key.text)
                }
                _ => false,
            },
            Value::Nothing | Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => false,
        };
        if is_reference {
            return;
        }
        let (code, message) = match &node.value {
            Value::Text(_) | Value::Number(_) | Value::Flag(_) => {
                (codes::PLAIN_SECRET, format!("{} is a secret and must not stand in the file itself", at.name()))
            }
            Value::Nothing | Value::List(_) | Value::Map(_) => {
                (codes::WRONG_TYPE, format!("{} is a secret, given as `{{env: NAME}}` or `{{file: PATH}}`", at.name()))
            }
        };
        let hidden = Finding::of_file(code, Severity::Error, &self.document.name, message);
        self.shape.findings.push(hidden.at_hidden(at.place, &self.document.text).hint(HINT));
        self.shape.broken.push(at.path.to_owned());
    }

    /// Reports a key that does not exist, and returns the one that was probably meant.
    fn unknown_key<'s>(&mut self, schema: &'s Json, key: &Key, at: At<'_>) -> Option<&'s str> {
        let names = names(schema);
        let meant = nearest(&key.text, names.iter().copied());
        let hint = match meant {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("possible here: {}", names.join(", ")),
        };
        let place = if at.path.is_empty() { "here".to_owned() } else { format!("in `{}`", at.path) };
        let shown: String = key.text.chars().filter(|c| !c.is_control()).take(60).collect();
        let message = format!("there is no key `{shown}` {place}");
        self.error(codes::UNKNOWN_KEY, key.place, message, at.below(&key.text)).hint = Some(hint);
        meant
    }

    fn wrong_type(&mut self, expected: &str, node: &Node, at: At<'_>) {
        let (message, hint) = match &node.value {
            Value::Nothing => {
                (format!("{} has no value; expected {expected}", at.name()), Some("give it a value, or remove the key"))
            }
            Value::Number(_) | Value::Flag(_) if expected == "text" => {
                (format!("{} is text, not {}", at.name(), node.value.kind()), Some("put it in quotes"))
            }
            Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                (format!("{} is {expected}, not {}", at.name(), node.value.kind()), None)
            }
        };
        let place = if matches!(node.value, Value::Nothing) { at.place } else { node.place };
        self.error(codes::WRONG_TYPE, place, message, at.path.to_owned()).hint = hint.map(str::to_owned);
    }

    fn fits(&self, option: &Json, node: &Node) -> bool {
        let names_secret = reference_of(option).name == Some("SecretRef");
        match &node.value {
            Value::Text(_) => !names_secret && is_type(self.root, option, "string"),
            Value::Map(_) => names_secret || is_type(self.root, option, "object"),
            Value::List(_) => is_type(self.root, option, "array"),
            Value::Nothing | Value::Flag(_) | Value::Number(_) => false,
        }
    }

    fn error(&mut self, code: &'static str, place: Place, message: String, broken: String) -> &mut Finding {
        let finding =
            Finding::of_file(code, Severity::Error, &self.document.name, message).at(place, &self.document.text);
        self.shape.broken.push(broken);
        self.shape.findings.push_mut(finding)
    }
}

/// What a schema refers to before it is resolved.
#[derive(Clone, Copy, Debug, Default)]
struct Reference<'a> {
    name: Option<&'a str>,
    is_nullable: bool,
}

fn reference_of(schema: &Json) -> Reference<'_> {
    let inner = nullable(schema);
    let name = inner.unwrap_or(schema).get("$ref").and_then(Json::as_str).and_then(|name| name.rsplit('/').next());
    Reference { name, is_nullable: inner.is_some() }
}

/// Resolves references, and `X or null` to `X`.
fn resolved<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let schema = nullable(schema).unwrap_or(schema);
    let named = schema.get("$ref").and_then(Json::as_str).and_then(|name| name.rsplit('/').next());
    named.and_then(|name| root.get("$defs")?.get(name)).map_or(schema, |found| resolved(root, found))
}

/// The one alternative to null, if that is what the schema says.
fn nullable(schema: &Json) -> Option<&Json> {
    let options = schema.get("anyOf")?.as_array()?;
    let is_null = |option: &&Json| option.get("type").is_some_and(|kind| kind == "null");
    let mut others = options.iter().filter(|option| !is_null(option));
    let only = others.next().filter(|_| options.iter().any(|option| is_null(&option)))?;
    others.next().is_none().then_some(only)
}

fn accepts_null(schema: &Json) -> bool {
    schema.get("type").and_then(Json::as_array).is_some_and(|kinds| kinds.contains(&"null".into()))
}

fn names(schema: &Json) -> Vec<&str> {
    schema.get("properties").and_then(Json::as_object).into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// The words of an enum.
fn words(schema: &Json) -> Option<Vec<&str>> {
    schema.get("oneOf")?.as_array()?.iter().map(|option| option.get("const")?.as_str()).collect()
}

/// The kinds of a tagged map: the tag, its word, and the map's schema.
fn tagged(schema: &Json) -> Option<Vec<(&str, &str, &Json)>> {
    schema.get("oneOf")?.as_array()?.iter().map(kind).collect()
}

fn kind(option: &Json) -> Option<(&str, &str, &Json)> {
    let mut properties = option.get("properties")?.as_object()?.iter();
    let (tag, word) = properties.find_map(|(tag, property)| Some((tag, property.get("const")?.as_str()?)))?;
    Some((tag, word, option))
}

/// `a`, `b` or `c`.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
