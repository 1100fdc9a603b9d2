//! The way back: what happens in ServiceNow, as the managed service hears of it, and what neither side ever hears.
//!
//! `people` is what people do and what it costs, `echoes` what is our own, `files` what is attached, `losses` webhooks that
//! do not come, `privacy` what stays, `openings` tickets of customers, `policies` what is over, `refusals` a managed service
//! that is not well, `repairs` what is easily lost or doubled, `strangers` who calls without being the instance, `facing`
//! two gateways and rules that fight, `silence` what is due.

#![expect(clippy::panic, reason = "in a test a panic is the report")]

mod echoes;
mod facing;
mod files;
mod losses;
mod luck;
mod openings;
mod people;
mod policies;
mod privacy;
mod refusals;
mod repairs;
mod silence;
mod strangers;
