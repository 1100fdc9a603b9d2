//! A full disk, the gateway's or the database's: nothing more is accepted, nothing accepted is lost, room alone is the cure.

use std::fs;
use std::path::PathBuf;

use reqwest::Method;

use crate::support::faults::proven;
use crate::support::postgres::Server;
use crate::support::{Event, Gateway, Home, Instance, Start, Tenant, eventually};

/// Enough above what must stay free, and small enough to be filled.
const DISK: &str = "mkdir -p disk && mount -t tmpfs -o size=300m tmpfs disk";

/// A file in the gateway's own small disk.
fn ballast(gateway: &Gateway, home: &Home) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", gateway.pid()));
    root.join(home.path().strip_prefix("/").unwrap()).join("disk/ballast")
}

/// Fills the disk to the last byte.
fn fill(path: &PathBuf) {
    let mut file = fs::File::create(path).unwrap();
    let full = std::io::copy(&mut std::io::repeat(7), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
}

#[tokio::test]
async fn a_full_disk_is_said_and_cured_by_room_alone() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let settings = fs::read_to_string(home.path().join("snowgate.yaml")).unwrap();
    // The small disk is memory here, which the gateway would refuse.
    let lossy = "{url: \"sqlite:disk/snowgate.db\", accept_data_loss: true}";
    home.write("snowgate.yaml", &settings.replace("{url: \"sqlite:snowgate.db\"}", lossy));
    let gateway = home.start_as(Start { after: Some(DISK), ..Start::default() }).await;
    gateway.logs_error("disk");
    gateway.logs_error("Cannot");
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;

    // What is being sent when the disk fills up cannot be recorded, and must not be lost.
    instance.plays("slow_answer=1000:3000");
    for number in 2..=6 {
        gateway.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202);
    }
    eventually("they are being sent", async || (instance.writes("POST") == 6).then_some(())).await;
    let ballast = ballast(&gateway, &home);
    fill(&ballast);
    let refused = eventually("it takes no more", async || {
        let reply = gateway.post(&Event::opened("MTR-7")).await;
        (reply.status == 503).then_some(reply)
    })
    .await;
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    eventually("it is not ready", async || (gateway.ask(Method::GET, "/readyz").await.status == 503).then_some(()))
        .await;
    gateway.ask(Method::GET, "/livez").await.expect(200);
    instance.plays("");
    // MTR-7 may have been taken before the shortage was noticed; that one answer is the limit.
    let refused_for_good = gateway.post(&Event::opened("MTR-8")).await;
    assert_eq!(refused_for_good.status, 503);
    assert!(instance.tickets_of("MTR-8").is_empty());

    fs::remove_file(&ballast).unwrap();
    eventually("it is ready again", async || (gateway.ask(Method::GET, "/readyz").await.status == 200).then_some(()))
        .await;
    for number in 7..=8 {
        let reply = gateway.post(&Event::opened(&format!("MTR-{number}"))).await;
        assert!(matches!(reply.status, 200 | 202), "{}", reply.text);
    }
    gateway.quiet().await;
    for number in 1..=8 {
        drop(instance.ticket_of(&format!("MTR-{number}")));
    }
    assert_eq!(instance.writes("POST"), 8, "{:#?}", instance.calls());
    proven(
        "F15",
        "a_full_disk_is_said_and_cured_by_room_alone",
        "a disk of 300 MiB filled to the last byte with 5 creates being sent: 503 with Retry-After, /readyz 503, /livez 200; \
         with room again 8 of 8 tickets, 8 POSTs, no restart",
    );
}

#[tokio::test]
async fn a_full_disk_under_the_database_is_said_and_cured_by_room_alone() {
    let server = Server::own_on_a_small_disk();
    let database = server.database();
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url())]).leasing("8s");
    home.keep_at(database.url());
    let gateway = home.start().await;
    for text in ["disk", "Cannot"] {
        gateway.logs_error(text);
    }
    gateway.post(&Event::opened("MTR-0")).await.expect(202);
    gateway.quiet().await;

    instance.plays("slow_answer=1000:3000");
    for number in 1..=5 {
        gateway.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202);
    }
    eventually("they are being sent", async || (instance.writes("POST") == 6).then_some(())).await;
    server.fills_its_disk();
    // What fits into the pages that are there is still taken.
    let mut taken = 5;
    let refused = eventually("it takes no more", async || {
        let reply = gateway.post(&Event::opened(&format!("MTR-{}", taken + 1))).await;
        if reply.status == 202 {
            taken += 1;
            return None;
        }
        Some(reply.expect(503))
    })
    .await;
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    gateway.ask(Method::GET, "/livez").await.expect(200);
    instance.plays("");

    server.empties_its_disk();
    eventually("it takes events again", async || {
        let reply = gateway.post(&Event::opened(&format!("MTR-{}", taken + 1))).await;
        matches!(reply.status, 200 | 202).then_some(())
    })
    .await;
    gateway.quiet().await;
    for number in 0..=taken + 1 {
        drop(instance.ticket_of(&format!("MTR-{number}")));
    }
    assert_eq!(instance.writes("POST"), taken + 2, "{:#?}", instance.calls());
    proven(
        "F15",
        "a_full_disk_under_the_database_is_said_and_cured_by_room_alone",
        &format!(
            "a PostgreSQL whose disk of 64 MiB was filled to the last byte with 5 creates being sent: {} more fitted into \
             its pages, then 503 with Retry-After; with room again {tickets} of {tickets} tickets, {tickets} POSTs, no restart",
            taken - 5,
            tickets = taken + 2,
        ),
    );
}
