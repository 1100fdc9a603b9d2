//! Hours of waiting in virtual time: tokens that expire, endpoints that hang, rates that are kept (F30, F35).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use snowgate::peer::message::{Answer, HeaderMap, HeaderValue, Request};
use snowgate::peer::pace::Limits;
use snowgate::peer::transport::{Exchange, Replying, Transport};
use snowgate::servicenow::client::{Client, ClientOptions};
use tokio::time::{Instant, advance, sleep};

use crate::harness::{VirtualClock, WIDE, client_credentials, options};

/// A peer without sockets: grants tokens of 30 minutes, makes tickets, and can be told to misbehave.
#[derive(Default)]
struct Peer {
    tokens: AtomicUsize,
    creates: Mutex<Vec<Instant>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    mood: Mutex<Mood>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Well,
    TokensHang,
    TokensFail,
    Throttles,
    Slow,
}

struct Shared(Arc<Peer>);

impl Exchange for Shared {
    fn exchange(&self, request: Request) -> Replying {
        let peer = Arc::clone(&self.0);
        Box::pin(async move {
            if request.path_and_query.starts_with("/oauth_token.do") {
                Ok(peer.grant().await)
            } else {
                Ok(peer.create().await)
            }
        })
    }
}

fn json(status: u16, body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Answer { status, headers, body: body.as_bytes().to_vec(), cut: false }
}

fn gateway(limits: Limits) -> (Arc<Peer>, Client) {
    let peer = Arc::new(Peer::default());
    let transport = Transport::Simulated(Arc::new(Shared(Arc::clone(&peer))));
    let clock = VirtualClock::shared();
    let made =
        ClientOptions { limits, transport, clock, ..options("https://acme.service-now.com", client_credentials("x")) };
    (peer, Client::new(made))
}

