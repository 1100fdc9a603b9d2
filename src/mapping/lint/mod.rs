//! What an expression uses, and whether all of it exists: looked up at load, so that a slip is a finding and not a parked delivery.
//!
//! Owns: the allow-list applied to the syntax tree, with exact places; which paths an expression has, and which of them must be there.
//! Never: evaluates. Fails: it notes everything it does not like. Proved by: the table of broken files in `tests/mappings.rs`.

use minijinja::machinery::ast::{self, BinOpKind, Expr, UnaryOpKind};
use minijinja::machinery::parse_expr;

use crate::domain::wire::{Field, Shape};
use crate::limits::EXPRESSION_BYTES_MAX;
use crate::mapping::diagnostic::{At, Notes, list};
use crate::mapping::expression::{Parameter, Program, parameter_name};
use crate::mapping::filters::{FILTERS, TESTS};
use crate::mapping::native::Native;
use crate::mapping::path::{Path, Step, TICKET};
use crate::mapping::syntax::{FoundPath, path_of, span};

mod ticket;

pub(crate) use ticket::is_database_name;

/// What an expression turned out to be.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// A path alone.
    Path(Path),
    /// Anything else.
    Program(Box<Program>),
}

/// A checked expression.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) meaning: Meaning,
    /// What the value is, where that is known.
    pub(crate) shape: Option<Shape>,
}

/// Checks and compiles one expression. `base` is the place of its first byte in the file, or the whole value if it cannot be told.
pub(crate) fn check(source: &str, base: At, exact: bool, roots: &[Field], notes: &mut Notes<'_>) -> Option<Checked> {
    if source.len() > EXPRESSION_BYTES_MAX {
        notes.error("M026", base, format!("the expression has more than {EXPRESSION_BYTES_MAX} bytes"));
        return None;
    }
    let tree = match parse_expr(source) {
        Ok(tree) => tree,
        Err(error) => {
            let at = error.range().map_or(base, |range| placed(base, exact, range.start, range.end));
            let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            notes.error("M020", at, format!("not an expression: {why}"));
            return None;
        }
    };
    let mut lint = Lint { source, base, exact, roots, notes, paths: Vec::new(), tolerant: false, clean: true };
    let shape = lint.walk(&tree, true);
    lint.final_shape(&tree, shape);
    let Lint { paths, tolerant, clean, .. } = lint;
    if !clean {
        return None;
    }
    if let (Some(only), [_]) = (path_of(&tree), paths.as_slice()) {
        return Some(Checked { meaning: Meaning::Path(only.path), shape });
    }
    let program = rewrite(source, paths)
        .and_then(|(text, parameters)| Program::compile(source, text, parameters, tolerant).ok())
        .map(|program| program.with_native(Native::compile(&tree)))
        .map(|program| Checked { meaning: Meaning::Program(Box::new(program)), shape });
    if program.is_none() {
        notes.error("M020", base, "not an expression we can read").hint("leave out parentheses around plain names");
    }
    program
}

/// Replaces every path by the name of its parameter.
fn rewrite(source: &str, mut paths: Vec<Found>) -> Option<(String, Vec<Parameter>)> {
    paths.sort_by_key(|found| found.start);
    let mut text = String::new();
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut done = 0;
    for found in paths {
        text.push_str(source.get(done..found.start)?);
        let known = parameters.iter().position(|parameter| parameter.path == found.path);
        let place = known.unwrap_or(parameters.len());
        match known.and_then(|place| parameters.get_mut(place)) {
            Some(parameter) => parameter.needed |= found.needed,
            None => parameters.push(Parameter { path: found.path, needed: found.needed }),
        }
        text.push_str(&parameter_name(place));
        done = found.end;
    }
    text.push_str(source.get(done..)?);
    Some((text, parameters))
}

/// Which list a name must be in.
#[derive(Clone, Copy)]
enum Known {
    Filters,
    Tests,
}

/// A path in an expression, and its bytes.
struct Found {
    path: Path,
    start: usize,
    end: usize,
    needed: bool,
}

struct Lint<'l, 'n> {
    source: &'l str,
    base: At,
    exact: bool,
    roots: &'l [Field],
    notes: &'l mut Notes<'n>,
    paths: Vec<Found>,
    tolerant: bool,
    clean: bool,
}

fn placed(base: At, exact: bool, start: usize, end: usize) -> At {
    if exact { At::new(base.start + start, base.start + end) } else { base }
}

