//! The only place that starts tasks and threads: each has a name, keeps the caller's span, and is missed when it dies.
//!
//! Owns: spawning. Never: decides what a dead task means; that is the owner of the handle.
//! Fails: a panic is counted, logged with the task's name, and then handed on through the handle.
//! Proved by: the tests below.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument;

use crate::telemetry::events::TaskPanicked;

/// Starts a named task in the current span. Dropping the handle lets the task go on; awaiting it tells how it ended.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    tokio::spawn(watched(name, future).in_current_span())
}

/// A panic that was reported, and ends here.
#[derive(Clone, Copy, Debug)]
pub struct Panicked;

/// Runs work that may panic without taking its task along.
pub async fn caught<F: Future>(name: &'static str, future: F) -> Result<F::Output, Panicked> {
    // Unwind safety: the future is dropped right here and nothing of it is looked at again.
    AssertUnwindSafe(future).catch_unwind().await.map_err(|_| {
        TaskPanicked { task: name }.emit();
        Panicked
    })
}

/// Starts a named thread for work that blocks, such as a database file's single writer, in the current span.
pub fn spawn_thread<T>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<T>>
where
    T: Send + 'static,
{
    let span = tracing::Span::current();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        match std::panic::catch_unwind(AssertUnwindSafe(|| span.in_scope(work))) {
            Ok(value) => value,
            Err(panic) => tell(name, panic),
        }
    })
}

/// Runs work that blocks for a moment, such as reading files, beside the threads that serve.
pub async fn blocking<T>(name: &'static str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError>
where
    T: Send + 'static,
{
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || match std::panic::catch_unwind(AssertUnwindSafe(|| span.in_scope(work))) {
        Ok(value) => value,
        Err(panic) => tell(name, panic),
    })
    .await
}

async fn watched<F: Future>(name: &'static str, future: F) -> F::Output {
    // Unwind safety: the future is dropped right here and nothing of it is looked at again.
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(value) => value,
        Err(panic) => tell(name, panic),
    }
}

/// Tells of the panic and lets it go on, so that the handle reports it too.
fn tell(name: &'static str, panic: Box<dyn std::any::Any + Send>) -> ! {
    TaskPanicked { task: name }.emit();
    std::panic::resume_unwind(panic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[tokio::test]
    async fn a_task_gives_its_value_to_its_handle() {
        assert_eq!(spawn("adds", async { 1 + 1 }).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_panicking_task_is_counted_by_name_and_its_handle_says_so() {
        let metrics = Metrics::install().unwrap();
        let ended = spawn("falls", async { panic!("on purpose") }).await;
        assert!(ended.unwrap_err().is_panic());
        assert!(metrics.render().contains(r#"snowgate_task_panics_total{task="falls"} 1"#), "{}", metrics.render());
    }

    #[tokio::test]
    async fn a_caught_panic_is_counted_and_the_task_goes_on() {
        let metrics = Metrics::install().unwrap();
        assert!(caught("slips", async { panic!("on purpose") }).await.is_err());
        assert_eq!(caught("slips", async { 1 + 1 }).await.unwrap(), 2);
        assert!(metrics.render().contains(r#"snowgate_task_panics_total{task="slips"} 1"#), "{}", metrics.render());
    }

    #[test]
    fn a_panicking_thread_is_counted_by_name_and_its_handle_says_so() {
        let metrics = Metrics::install().unwrap();
        let ended = spawn_thread("trips", || panic!("on purpose")).unwrap().join();
        assert!(ended.is_err());
        assert!(metrics.render().contains(r#"snowgate_task_panics_total{task="trips"} 1"#), "{}", metrics.render());
    }

    #[tokio::test]
    async fn a_task_stays_in_the_span_of_its_starter() {
        let subscriber = tracing_subscriber::registry();
        let _guard = tracing::subscriber::set_default(subscriber);
        let span = tracing::info_span!("starter");
        let expected = span.id();
        let handle = span.in_scope(|| spawn("asks", async { tracing::Span::current().id() }));
        assert!(expected.is_some());
        assert_eq!(handle.await.unwrap(), expected);
    }
}
