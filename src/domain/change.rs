//! One thing that happened to an incident.