impl Lint<'_, '_> {
    fn error(&mut self, code: &'static str, span: (usize, usize), message: String) -> super::diagnostic::Hint<'_> {
        self.clean = false;
        self.notes.error(code, placed(self.base, self.exact, span.0, span.1), message)
    }

    /// Where a name that the parser cut out of the source stands.
    fn place_of(&self, name: &str) -> (usize, usize) {
        let start = (name.as_ptr() as usize).wrapping_sub(self.source.as_ptr() as usize);
        if start <= self.source.len() { (start, start + name.len()) } else { (0, self.source.len()) }
    }

    /// Walks an expression; `needed` says that its value cannot be done without. Gives the value's shape where it is known.
    fn walk(&mut self, tree: &Expr<'_>, needed: bool) -> Option<Shape> {
        if let Some(found) = path_of(tree) {
            return self.path(found, needed);
        }
        match tree {
            // A name alone is always a path, so this is a constant.
            Expr::Var(_) | Expr::Const(_) => None,
            Expr::Slice(slice) => {
                for part in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.walk(part, true);
                }
                self.walk(&slice.expr, needed)
            }
            Expr::UnaryOp(operation) => {
                self.walk(&operation.expr, needed && matches!(operation.op, UnaryOpKind::Neg));
                None
            }
            Expr::BinOp(operation) => self.operation(operation, span(tree), needed),
            Expr::Compare(comparison) => {
                self.walk(&comparison.expr, false);
                let mut left = &comparison.expr;
                for operand in &comparison.ops {
                    self.walk(&operand.expr, false);
                    self.text_and_number(left, &operand.expr);
                    left = &operand.expr;
                }
                Some(Shape::Flag)
            }
            Expr::IfExpr(choice) => self.choice(choice, span(tree)),
            Expr::Filter(filter) => self.filter(filter, span(tree), needed),
            Expr::Test(test) => {
                self.named(Known::Tests, test.name, &test.args);
                self.walk(&test.expr, false);
                Some(Shape::Flag)
            }
            Expr::GetAttr(attribute) => {
                self.walk(&attribute.expr, needed);
                None
            }
            Expr::GetItem(item) => {
                self.walk(&item.expr, needed);
                self.walk(&item.subscript_expr, true);
                None
            }
            Expr::Call(_) => {
                self.error("M025", span(tree), "there are no functions to call".to_owned())
                    .hint("filters do the work: `value | upper`");
                None
            }
            Expr::List(items) => self.all(&items.items),
            Expr::Tuple(items) => self.all(&items.items),
            Expr::Map(map) => {
                self.all(&map.keys);
                self.all(&map.values)
            }
        }
    }

