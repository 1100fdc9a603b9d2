//! Five power cuts at moments nobody chose, while twenty senders tell of twenty incidents.

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;

use crate::support::{Event, Gateway, Home, Instance, Reply, eventually};

const INCIDENTS: usize = 20;
/// Opened, messages and one update between them, resolved: fifteen events an incident, 300 in all.
const MESSAGES: usize = 12;
const CUTS: usize = 5;
/// Calls that the instance handles in all: a ticket, a PATCH for each message, the update and the resolution.
const WRITES: usize = INCIDENTS * (MESSAGES + 3);

fn name(incident: usize) -> String {
    format!("MTR-{incident}")
}

fn story(incident: usize) -> Vec<Event> {
    let name = name(incident);
    let mut events = vec![Event::opened(&name)];
    for number in 1..=MESSAGES {
        events.push(Event::message(&name, number, &said(incident, number)));
        if number == MESSAGES / 2 {
            events.push(Event::updated(&name, 1_000, "low"));
        }
    }
    events.push(Event::resolved(&name, 1_001));
    events
}

fn said(incident: usize, number: usize) -> String {
    format!("message {number} about {}", name(incident))
}

/// A sender like any other: sends the next event when the one before was taken, and repeats it until it is.
async fn tell(incident: usize, gateway: &Mutex<Option<Arc<Gateway>>>) {
    for event in story(incident) {
        eventually("the event is taken", async || {
            let now = gateway.lock().expect("not poisoned").clone()?;
            let reply = Reply::of(now.posting("contoso", &event)).await?;
            assert!(matches!(reply.status, 200 | 202 | 503), "{}", reply.text);
            (reply.status != 503).then_some(())
        })
        .await;
    }
}

/// Cuts the power each time another share of the writes has reached the instance.
async fn cut(instance: &Instance, home: &Home, gateway: &Mutex<Option<Arc<Gateway>>>, luck: u128) {
    for cut in 0..CUTS {
        // Any moment of the cut's own fifth; the bits of luck differ from run to run.
        let share = WRITES / (CUTS + 1);
        let within = usize::try_from((luck >> (8 * cut)) & 0xff).expect("a byte") * share / 256;
        let writes = share * cut + within + 1;
        eventually("so much has been written", async || {
            (instance.writes("POST") + instance.writes("PATCH") >= writes).then_some(())
        })
        .await;
        let running = gateway.lock().expect("not poisoned").take().expect("it runs");
        // Senders hold it for the length of one request, which the signal ends.
        running.signal("KILL");
        eventually("nobody holds the dead one", async || (Arc::strong_count(&running) == 1).then_some(())).await;
        let mut dead = Arc::into_inner(running).expect("counted");
        dead.ended(crate::support::PATIENCE).await;
        drop(dead);
        let next = Arc::new(home.start().await);
        *gateway.lock().expect("not poisoned") = Some(next);
    }
}

async fn check(keeps_sys_ids: bool) {
    let luck = uuid::Uuid::now_v7().as_u128();
    let instance = Instance::with(|switches| switches.sys_id_honoured = keeps_sys_ids);
    let home = Home::contoso(instance.url());
    let gateway = Mutex::new(Some(Arc::new(home.start().await)));
    let senders = join_all((0..INCIDENTS).map(|incident| tell(incident, &gateway)));
    tokio::join!(senders, cut(&instance, &home, &gateway, luck));

    let gateway = gateway.into_inner().expect("not poisoned").expect("it runs");
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), INCIDENTS);
    for incident in 0..INCIDENTS {
        let ticket = instance.ticket_of(&name(incident));
        let expected: Vec<_> = (1..=MESSAGES).map(|number| said(incident, number)).collect();
        assert_eq!(ticket.journal("comments"), expected, "each message once and in order");
        assert_eq!((ticket.field("state"), ticket.field("impact")), ("6".to_owned(), "3".to_owned()));
    }
}

#[tokio::test]
async fn five_power_cuts_lose_and_double_nothing_where_our_key_is_kept() {
    check(true).await;
}

#[tokio::test]
async fn five_power_cuts_lose_and_double_nothing_where_our_key_is_ignored() {
    check(false).await;
}
