//! SIGHUP makes the program read its files, and never ends it: not with good files, not with broken ones, not in a burst.

use std::fs;
use std::time::Duration;

use crate::support::{Event, Home, Instance, Tenant, eventually};

const REFUSED: &str = "config_reload_failed";

#[tokio::test]
async fn a_hangup_reads_the_files_and_broken_ones_end_nothing() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url())]);
    let settings = fs::read_to_string(home.path().join("snowgate.yaml")).expect("its file");
    home.write("snowgate.yaml", &format!("{settings}reload: {{every: off}}\n"));
    let mut gateway = home.start().await;
    gateway.logs_error(REFUSED);
    let file = fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("its file");

    home.write("tenants/contoso.yaml", "tenant: [");
    for _ in 0..5 {
        gateway.signal("HUP");
    }
    eventually("the errors are told", async || gateway.log().contains(REFUSED).then_some(())).await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    instance.ticket_of("MTR-1");

    home.write("tenants/contoso.yaml", &format!("{file}enabled: false\n"));
    eventually("the change is in use", async || {
        // Signals that come while one is being served are one, so it may take another.
        gateway.signal("HUP");
        (gateway.get("/v1/tenants/contoso").await["enabled"] == false).then_some(())
    })
    .await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended(Duration::from_mins(1)).await.code(), Some(0));
}
