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

use super::filters::{self, is_absent};
use super::path::{Path, value_of};
use crate::domain::wire::Record;
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
        Ok(Self { source: source.into(), parameters: parameters.into(), tolerant, compiled })
    }

    /// The value; `None` if it has none and may have none.
    pub(crate) fn evaluate(&self, scope: &dyn Record) -> Result<Option<Value>, Trouble> {
        let mut values = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            let value = value_of(parameter.path.resolve(scope));
            if parameter.needed && is_absent(&value) {
                return Err(Trouble::Missing(parameter.path.to_string()));
            }
            values.push(value);
        }
        let value = self
            .compiled
            .eval(Value::from_object(Parameters(values)))
            .map_err(|error| Trouble::Failed(failure(&self.source, &error)))?;
        match (is_absent(&value), self.tolerant) {
            (false, _) => Ok(Some(value)),
            (true, true) => Ok(None),
            (true, false) => Err(Trouble::Missing(self.source.to_string())),
        }
    }
}

fn failure(source: &str, error: &minijinja::Error) -> String {
    let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("`{source}`: {why}")
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
