//! The harness itself: what is left over fails a test, or the tests would prove less than they say.

use std::path::Path;

use crate::support::home::key_of;
use crate::support::last_look::{Declared, last_look};
use crate::support::{Event, Home, Instance};

#[tokio::test]
async fn work_that_was_not_declared_is_noticed() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    gateway.ask(reqwest::Method::POST, "/v1/tenants/contoso/pause").await.expect(200);
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.leaves_work();
    let admin = gateway.admin().trim_start_matches("http://");
    let left = |declared: Declared| last_look(Some(admin), gateway.log_file(), &[], &declared);
    assert!(left(Declared::default()).iter().any(|one| one.contains("work waiting")));
    assert!(
        left(Declared { parked: 1, waiting: true, ..Declared::default() }).iter().any(|one| one.contains("parked"))
    );
    assert!(left(Declared { waiting: true, ..Declared::default() }).is_empty());
}

#[test]
fn secrets_errors_and_panics_in_a_log_are_noticed() {
    let home = Home::contoso("https://contoso.service-now.com");
    let check = |lines: &str, declared: &Declared, expected: usize| {
        home.write("log", lines);
        let left = last_look(None, &home.path().join("log"), &home.secrets(), declared);
        assert_eq!(left.len(), expected, "{lines}: {left:?}");
    };
    let fine = "a finding for people\n{\"level\":\"INFO\",\"message\":\"Serving\"}\n";
    check(fine, &Declared::default(), 0);
    check(&format!("{fine}{{\"level\":\"INFO\",\"message\":\"{}\"}}\n", key_of("contoso")), &Declared::default(), 1);
    check(&format!("{fine}{{\"level\":\"ERROR\",\"message\":\"no disk\"}}\n"), &Declared::default(), 1);
    let declared = Declared { errors: vec!["no disk".to_owned()], ..Declared::default() };
    check(&format!("{fine}{{\"level\":\"ERROR\",\"message\":\"no disk\"}}\n"), &declared, 0);
    check(&format!("{fine}{{\"level\":\"ERROR\",\"message\":\"Panicked at x\"}}\n"), &Declared::default(), 1);
    check(&format!("{fine}not JSON\n"), &Declared::default(), 1);
    assert!(last_look(None, Path::new("/nowhere"), &[], &Declared::default()).is_empty());
}
