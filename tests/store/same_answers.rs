//! The engines are held to the model: any run of commands gets the same answers from both.
//!
//! Lanes have other names in other engines, so leases are compared by what they are for.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use snowgate::delivery::kind::{Kind, TicketKind};
use snowgate::delivery::record::{Direction, State};
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey, SysId};
use snowgate::domain::ticket::Link;
use snowgate::domain::time::{Clock, Timestamp};
use snowgate::store::audit::AuditQuery;
use snowgate::store::life_cycle::CheckRecord;
use snowgate::store::{
    Claim, ClaimRequest, DeliveryQuery, Learned, NewDelivery, Pause, Postponement, Settlement, SlowShare, SweepCursor,
    SweepLease,
};

use crate::audit::{verify, whole};
use crate::harness::{
    LEASE, ManualClock, Subject, attempt, by, change, delivered, incident, link, parked, postponed, request, tenant,
};

const TENANTS: [&str; 3] = ["adatum", "contoso", "fabrikam"];
const INCIDENTS: [&str; 3] = ["MTR-0", "MTR-1", "MTR-2"];
const KINDS: [Kind; 8] = [
    Kind::Incident(ChangeKind::Opened),
    Kind::Incident(ChangeKind::Updated),
    Kind::Incident(ChangeKind::MessageAdded),
    Kind::Incident(ChangeKind::AttachmentAdded),
    Kind::Incident(ChangeKind::Updated),
    Kind::Ticket(TicketKind::Adopt),
    Kind::Ticket(TicketKind::Seen),
    Kind::Ticket(TicketKind::Opened),
];

const DAY: Duration = Duration::from_hours(24);

/// A number that a step turns into one of what there is at that moment.
type Pick = usize;

