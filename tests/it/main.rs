//! The real binary between real senders and a simulated instance: what users and operators notice.
//!
//! What comes in and who may send it: `intake`, `door`, `callers` (every way to prove who one is), `source_route` and `sources` (tools), `webhooks`, and
//! `receipts`, what senders are told. What becomes of it: `stored` what the instance does with values, `keys` how a ticket is found again, `folding` what
//! waiting updates become, `escalations` what goes to somebody else, `parking` what needs a person. Instances that are not well: `outages`, `throttling`,
//! `isolation` their neighbours, `credentials` who we are to them. Operators: `operators`, `reload` files that change, `live_check` and `life_cycle` how a
//! tenant comes to be served, `audit` what is on record of what people did, `matrix` who may what on every route. `back` is the other direction.

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod back;
mod callers;
mod credentials;
mod door;
mod escalations;
mod folding;
mod harness;
mod intake;
mod isolation;
mod keys;
mod life_cycle;
mod live_check;
mod matrix;
mod operators;
mod outages;
mod parking;
mod pressure;
mod receipts;
mod reload;
mod source_route;
mod sources;
mod stored;
mod throttling;
mod webhooks;