    fn all(&mut self, items: &[Expr<'_>]) -> Option<Shape> {
        for item in items {
            self.walk(item, true);
        }
        None
    }

    fn operation(&mut self, operation: &ast::BinOp<'_>, at: (usize, usize), needed: bool) -> Option<Shape> {
        let (sides_needed, shape) = match operation.op {
            BinOpKind::ScOr | BinOpKind::ScAnd => {
                self.tolerant = true;
                (false, None)
            }
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte
            | BinOpKind::In => (false, Some(Shape::Flag)),
            BinOpKind::Add | BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem => (needed, None),
            BinOpKind::Concat => (needed, Some(Shape::Text)),
            BinOpKind::Mul | BinOpKind::Pow => {
                self.error("M027", at, "`*` and `**` are not part of the language".to_owned())
                    .hint("use a value table for numbers");
                (false, None)
            }
        };
        if matches!(shape, Some(Shape::Flag)) {
            self.text_and_number(&operation.left, &operation.right);
        }
        let left = self.walk(&operation.left, sides_needed);
        let right = self.walk(&operation.right, sides_needed);
        // `a or b` is a record if either is, which the end refuses.
        shape.or_else(|| [left, right].into_iter().flatten().find(|side| matches!(side, Shape::Record(_))))
    }

    fn choice(&mut self, choice: &ast::IfExpr<'_>, at: (usize, usize)) -> Option<Shape> {
        self.tolerant = true;
        self.walk(&choice.test_expr, false);
        let yes = self.walk(&choice.true_expr, false);
        let Some(other) = &choice.false_expr else {
            self.error("M030", at, "`if` without `else`".to_owned()).hint("add `else ''`, or use the field's `when:`");
            return None;
        };
        let no = self.walk(other, false);
        [yes, no].into_iter().flatten().find(|side| matches!(side, Shape::Record(_)))
    }

    fn filter(&mut self, filter: &ast::Filter<'_>, at: (usize, usize), needed: bool) -> Option<Shape> {
        self.named(Known::Filters, filter.name, &filter.args);
        let forgiving = matches!(filter.name, "default" | "length");
        // A zero time is absent, which whoever asks for a time has thought of.
        self.tolerant |= matches!(filter.name, "default" | "time");
        let Some(inner) = &filter.expr else {
            self.error("M020", at, "a filter needs a value before the `|`".to_owned());
            return None;
        };
        let shape = self.walk(inner, needed && !forgiving);
        match filter.name {
            "default" => shape.filter(|shape| matches!(shape, Shape::Record(_))),
            "map" | "unique" | "first" | "last" | "selectattr" | "split" => None,
            _ => Some(Shape::Text),
        }
    }

    /// Checks a filter or test: its name, and how many arguments it has.
    fn named(&mut self, known: Known, name: &str, arguments: &[ast::CallArg<'_>]) {
        let (code, noun, known): (_, _, Vec<_>) = match known {
            Known::Filters => ("M023", "filter", FILTERS.iter().map(|it| (it.name, it.arguments)).collect()),
            Known::Tests => ("M024", "test", TESTS.iter().map(|it| (it.name, (it.arguments, it.arguments))).collect()),
        };
        let at = self.place_of(name);
        let Some((_, (least, most))) = known.iter().copied().find(|(own, _)| *own == name) else {
            self.error(code, at, format!("unknown {noun} `{name}`")).nearest(name, known.iter().map(|(own, _)| *own));
            return;
        };
        if !(least..=most).contains(&arguments.len()) {
            let count = if least == most { least.to_string() } else { format!("{least} to {most}") };
            self.error("M029", at, format!("`{name}` takes {count} arguments, found {}", arguments.len()));
        }
        for argument in arguments {
            match argument {
                ast::CallArg::Pos(value) => {
                    self.walk(value, true);
                }
                ast::CallArg::Kwarg("attribute", value) if name == "map" => {
                    self.walk(value, true);
                }
                ast::CallArg::Kwarg(word, _) => {
                    let at = self.place_of(word);
                    self.error("M029", at, format!("`{name}` has no argument called `{word}`"));
                }
                ast::CallArg::PosSplat(_) | ast::CallArg::KwargSplat(_) => {
                    self.error("M029", at, "arguments cannot be spread with `*`".to_owned());
                }
            }
        }
        if name == "map" && !arguments.iter().any(|argument| matches!(argument, ast::CallArg::Kwarg("attribute", _))) {
            self.error("M029", at, "`map` needs `attribute=`".to_owned()).hint("`list | map(attribute='name')`");
        }
    }

    /// Follows a path through the model, and notes the first step that does not exist.
    fn path(&mut self, found: FoundPath<'_>, needed: bool) -> Option<Shape> {
        let shape = self.follow(&found);
        self.paths.push(Found { path: found.path, start: found.start, end: found.end, needed });
        shape
    }

    fn follow(&mut self, found: &FoundPath<'_>) -> Option<Shape> {
        let root = found.root;
        let Some(field) = self.roots.iter().find(|field| field.name == root) else {
            let at = self.place_of(root);
            let names: Vec<&str> = self.roots.iter().map(|field| field.name).collect();
            self.error("M022", at, format!("unknown name `{root}`")).nearest(root, names);
            return None;
        };
        if root == TICKET {
            self.column(found);
            return None;
        }
        let mut shape = field.shape;
        let mut so_far = root.to_owned();
        for (step, place) in found.path.steps.iter().zip(&found.places) {
            shape = match (shape, step) {
                (Shape::Free, _) => return None,
                (Shape::List(item), Step::Item(_)) => *item,
                (Shape::Record(fields), Step::Name(name)) => {
                    let next = fields.iter().find(|field| field.name == name.as_ref());
                    next.or_else(|| self.no_field(&so_far, name, fields, *place))?.shape
                }
                (Shape::List(_), Step::Name(name)) => {
                    let hint = format!("`{so_far}[0].{name}`, or `{so_far} | map(attribute='{name}') | join`");
                    self.error("M028", *place, format!("`{so_far}` is a list")).hint(hint);
                    return None;
                }
                (Shape::Record(_), Step::Item(_)) => {
                    self.error("M028", *place, format!("`{so_far}` is not a list"));
                    return None;
                }
                (Shape::Text | Shape::Words(_) | Shape::Number | Shape::Flag | Shape::Time, _) => {
                    self.error("M028", *place, format!("`{so_far}` is a single value, there is nothing below it"));
                    return None;
                }
            };
            match step {
                Step::Name(name) => so_far = format!("{so_far}.{name}"),
                Step::Item(place) => so_far = format!("{so_far}[{place}]"),
            }
        }
        Some(shape)
    }

    fn no_field(&mut self, record: &str, name: &str, fields: &[Field], at: (usize, usize)) -> Option<&'static Field> {
        let names = fields.iter().map(|field| field.name);
        self.error("M022", at, format!("`{record}` has no field `{name}`")).nearest(name, names);
        None
    }

    /// A ticket field takes a value or a list of values, not a record.
    fn final_shape(&mut self, tree: &Expr<'_>, shape: Option<Shape>) {
        let fields = match shape {
            Some(Shape::Record(fields)) => fields,
            Some(Shape::List(Shape::Record(fields))) => *fields,
            Some(_) | None => return,
        };
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        self.error("M028", span(tree), "this is a record, not a value".to_owned())
            .hint(format!("name one of its fields: {}", list(&names)));
    }
}
