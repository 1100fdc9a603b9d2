//! Several replicas on one store, and senders that tell stories to whichever of them answers.
//!
//! A sender is like any other: it sends the next event of an incident when the one before was taken, and repeats it,
//! at another replica, until it is. Replicas may be killed and started again meanwhile. What must have come of it is
//! judged from the instance's tables (one ticket for each incident, each message once and in order, the end at the end) and
//! from the whole history ([`Story`]).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;

use super::events::{Event, title};
use super::gateway::Gateway;
use super::history::Story;
use super::home::{Home, Start};
use super::instance::{Instance, Ticket};
use super::reply::Reply;
use super::wait::{PATIENCE, eventually, within};

/// See the module's text.
pub(crate) struct Fleet<'h> {
    home: &'h Home,
    places: Vec<Mutex<Option<Arc<Gateway>>>>,
    turn: AtomicUsize,
    /// What senders were told.
    story: Mutex<Story>,
    /// Answers by what they were: taken, refused for now, a request that had not come in time, none at all.
    taken: AtomicU64,
    refused: AtomicU64,
    late: AtomicU64,
    unanswered: AtomicU64,
}

/// What is told of each incident: it opens, so many messages and one update between them, it is resolved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stories {
    pub(crate) incidents: usize,
    pub(crate) messages: usize,
}

impl Stories {
    pub(crate) fn events(self) -> usize {
        self.incidents * (self.messages + 3)
    }

    pub(crate) fn incident(number: usize) -> String {
        format!("MTR-{number}")
    }

    fn said(incident: usize, number: usize) -> String {
        format!("message {number} about {}", Self::incident(incident))
    }

    fn story(self, incident: usize) -> Vec<Event> {
        let name = Self::incident(incident);
        let mut events = vec![Event::opened(&name)];
        for number in 1..=self.messages {
            events.push(Event::message(&name, number, &Self::said(incident, number)));
            if number == self.messages / 2 {
                events.push(Event::updated(&name, 1_000, "low"));
            }
        }
        events.push(Event::resolved(&name, 1_001));
        events
    }

    /// Nothing lost, nothing twice, nothing out of order: as the instance's tables have it.
    fn judge(self, instance: &Instance) {
        let tickets = instance.tickets();
        assert_eq!(tickets.len(), self.incidents, "one ticket for each incident");
        let by_title: BTreeMap<String, &Ticket> =
            tickets.iter().map(|ticket| (ticket.field("short_description"), ticket)).collect();
        for incident in 0..self.incidents {
            let name = Self::incident(incident);
            let ticket = by_title.get(&title(&name)).expect("as many tickets as incidents, so each title is there");
            let expected: Vec<_> = (1..=self.messages).map(|number| Self::said(incident, number)).collect();
            assert_eq!(ticket.journal("comments"), expected, "each message once and in order");
            assert_eq!((ticket.field("state"), ticket.field("impact")), ("6".to_owned(), "3".to_owned()));
        }
    }
}

impl<'h> Fleet<'h> {
    /// So many replicas on this home's files and store.
    pub(crate) async fn start(home: &'h Home, count: usize) -> Self {
        Self::start_as(home, count, Start::default()).await
    }

    pub(crate) async fn start_as(home: &'h Home, count: usize, start: Start<'_>) -> Self {
        let replicas = join_all((0..count).map(|_| home.start_as(start))).await;
        let places = replicas.into_iter().map(|gateway| Mutex::new(Some(Arc::new(gateway))));
        Self {
            home,
            places: places.collect(),
            turn: AtomicUsize::new(0),
            story: Mutex::new(Story::new()),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            late: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        }
    }

    pub(crate) fn at(&self, place: usize) -> Option<Arc<Gateway>> {
        self.places[place].lock().expect("not poisoned").clone()
    }

