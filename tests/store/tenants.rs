//! Tenants: held back, let go, and what their instances taught us.

use std::time::Duration;

use snowgate::domain::time::{Clock, Timestamp};
use snowgate::store::{Learned, Pause, TenantRecord};

use crate::harness::{CONTOSO, Subject, by, tenant};

fn pause(until: Timestamp, code: &str) -> Pause {
    Pause { until, code: code.to_owned(), reason: format!("because of {code}") }
}

async fn hold(subject: &Subject, time: Duration, code: &str) {
    let until = subject.clock.now().plus(time);
    subject.store.pause_tenant(&tenant(CONTOSO), pause(until, code)).await.unwrap();
}

async fn paused_by(subject: &Subject) -> Option<String> {
    subject.store.tenant(&tenant(CONTOSO)).await.unwrap().pause.map(|pause| pause.code)
}

pub(crate) async fn a_paused_tenant_is_not_claimed_until_it_ends(subject: Subject) {
    subject.serve(&[(CONTOSO, 1), ("fabrikam", 1)]).await;
    subject.update("MTR-1").await;
    subject.accept(subject.change_of("fabrikam", "MTR-2")).await;
    hold(&subject, Duration::from_mins(1), "throttled").await;
    assert_eq!(subject.claim_incidents(10).await, ["MTR-2"], "the other tenant does not feel it");
    subject.pass(Duration::from_millis(59_999));
    assert_eq!(paused_by(&subject).await.as_deref(), Some("throttled"));
    assert!(subject.claim(10).await.is_empty());
    subject.pass(Duration::from_millis(1));
    assert_eq!(paused_by(&subject).await, None);
    assert_eq!(subject.claim_incidents(10).await, ["MTR-1"]);
}

pub(crate) async fn a_longer_pause_wins(subject: Subject) {
    let minute = Duration::from_mins(1);
    hold(&subject, minute, "first").await;
    hold(&subject, minute / 2, "shorter").await;
    assert_eq!(paused_by(&subject).await.as_deref(), Some("first"));
    hold(&subject, 2 * minute, "longer").await;
    assert_eq!(paused_by(&subject).await.as_deref(), Some("longer"));
    let forever = pause(Timestamp::NEVER, "operator");
    subject.store.pause_tenant(&tenant(CONTOSO), forever.clone()).await.unwrap();
    hold(&subject, 2 * minute, "throttled").await;
    subject.pass(Duration::from_hours(10_000));
    assert_eq!(subject.store.tenant(&tenant(CONTOSO)).await.unwrap().pause, Some(forever));
}

pub(crate) async fn a_resumed_tenant_is_claimed_at_once(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    subject.update("MTR-1").await;
    subject.store.pause_tenant(&tenant(CONTOSO), pause(Timestamp::NEVER, "operator")).await.unwrap();
    assert!(subject.claim(1).await.is_empty());
    subject.store.resume_tenant(&tenant(CONTOSO)).await.unwrap();
    assert_eq!(paused_by(&subject).await, None);
    assert_eq!(subject.claim(1).await.len(), 1);
    // Nothing to end is no fault.
    subject.store.resume_tenant(&tenant("nobody")).await.unwrap();
}

pub(crate) async fn a_persons_pause_is_always_stored(subject: Subject) {
    let stored = async || subject.store.tenant(&tenant(CONTOSO)).await.unwrap().pause;
    let own = pause(Timestamp::NEVER, "unauthorized");
    subject.store.pause_tenant(&tenant(CONTOSO), own.clone()).await.unwrap();
    let until = subject.clock.now().plus(Duration::from_mins(1));
    subject.store.pause_by(&tenant(CONTOSO), pause(until, "operator"), by("ada")).await.unwrap();
    assert_eq!(stored().await, Some(pause(Timestamp::NEVER, "operator")), "the later end of both");
    assert_eq!(subject.store.resume_unless(&tenant(CONTOSO), &["operator"]).await.unwrap(), None);

    subject.store.resume_by(&tenant(CONTOSO), by("ada")).await.unwrap();
    subject.store.pause_by(&tenant(CONTOSO), pause(until, "operator"), by("ada")).await.unwrap();
    subject.store.pause_tenant(&tenant(CONTOSO), own.clone()).await.unwrap();
    assert_eq!(stored().await, Some(pause(until, "operator")), "not hidden by what is lifted by itself");
    subject.pass(Duration::from_mins(1));
    subject.store.pause_tenant(&tenant(CONTOSO), own.clone()).await.unwrap();
    assert_eq!(stored().await, Some(own), "it has ended");
}

pub(crate) async fn a_pause_is_ended_unless_its_code_is_named(subject: Subject) {
    let resume = async || subject.store.resume_unless(&tenant(CONTOSO), &["operator", "throttled"]).await.unwrap();
    subject.serve(&[(CONTOSO, 1)]).await;
    subject.update("MTR-1").await;
    assert_eq!(resume().await, None);
    hold(&subject, Duration::from_mins(1), "throttled").await;
    assert_eq!(resume().await, None);
    assert!(subject.claim(1).await.is_empty(), "it holds");
    let own = pause(Timestamp::NEVER, "misconfigured");
    subject.store.pause_tenant(&tenant(CONTOSO), own.clone()).await.unwrap();
    assert_eq!(resume().await, Some(own));
    assert_eq!((paused_by(&subject).await, subject.claim(1).await.len()), (None, 1));
}

pub(crate) async fn what_was_learned_is_kept(subject: Subject) {
    let learned = Learned { fingerprint: "f1".to_owned(), honours_sys_id: Some(true), keeps_mark: None, user: None };
    subject.store.learn(&tenant(CONTOSO), &Learned::default(), learned.clone()).await.unwrap();
    assert_eq!(
        subject.store.tenant(&tenant(CONTOSO)).await.unwrap(),
        TenantRecord { learned: learned.clone(), ..TenantRecord::default() }
    );
    let newer =
        Learned { fingerprint: "f2".to_owned(), honours_sys_id: Some(false), keeps_mark: Some(true), user: None };
    subject.store.learn(&tenant(CONTOSO), &learned, newer.clone()).await.unwrap();
    assert_eq!(subject.store.tenant(&tenant(CONTOSO)).await.unwrap().learned, newer);
}

pub(crate) async fn an_unknown_tenant_has_no_record(subject: Subject) {
    assert_eq!(subject.store.tenant(&tenant("nobody")).await.unwrap(), TenantRecord::default());
}

pub(crate) async fn the_store_answers_a_ping(subject: Subject) {
    subject.store.ping().await.unwrap();
}
