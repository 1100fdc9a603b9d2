//! Encoded queries, made of parts that cannot mean anything else (`facts/servicenow.md` 1.2).
//!
//! Owns: the joining of conditions. `^` joins conditions that must all hold; `^OR` adds an alternative to the one
//! condition before it, so `a^b^ORc` is `a and (b or c)`. All we ask can be said so; `^NQ`, whose reach is documented
//! nowhere precisely, is not used. Never: takes a text it has not checked. Fails: with [`UnsafeText`].
//! Proved by: the tests here, and `tests/servicenow.rs` against an instance that knows the language.

use std::fmt::Write as _;

use super::text::{self, UnsafeText};
use crate::domain::id::SysId;

/// Where a walk through rows stands: behind this moment, or in it and behind this key.
pub type After<'a> = (&'a str, &'a SysId);

/// A query in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(String);

impl Query {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The encoded query, not yet escaped for an address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A column has this value, which is a name or a key and needs no escaping.
    pub fn is(self, column: &str, key: &str) -> Result<Self, UnsafeText> {
        Ok(self.and(column, "=", text::key(key)?))
    }

    /// A column has one of these words.
    pub fn is_one_of(self, column: &str, words: &[&str]) -> Result<Self, UnsafeText> {
        words.iter().try_for_each(|word| text::key(word).map(drop))?;
        Ok(self.and(column, "IN", &words.join(",")))
    }

    /// A column has this value, whatever its case.
    pub fn has(self, column: &str, value: &str) -> Result<Self, UnsafeText> {
        Ok(self.and(column, "=", &text::value(value)?))
    }

    /// A column refers to the user who asks. The instance evaluates a script of its own for it, as it does for people.
    #[must_use]
    pub fn is_the_caller(self, column: &str) -> Self {
        self.and(column, "=", "javascript:gs.getUserID()")
    }

    /// A column refers to one of these records.
    #[must_use]
    pub fn refers_to(self, column: &str, records: &[SysId]) -> Self {
        let keys: Vec<&str> = records.iter().map(SysId::as_str).collect();
        self.and(column, "IN", &keys.join(","))
    }

    /// A column begins with this key, or, if `or_empty`, is empty.
    pub fn begins_with(self, column: &str, key: &str, or_empty: bool) -> Result<Self, UnsafeText> {
        let mut query = self.and(column, "STARTSWITH", text::key(key)?);
        if or_empty {
            write!(query.0, "^OR{column}ISEMPTY").unwrap_or_default();
        }
        Ok(query)
    }

    /// A column is at this moment or later; with `after`, behind that place in a walk ordered by [`Self::walk`].
    ///
    /// `t>=m^t>m^ORsys_id>k` is `t >= m and (t > m or sys_id > k)`: rows of one second are neither skipped nor repeated.
    pub fn since(self, column: &str, since: &str, after: Option<After<'_>>) -> Result<Self, UnsafeText> {
        let from = after.map_or(since, |(moment, _)| moment);
        let mut query = self.and(column, ">=", text::moment(from)?);
        if let Some((moment, key)) = after {
            write!(query.0, "^{column}>{moment}^ORsys_id>{key}").unwrap_or_default();
        }
        Ok(query)
    }

    /// The oldest first, by this column and then by key, which makes the order total.
    #[must_use]
    pub fn walk(mut self, column: &str) -> Self {
        let joint = self.joint();
        write!(self.0, "{joint}ORDERBY{column}^ORDERBYsys_id").unwrap_or_default();
        self
    }

    fn and(mut self, column: &str, operator: &str, operand: &str) -> Self {
        let joint = self.joint();
        // Writing to a string cannot fail.
        write!(self.0, "{joint}{column}{operator}{operand}").unwrap_or_default();
        self
    }

    fn joint(&self) -> &'static str {
        if self.0.is_empty() { "" } else { "^" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_on_behind_the_last_row_of_a_second() {
        let key = SysId::from_bits(7);
        let at = "2026-11-22 06:00:00";
        let since = |after| {
            let query =
                Query::new().since("sys_updated_on", at, after).unwrap().begins_with("correlation_id", "sg1-", true);
            query.unwrap().walk("sys_updated_on").as_str().to_owned()
        };
        let rest = "^correlation_idSTARTSWITHsg1-^ORcorrelation_idISEMPTY^ORDERBYsys_updated_on^ORDERBYsys_id";
        assert_eq!(since(None), format!("sys_updated_on>=2026-11-22 06:00:00{rest}"));
        assert_eq!(
            since(Some(("2026-11-22 06:30:00", &key))),
            format!("sys_updated_on>=2026-11-22 06:30:00^sys_updated_on>2026-11-22 06:30:00^ORsys_id>{key}{rest}"),
        );
    }

    #[test]
    fn no_part_can_become_two() {
        assert!(Query::new().is("a", "x^ORb=1").is_err());
        assert!(Query::new().is_one_of("a", &["x", "y^z"]).is_err());
        assert!(Query::new().begins_with("a", "x^", false).is_err());
        assert!(Query::new().since("a", "2026^ORDERBYx", None).is_err());
        let key = SysId::from_bits(7);
        assert!(Query::new().since("a", "2026-11-22 06:00:00", Some(("x", &key))).is_err());
    }

    #[test]
    fn several_records_are_one_condition() {
        let keys = [SysId::from_bits(1), SysId::from_bits(2)];
        let query =
            Query::new().refers_to("element_id", &keys).is_one_of("element", &["comments", "work_notes"]).unwrap();
        assert_eq!(query.as_str(), format!("element_idIN{},{}^elementINcomments,work_notes", keys[0], keys[1]));
    }
}
