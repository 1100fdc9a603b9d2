//! One read of a table for what stands around its rows: the instance's clock, its limits, its cookies.
//!
//! Owns: which headers say what. Never: keeps a cookie (the transport has no jar). Fails: with an [`Outcome`], as any read.
//! Proved by: the test here and `tests/it/live_check.rs`.

use super::client::{Client, no_pass, of_unsafe};
use super::wire::calls::{Call, CallKind};
use super::wire::lists::{Listed, Rows};
use super::wire::query::Query;
use crate::delivery::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::limits::{ANSWER_BYTES_MAX, CALL_TIMEOUT};
use crate::peer::caller::Attempt;
use crate::peer::message::Answer;
use crate::peer::oauth::keeper::Pass;
use crate::peer::permit::Permit;
use crate::peer::transport::Allowance;

/// What an answer says beside its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sounding {
    /// How far the instance's clock is ahead of ours, in seconds; the answer's second is cut, so one more or less says
    /// nothing. `None` if it does not tell the time.
    pub clock_ahead_secs: Option<i64>,
    /// Calls an hour, if a rule of the instance counts ours.
    pub calls_per_hour: Option<u64>,
    /// Whether it wants to tie us to one node and one session; we do not take part.
    pub sets_cookies: bool,
}

impl Client {
    /// Reads at most one row of a table, and looks at everything else of the answer.
    pub async fn sound(&self, permit: Permit, table: &str) -> Result<Sounding, Outcome> {
        let query = Query::new();
        let rows = Rows { of: Listed::Records(table, &[]), query: &query, rows_max: 1, skip: 0, count: false };
        let call = Call::Rows(rows);
        let attempt = |pass| self.sound_once(&call, pass);
        self.caller().call(permit, attempt, |made| self.report(CallKind::List, made)).await
    }

    async fn sound_once(&self, call: &Call<'_>, pass: Option<Pass>) -> Attempt<Sounding> {
        let Some(pass) = pass else { return Attempt::without_answer(Err(no_pass())) };
        let request = match call.spell(self.origin(), pass.header) {
            Ok(request) => request,
            Err(refusal) => return Attempt::without_answer(Err(of_unsafe(&refusal))),
        };
        let allowance = Allowance { time: CALL_TIMEOUT, body_bytes_max: ANSWER_BYTES_MAX };
        let asked = self.caller().now();
        let reply = self.caller().transport().send(request, allowance).await;
        let around =
            reply.as_ref().map_or_else(|_| Sounding::default(), |answer| around(answer, asked, self.caller().now()));
        let Attempt { result, status, told, mark } = self.judged(CallKind::List, &reply);
        Attempt { result: result.map(|_| around), status, told, mark }
    }
}

/// What the headers say of an answer to a request that was on its way between these two moments.
fn around(answer: &Answer, asked: Timestamp, came: Timestamp) -> Sounding {
    let date = answer.header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let clock_ahead_secs = date.map(|date| {
        let said = date.timestamp().as_second();
        // Anywhere between the two is in step.
        if said > came.seconds() { said - came.seconds() } else { (said - asked.seconds()).min(0) }
    });
    Sounding {
        clock_ahead_secs,
        calls_per_hour: answer.header("x-ratelimit-limit").and_then(|text| text.parse().ok()),
        sets_cookies: answer.headers.contains_key("set-cookie"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::message::{HeaderMap, HeaderValue};

    fn ahead(date: &'static str) -> Option<i64> {
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static(date));
        let answer = Answer { status: 200, headers, ..Answer::default() };
        let at = |raw| Timestamp::parse_utc(raw).unwrap();
        around(&answer, at("2026-11-22 06:00:00"), at("2026-11-22 06:00:03")).clock_ahead_secs
    }

    #[test]
    fn a_clock_is_ahead_only_outside_of_the_time_the_call_took() {
        assert_eq!(ahead("Sun, 22 Nov 2026 06:00:02 GMT"), Some(0));
        assert_eq!(ahead("Sun, 22 Nov 2026 06:10:03 GMT"), Some(600));
        assert_eq!(ahead("Sun, 22 Nov 2026 05:59:00 GMT"), Some(-60));
        assert_eq!(ahead("yesterday"), None);
    }
}
