//! Reading the parser's tree: which parts are paths, and where everything stands.
//!
//! Owns: what we know about the (unstable) syntax tree of the expression parser. Never: judges it (that is `lint`).
//! Fails: it cannot. Proved by: the places in the table of broken files in `tests/mappings.rs`.

use minijinja::machinery::ast::Expr;

use super::path::{Path, Step};

/// A path as the parser gave it.
pub(crate) struct FoundPath<'t> {
    pub(crate) root: &'t str,
    pub(crate) path: Path,
    /// The place of each step.
    pub(crate) places: Vec<(usize, usize)>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The path an expression is, if it is one: names, `.name`, `['name']` and `[0]`.
pub(crate) fn path_of<'t>(tree: &Expr<'t>) -> Option<FoundPath<'t>> {
    let mut steps = Vec::new();
    let mut places = Vec::new();
    let mut node = tree;
    let root = loop {
        if let Expr::Var(variable) = node {
            break variable;
        } else if let Expr::GetAttr(attribute) = node {
            steps.push(Step::Name(attribute.name.into()));
            let end = span(node).1;
            places.push((end.saturating_sub(attribute.name.len()), end));
            node = &attribute.expr;
        } else if let Expr::GetItem(item) = node {
            let key = item.subscript_expr.as_const()?;
            let step = key.as_str().map(|name| Step::Name(name.into()));
            steps.push(step.or_else(|| key.as_i64().map(Step::Item))?);
            places.push(span(&item.subscript_expr));
            node = &item.expr;
        } else {
            return None;
        }
    };
    steps.reverse();
    places.reverse();
    let path = Path::new(root.id, steps);
    Some(FoundPath { root: root.id, path, places, start: at(root.span()).0, end: span(tree).1 })
}

/// The bytes of an expression. The parser starts what follows a value (`.name`, `| filter`, `if`) behind it; we start at the value.
pub(crate) fn span(tree: &Expr<'_>) -> (usize, usize) {
    (start(tree), at(tree.span()).1)
}

fn start(tree: &Expr<'_>) -> usize {
    match tree {
        Expr::GetAttr(attribute) => start(&attribute.expr),
        Expr::GetItem(item) => start(&item.expr),
        Expr::Slice(slice) => start(&slice.expr),
        Expr::Call(call) => start(&call.expr),
        Expr::Test(test) => start(&test.expr),
        Expr::IfExpr(choice) => start(&choice.true_expr),
        Expr::BinOp(operation) => start(&operation.left),
        Expr::Compare(comparison) => start(&comparison.expr),
        Expr::Filter(filter) => filter.expr.as_ref().map_or_else(|| at(tree.span()).0, start),
        Expr::Var(_) | Expr::Const(_) | Expr::UnaryOp(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => {
            at(tree.span()).0
        }
    }
}

fn at(span: minijinja::machinery::Span) -> (usize, usize) {
    (span.start_offset as usize, span.end_offset as usize)
}
