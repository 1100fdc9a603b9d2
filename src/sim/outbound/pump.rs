//! The instance's outbound connections, for real: takes due calls, sends them, tells how they ended.
//!
//! Owns: the limits of four connections a host and twenty in all, the time-outs, and reading `Retry-After`.
//! Never: repeats a call by itself, follows a redirect, or sends through a proxy.
//! Fails: a call that cannot be sent is told to the instance, which loses it or leaves it to a flow.
//! Proved by: `tests/calling`, against a receiver that is not ours.
//! Source: `r_HTTPConnectionManagementProps.md`, `c_RESTMessageV2API.md` (facts/servicenow 7.2).
//!
//! A call that waits for one of the four connections of its host keeps one of the twenty places meanwhile. So one slow
//! receiver stalls all rules of the instance, as it does on the platform (facts/servicenow 8.31).

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::super::instance::Instance;
use super::super::shell::lock;
use super::{CallEnd, OutboundCall};
use crate::limits::{
    SIM_OUTBOUND_ANSWER_BYTES_MAX, SIM_OUTBOUND_CALL_SECS_MAX, SIM_OUTBOUND_CALLS_MAX, SIM_OUTBOUND_CALLS_PER_HOST_MAX,
    SIM_OUTBOUND_CONNECT_SECS_MAX, SIM_OUTBOUND_POLL_MILLIS,
};

/// The client of the pump; fails only if the machine has no usable TLS.
pub(in crate::sim) fn client() -> io::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(SIM_OUTBOUND_CONNECT_SECS_MAX))
        .timeout(Duration::from_secs(SIM_OUTBOUND_CALL_SECS_MAX))
        .pool_max_idle_per_host(SIM_OUTBOUND_CALLS_PER_HOST_MAX)
        .build()
        .map_err(io::Error::other)
}

/// Sends what becomes due, until it is dropped; calls under way then break off.
pub(in crate::sim) async fn run(instance: Arc<Mutex<Instance>>, client: reqwest::Client) {
    let mut hosts: BTreeMap<String, Arc<Semaphore>> = BTreeMap::new();
    let mut sending = FuturesUnordered::new();
    loop {
        let room = SIM_OUTBOUND_CALLS_MAX.saturating_sub(sending.len());
        let calls = lock(&instance).due_calls_up_to(room, now());
        for call in calls {
            let places = || Arc::new(Semaphore::new(SIM_OUTBOUND_CALLS_PER_HOST_MAX));
            let places = Arc::clone(hosts.entry(call.host.clone()).or_insert_with(places));
            sending.push(send(client.clone(), places, call));
        }
        tokio::select! {
            Some((id, end)) = sending.next(), if !sending.is_empty() => {
                lock(&instance).call_ended(id, end, now());
            }
            () = sleep(Duration::from_millis(SIM_OUTBOUND_POLL_MILLIS)) => {}
        }
    }
}

async fn send(client: reqwest::Client, places: Arc<Semaphore>, call: OutboundCall) -> (u64, CallEnd) {
    // Nobody closes the semaphore; were it closed, the call would go without its place.
    let _place = places.acquire_owned().await.ok();
    let end = match post(&client, &call).await {
        Ok(end) => end,
        Err(error) => {
            let error = error.without_url();
            // What `gs.error` leaves in the instance's log when a script catches the exception.
            tracing::debug!(event = call.id, %error, "An outbound call failed");
            CallEnd::Failed(error.to_string())
        }
    };
    (call.id, end)
}

async fn post(client: &reqwest::Client, call: &OutboundCall) -> Result<CallEnd, reqwest::Error> {
    let mut request = client.post(&call.url).body(call.body.clone());
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let mut response = request.send().await?;
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after_secs = retry_after.and_then(|text| retry_after_secs(text, now()));
    let status = response.status().as_u16();
    // Read to its end, so that the connection can be used again.
    let mut read = 0_usize;
    while read <= SIM_OUTBOUND_ANSWER_BYTES_MAX
        && let Some(chunk) = response.chunk().await?
    {
        read = read.saturating_add(chunk.len());
    }
    Ok(CallEnd::Answered { status, retry_after_secs })
}

/// Seconds, or an HTTP date (RFC 9110).
fn retry_after_secs(text: &str, now: i64) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
        u64::try_from(at.saturating_sub(now.div_euclid(1_000))).ok()
    })
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        for (text, seconds) in [
            ("30", Some(30)),
            (" 5 ", Some(5)),
            ("Sun, 22 Nov 2026 06:00:30 GMT", Some(30)),
            ("Sun, 22 Nov 2026 05:00:00 GMT", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after_secs(text, 1_795_327_200_000), seconds, "{text}");
        }
    }
}
