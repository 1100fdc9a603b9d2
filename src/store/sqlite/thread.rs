//! Threads that own a connection and do what they are sent; answers leave only when the outcome is certain.

use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::fault::Fault;
use crate::store::contract::StoreError;

/// One command on its way to a thread that owns an `S`.
pub(super) trait Job<S>: Send {
    /// Does the work and keeps the result. May be called again after its transaction was rolled back.
    fn run(&mut self, session: &mut S) -> Result<(), Fault>;
    /// Tells whoever waits: the result kept, or why there is none.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A job on its way.
pub(super) type BoxedJob<S> = Box<dyn Job<S>>;

struct Task<F, T> {
    work: F,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<S, F, T> Job<S> for Task<F, T>
where
    F: FnMut(&mut S) -> Result<T, Fault> + Send,
    T: Send,
{
    fn run(&mut self, session: &mut S) -> Result<(), Fault> {
        let result = match (self.work)(session) {
            Ok(value) => Ok(value),
            Err(Fault::Declined(error)) => Err(error),
            Err(fault) => return Err(fault),
        };
        self.result = Some(result);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let missing = || Err(StoreError::Damaged("a command ended without a result".to_owned()));
        let answer = outcome.and_then(|()| result.unwrap_or_else(missing));
        // Whoever asked may have stopped waiting; what was done stays done.
        drop(reply.send(answer));
    }
}

/// The way to a thread. Dropping it lets the thread finish what it has and waits for its end.
#[derive(Debug)]
pub(super) struct Desk<S> {
    jobs: Option<mpsc::Sender<BoxedJob<S>>>,
    thread: Option<JoinHandle<()>>,
    name: &'static str,
}

impl<S: 'static> Desk<S> {
    /// Starts a thread that takes jobs from a queue of this length.
    pub(super) fn start(
        name: &'static str,
        queue_max: usize,
        serve: impl FnOnce(mpsc::Receiver<BoxedJob<S>>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(queue_max);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serve(queue))
            .map_err(|error| StoreError::Refused(format!("the thread {name} could not be started: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), name })
    }

    /// Sends work, waiting for a place in the queue, and waits for its answer.
    pub(super) async fn ask<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut S) -> Result<T, Fault> + Send + 'static,
    {
        let (job, answer) = task(work);
        let Some(jobs) = &self.jobs else { return Err(self.gone()) };
        jobs.send(job).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    /// Sends work unless the queue is full, and waits for its answer.
    pub(super) async fn ask_now<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut S) -> Result<T, Fault> + Send + 'static,
    {
        let (job, answer) = task(work);
        let Some(jobs) = &self.jobs else { return Err(self.gone()) };
        jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                StoreError::Unavailable(format!("too many commands wait for the {}", self.name))
            }
            mpsc::error::TrySendError::Closed(_) => self.gone(),
        })?;
        answer.await.map_err(|_| self.gone())?
    }

    fn gone(&self) -> StoreError {
        StoreError::Damaged(format!("the {} has stopped; start again", self.name))
    }
}

impl<S> Drop for Desk<S> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            drop(thread.join());
        }
    }
}

fn task<S, T, F>(work: F) -> (BoxedJob<S>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnMut(&mut S) -> Result<T, Fault> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Task { work, result: None, reply }), answer)
}
