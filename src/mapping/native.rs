//! The common expressions, without the engine: `a or b`, `x if a == 'b' else y`, `a | default('x') | upper`, `a is defined`.
//!
//! Owns: a shorter way to the same value. It borrows from the event where the engine copies, and takes the same filters; whatever it
//! does not know goes to the engine. Never: means anything else than the engine.
//! Fails: as the engine does. Proved by: the property in `expression` that compares the two.

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use minijinja::{Error, Value};

use super::filters::{Apply, FILTERS, is_absent};
use super::path::{Path, value_of};
use super::syntax::path_of;
use crate::domain::wire::{Node, Record};

/// An expression we can evaluate ourselves.
#[derive(Debug)]
pub(crate) enum Native {
    Path(Path),
    Constant(Value),
    Or(Box<Self>, Box<Self>),
    And(Box<Self>, Box<Self>),
    Not(Box<Self>),
    If(Box<[Self; 3]>),
    Is(Box<Self>, Presence),
    Equal { left: Box<Self>, right: Box<Self>, negated: bool },
    In { item: Box<Self>, list: Box<[Value]>, negated: bool },
    Filter { inner: Box<Self>, apply: Apply, arguments: Box<[Value]> },
    Pluck { list: Path, name: Box<str> },
}

/// What `is defined` and its opposite ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Presence {
    There,
    Absent,
}

/// A value, borrowed from the event where that is possible.
pub(crate) enum Found<'a> {
    Node(Node<'a>),
    Constant(&'a Value),
    Computed(Value),
}

impl Found<'_> {
    /// Whether there is none.
    pub(crate) fn is_absent(&self) -> bool {
        match self {
            Self::Node(node) => matches!(node, Node::Absent),
            Self::Constant(value) => is_absent(value),
            Self::Computed(value) => is_absent(value),
        }
    }

    /// The text, where it is one already.
    fn as_text(&self) -> Option<&str> {
        match self {
            Self::Node(Node::Text(text)) => Some(text),
            Self::Node(_) => None,
            Self::Constant(value) => value.as_str(),
            Self::Computed(value) => value.as_str(),
        }
    }

    /// Whether it counts as true.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Node(Node::Absent) => false,
            Self::Node(Node::Text(text)) => !text.is_empty(),
            Self::Node(Node::Number(number)) => *number != 0,
            Self::Node(Node::Flag(flag)) => *flag,
            Self::Node(Node::Time(_)) => true,
            Self::Node(Node::List(items)) => !items.is_empty(),
            Self::Node(other) => value_of(*other).is_true(),
            Self::Constant(value) => value.is_true(),
            Self::Computed(value) => value.is_true(),
        }
    }

    /// The value as the engine knows it.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Node(node) => value_of(node),
            Self::Constant(value) => value.clone(),
            Self::Computed(value) => value,
        }
    }

    fn equals(self, other: Self) -> bool {
        if let (Some(left), Some(right)) = (self.as_text(), other.as_text()) {
            return left == right;
        }
        self.into_value() == other.into_value()
    }
}

impl Native {
    /// The expression in our own form, if we know all of it.
    pub(crate) fn compile(tree: &Expr<'_>) -> Option<Self> {
        let inner = |tree: &Expr<'_>| Self::compile(tree).map(Box::new);
        if let Some(found) = path_of(tree) {
            return Some(Self::Path(found.path));
        }
        if let Some(constant) = tree.as_const() {
            return Some(Self::Constant(constant));
        }
        if let Expr::BinOp(operation) = tree {
            let (left, right) = (inner(&operation.left)?, inner(&operation.right));
            return match operation.op {
                BinOpKind::ScOr => Some(Self::Or(left, right?)),
                BinOpKind::ScAnd => Some(Self::And(left, right?)),
                BinOpKind::Eq => Some(Self::Equal { left, right: right?, negated: false }),
                BinOpKind::Ne => Some(Self::Equal { left, right: right?, negated: true }),
                BinOpKind::In => Some(Self::In { item: left, list: constants(&operation.right)?, negated: false }),
                BinOpKind::Lt
                | BinOpKind::Lte
                | BinOpKind::Gt
                | BinOpKind::Gte
                | BinOpKind::Add
                | BinOpKind::Sub
                | BinOpKind::Mul
                | BinOpKind::Div
                | BinOpKind::FloorDiv
                | BinOpKind::Rem
                | BinOpKind::Pow
                | BinOpKind::Concat => None,
            };
        }
        if let Expr::Compare(comparison) = tree {
            let [only] = comparison.ops.as_slice() else { return None };
            let left = inner(&comparison.expr)?;
            return match only.op {
                CompareOpKind::Eq => Some(Self::Equal { left, right: inner(&only.expr)?, negated: false }),
                CompareOpKind::Ne => Some(Self::Equal { left, right: inner(&only.expr)?, negated: true }),
                CompareOpKind::In => Some(Self::In { item: left, list: constants(&only.expr)?, negated: false }),
                CompareOpKind::NotIn => Some(Self::In { item: left, list: constants(&only.expr)?, negated: true }),
                CompareOpKind::Lt | CompareOpKind::Lte | CompareOpKind::Gt | CompareOpKind::Gte => None,
            };
        }
        if let Expr::UnaryOp(operation) = tree {
            return if matches!(operation.op, UnaryOpKind::Not) {
                Some(Self::Not(inner(&operation.expr)?))
            } else {
                None
            };
        }
        if let Expr::IfExpr(choice) = tree {
            let (test, yes) = (Self::compile(&choice.test_expr)?, Self::compile(&choice.true_expr)?);
            return Some(Self::If(Box::new([test, yes, Self::compile(choice.false_expr.as_ref()?)?])));
        }
        if let Expr::Test(test) = tree {
            let presence = match test.name {
                "defined" => Presence::There,
                "undefined" | "none" => Presence::Absent,
                _ => return None,
            };
            return Some(Self::Is(inner(&test.expr)?, presence));
        }
        if let Expr::Filter(filter) = tree { Self::filter(filter) } else { None }
    }

