//! What the black-box tests share: the real binary, a simulated instance over real HTTP, events, and waiting.
//!
//! Permitted oracles, and no others: answers of the gateway's two listeners, its exit code and its log; the instance's
//! records and its log of calls. Never asserted: the order between incidents, the time something took on a busy
//! machine (except where a time is the promise), the store's file. Nothing sleeps blindly: [`wait`] alone waits, for a
//! condition, with a deadline.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]

pub(crate) mod bridged;
pub(crate) mod chaos;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod fleet;
pub(crate) mod gateway;
pub(crate) mod history;
pub(crate) mod home;
pub(crate) mod instance;
pub(crate) mod last_look;
pub(crate) mod mappings;
pub(crate) mod postgres;
pub(crate) mod receiver;
pub(crate) mod reply;
pub(crate) mod shelf;
pub(crate) mod wait;
pub(crate) mod wire;

pub(crate) use bridged::{Bridged, Sweeps};
pub(crate) use events::{Event, event};
pub(crate) use gateway::Gateway;
pub(crate) use history::Story;
pub(crate) use home::{Home, Keeping, Start, Tenant};
pub(crate) use instance::Instance;
pub(crate) use receiver::{Answer, Callback, Receiver};
pub(crate) use reply::Reply;
pub(crate) use shelf::{Manner, Shelf};
pub(crate) use wait::{PATIENCE, eventually, within};