#[derive(Clone, Debug)]
enum Step {
    Accept(Vec<(Pick, Pick, Pick, Pick)>),
    Serve([Option<u32>; 3]),
    Claim {
        lanes: usize,
        waiting: usize,
        newest_first: bool,
        slow: Pick,
    },
    Intend {
        claim: Pick,
        upto: u64,
    },
    Renew {
        claim: Pick,
    },
    Settle {
        claim: Pick,
        upto: u64,
        how: Pick,
        follows: Vec<(Pick, Pick, Pick, Pick)>,
        link: Option<(Pick, Pick, u32)>,
    },
    Postpone {
        claim: Pick,
        seconds: u64,
        counted: bool,
        not_processed: bool,
    },
    Pause {
        tenant: Pick,
        seconds: u64,
    },
    Resume {
        tenant: Pick,
    },
    PauseBy {
        tenant: Pick,
        seconds: u64,
    },
    ResumeBy {
        tenant: Pick,
    },
    Check {
        tenant: Pick,
        digest: u8,
        passed: bool,
    },
    Release {
        tenant: Pick,
        digest: u8,
        force: bool,
    },
    Withdraw {
        tenant: Pick,
    },
    TrimAudit {
        most: usize,
    },
    Learn {
        tenant: Pick,
        yes: bool,
        knows: bool,
    },
    Replay {
        tenant: Pick,
        delivery: Pick,
    },
    Drop {
        tenant: Pick,
        delivery: Pick,
    },
    LeaseSweep {
        tenant: Pick,
        seconds: u64,
    },
    SaveSweep {
        sweep: Pick,
        cursor: Pick,
    },
    FinishSweep {
        sweep: Pick,
        cursor: Pick,
    },
    Trim {
        days_ago: u32,
    },
    PassDays {
        days: u32,
    },
    Pass {
        millis: u64,
    },
    SetBack {
        millis: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || 0_usize..64;
    let one_change = || (0_usize..3, 0_usize..3, 0_usize..8, pick());
    let one_link = || prop::option::of((0_usize..4, 0_usize..3, 0_u32..3));
    prop_oneof![
        8 => prop::collection::vec(one_change(), 1..4).prop_map(Step::Accept),
        1 => prop::array::uniform3(prop::option::weighted(0.8, 0_u32..4)).prop_map(Step::Serve),
        8 => (0_usize..5, 1_usize..4, any::<bool>(), 0_usize..12)
            .prop_map(|(lanes, waiting, newest_first, slow)| Step::Claim { lanes, waiting, newest_first, slow }),
        4 => (pick(), 0_u64..3).prop_map(|(claim, upto)| Step::Intend { claim, upto }),
        1 => pick().prop_map(|claim| Step::Renew { claim }),
        6 => (pick(), 0_u64..3, 0_usize..4, prop::collection::vec(one_change(), 0..3), one_link()).prop_map(
            |(claim, upto, how, follows, link)| Step::Settle { claim, upto, how, follows, link }
        ),
        3 => (pick(), 0_u64..100, any::<bool>(), any::<bool>()).prop_map(
            |(claim, seconds, counted, not_processed)| Step::Postpone { claim, seconds, counted, not_processed }
        ),
        1 => (0_usize..3, 0_u64..200).prop_map(|(tenant, seconds)| Step::Pause { tenant, seconds }),
        1 => (0_usize..3).prop_map(|tenant| Step::Resume { tenant }),
        1 => (0_usize..3, 0_u64..200).prop_map(|(tenant, seconds)| Step::PauseBy { tenant, seconds }),
        1 => (0_usize..3).prop_map(|tenant| Step::ResumeBy { tenant }),
        1 => (0_usize..3, 0_u8..3, any::<bool>())
            .prop_map(|(tenant, digest, passed)| Step::Check { tenant, digest, passed }),
        1 => (0_usize..3, 0_u8..3, any::<bool>())
            .prop_map(|(tenant, digest, force)| Step::Release { tenant, digest, force }),
        1 => (0_usize..3).prop_map(|tenant| Step::Withdraw { tenant }),
        2 => (1_usize..4).prop_map(|most| Step::TrimAudit { most }),
        1 => (0_usize..3, any::<bool>(), any::<bool>()).prop_map(|(tenant, yes, knows)| Step::Learn { tenant, yes, knows }),
        2 => (0_usize..3, pick()).prop_map(|(tenant, delivery)| Step::Replay { tenant, delivery }),
        1 => (0_usize..3, pick()).prop_map(|(tenant, delivery)| Step::Drop { tenant, delivery }),
        2 => (0_usize..3, 0_u64..200).prop_map(|(tenant, seconds)| Step::LeaseSweep { tenant, seconds }),
        1 => (pick(), pick()).prop_map(|(sweep, cursor)| Step::SaveSweep { sweep, cursor }),
        1 => (pick(), pick()).prop_map(|(sweep, cursor)| Step::FinishSweep { sweep, cursor }),
        1 => (0_u32..40).prop_map(|days_ago| Step::Trim { days_ago }),
        1 => (0_u32..100).prop_map(|days| Step::PassDays { days }),
        3 => (0_u64..100_000).prop_map(|millis| Step::Pass { millis }),
        1 => (0_u64..4_000_000).prop_map(|millis| Step::Pass { millis }),
        1 => (0_u64..10_000_000).prop_map(|millis| Step::SetBack { millis }),
    ]
}

/// One engine and what a run has had from it so far.
struct Run {
    subject: Subject,
    claims: Vec<Claim>,
    sweeps: Vec<SweepLease>,
    receipts: Vec<DeliveryId>,
    made: u64,
}

impl Run {
    fn new(subject: Subject) -> Self {
        Self { subject, claims: Vec::new(), sweeps: Vec::new(), receipts: Vec::new(), made: 0 }
    }

    fn id(&mut self) -> DeliveryId {
        self.made += 1;
        let id = DeliveryId::from_bits(u128::from(self.made));
        self.receipts.push(id.clone());
        id
    }

    fn receipt(&self, pick: Pick) -> DeliveryId {
        let known = self.receipts.len();
        if known == 0 { DeliveryId::from_bits(u128::MAX) } else { self.receipts[pick % known].clone() }
    }

    fn claim(&self, pick: Pick) -> Option<&Claim> {
        newest(&self.claims, pick)
    }

    fn changes(&mut self, picks: &[(Pick, Pick, Pick, Pick)]) -> Vec<NewDelivery> {
        picks.iter().map(|pick| self.change(*pick)).collect()
    }

    fn change(&mut self, (of, about, kind, event): (Pick, Pick, Pick, Pick)) -> NewDelivery {
        let id = self.id();
        let made = change(event as u64, TENANTS[of], INCIDENTS[about], ChangeKind::Updated);
        // Half of the events are new; the others repeat, now and then with another body.
        let name = if event % 2 == 0 { format!("new-{id}") } else { format!("event-{event}") };
        let direction = if kind < 6 { Direction::ToServicenow } else { Direction::ToService };
        let key = EventKey::new("soc", &name).unwrap();
        NewDelivery { id, event: key, kind: KINDS[kind], direction, is_echo: event % 3 == 0, ..made }
    }