    fn filter(filter: &minijinja::machinery::ast::Filter<'_>) -> Option<Self> {
        let inner = Self::compile(filter.expr.as_ref()?)?;
        if let (Self::Path(list), "map", [CallArg::Kwarg(_, name)]) = (&inner, filter.name, filter.args.as_slice()) {
            // A name of dotted names goes to the engine.
            let name = name.as_const()?.as_str().filter(|name| !name.contains('.'))?.into();
            return Some(Self::Pluck { list: list.clone(), name });
        }
        let known = FILTERS.iter().find(|known| known.name == filter.name)?;
        let argument = |argument: &CallArg<'_>| match argument {
            CallArg::Pos(value) => value.as_const(),
            CallArg::Kwarg(..) | CallArg::PosSplat(_) | CallArg::KwargSplat(_) => None,
        };
        let arguments = filter.args.iter().map(argument).collect::<Option<_>>()?;
        Some(Self::Filter { inner: Box::new(inner), apply: known.apply, arguments })
    }

    /// The value.
    pub(crate) fn evaluate<'a>(&'a self, scope: &'a dyn Record) -> Result<Found<'a>, Error> {
        let flag = |flag: bool| Ok(Found::Computed(Value::from(flag)));
        match self {
            Self::Path(path) => Ok(Found::Node(path.resolve(scope))),
            Self::Constant(value) => Ok(Found::Constant(value)),
            Self::Or(left, right) => {
                let left = left.evaluate(scope)?;
                if left.is_true() { Ok(left) } else { right.evaluate(scope) }
            }
            Self::And(left, right) => {
                let left = left.evaluate(scope)?;
                if left.is_true() { right.evaluate(scope) } else { Ok(left) }
            }
            Self::Not(inner) => flag(!inner.evaluate(scope)?.is_true()),
            Self::If(parts) => {
                let [test, yes, no] = parts.as_ref();
                if test.evaluate(scope)?.is_true() { yes.evaluate(scope) } else { no.evaluate(scope) }
            }
            Self::Is(inner, Presence::There) => flag(!inner.evaluate(scope)?.is_absent()),
            Self::Is(inner, Presence::Absent) => flag(inner.evaluate(scope)?.is_absent()),
            Self::Equal { left, right, negated } => {
                flag(left.evaluate(scope)?.equals(right.evaluate(scope)?) != *negated)
            }
            Self::In { item, list, negated } => {
                let item = item.evaluate(scope)?;
                let found = match item.as_text() {
                    Some(text) => list.iter().any(|value| value.as_str() == Some(text)),
                    None => list.contains(&item.into_value()),
                };
                flag(found != *negated)
            }
            Self::Filter { inner, apply, arguments } => {
                apply(&inner.evaluate(scope)?.into_value(), arguments).map(Found::Computed)
            }
            Self::Pluck { list, name } => pluck(list.resolve(scope), name).map(Found::Computed),
        }
    }
}

/// One field of every record of a list, without making values of the others.
fn pluck(list: Node<'_>, name: &str) -> Result<Value, Error> {
    if let Node::List(items) = list {
        let fields = (0..items.len()).map(|place| items.get(place).named(name));
        return Ok(fields.filter(|node| !matches!(node, Node::Absent)).map(value_of).collect());
    }
    super::filters::map(&value_of(list), name)
}

fn constants(tree: &Expr<'_>) -> Option<Box<[Value]>> {
    let list = tree.as_const()?;
    if list.as_str().is_some() { None } else { Some(list.try_iter().ok()?.collect()) }
}
