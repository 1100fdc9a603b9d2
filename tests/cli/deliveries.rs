//! `snowgate deliveries`, asked of a running gateway, and of none.

use insta::assert_snapshot;
use snowgate::sim::switches::AbortRule;

use crate::run::Run;
use crate::support::reply::text;
use crate::support::{Event, Home, Instance};

/// A command on another thread: the instance lives on this test's runtime.
async fn run(home: &Home, arguments: &[&str]) -> Run {
    // The command talks to another process, which needs nothing of this thread; the simulator has threads of its own.
    tokio::task::yield_now().await;
    Run::of(home, arguments)
}

#[tokio::test]
async fn what_is_parked_is_listed_shown_and_replayed() {
    let instance = Instance::with(|switches| {
        let (column, contains) = ("short_description".to_owned(), "MTR-2".to_owned());
        switches.abort_rule = Some(AbortRule { column, contains, name: "Guard".to_owned() });
    });
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    let parked = gateway.post(&Event::opened("MTR-2")).await.expect(202).delivery();
    gateway.record_once(&parked, "parked").await;
    gateway.quiet().await;
    let admin = gateway.admin();
    let asked = async |words: &[&str]| {
        let arguments = [&["deliveries"], words, &["--tenant", "contoso", "--admin", admin]].concat();
        run(&home, &arguments).await
    };
    let list = asked(&["list"]).await.expect(0);
    assert!(list.out.lines().count() == 3 && list.out.contains("http_403_business_rule"), "{list:#?}");
    let only = asked(&["list", "--state", "parked"]).await.expect(0);
    assert!(only.out.contains(&parked) && !only.out.contains("MTR-1"), "{only:#?}");
    let none = asked(&["list", "--incident", "MTR-9"]).await.expect(0);
    assert_eq!(none.out, "nothing here\n");
    let shown = asked(&["show", &parked]).await.expect(0);
    for words in ["aborted by Business Rule", "whose turn", "next step", "MTR-2"] {
        assert!(shown.out.contains(words), "{words}: {shown:#?}");
    }
    let json = asked(&["show", &parked, "--json"]).await.expect(0).json();
    assert_eq!(text(&json, "/state"), "parked");

    instance.turn(|switches| switches.abort_rule = None);
    asked(&["replay", &parked]).await.expect(0);
    let twice = asked(&["replay", &parked]).await.expect(1);
    assert!(twice.err.contains("409"), "{twice:#?}");
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-2"));
    let unknown = asked(&["drop", "dlv_nonsense"]).await.expect(1);
    assert!(unknown.err.contains("404"), "{unknown:#?}");
}

#[test]
fn without_a_gateway_it_says_what_to_do() {
    let home = Home::of(&[]);
    let arguments = ["deliveries", "list", "--tenant", "contoso", "--admin", "http://127.0.0.1:9"];
    let run = Run::of(&home, &arguments).expect(3);
    assert!(run.err.contains("is `snowgate serve` running?"), "{run:#?}");
    let unread = Run::of(&home, &["deliveries", "list", "--tenant", "contoso", "--config", "nowhere.yaml"]).expect(1);
    assert_snapshot!(unread.whole());
}