    /// Does a step and tells everything that was answered.
    async fn apply(&mut self, step: &Step) -> String {
        match step {
            Step::Accept(picks) => {
                let changes = self.changes(picks);
                format!("{:?}", self.subject.store.accept(changes).await.unwrap())
            }
            Step::Serve(shares) => {
                let shares: Vec<_> =
                    TENANTS.into_iter().zip(shares).filter_map(|(name, share)| Some((name, (*share)?))).collect();
                self.subject.serve(&shares).await;
                String::new()
            }
            Step::Claim { lanes, waiting, newest_first, slow } => {
                let tenants = TENANTS.into_iter().take(slow % 3).map(tenant).collect();
                let slow = SlowShare { tenants: Arc::new(tenants), lanes_max: slow / 3 };
                let newest_first = *newest_first;
                let request = ClaimRequest { waiting_max: *waiting, newest_first, slow, ..request(*lanes) };
                let claims = self.subject.store.claim(&request).await.unwrap();
                let told = claims.iter().map(told).collect();
                self.claims.extend(claims);
                told
            }
            Step::Intend { .. } | Step::Renew { .. } | Step::Settle { .. } | Step::Postpone { .. } => {
                self.apply_to_claim(step).await
            }
            Step::Trim { days_ago } => {
                let before = self.subject.clock.now().minus(DAY * *days_ago);
                format!("{}", self.subject.store.trim(before, 1_000).await.unwrap())
            }
            Step::PassDays { days } => self.moved(|clock| clock.pass(DAY * *days)).await,
            Step::Pass { millis } => self.moved(|clock| clock.pass(Duration::from_millis(*millis))).await,
            Step::SetBack { millis } => self.moved(|clock| clock.set_back(Duration::from_millis(*millis))).await,
            Step::Pause { .. } | Step::Resume { .. } | Step::Learn { .. } => self.apply_to_tenant(step).await,
            Step::PauseBy { .. }
            | Step::ResumeBy { .. }
            | Step::Check { .. }
            | Step::Release { .. }
            | Step::Withdraw { .. } => self.apply_by_word(step).await,
            Step::TrimAudit { most } => {
                format!("{}", self.subject.store.trim_audit(Duration::ZERO, *most).await.unwrap())
            }
            Step::LeaseSweep { .. } | Step::SaveSweep { .. } | Step::FinishSweep { .. } => {
                self.apply_to_sweep(step).await
            }
            Step::Replay { tenant: of, delivery } => {
                let (id, new) = (self.receipt(*delivery), self.id());
                format!("{:?}", self.subject.store.replay(&tenant(TENANTS[*of]), &id, new, by("ada")).await.unwrap())
            }
            Step::Drop { tenant: of, delivery } => {
                let id = self.receipt(*delivery);
                format!("{:?}", self.subject.store.drop_parked(&tenant(TENANTS[*of]), &id, by("ada")).await.unwrap())
            }
        }
    }

    /// Moves the clock. A store notices when it next reads it: let that be now, in every engine.
    async fn moved(&self, how: impl FnOnce(&ManualClock)) -> String {
        how(&self.subject.clock);
        assert!(self.subject.claim(0).await.is_empty());
        String::new()
    }

    async fn apply_to_claim(&mut self, step: &Step) -> String {
        let follows = if let Step::Settle { follows, .. } = step { self.changes(follows) } else { Vec::new() };
        let store = &self.subject.store;
        let (Step::Intend { claim, .. }
        | Step::Renew { claim }
        | Step::Settle { claim, .. }
        | Step::Postpone { claim, .. }) = step
        else {
            return String::new();
        };
        let Some(claim) = self.claim(*claim) else { return String::new() };
        let lease = &claim.lease;
        match step {
            Step::Intend { upto, .. } => format!("{:?}", store.intend(lease, lease.head + upto, LEASE).await.unwrap()),
            Step::Renew { .. } => format!("{:?}", store.renew(lease, LEASE).await.unwrap()),
            Step::Settle { upto, how, link, .. } => {
                let upto = lease.head + upto;
                let settlement = match how {
                    0 => parked(upto, true),
                    1 => parked(upto, false),
                    2 => Settlement { attempt: Some(attempt(claim.now, "http_200")), ..delivered(upto) },
                    _ => delivered(upto),
                };
                let settlement = Settlement { follows, link: link.map(a_link), ..settlement };
                format!("{:?}", store.settle(lease, settlement).await.unwrap())
            }
            Step::Postpone { seconds, counted, not_processed, .. } => {
                let postponement = Postponement {
                    counted: *counted,
                    not_processed: *not_processed,
                    attempt: counted.then(|| attempt(claim.now, "http_503")),
                    ..postponed(claim.now.plus(Duration::from_secs(*seconds)))
                };
                format!("{:?}", store.postpone(lease, postponement).await.unwrap())
            }
            _ => String::new(),
        }
    }

