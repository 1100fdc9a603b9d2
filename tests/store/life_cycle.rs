//! From a draft to being served: checks and releases are kept, and only a passed check of exactly this, or force, enables.

use std::time::Duration;

use serde_json::{Value, json};
use snowgate::limits::{CHECK_FINDINGS_BYTES_MAX, CHECK_FINDINGS_COUNT_MAX};
use snowgate::store::audit::Hash;
use snowgate::store::life_cycle::{Check, CheckRecord, Release, Released};
use snowgate::store::{Pause, TenantRecord};

use crate::audit::{verify, whole};
use crate::harness::{CONTOSO, Subject, by, tenant};
use snowgate::domain::time::Clock as _;

const THIS: Hash = [7; 32];
const CHANGED: Hash = [8; 32];

fn record(digest: Hash, passed: bool, findings: Vec<Value>) -> CheckRecord {
    CheckRecord { digest, passed, findings, by: by("ada") }
}

async fn checked(subject: &Subject, digest: Hash, passed: bool) {
    subject.store.record_check(&tenant(CONTOSO), record(digest, passed, Vec::new())).await.unwrap();
}

async fn release(subject: &Subject, force: bool) -> Released {
    subject.store.release(&tenant(CONTOSO), THIS, force, by("bob")).await.unwrap()
}

async fn shown(subject: &Subject) -> TenantRecord {
    subject.store.tenant(&tenant(CONTOSO)).await.unwrap()
}

async fn actions(subject: &Subject) -> Vec<String> {
    let page = whole(&subject.store, 100).await;
    assert!(verify(&page).is_ok());
    page.rows.into_iter().map(|row| row.action).collect()
}

pub(crate) async fn the_last_check_is_shown(subject: Subject) {
    let findings = vec![json!({"code": "L001", "field": "u_room"})];
    subject.store.record_check(&tenant(CONTOSO), record(CHANGED, true, Vec::new())).await.unwrap();
    subject.pass(Duration::from_secs(5));
    subject.store.record_check(&tenant(CONTOSO), record(THIS, false, findings.clone())).await.unwrap();
    let check = Check { at: subject.clock.now(), by: "ada".to_owned(), digest: THIS, passed: false, findings };
    assert_eq!(shown(&subject).await, TenantRecord { check: Some(check), ..TenantRecord::default() });
    let rows = whole(&subject.store, 9).await.rows;
    assert_eq!((rows[1].action.as_str(), rows[1].note.as_str()), ("checked", "failed, 1 findings"));
    assert_eq!(rows[1].before, rows[0].after);
}

pub(crate) async fn paused_and_released_tenants_are_told_in_one_reading(subject: Subject) {
    let told = async || {
        let standings = subject.store.tenant_standings().await.unwrap();
        let word = |pause: Option<Pause>| pause.map(|pause| pause.code);
        standings.into_iter().map(|one| (one.tenant.to_string(), word(one.pause), one.is_released)).collect::<Vec<_>>()
    };
    subject.serve(&[("adatum", 1), (CONTOSO, 1), ("fabrikam", 1)]).await;
    assert_eq!(told().await, []);
    let until = subject.clock.now().plus(Duration::from_mins(1));
    let pause = Pause { until, code: "throttled".to_owned(), reason: "too many calls".to_owned() };
    subject.store.pause_tenant(&tenant("fabrikam"), pause).await.unwrap();
    assert_eq!(release(&subject, true).await, Released::Done { forced: true });
    checked(&subject, THIS, true).await;
    let paused = ("fabrikam".to_owned(), Some("throttled".to_owned()), false);
    assert_eq!(told().await, [(CONTOSO.to_owned(), None, true), paused]);
    subject.pass(Duration::from_mins(1));
    assert_eq!(told().await, [(CONTOSO.to_owned(), None, true)], "a pause that ran out is none");
    assert!(subject.store.withdraw(&tenant(CONTOSO), by("ada")).await.unwrap());
    assert_eq!(told().await, [], "a check alone is no release");
}

pub(crate) async fn findings_are_bounded(subject: Subject) {
    let keep = async |findings: Vec<Value>| {
        subject.store.record_check(&tenant(CONTOSO), record(THIS, false, findings)).await.unwrap();
        shown(&subject).await.check.unwrap().findings
    };
    assert_eq!(keep(vec![json!({}); 1_000]).await.len(), CHECK_FINDINGS_COUNT_MAX);
    let large = keep(vec![json!("x".repeat(10_000)); 50]).await;
    assert_eq!(large.len(), CHECK_FINDINGS_BYTES_MAX / 10_002);
}

pub(crate) async fn only_a_passed_check_of_exactly_this_enables(subject: Subject) {
    assert_eq!(release(&subject, false).await, Released::Untested(None));
    checked(&subject, THIS, false).await;
    assert!(matches!(release(&subject, false).await, Released::Untested(Some(check)) if !check.passed));
    checked(&subject, CHANGED, true).await;
    assert!(matches!(release(&subject, false).await, Released::Untested(Some(check)) if check.digest == CHANGED));
    assert_eq!(shown(&subject).await.release, None);
    checked(&subject, THIS, true).await;
    assert_eq!(release(&subject, false).await, Released::Done { forced: false });
    let release = Release { at: subject.clock.now(), by: "bob".to_owned(), digest: THIS, forced: false };
    assert_eq!(shown(&subject).await.release, Some(release));
    assert_eq!(actions(&subject).await, ["checked", "checked", "checked", "enabled"]);
}

pub(crate) async fn force_enables_and_says_so(subject: Subject) {
    assert_eq!(release(&subject, true).await, Released::Done { forced: true });
    assert!(shown(&subject).await.release.unwrap().forced);
    checked(&subject, THIS, true).await;
    assert!(shown(&subject).await.release.unwrap().forced, "a check later changes nothing of it");
    assert_eq!(release(&subject, true).await, Released::Done { forced: false }, "force was not needed");
    assert_eq!(actions(&subject).await, ["enabled_untested", "checked", "enabled"]);
}

pub(crate) async fn what_was_enabled_can_be_taken_back(subject: Subject) {
    let withdraw = async || subject.store.withdraw(&tenant(CONTOSO), by("bob")).await.unwrap();
    assert!(!withdraw().await, "nothing to take back");
    checked(&subject, THIS, true).await;
    release(&subject, false).await;
    assert_eq!((withdraw().await, withdraw().await), (true, false));
    let record = shown(&subject).await;
    assert_eq!((record.release, record.check.unwrap().passed), (None, true));
    assert_eq!(release(&subject, false).await, Released::Done { forced: false }, "its check still counts");
    let rows = whole(&subject.store, 9).await.rows;
    assert_eq!(rows.iter().filter(|row| row.action == "disabled").count(), 3);
}

pub(crate) async fn checks_and_releases_are_each_tenants_own(subject: Subject) {
    checked(&subject, THIS, true).await;
    let fabrikam = tenant("fabrikam");
    let refused = subject.store.release(&fabrikam, THIS, false, by("bob")).await.unwrap();
    assert_eq!(refused, Released::Untested(None));
    release(&subject, false).await;
    assert!(!subject.store.withdraw(&fabrikam, by("bob")).await.unwrap());
    assert_eq!(subject.store.tenant(&fabrikam).await.unwrap(), TenantRecord::default());
    assert!(shown(&subject).await.release.is_some());
}

#[tokio::test]
async fn checks_and_releases_outlive_a_restart() {
    let subject = Subject::sqlite();
    checked(&subject, THIS, true).await;
    release(&subject, false).await;
    let before = shown(&subject).await;
    assert_eq!(shown(&subject.reopened()).await, before);
}
