//! The client of ServiceNow over real sockets and in virtual time: what an instance does to it, and what it does then.
//!
//! What is read of tickets, their journals and files stands apart (`reading`, `files`), and so does who we are there (`credentials`). Three peers: the simulator for everything an instance does by design or by accident (`instance`), hand-written
//! servers for what no HTTP framework can be made to do (`hostile`), and a peer without sockets for hours of waiting
//! (`patience`).

#[path = "servicenow/credentials.rs"]
mod credentials;
#[path = "servicenow/files.rs"]
mod files;
#[path = "servicenow/harness.rs"]
mod harness;
#[path = "servicenow/hostile.rs"]
mod hostile;
#[path = "servicenow/instance.rs"]
mod instance;
#[path = "servicenow/patience.rs"]
mod patience;
#[path = "servicenow/reading.rs"]
mod reading;