    async fn apply_to_sweep(&mut self, step: &Step) -> String {
        let store = &self.subject.store;
        let cursor = |number: &Pick| SweepCursor { updated_on: format!("2026-11-{number}"), ..SweepCursor::default() };
        match step {
            Step::LeaseSweep { tenant: of, seconds } => {
                let every = Duration::from_secs(*seconds);
                let lease = store.lease_sweep(&tenant(TENANTS[*of]), "sweeper", every, LEASE).await.unwrap();
                self.sweeps.extend(lease.clone());
                format!("{lease:?}")
            }
            Step::SaveSweep { sweep, cursor: number } => match newest(&self.sweeps, *sweep) {
                Some(lease) => format!("{:?}", store.save_sweep(lease, &cursor(number), LEASE).await.unwrap()),
                None => String::new(),
            },
            Step::FinishSweep { sweep, cursor: number } => match newest(&self.sweeps, *sweep) {
                Some(lease) => format!("{:?}", store.finish_sweep(lease, &cursor(number)).await.unwrap()),
                None => String::new(),
            },
            _ => String::new(),
        }
    }

    async fn apply_to_tenant(&self, step: &Step) -> String {
        let store = &self.subject.store;
        match step {
            Step::Pause { tenant: of, seconds } => {
                let until = match seconds {
                    0 => Timestamp::NEVER,
                    _ => self.subject.clock.now().plus(Duration::from_secs(*seconds)),
                };
                let pause = Pause { until, code: "test".to_owned(), reason: format!("{seconds} s") };
                store.pause_tenant(&tenant(TENANTS[*of]), pause).await.unwrap();
            }
            Step::Resume { tenant: of } => store.resume_tenant(&tenant(TENANTS[*of])).await.unwrap(),
            Step::Learn { tenant: of, yes, knows } => {
                let learned = Learned { honours_sys_id: Some(*yes), ..Learned::default() };
                let known = Learned { honours_sys_id: knows.then_some(!yes), ..Learned::default() };
                return store.learn(&tenant(TENANTS[*of]), &known, learned).await.unwrap().to_string();
            }
            _ => {}
        }
        String::new()
    }

    async fn apply_by_word(&self, step: &Step) -> String {
        let store = &self.subject.store;
        match step {
            Step::PauseBy { tenant: of, seconds } => {
                let until = self.subject.clock.now().plus(Duration::from_secs(*seconds));
                let pause = Pause { until, code: "operator".to_owned(), reason: format!("{seconds} s") };
                format!("{:?}", store.pause_by(&tenant(TENANTS[*of]), pause, by("ada")).await.unwrap())
            }
            Step::ResumeBy { tenant: of } => {
                format!("{:?}", store.resume_by(&tenant(TENANTS[*of]), by("ada")).await.unwrap())
            }
            Step::Check { tenant: of, digest, passed } => {
                let findings = vec![serde_json::json!({"code": digest})];
                let check = CheckRecord { digest: [*digest; 32], passed: *passed, findings, by: by("ada") };
                format!("{:?}", store.record_check(&tenant(TENANTS[*of]), check).await.unwrap())
            }
            Step::Release { tenant: of, digest, force } => {
                let released = store.release(&tenant(TENANTS[*of]), [*digest; 32], *force, by("bob")).await;
                format!("{:?}", released.unwrap())
            }
            Step::Withdraw { tenant: of } => {
                format!("{:?}", store.withdraw(&tenant(TENANTS[*of]), by("bob")).await.unwrap())
            }
            _ => String::new(),
        }
    }

