//! A worker that is frozen in the middle of a step, as by SIGSTOP or a hypervisor, and goes on later.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use snowgate::runtime::luck;
use tokio::time::Sleep;

/// Polls the inner future, but sometimes stops doing so for longer than any lease.
pub(crate) struct Stalling<F> {
    inner: Pin<Box<F>>,
    frozen: Option<Pin<Box<Sleep>>>,
    per_poll: f64,
}

impl<F: Future> Stalling<F> {
    pub(crate) fn new(inner: F, per_poll: f64) -> Self {
        Self { inner: Box::pin(inner), frozen: None, per_poll }
    }
}

impl<F: Future> Future for Stalling<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.frozen.is_none() && luck::fraction() < self.per_poll {
            let seconds = 60.0 + 240.0 * luck::fraction();
            self.frozen = Some(Box::pin(tokio::time::sleep(Duration::from_secs_f64(seconds))));
        }
        if let Some(sleep) = self.frozen.as_mut() {
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.frozen = None;
        }
        self.inner.as_mut().poll(context)
    }
}
