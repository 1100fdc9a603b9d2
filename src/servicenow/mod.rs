//! Talking to one ServiceNow instance.
pub mod classify;
pub mod pace;
pub mod transport;
pub mod wire;