    /// The audit log, which must verify.
    async fn audit(&self) -> String {
        let page = whole(&self.subject.store, 7).await;
        assert_eq!(verify(&page), Ok(page.ends.head));
        let query = AuditQuery { tenant: Some(tenant(TENANTS[0])), limit: 5, ..AuditQuery::default() };
        format!("{page:?}\n{:?}\n", self.subject.store.audit_page(&query).await.unwrap())
    }

    /// What can be read of a tenant's lanes and links.
    async fn ways_back(&self, name: &str) -> String {
        let store = &self.subject.store;
        let of = tenant(name);
        let mut told = format!("opening {:?}\n", store.opening(&of).await.unwrap());
        for about in INCIDENTS.map(incident) {
            for direction in [Direction::ToServicenow, Direction::ToService] {
                told = format!("{told}{:?}\n", store.lane(&of, direction, &about).await.unwrap());
            }
            told = format!("{told}{:?}\n", store.links_of(&of, &about).await.unwrap());
        }
        for ticket in (0..4).map(SysId::from_bits) {
            let page = store.links_page(&of, Some(&ticket), 2).await.unwrap();
            told = format!("{told}{:?} {page:?}\n", store.link(&of, &ticket).await.unwrap());
        }
        format!("{told}{:?}\n", store.links_page(&of, None, 3).await.unwrap())
    }

    /// Everything that can be read.
    async fn everything(&self) -> String {
        let store = &self.subject.store;
        let mut told = format!(
            "{:?}\n{:?}\n{}",
            store.backlog().await.unwrap(),
            store.oldest_due().await.unwrap(),
            self.audit().await
        );
        for name in TENANTS {
            let record = store.tenant(&tenant(name)).await.unwrap();
            told = format!("{told}{record:?}\n");
            let all = DeliveryQuery {
                tenant: tenant(name),
                state: None,
                incidents: Vec::new(),
                direction: None,
                before: None,
                limit: 1_000,
            };
            for state in State::ALL {
                let query = DeliveryQuery { state: Some(state), limit: 2, ..all.clone() };
                told += &listed(store, &query).await;
                let incidents = ["MTR-2", "MTR-1", "MTR-2"].map(incident).to_vec();
                let query = DeliveryQuery { incidents, ..query };
                told += &listed(store, &query).await;
            }
            told += &listed(store, &all).await;
            told += &self.ways_back(name).await;
        }
        told
    }
}

/// One of what there is, the newest half of the time: old leases are stale more often than not.
fn newest<T>(all: &[T], pick: Pick) -> Option<&T> {
    let known = all.len();
    (known > 0).then(|| &all[known - 1 - (pick % known).min(pick % 4)])
}

/// A link of one of a few tickets; now and then without its number.
fn a_link((ticket, about, episode): (Pick, Pick, u32)) -> Link {
    let mut link = link(ticket as u128, INCIDENTS[about], episode);
    if ticket == about {
        link.ticket.number.clear();
    }
    link
}

async fn listed(store: &snowgate::store::Store, query: &DeliveryQuery) -> String {
    let page = store.deliveries(query).await.unwrap();
    format!("{} {:?}\n", serde_json::to_string(&page.deliveries).unwrap(), page.next)
}

/// A claim without the engine's own name of the lane.
fn told(claim: &Claim) -> String {
    let Claim { lease, tenant, direction, incident, attempts, now, memory, learned, waiting } = claim;
    let (fence, head) = (lease.fence, lease.head);
    format!("{fence} {head} {tenant} {direction:?} {incident} {attempts} {now} {memory:?} {learned:?} {waiting:?}\n")
}

async fn compare(engine: Subject, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Run::new(Subject::memory());
    let mut engine = Run::new(engine);
    for (number, step) in steps.iter().enumerate() {
        let expected = model.apply(step).await;
        prop_assert_eq!(engine.apply(step).await, expected, "step {}: {:?}", number, step);
    }
    prop_assert_eq!(engine.everything().await, model.everything().await);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let serve = Step::Serve([Some(2), Some(2), Some(2)]);
        let steps: Vec<_> = std::iter::once(serve).chain(steps).collect();
        runtime.block_on(async { compare(Subject::sqlite(), &steps).await })?;
    }
}

proptest! {
    // Each case makes a database, and each of its steps goes there and back.
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn postgres_answers_as_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let serve = Step::Serve([Some(2), Some(2), Some(2)]);
        let steps: Vec<_> = std::iter::once(serve).chain(steps).collect();
        runtime.block_on(async { compare(Subject::postgres().await, &steps).await })?;
    }
}
