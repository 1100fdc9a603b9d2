//! A receiver as the managed service would write it: it verifies what it gets, and answers as it was told to.

use std::sync::{Arc, Mutex};

use snowgate::callback::client::{CallbackOptions, Client};
use snowgate::domain::time::{Clock, SharedClock, Timestamp};
use snowgate::peer::transport::Transport;
use snowgate::peer::transport::http::HttpOptions;
use snowgate::runtime::clock::SystemClock;
use snowgate::security::signature::{HexSignatures, SignedHeaders, WebhookSecret, verify};
use snowgate::security::target::{EgressPolicy, Extent, Target};

use crate::harness::{Connection, Peer, WIDE, any_address, http_with};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const NEXT_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether this secret signed it, a moment ago, as Standard Webhooks wants it.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let of = |name| self.header(name).unwrap_or_default();
        let headers = SignedHeaders {
            id: of("webhook-id"),
            timestamp: of("webhook-timestamp"),
            signature: of("webhook-signature"),
        };
        let secrets = [WebhookSecret::parse(secret).expect("a secret")];
        verify(headers, &self.body, &secrets, HexSignatures::Refuse, SystemClock.now()).is_ok()
    }
}

/// A receiver that gives these answers in turn, the last one again and again.
pub(crate) struct Receiver {
    pub(crate) peer: Peer,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    pub(crate) async fn answering(answers: &[&str]) -> Self {
        let answers: Arc<[String]> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let got = Arc::new(Mutex::new(Vec::<Got>::new()));
        let kept = Arc::clone(&got);
        let peer = Peer::start(move |connection, _| {
            let (answers, kept) = (Arc::clone(&answers), Arc::clone(&kept));
            serve(connection, answers, kept)
        })
        .await;
        Self { peer, got }
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().expect("whole").clone()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(options(&self.peer.origin()))
    }
}

async fn serve(mut connection: Connection, answers: Arc<[String]>, kept: Arc<Mutex<Vec<Got>>>) {
    while let Some((head, body)) = connection.read_whole().await {
        let number = {
            let mut kept = kept.lock().expect("whole");
            kept.push(Got { head, body });
            kept.len()
        };
        let answer = answers.get(number - 1).or_else(|| answers.last()).expect("one answer at least");
        connection.write(answer.as_bytes()).await;
    }
}

/// An answer with a length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// A target on this machine, which an operator would have to open.
pub(crate) fn target(url: &str) -> Target {
    let policy =
        EgressPolicy { allow_hosts: Vec::new(), allow_private: vec!["127.0.0.0/8".parse().expect("a network")] };
    policy.check(url, Extent::Path).expect("an allowed target")
}

pub(crate) fn transport() -> Transport {
    http_with(&HttpOptions::new(any_address()))
}

pub(crate) fn options(origin: &str) -> CallbackOptions {
    CallbackOptions {
        url: target(&format!("{origin}/hooks/snowgate?tenant=1")),
        secrets: vec![WebhookSecret::parse(SECRET).expect("a secret")],
        oauth: None,
        limits: WIDE,
        transport: transport(),
        clock: Arc::new(SystemClock),
        luck_seed: 7,
        observer: None,
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct HandClock(Mutex<Timestamp>);

impl HandClock {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SystemClock.now())))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        let mut now = self.0.lock().expect("whole");
        *now = now.plus(std::time::Duration::from_secs(seconds));
    }

    pub(crate) fn of(clock: &Arc<Self>) -> SharedClock {
        Arc::clone(clock) as SharedClock
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("whole")
    }
}
