//! What a tenant promises about time: when a first response is due, and when a silent ticket may be closed.
//!
//! Owns: [`ServiceLevels`], which judges a ticket by the ticket's own dates, and [`Calendar`], which counts business days
//! and hours. Never: reads a clock, sends a reminder, closes a ticket: it says what is due, the flows above do it. Because
//! nothing but the ticket's dates, the tenant's file and `now` goes in, every replica comes to the same answer and none
//! has to remember a timer.
//! Fails: it cannot. Proved by: `tests` below: a table across week-ends, holidays and changes of the clock, and properties.
//!
//! Two readings of ours, where the sources say only "3 business days": the day of the last activity does not count and the
//! last day counts to its end, in the tenant's zone; and a reminder leaves at least `remind` whole business days, so a
//! late one (a gateway that stood still) puts the close off instead of taking the customer by surprise.
#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

mod calendar;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use calendar::{Calendar, Holiday, Hours, InvalidCalendar, WorkDay, WorkDays, Zone};

use crate::domain::incident::Origin;
use crate::domain::time::Timestamp;

/// What a tenant promises about time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLevels {
    calendar: Calendar,
    first_response: Option<FirstResponse>,
    inactivity: Option<Inactivity>,
}

/// How soon somebody answers a new ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstResponse {
    /// So long after it was opened, day and night.
    Clock(Duration),
    /// So much business time after it was opened.
    Business(Duration),
}

/// After how many business days without the customer a ticket that waits for the customer is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inactivity {
    customer: u32,
    system: u32,
    remind: u32,
}

/// The reminder would not come before the close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reminder {remind} business days before the close needs more than {remind} days until then, not {days}")]
pub struct ReminderTooEarly {
    remind: u32,
    days: u32,
}

/// What is known of a ticket, all of it from the ticket itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When the customer last did anything; the opening if never.
    pub last_customer_activity: Timestamp,
    /// When it began to wait for the customer, if that is known: the last question put to them, of which our own reminder
    /// is none. Without it a customer who wrote long ago and is asked today would be reminded at once.
    pub waits_since: Option<Timestamp>,
    /// When the customer was last reminded, if ever. Nothing is closed without a reminder since the silence began.
    pub reminded_at: Option<Timestamp>,
    /// When somebody other than the customer first answered, if anybody did.
    pub first_response_at: Option<Timestamp>,
    /// Who raised it, if that is known.
    pub origin: Option<Origin>,
    /// Whether the next step is the customer's. Only such a ticket counts down.
    pub waits_for_customer: bool,
    /// Whether it is neither resolved nor closed nor cancelled.
    pub is_open: bool,
}

/// What is due on a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The customer is to be reminded, once per `since`.
    Remind {
        /// The silence began here.
        since: Timestamp,
        /// Reminded today, the ticket is closed then.
        closes_at: Timestamp,
    },
    /// The ticket is to be closed.
    Close {
        /// The silence began here.
        since: Timestamp,
    },
    /// Nobody has answered yet.
    FirstResponse {
        /// When somebody should have.
        due: Timestamp,
        /// Whether that is past.
        overdue: bool,
    },
}

impl ServiceLevels {
    /// Nothing is promised where nothing is given.
    pub const fn new(
        calendar: Calendar,
        first_response: Option<FirstResponse>,
        inactivity: Option<Inactivity>,
    ) -> Self {
        Self { calendar, first_response, inactivity }
    }

    /// The calendar on which business days are counted.
    pub const fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Whether silent tickets are reminded of and closed at all.
    pub const fn closes_silent_tickets(&self) -> bool {
        self.inactivity.is_some()
    }

    /// By when somebody answers a ticket opened then. `None` if that is not promised.
    pub fn first_response_due(&self, opened_at: Timestamp) -> Option<Timestamp> {
        Some(match self.first_response? {
            FirstResponse::Clock(within) => opened_at.plus(within),
            FirstResponse::Business(within) => self.calendar.plus_business_time(opened_at, within),
        })
    }

    /// Everything that is due on the ticket now. A ticket that is not open owes nothing.
    pub fn judge(&self, activity: &Activity, now: Timestamp) -> Vec<Due> {
        if !activity.is_open {
            return Vec::new();
        }
        [self.response(activity, now), self.silence(activity, now)].into_iter().flatten().collect()
    }

    fn response(&self, activity: &Activity, now: Timestamp) -> Option<Due> {
        if activity.first_response_at.is_some() {
            return None;
        }
        let due = self.first_response_due(activity.opened_at)?;
        Some(Due::FirstResponse { due, overdue: now > due })
    }

    fn silence(&self, activity: &Activity, now: Timestamp) -> Option<Due> {
        let inactivity = self.inactivity.filter(|_| activity.waits_for_customer)?;
        let days = inactivity.days(activity.origin);
        let asked = activity.waits_since.unwrap_or(activity.opened_at);
        let since = activity.last_customer_activity.max(activity.opened_at).max(asked);
        let closes_after = |reminded: Timestamp| {
            let earliest = self.calendar.plus_business_days(reminded, inactivity.remind);
            self.calendar.plus_business_days(since, days).max(earliest)
        };
        if let Some(reminded) = activity.reminded_at.filter(|reminded| *reminded >= since) {
            return (now >= closes_after(reminded)).then_some(Due::Close { since });
        }
        let remind_at = self.calendar.opening_after(since, days - inactivity.remind);
        (now >= remind_at).then(|| Due::Remind { since, closes_at: closes_after(now) })
    }
}

impl Inactivity {
    /// Closes after so many business days, 3 for tickets of the customer and 15 for those of the system in the managed
    /// service's own description, and reminds so many before. Every close has its reminder, at least a day before.
    pub fn new(customer: u32, system: u32, remind: u32) -> Result<Self, ReminderTooEarly> {
        let days = customer.min(system);
        // Zero days would be no warning at all.
        let remind = remind.max(1);
        if remind < days { Ok(Self { customer, system, remind }) } else { Err(ReminderTooEarly { remind, days }) }
    }

    /// Who raised the ticket decides how long their silence is tolerated; what nobody is known to have raised is the
    /// system's, which is patient.
    const fn days(self, origin: Option<Origin>) -> u32 {
        match origin {
            Some(Origin::Customer | Origin::Partner) => self.customer,
            Some(Origin::System | Origin::Provider | Origin::Tool | Origin::Unknown) | None => self.system,
        }
    }
}