    /// The next replica that runs, as a load balancer would choose.
    fn someone(&self) -> Option<Arc<Gateway>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..self.places.len()).find_map(|step| self.at((turn + step) % self.places.len()))
    }

    /// Tells all stories at once, each in its order.
    pub(crate) async fn tell(&self, stories: Stories) {
        self.tell_some(stories, 0..stories.incidents).await;
    }

    /// Tells so many stories at once, and when all of that is done as many more, until it is over; gives what was told.
    pub(crate) async fn tell_until(&self, over: &AtomicBool, each: Stories) -> Stories {
        let mut told = Stories { incidents: 0, ..each };
        while !over.load(Ordering::Relaxed) {
            self.tell_some(each, told.incidents..told.incidents + each.incidents).await;
            self.quiet().await;
            told.incidents += each.incidents;
        }
        told
    }

    async fn tell_some(&self, stories: Stories, incidents: Range<usize>) {
        join_all(incidents.map(|incident| self.tell_one(stories.story(incident)))).await;
    }

    async fn tell_one(&self, story: Vec<Event>) {
        for event in story {
            within(PATIENCE * 3, "the event is taken", async || self.offer(&event).await).await;
        }
    }

    async fn offer(&self, event: &Event) -> Option<()> {
        let replica = self.someone()?;
        let reply = Reply::of(replica.posting("contoso", event)).await;
        self.story.lock().expect("not poisoned").sent("contoso", event, reply.as_ref());
        let Some(reply) = reply else {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        match reply.status {
            200 | 202 => {
                self.taken.fetch_add(1, Ordering::Relaxed);
                Some(())
            }
            503 => {
                assert!(!reply.header("retry-after").is_empty(), "a 503 says when to come again: {}", reply.text);
                self.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
            // Hundreds of senders live in this one thread: a connection that one of them made may have to wait for its
            // request until the gateway gives it up. Nothing was taken then, and the sender comes again.
            408 => {
                self.late.fetch_add(1, Ordering::Relaxed);
                None
            }
            status => {
                assert_eq!(status, 202, "{}", reply.text);
                None
            }
        }
    }

    /// Ends a replica as a power cut would, and starts another one in its place.
    pub(crate) async fn kill(&self, place: usize) {
        let running = self.places[place].lock().expect("not poisoned").take().expect("it runs");
        running.signal("KILL");
        self.replace(place, running, Start::default()).await;
    }

    /// Ends a replica as an upgrade would, and starts another one in its place.
    pub(crate) async fn swap(&self, place: usize, start: Start<'_>) {
        let running = self.at(place).expect("it runs");
        running.signal("TERM");
        // It goes on answering while load balancers notice; nobody new is sent there.
        self.places[place].lock().expect("not poisoned").take();
        self.replace(place, running, start).await;
    }

    async fn replace(&self, place: usize, running: Arc<Gateway>, start: Start<'_>) {
        // Senders hold it for the length of one request.
        eventually("nobody holds the old one", async || (Arc::strong_count(&running) == 1).then_some(())).await;
        let mut old = Arc::into_inner(running).expect("counted");
        old.ended(PATIENCE * 2).await;
        drop(old);
        let next = Arc::new(self.home.start_as(start).await);
        *self.places[place].lock().expect("not poisoned") = Some(next);
    }

    /// Waits until nothing waits at any replica.
    pub(crate) async fn quiet(&self) {
        let replica = self.someone().expect("one runs");
        within(PATIENCE * 5, "nothing waits", async || {
            let tenants = replica.ask(reqwest::Method::GET, "/v1/tenants").await;
            let all = tenants.json()["tenants"].as_array().cloned()?;
            all.iter().all(|tenant| tenant["waiting"] == 0).then_some(())
        })
        .await;
    }

    /// Judges the instance's tables, and the whole history: what senders were told, what is on record, what is there.
    pub(crate) async fn judge(&self, stories: Stories, instance: &Instance) -> String {
        stories.judge(instance);
        let mut story = std::mem::replace(&mut *self.story.lock().expect("not poisoned"), Story::new());
        story.records(&self.someone().expect("one runs"), &["contoso"]).await;
        story.instance(&["contoso"], instance);
        story.assert_clean().to_string()
    }

    /// What senders saw, in words.
    pub(crate) fn seen(&self) -> String {
        let [taken, refused, late, unanswered] =
            [&self.taken, &self.refused, &self.late, &self.unanswered].map(|count| count.load(Ordering::Relaxed));
        format!("{taken} times taken, {refused} times 503, {late} times 408, {unanswered} times no answer")
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<Gateway>> + '_ {
        (0..self.places.len()).filter_map(|place| self.at(place))
    }
}
