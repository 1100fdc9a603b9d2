//! Tasks, stopping and the machine's clock: what every long-running part needs and no business word.

pub mod clock;
