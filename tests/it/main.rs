//! The real binary between real senders and a simulated instance: what users and operators notice.
//!
//! `intake` and `door` cover what comes in and who may send it, `source_route` the same for tools, `webhooks` for the instance, `receipts` what senders are told, `operators` the admin
//! listener, `escalations` what goes to somebody else, `parking` what needs a person, `stored` what the instance does with values, `keys` how a ticket is found again, `outages` and `throttling` an
//! instance that is not well, `isolation` its neighbours, `credentials` who we are to an instance, `folding` what waiting updates become, `reload` files that change meanwhile. `back` is the other direction.

#[path = "../support/mod.rs"]
mod support;

mod back;
mod credentials;
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
mod stored;
mod throttling;
mod webhooks;
