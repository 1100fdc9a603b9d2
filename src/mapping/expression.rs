//! One expression between `{{` and `}}`: compiled once, evaluated often.
//!
//! Owns: the engine (minijinja, expressions only, without any of its own filters, tests, functions or globals) and its last nets,
//! fuel and recursion. Each path of an expression is a parameter: we resolve it, which costs no copy of the incident and tells
//! exactly which one was absent, and the engine only sees the values. A path alone never enters the engine.
//! Never: sees a statement; knows a field. Fails: at load with a position, at run time with a [`Trouble`].
//! Proved by: the tests here, among them one that compares with the plain engine on whole values.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Object, Value};
use minijinja::{Environment, Expression, UndefinedBehavior};

use super::filters;
use super::native::{Found, Native};
use super::path::{Path, value_of};
use crate::domain::wire::{Node, Record};
use crate::limits::{EXPRESSION_FUEL_MAX, EXPRESSION_RECURSION_MAX};

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(EXPRESSION_FUEL_MAX));
    engine.set_recursion_limit(EXPRESSION_RECURSION_MAX);
    engine.set_debug(false);
    filters::install(&mut engine);
    engine
});

/// An expression that is not a path alone.
pub(crate) struct Program {
    /// As written.
    pub(crate) source: Box<str>,
    /// What the parameters stand for; those that must be there, or the value is missing.
    pub(crate) parameters: Box<[Parameter]>,
    /// Whether it says what happens when something is absent.
    pub(crate) tolerant: bool,
    compiled: Expression<'static, 'static>,
    native: Option<Native>,
}

/// A path inside an expression.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) path: Path,
    pub(crate) needed: bool,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// This is absent, and nothing says that it may be.
    Missing(String),
    /// It could not be computed.
    Failed(String),
}

impl Program {
    /// Compiles an expression whose paths were replaced by [`parameter_name`]s.
    pub(crate) fn compile(
        source: &str,
        rewritten: String,
        parameters: Vec<Parameter>,
        tolerant: bool,
    ) -> Result<Self, minijinja::Error> {
        let compiled = ENGINE.compile_expression_owned(rewritten)?;
        Ok(Self { source: source.into(), parameters: parameters.into(), tolerant, compiled, native: None })
    }

    /// The same with a shorter way, where there is one.
    pub(crate) fn with_native(mut self, native: Option<Native>) -> Self {
        self.native = native;
        self
    }

    /// The value; `None` if it has none and may have none.
    pub(crate) fn evaluate<'a>(&'a self, scope: &'a dyn Record) -> Result<Option<Found<'a>>, Trouble> {
        for parameter in self.parameters.iter().filter(|parameter| parameter.needed) {
            if matches!(parameter.path.resolve(scope), Node::Absent) {
                return Err(Trouble::Missing(parameter.path.to_string()));
            }
        }
        let value = match &self.native {
            Some(native) => native.evaluate(scope),
            None => self.by_engine(scope).map(Found::Computed),
        };
        let value = value.map_err(|error| Trouble::Failed(failure(&self.source, &error)))?;
        match (value.is_absent(), self.tolerant) {
            (false, _) => Ok(Some(value)),
            (true, true) => Ok(None),
            (true, false) => Err(Trouble::Missing(self.source.trim().to_owned())),
        }
    }

    /// The value as the engine computes it.
    fn by_engine(&self, scope: &dyn Record) -> Result<Value, minijinja::Error> {
        let values = self.parameters.iter().map(|parameter| value_of(parameter.path.resolve(scope))).collect();
        self.compiled.eval(Value::from_object(Parameters(values)))
    }
}

fn failure(source: &str, error: &minijinja::Error) -> String {
    let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("`{}`: {why}", source.trim())
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}

/// The name a path has inside the engine.
pub(crate) fn parameter_name(place: usize) -> String {
    format!("p{place}")
}

#[derive(Debug)]
struct Parameters(Vec<Value>);

impl Object for Parameters {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let place: usize = key.strip_prefix('p')?.parse().ok()?;
        self.0.get(place).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::{Change, ChangeKind};
    use crate::mapping::diagnostic::{At, Notes, SourceFile};
    use crate::mapping::filters::{is_absent, to_text};
    use crate::mapping::lint::{self, Meaning};
    use proptest::prelude::*;
    use serde_json::json;

