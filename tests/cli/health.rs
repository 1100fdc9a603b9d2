//! `snowgate health`: what a container's check gets to see of a gateway that works, one that stops, and none.

use std::time::Duration;

use crate::run::Run;
use crate::support::wait::eventually;
use crate::support::{Home, Instance};

/// More than the 8 s that an idle gateway takes to stop.
const STOPPED: Duration = Duration::from_secs(30);

#[tokio::test]
async fn ready_not_ready_and_nobody_there_are_told_apart() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let mut gateway = home.start().await;
    let admin = gateway.admin().to_owned();
    let arguments = ["health", "--admin", admin.as_str()];
    assert_eq!(Run::of(&home, &arguments).expect(0).out, "ready\n");
    let told = Run::of(&home, &["health", "--json", "--admin", admin.as_str()]).expect(0).json();
    assert_eq!(told["status"], "ready");
    gateway.signal("TERM");
    let stopping = eventually("it says that it stops", async || {
        let run = Run::of(&home, &arguments);
        (run.code == Some(1)).then_some(run)
    })
    .await;
    assert_eq!(stopping.out, "not ready\n  the gateway is stopping\n");
    assert!(gateway.ended(STOPPED).await.success());
    assert!(Run::of(&home, &arguments).expect(3).err.contains("no gateway answers"));
}
