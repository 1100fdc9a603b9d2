//! The real binary between real senders and a simulated instance: what users and operators notice.
//!
//! `intake` and `door` cover what comes in and who may send it, `callers` every way to prove that, `source_route` the same for tools, `sources` tools
//! with payloads of their own, `webhooks` the instance, `receipts` what senders are told, `operators` the admin listener, `escalations` what goes to
//! somebody else, `parking` what needs a person, `stored` what the instance does with values, `keys` how a ticket is found again, `outages` and
//! `throttling` an instance that is not well, `isolation` its neighbours, `folding` what waiting updates become, `reload` files that change meanwhile.
//! `back` is the other direction.

#[path = "../support/mod.rs"]
mod support;

mod back;
mod callers;
mod door;
mod escalations;
mod folding;
mod harness;
mod intake;
mod isolation;
mod keys;
mod operators;
mod outages;
mod parking;
mod receipts;
mod reload;
mod source_route;
mod sources;
mod stored;
mod throttling;
mod webhooks;