    /// Pieces that are put together to expressions.
    const ATOMS: &[&str] = &[
        "incident.title",
        "incident.description",
        "incident.severity",
        "incident.severity_raw",
        "incident.episode",
        "incident.high_impact",
        "incident.affected[0].name",
        "incident.affected[-1]['room_group']",
        "incident.times.opened_at",
        "incident.tags",
        "incident.labels.team",
        "incident.custom.mine.deep[1]",
        "message.text",
        "event.type",
        "'text'",
        "''",
        "7",
        "0",
        "true",
        "none",
    ];
    const FORMS: &[&str] = &[
        "A",
        "A or B",
        "A and B",
        "not A",
        "A if B else C",
        "A if B == C else 'no'",
        "A != B",
        "A in ['high', 'text', 7]",
        "A not in ['high', B]",
        "A is defined",
        "A is none and B is undefined",
        "A | default(B)",
        "A | default('x') | upper",
        "A | default('', true) | string | trim | cut(3)",
        "(A or B) | string | replace('t', 'T') | lower",
        "'(' ~ (A or '') ~ ')'",
        "incident.affected | map(attribute='name') | join('; ')",
        "incident.tags | first | capitalize",
        "incident.tags | unique | length",
        "incident.times.opened_at | datetime",
        "incident.times.opened_at | default(0) | date",
        "A is string",
        "incident.title is startingwith('t')",
        "[A, B] | last",
        "'x' in incident.tags",
        "A in incident.tags or B",
        "incident.title < 'u' and incident.episode >= 1",
    ];

    fn any_change() -> impl Strategy<Value = Change> {
        let parts = [
            json!({"title": "true text"}),
            json!({"title": "", "description": "é ü"}),
            json!({"severity": "high", "episode": 0}),
            json!({"severity": "odd", "high_impact": false}),
            json!({"affected": [{"name": "a", "room_group": "g"}, {"name": "b"}]}),
            json!({"affected": []}),
            json!({"times": {"opened_at": "2026-11-22T06:00:00Z"}, "high_impact": true}),
            json!({"tags": ["x", "y", "x"], "labels": {"team": "av"}}),
            json!({"mine": {"deep": [null, 7]}, "episode": 7}),
        ];
        proptest::sample::subsequence(parts.to_vec(), 0..=parts.len()).prop_map(|parts| {
            let mut incident = serde_json::Map::from_iter([("id".to_owned(), json!("A-1"))]);
            for part in parts {
                incident.extend(part.as_object().unwrap().clone());
            }
            Change::from_data(ChangeKind::Updated, json!({"incident": incident})).unwrap()
        })
    }

    fn any_source() -> impl Strategy<Value = String> {
        let atom = || proptest::sample::select(ATOMS);
        (proptest::sample::select(FORMS), atom(), atom(), atom()).prop_map(|(form, a, b, c)| {
            let put = |letter: char| match letter {
                'A' => a.to_owned(),
                'B' => b.to_owned(),
                'C' => c.to_owned(),
                other => other.to_string(),
            };
            form.chars().map(put).collect()
        })
    }

    /// What came out, comparable: nothing, a text, or a failure.
    fn outcome(value: Result<Value, minijinja::Error>) -> Result<Option<String>, ()> {
        match value {
            Ok(value) if is_absent(&value) => Ok(None),
            Ok(value) => to_text(&value).map(|text| Some(text.into_owned())).map_err(drop),
            Err(_) => Err(()),
        }
    }

    /// The engine without any of our work: the whole event as values, the expression as it was written.
    fn by_plain_engine(source: &str, change: &Change) -> Result<Option<String>, ()> {
        let whole = ["incident", "message", "escalation", "attachment", "event"];
        let values = whole.map(|root| (root, value_of(change.get(root))));
        outcome(ENGINE.compile_expression(source).unwrap().eval(Value::from_pairs(values)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3_000, ..ProptestConfig::default() })]
        #[test]
        fn every_way_to_a_value_leads_to_the_same(source in any_source(), change in any_change()) {
            let file = SourceFile::new("x", source.clone());
            let mut notes = Notes::new(&file);
            let checked = lint::check(&source, At::default(), true, Change::ROOTS, &mut notes);
            let Some(checked) = checked else {
                return Err(TestCaseError::fail(format!("{:?}", notes.into_findings())));
            };
            let plain = by_plain_engine(&source, &change);
            match checked.meaning {
                Meaning::Path(path) => prop_assert_eq!(outcome(Ok(value_of(path.resolve(&change)))), plain),
                Meaning::Program(program) => {
                    prop_assert_eq!(&outcome(program.by_engine(&change)), &plain, "engine: {}", source);
                    if let Some(native) = &program.native {
                        let value = native.evaluate(&change).map(Found::into_value);
                        prop_assert_eq!(&outcome(value), &plain, "native: {}", source);
                    }
                }
            }
        }
    }

    #[test]
    fn an_expression_cannot_run_away() {
        let change = Change::from_data(ChangeKind::Updated, json!({"incident": {"id": "1", "title": "x"}})).unwrap();
        let wide = format!("'{}'", "t".repeat(1_000));
        let grow = format!("{wide} | replace('t', {wide}) | replace('t', {wide})");
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let long = format!("1{}", " + 1".repeat(1_000));
        for source in [grow, deep, long] {
            let file = SourceFile::new("x", source.clone());
            let mut notes = Notes::new(&file);
            if let Some(Meaning::Program(program)) =
                lint::check(&source, At::default(), true, Change::ROOTS, &mut notes).map(|checked| checked.meaning)
            {
                let size = program.evaluate(&change).ok().flatten().map(|found| found.into_value().to_string().len());
                assert!(size.unwrap_or(0) < 1_000_000, "{source}");
            }
        }
    }
}
