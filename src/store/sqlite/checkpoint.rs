//! Copying committed pages from the log into the file, on a thread of its own so that no commit has to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::limits::{CHECKPOINT_EVERY, WAL_PAGES_MAX};
use crate::store::contract::StoreError;

/// The thread. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection, commits: Arc<AtomicU64>) -> Result<Self, StoreError> {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("store checkpoints".to_owned())
            .spawn(move || serve(&connection, &commits, &stopped))
            .map_err(|error| StoreError::Refused(format!("the checkpoint thread could not be started: {error}")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            drop(thread.join());
        }
    }
}

fn serve(connection: &Connection, commits: &AtomicU64, stopped: &Receiver<()>) {
    let mut seen = 0;
    while stopped.recv_timeout(CHECKPOINT_EVERY) == Err(RecvTimeoutError::Timeout) {
        let commits = commits.load(Ordering::Relaxed);
        if commits == seen {
            continue;
        }
        seen = commits;
        // A failure to copy loses nothing: the log still has it, and the writer meets a full disk by itself.
        if let Ok(length) = checkpoint(connection, "PASSIVE")
            && length > WAL_PAGES_MAX
        {
            drop(checkpoint(connection, "TRUNCATE"));
        }
    }
}

/// Copies what can be copied; answers how many pages the log holds.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}