impl Peer {
    async fn grant(&self) -> Answer {
        self.tokens.fetch_add(1, Ordering::SeqCst);
        match self.mood() {
            Mood::TokensFail => return json(503, "{}"),
            Mood::TokensHang => sleep(Duration::from_hours(24)).await,
            Mood::Well | Mood::Throttles | Mood::Slow => {}
        }
        json(200, r#"{"access_token":"t","expires_in":"1800"}"#)
    }

    async fn create(&self) -> Answer {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        self.creates.lock().expect("whole").push(Instant::now());
        let mood = self.mood();
        if mood == Mood::Slow {
            sleep(Duration::from_millis(500)).await;
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if mood == Mood::Throttles {
            let mut answer = json(429, "{}");
            answer.headers.insert("retry-after", HeaderValue::from_static("120"));
            return answer;
        }
        json(201, r#"{"result":{"sys_id":"699ec6375df7c9b27e8f0009f87025b7","number":"INC1"}}"#)
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().expect("whole")
    }

    fn feels(&self, mood: Mood) {
        *self.mood.lock().expect("whole") = mood;
    }

    fn tokens(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    fn creates(&self) -> usize {
        self.creates.lock().expect("whole").len()
    }
}

async fn create(client: &Client) -> Result<(), String> {
    let permit = client.permit(false).await.map_err(|closed| format!("closed {}", closed.code))?;
    let made = client.create(permit, "incident", &[], &[]).await;
    made.map(drop).map_err(|outcome| format!("{} {}", outcome.class.as_str(), outcome.code))
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_hangs_holds_one_request_and_nobody_beyond_the_deadline() {
    // proves F35: 50 callers, one request, all told after 20 s
    let (peer, client) = gateway(WIDE);
    peer.feels(Mood::TokensHang);
    let begun = Instant::now();
    let answers = join_all((0..50).map(|_| create(&client))).await;
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert_eq!(peer.tokens(), 1);
    assert!(answers.iter().all(|answer| *answer == Err("not_processed token_timeout".to_owned())), "{answers:?}");
    assert_eq!(client.standing().breaker, "closed", "one failure, shared by fifty, counts once");
    peer.feels(Mood::Well);
    advance(Duration::from_secs(5)).await;
    assert_eq!(create(&client).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_early_by_one_call_and_used_to_its_end_if_that_fails() {
    let (peer, client) = gateway(WIDE);
    create(&client).await.expect("a ticket");
    advance(Duration::from_mins(22)).await;
    create(&client).await.expect("a ticket");
    assert_eq!(peer.tokens(), 1);
    advance(Duration::from_mins(3)).await;
    join_all((0..20).map(|_| create(&client))).await;
    assert_eq!(peer.tokens(), 2, "at four fifths of its life, once");
    peer.feels(Mood::TokensFail);
    advance(Duration::from_mins(25)).await;
    assert_eq!(create(&client).await, Ok(()), "the old one is still good");
    assert_eq!(create(&client).await, Ok(()));
    assert_eq!(peer.tokens(), 3, "and the failure is not repeated with every call");
    advance(Duration::from_mins(6)).await;
    assert_eq!(create(&client).await, Err("not_processed token_http_503".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_permit_taken_before_a_throttle_is_worth_nothing_after_it() {
    let (peer, client) = gateway(WIDE);
    let early = client.permit(false).await.expect("a permit");
    peer.feels(Mood::Throttles);
    let told = create(&client).await;
    let overtaken = client.create(early, "incident", &[], &[]).await.expect_err("not sent");
    assert_eq!(told, Err(format!("{} {}", overtaken.class.as_str(), overtaken.code)));
    assert_eq!((overtaken.status, peer.creates()), (None, 1));
    assert!(overtaken.not_before.is_some());
    assert_eq!(client.standing().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_throttle_the_release_is_gentle() {
    let (peer, client) = gateway(Limits { calls_per_second: 10, ..WIDE });
    peer.feels(Mood::Throttles);
    assert_eq!(create(&client).await, Err("throttled http_429_rate_limit".to_owned()));
    peer.feels(Mood::Well);
    let throttled_at = Instant::now();
    let until = client.permit(false).await.expect_err("closed").until;
    // A dispatcher that comes back whenever it is told to, for four minutes.
    while throttled_at.elapsed() < Duration::from_mins(4) {
        if let Err(refused) = create(&client).await {
            assert!(refused.starts_with("closed"), "{refused}");
            advance(Duration::from_millis(250)).await;
        }
    }
    let creates: Vec<f64> = peer.creates.lock().expect("whole")[1..]
        .iter()
        .map(|at| at.duration_since(throttled_at).as_secs_f64())
        .collect();
    let pause = creates[0];
    assert!((120.0..=132.5).contains(&pause), "{pause} until {until}");
    let within = |from: f64, to: f64| creates.iter().filter(|at| (from..to).contains(&(**at - pause))).count();
    assert!(within(0.0, 5.0) <= 15, "{}", within(0.0, 5.0));
    assert!((80..=101).contains(&within(70.0, 80.0)), "{}", within(70.0, 80.0));
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept_and_a_caller_is_not_held_for_long() {
    let (peer, client) = gateway(Limits { calls_per_second: 5, ..WIDE });
    let begun = Instant::now();
    let answers = join_all((0..50).map(|_| create(&client))).await;
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 20, "a burst of ten, and two seconds of five");
    assert_eq!(peer.creates(), 20);
    assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(|code| code == "closed calls_per_second"));
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_run_at_once_than_allowed_and_the_others_take_turns() {
    let (peer, client) = gateway(Limits { concurrency: 4, ..WIDE });
    create(&client).await.expect("a token for all");
    peer.feels(Mood::Slow);
    let answers = join_all((0..40).map(|_| create(&client))).await;
    assert_eq!(peer.most_under_way.load(Ordering::SeqCst), 4);
    let (done, busy): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!((16..=20).contains(&done.len()), "{}", done.len());
    assert!(busy.iter().all(|answer| *answer == Err("closed all_slots_busy".to_owned())));
}
