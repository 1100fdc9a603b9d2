//! `snowgate demo`: simulator, gateway and managed service on free loopback ports, a story in both directions, and a check
//! that nothing was lost, doubled, sent in a circle or told that is private.
//!
//! Everything is real but the instance: files, HTTP, signatures, SQLite on disk. It needs no configuration and leaves
//! nothing behind, unless `--keep` keeps it all up to look around. Proved by: `tests/cli`.

mod receiver;
mod reckoning;
mod stage;
mod story;

use self::stage::Stage;
use super::print::Printer;
use super::{DONE, WRONG, runtime};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Stay up when the story has ended, and say where to look
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<u8> {
    runtime()?.block_on(async {
        let mut stage = Stage::set(printer.clone()).await?;
        let told = stage.play().await;
        let fine = match told {
            Ok(()) => reckoning::reckon(&stage).await?,
            Err(error) => {
                stage.strike().await;
                return Err(error);
            }
        };
        if arguments.keep {
            stage.keep().await?;
        } else {
            stage.point_onwards();
        }
        stage.strike().await;
        Ok(if fine { DONE } else { WRONG })
    })
}
