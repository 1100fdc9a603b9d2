//! An issuer that counts how often it is asked, on a clock that is moved by hand.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::domain::time::{Clock, Timestamp};
use crate::limits::{ISSUER_CALLER_WAIT, ISSUER_FAILURE_GAP, ISSUER_FETCH_GAP, ISSUER_KEYS_FRESH};
use crate::peer::message::{Answer, Request};
use crate::peer::transport::{Exchange, Replying};
use crate::security::target::Extent;
use crate::security::token::KeySource;

const NAME: &str = "https://login.example/soc";

#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Answers by path; an address without an answer hangs.
#[derive(Default)]
struct Server {
    answers: Mutex<HashMap<String, (u16, String)>>,
    asked: AtomicUsize,
}

impl Exchange for Server {
    fn exchange(&self, request: Request) -> Replying {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let url = format!("{}{}", request.origin, request.path_and_query);
        let answer = self.answers.lock().unwrap().get(&url).cloned();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let Some((status, body)) = answer else { return std::future::pending().await };
            Ok(Answer { status, body: body.into_bytes(), ..Answer::default() })
        })
    }
}

struct Bench {
    issuers: Arc<Issuers>,
    server: Arc<Server>,
    clock: Arc<HandClock>,
    issuer: Issuer,
}

impl Bench {
    /// An issuer whose document and keys are where they belong.
    fn new(key_ids: &[&str]) -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(1_795_327_200_000)));
        let server = Arc::new(Server::default());
        let hosts = ["login.example", "keys.example"].map(|host| host.parse().unwrap()).to_vec();
        let egress = Arc::new(EgressPolicy { allow_hosts: hosts, allow_private: Vec::new() });
        let document = egress.check(&format!("{NAME}/.well-known/openid-configuration"), Extent::Path).unwrap();
        let way = Transport::Simulated(Arc::clone(&server) as Arc<dyn Exchange>);
        let surroundings =
            Surroundings { encrypted: way.clone(), plain: way, egress, clock: Arc::clone(&clock) as SharedClock };
        let issuer = Issuer { name: NAME.into(), keys: KeySource::Discovered(document) };
        let bench = Self { issuers: Arc::new(Issuers::new(surroundings)), server, clock, issuer };
        bench.says(NAME, "https://keys.example/jwks");
        bench.publishes(key_ids);
        bench
    }

    fn answers(&self, url: &str, status: u16, body: &str) {
        self.server.answers.lock().unwrap().insert(url.to_owned(), (status, body.to_owned()));
    }

    fn says(&self, issuer: &str, keys: &str) {
        let document = json!({"issuer": issuer, "jwks_uri": keys}).to_string();
        self.answers(&format!("{NAME}/.well-known/openid-configuration"), 200, &document);
    }

    fn publishes(&self, key_ids: &[&str]) {
        // The base point of the curve: a key like any other.
        let x = "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY";
        let y = "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";
        let key = |kid: &&str| json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y});
        let keys: Vec<_> = key_ids.iter().map(key).collect();
        self.answers("https://keys.example/jwks", 200, &json!({"keys": keys}).to_string());
    }

    fn fails(&self) {
        self.answers("https://keys.example/jwks", 503, "down");
    }

    fn later(&self, duration: Duration) {
        self.clock.0.fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// `known` if the key is there, `missing` if it is not, or that it cannot be said.
    async fn look(&self, key_id: &str) -> String {
        match self.issuers.keys(&self.issuer, key_id).await {
            Keys::Known(keys) if keys.has(key_id) => "known".to_owned(),
            Keys::Known(_) => "missing".to_owned(),
            Keys::Later(wait) => format!("later {}", wait.as_secs()),
        }
    }

    /// How often the issuer was asked since the last time; a look at both documents is two.
    fn asked(&self) -> usize {
        self.server.asked.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_at_once_cost_one_fetch_and_the_next_ones_none() {
    let bench = Arc::new(Bench::new(&["a"]));
    let looks = (0..50).map(|_| bench.look("a"));
    let found = futures_util::future::join_all(looks).await;
    assert!(found.iter().all(|found| found == "known"), "{found:?}");
    assert_eq!(bench.asked(), 2);
    assert_eq!((bench.look("a").await.as_str(), bench.asked()), ("known", 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_at_once_and_made_up_ones_cost_one_look_a_minute() {
    let bench = Bench::new(&["a"]);
    assert_eq!(bench.look("a").await, "known");
    bench.publishes(&["a", "b"]);
    assert_eq!(bench.look("b").await, "known", "a rotation is no news to wait for");
    assert_eq!(bench.asked(), 4);
    assert_eq!(bench.look("x-1").await, "missing");
    assert_eq!(bench.asked(), 2);
    for number in 0..1_000 {
        assert_eq!(bench.look(&format!("x-{number}")).await, "later 60");
    }
    assert_eq!((bench.look("a").await.as_str(), bench.asked()), ("known", 0), "those who have a key do not notice");
    bench.later(ISSUER_FETCH_GAP);
    bench.publishes(&["a", "b", "c"]);
    assert_eq!((bench.look("c").await.as_str(), bench.asked()), ("known", 2));
}

#[tokio::test(start_paused = true)]
async fn old_keys_serve_for_a_day_while_newer_ones_cannot_be_had() {
    let bench = Bench::new(&["a"]);
    assert_eq!(bench.look("a").await, "known");
    bench.fails();
    bench.asked();
    bench.later(ISSUER_KEYS_FRESH);
    assert_eq!(bench.look("a").await, "known", "it is renewed on the side");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.asked(), 2);
    assert_eq!(bench.look("b").await, "later 10", "whether there is a new key cannot be said");
    bench.later(ISSUER_FAILURE_GAP);
    assert_eq!(bench.look("b").await, "later 10");
    let passed = ISSUER_KEYS_FRESH + ISSUER_FAILURE_GAP + Duration::from_millis(1);
    bench.later(ISSUER_KEYS_KEPT.saturating_sub(passed));
    assert_eq!(bench.look("a").await, "known");
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.later(Duration::from_millis(1));
    assert!(bench.look("a").await.starts_with("later"), "after a day they are too old");
    bench.later(ISSUER_FAILURE_GAP);
    bench.publishes(&["a"]);
    assert_eq!(bench.look("a").await, "known");
}

#[tokio::test(start_paused = true)]
async fn keys_are_renewed_every_hour_without_anybody_waiting() {
    let bench = Bench::new(&["a"]);
    assert_eq!(bench.look("a").await, "known");
    bench.later(ISSUER_KEYS_FRESH);
    bench.publishes(&["b"]);
    assert_eq!(bench.look("a").await, "known");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.look("b").await, "known");
    assert_eq!(bench.look("a").await, "missing", "a key that was taken back proves nothing any more");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_hangs_keeps_a_caller_for_seconds_and_nobody_else() {
    let bench = Bench::new(&["a"]);
    bench.server.answers.lock().unwrap().clear();
    let begun = tokio::time::Instant::now();
    assert_eq!(bench.look("a").await, "later 3");
    assert_eq!(begun.elapsed(), ISSUER_CALLER_WAIT);
    assert_eq!(bench.look("a").await, "later 3");
    assert_eq!(bench.asked(), 1, "the second one waits for the same fetch");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_not_the_issuers_own_or_leads_elsewhere_brings_no_keys() {
    for (name, keys) in [
        ("https://login.example/other", "https://keys.example/jwks"),
        ("https://login.example/soc/", "https://keys.example/jwks"),
        (NAME, "https://evil.example/jwks"),
        (NAME, "http://keys.example/jwks"),
        (NAME, "https://169.254.169.254/jwks"),
        (NAME, "file:///etc/passwd"),
        (NAME, ""),
    ] {
        let bench = Bench::new(&["a"]);
        bench.says(name, keys);
        assert!(bench.look("a").await.starts_with("later"), "{name} {keys}");
        assert_eq!(bench.asked(), 1, "{name} {keys}");
    }
    for (status, body) in [(302, ""), (404, ""), (200, "<html>"), (200, "{}"), (200, "{\"keys\": []}")] {
        let bench = Bench::new(&["a"]);
        bench.answers("https://keys.example/jwks", status, body);
        assert!(bench.look("a").await.starts_with("later"), "{status} {body}");
    }
}
