//! Work of one kind that waits goes together: one statement and one commit for all of it.
//!
//! Owns: the queue of each kind, and who goes with whom. No call waits for company: while one group commits, the next one
//! gathers by itself, as in [`intake`](super::intake). One that finds nobody beside it is a group as well: if it went
//! another way, nobody would ever gather behind it.
//!
//! * A group waits for nobody's lock (its statement says `SKIP LOCKED`): so no circle of waiting can close through it, and
//!   a row that somebody holds holds up no neighbour's.
//! * What a group did not do for certain goes back to its caller, who does it alone: the row was locked just then, or is
//!   not this caller's any more, or one member was refused and the whole group was rolled back. Only the way alone says
//!   that a lease is lost, and only a group's commit says that something is done.
//! * No group holds the same row twice.
//!
//! Never: does a part of somebody's work, or decides anything about it.
//! Fails: when the server or the way to it does, for every caller of the group: whether it was done is then unknown.
//! Proved by: `tests/store`, part `postgres_groups`.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use tokio::sync::{Mutex, mpsc, oneshot};

use super::PostgresStore;
use super::fault::Fault;
use crate::limits::{POSTGRES_GROUP_MEMBERS_MAX, POSTGRES_GROUPS_AT_ONCE, STORE_QUEUE_MAX};
use crate::runtime::tasks;
use crate::store::contract::StoreError;

/// Work that can be done together with its like.
pub(super) trait Joint: Send + Sync + Sized + 'static {
    /// What its caller is told.
    type Answer: Send + 'static;
    /// What it changes: no two of a group may change the same.
    type Row: Eq + Hash + Send;

    /// See [`Self::Row`].
    fn row(&self) -> Self::Row;

    /// Does all that can be done just now, in one commit; answers each in their order, and `None` where it did nothing.
    fn together(
        engine: &PostgresStore,
        group: &[Self],
    ) -> impl Future<Output = Result<Vec<Option<Self::Answer>>, Fault>> + Send;
}

/// What became of work that was handed in.
pub(super) enum Outcome<W: Joint> {
    /// It was done in a group.
    Done(W::Answer),
    /// Nothing was done: it is to be done alone.
    Alone(W),
}

type Reply<W> = oneshot::Sender<Result<Outcome<W>, StoreError>>;

struct Call<W: Joint> {
    work: W,
    reply: Reply<W>,
}

fn answer<W: Joint>(reply: Reply<W>, answer: Result<Outcome<W>, StoreError>) {
    // Whoever asked may have gone; what was done stays done.
    drop(reply.send(answer));
}

/// Where work of one kind is handed in.
pub(super) struct Gathering<W: Joint>(mpsc::Sender<Call<W>>);

impl<W: Joint> std::fmt::Debug for Gathering<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathering").finish_non_exhaustive()
    }
}

/// What was handed in and waits.
pub(super) struct Gathered<W: Joint>(mpsc::Receiver<Call<W>>);

impl<W: Joint> Gathering<W> {
    pub(super) fn new() -> (Self, Gathered<W>) {
        let (calls, waiting) = mpsc::channel(STORE_QUEUE_MAX);
        (Self(calls), Gathered(waiting))
    }

    /// Hands work in and waits for what becomes of it, for as long as its caller likes.
    pub(super) async fn go(&self, work: W) -> Result<Outcome<W>, Fault> {
        let (reply, answer) = oneshot::channel();
        match self.0.try_send(Call { work, reply }) {
            Ok(()) => {}
            // A queue that is full is no reason to give up a lane.
            Err(mpsc::error::TrySendError::Full(call) | mpsc::error::TrySendError::Closed(call)) => {
                return Ok(Outcome::Alone(call.work));
            }
        }
        match answer.await {
            Ok(answer) => answer.map_err(Fault::Failed),
            Err(_) => Err(Fault::unavailable("the store was closed")),
        }
    }
}

impl<W: Joint> Gathered<W> {
    /// Serves until the last sender is gone.
    pub(super) fn serve(self, engine: &Arc<PostgresStore>, name: &'static str) {
        let calls = Arc::new(Mutex::new(self.0));
        for _ in 0..POSTGRES_GROUPS_AT_ONCE {
            drop(tasks::spawn(name, serve(Arc::downgrade(engine), Arc::clone(&calls))));
        }
    }
}

async fn serve<W: Joint>(engine: Weak<PostgresStore>, calls: Arc<Mutex<mpsc::Receiver<Call<W>>>>) {
    let mut waiting = Vec::with_capacity(POSTGRES_GROUP_MEMBERS_MAX);
    while { calls.lock().await.recv_many(&mut waiting, POSTGRES_GROUP_MEMBERS_MAX).await } > 0 {
        let Some(engine) = engine.upgrade() else { return };
        let (group, replies) = apart(waiting.drain(..));
        if !group.is_empty() {
            carry_out(&engine, group, replies).await;
        }
    }
}

/// Sends back who would be second to the same row; who is not waited for any more need not be done.
fn apart<W: Joint>(calls: impl Iterator<Item = Call<W>>) -> (Vec<W>, Vec<Reply<W>>) {
    let mut rows = HashSet::new();
    let (mut group, mut replies) = (Vec::new(), Vec::new());
    for Call { work, reply } in calls.filter(|call| !call.reply.is_closed()) {
        if rows.insert(work.row()) {
            group.push(work);
            replies.push(reply);
        } else {
            answer(reply, Ok(Outcome::Alone(work)));
        }
    }
    (group, replies)
}

/// Does a group's work and tells each caller.
async fn carry_out<W: Joint>(engine: &PostgresStore, group: Vec<W>, replies: Vec<Reply<W>>) {
    let mut answers = match engine.timely(W::together(engine, &group)).await {
        Ok(answers) => answers,
        // Whether it was done is unknown, and alone it would fare no better.
        Err(Fault::Failed(error @ StoreError::Unavailable(_))) => {
            return replies.into_iter().for_each(|reply| answer(reply, Err(error.clone())));
        }
        // One of them may be the reason, and nothing was done.
        Err(Fault::Contested(_) | Fault::Unreadable(_) | Fault::Failed(_)) => Vec::new(),
    };
    answers.resize_with(group.len(), || None);
    for ((work, reply), done) in group.into_iter().zip(replies).zip(answers) {
        answer(reply, Ok(done.map_or_else(|| Outcome::Alone(work), Outcome::Done)));
    }
}

/// Puts what a statement answered, by places that count from one, into the order in which it was asked.
pub(super) fn in_their_places<A>(
    count: usize,
    answers: impl Iterator<Item = Result<(i64, A), Fault>>,
) -> Result<Vec<Option<A>>, Fault> {
    let mut placed: Vec<Option<A>> = Vec::new();
    placed.resize_with(count, || None);
    for answer in answers {
        let (place, answer) = answer?;
        let slot = usize::try_from(place - 1).ok().and_then(|index| placed.get_mut(index));
        *slot.ok_or_else(|| Fault::nonsense("an answer to a group", place))? = Some(answer);
    }
    Ok(placed)
}
