//! Going through a store: table by table, page by page, with a sum at the end of each.
//!
//! Never: holds more than a page. Proved by: `tests/store/copying.rs`.

use super::Side;
use super::report::{Chain, Contents, Phase, Progress, Watch};
use super::row::{Row, Sum, anchor, audit_row, key_of};
use super::tables::{AUDIT, AUDIT_ANCHOR, Table};
use crate::store::audit::{Break, Checked};
use crate::store::contract::StoreError;

/// A way through a table, page by page in the order of its key.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) sum: Sum,
    last: Option<Row>,
}

impl Walk {
    /// The next page; empty at the end.
    pub(super) async fn next(&mut self, table: &Table, side: &mut Side) -> Result<Vec<Row>, StoreError> {
        let page = side.page(table, self.last.as_deref()).await?;
        for row in &page {
            self.sum.add(row);
        }
        if let Some(last) = page.last() {
            self.last = Some(key_of(table, last));
        }
        Ok(page)
    }

    pub(super) const fn rows(&self) -> u64 {
        self.sum.rows()
    }
}

/// Counts what was done and tells of it.
pub(super) struct Steps<'a> {
    done: u64,
    all: u64,
    watch: Watch<'a>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(contents: &Contents, times: u64, watch: Watch<'a>) -> Self {
        Self { done: 0, all: contents.rows() * times, watch }
    }

    pub(super) fn tell(&mut self, phase: Phase, table: &Table, rows: (u64, u64), page: usize) {
        self.done += page as u64;
        (self.watch)(Progress { phase, table: table.name, rows, steps: (self.done, self.all) });
    }
}

/// The audit log on its way past.
#[derive(Default)]
pub(super) struct Log {
    checked: Option<Checked>,
    broken: Option<String>,
}

impl Log {
    pub(super) fn follow(&mut self, table: &Table, page: &[Row]) {
        if table.name == AUDIT_ANCHOR {
            self.checked = page.first().and_then(|row| anchor(row)).map(Checked::from);
        } else if table.name == AUDIT && self.broken.is_none() {
            let rows = page.iter().map(|row| audit_row(row).ok_or_else(|| "a row holds no text".to_owned()));
            let told = |broken: Break| broken.to_string();
            self.broken = match &mut self.checked {
                Some(checked) => {
                    rows.map(|row| row.and_then(|row| checked.follow(&row).map_err(told))).find_map(Result::err)
                }
                None => Some("nothing says where it begins".to_owned()),
            };
        }
    }

    pub(super) fn end(self) -> Chain {
        match (self.broken, self.checked) {
            (Some(broken), _) => Chain::Broken(broken),
            (None, None) => Chain::Broken("nothing says where it begins".to_owned()),
            (None, Some(checked)) => {
                let reached = checked.reached();
                match checked.end(reached) {
                    Ok((head, _)) => Chain::Whole(head),
                    Err(broken) => Chain::Broken(broken.to_string()),
                }
            }
        }
    }
}
