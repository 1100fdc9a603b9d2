//! The closed doors: whatever a stranger, a careless tool or an attacker sends, and what is to be found of it afterwards.
//!
//! `smuggling` spells requests out that two programs could read differently, `slow` never ends them, `bodies` puts into them
//! what no parser likes, `names` and `texts` say what must stay a name or a text, `targets` points us where we must not go,
//! `canaries` looks for secrets in everything that anybody could read, `backlog` lists a hundred thousand parked
//! deliveries, `page` and `matrix` hold docs/faults.md to the tests that it names.

#[path = "../support/mod.rs"]
mod support;

mod backlog;
mod bodies;
mod canaries;
mod matrix;
mod names;
mod page;
mod raw;
mod slow;
mod smuggling;
mod targets;
mod texts;
