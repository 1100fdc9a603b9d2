//! The engines are held to the model: any run of commands gets the same answers from both.
//!
//! Lanes have other names in other engines, so leases are compared by what they are for.

use std::time::Duration;

use proptest::prelude::*;
use snowgate::delivery::record::{Direction, State};
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey};
use snowgate::domain::time::{Clock, Timestamp};
use snowgate::store::{Claim, ClaimRequest, DeliveryQuery, Learned, NewDelivery, Pause, Postponement, Settlement};

use crate::harness::{
    LEASE, ManualClock, Subject, attempt, change, delivered, incident, parked, postponed, request, tenant,
};

const TENANTS: [&str; 3] = ["adatum", "contoso", "fabrikam"];
const KINDS: [ChangeKind; 4] =
    [ChangeKind::Opened, ChangeKind::Updated, ChangeKind::MessageAdded, ChangeKind::AttachmentAdded];

/// A number that a step turns into one of what there is at that moment.
type Pick = usize;

#[derive(Clone, Debug)]
enum Step {
    Accept(Vec<(Pick, Pick, Pick, Pick)>),
    Serve([Option<u32>; 3]),
    Claim { lanes: usize, waiting: usize },
    Intend { claim: Pick, upto: u64 },
    Renew { claim: Pick },
    Settle { claim: Pick, upto: u64, how: Pick },
    Postpone { claim: Pick, seconds: u64, counted: bool, not_processed: bool },
    Pause { tenant: Pick, seconds: u64 },
    Resume { tenant: Pick },
    Learn { tenant: Pick, yes: bool },
    Replay { tenant: Pick, delivery: Pick },
    Drop { tenant: Pick, delivery: Pick },
    Pass { millis: u64 },
    SetBack { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || 0_usize..64;
    let one_change = (0_usize..3, 0_usize..3, 0_usize..8, pick());
    prop_oneof![
        8 => prop::collection::vec(one_change, 1..4).prop_map(Step::Accept),
        1 => prop::array::uniform3(prop::option::weighted(0.8, 0_u32..4)).prop_map(Step::Serve),
        8 => (0_usize..5, 1_usize..4).prop_map(|(lanes, waiting)| Step::Claim { lanes, waiting }),
        4 => (pick(), 0_u64..3).prop_map(|(claim, upto)| Step::Intend { claim, upto }),
        1 => pick().prop_map(|claim| Step::Renew { claim }),
        6 => (pick(), 0_u64..3, 0_usize..4).prop_map(|(claim, upto, how)| Step::Settle { claim, upto, how }),
        3 => (pick(), 0_u64..100, any::<bool>(), any::<bool>()).prop_map(
            |(claim, seconds, counted, not_processed)| Step::Postpone { claim, seconds, counted, not_processed }
        ),
        1 => (0_usize..3, 0_u64..200).prop_map(|(tenant, seconds)| Step::Pause { tenant, seconds }),
        1 => (0_usize..3).prop_map(|tenant| Step::Resume { tenant }),
        1 => (0_usize..3, any::<bool>()).prop_map(|(tenant, yes)| Step::Learn { tenant, yes }),
        2 => (0_usize..3, pick()).prop_map(|(tenant, delivery)| Step::Replay { tenant, delivery }),
        1 => (0_usize..3, pick()).prop_map(|(tenant, delivery)| Step::Drop { tenant, delivery }),
        3 => (0_u64..100_000).prop_map(|millis| Step::Pass { millis }),
        1 => (0_u64..10_000_000).prop_map(|millis| Step::SetBack { millis }),
    ]
}

/// One engine and what a run has had from it so far.
struct Run {
    subject: Subject,
    claims: Vec<Claim>,
    receipts: Vec<DeliveryId>,
    made: u64,
}

impl Run {
    fn new(subject: Subject) -> Self {
        Self { subject, claims: Vec::new(), receipts: Vec::new(), made: 0 }
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
        // The newest half of the time: old leases are stale more often than not.
        let known = self.claims.len();
        (known > 0).then(|| &self.claims[known - 1 - (pick % known).min(pick % 4)])
    }

    fn changes(&mut self, picks: &[(Pick, Pick, Pick, Pick)]) -> Vec<NewDelivery> {
        picks.iter().map(|pick| self.change(*pick)).collect()
    }

    fn change(&mut self, (of, about, kind, event): (Pick, Pick, Pick, Pick)) -> NewDelivery {
        let id = self.id();
        let made = change(event as u64, TENANTS[of], &format!("MTR-{about}"), KINDS[kind % KINDS.len()]);
        // Half of the events are new; the others repeat, now and then with another body.
        let name = if event % 2 == 0 { format!("new-{id}") } else { format!("event-{event}") };
        let direction = if kind < 6 { Direction::ToServicenow } else { Direction::ToService };
        NewDelivery { id, event: EventKey::new("soc", &name).unwrap(), direction, ..made }
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
            Step::Claim { lanes, waiting } => {
                let request = ClaimRequest { waiting_max: *waiting, ..request(*lanes) };
                let claims = self.subject.store.claim(&request).await.unwrap();
                let told = claims.iter().map(told).collect();
                self.claims.extend(claims);
                told
            }
            Step::Intend { .. } | Step::Renew { .. } | Step::Settle { .. } | Step::Postpone { .. } => {
                self.apply_to_claim(step).await
            }
            Step::Pass { millis } => self.moved(|clock| clock.pass(Duration::from_millis(*millis))).await,
            Step::SetBack { millis } => self.moved(|clock| clock.set_back(Duration::from_millis(*millis))).await,
            Step::Pause { .. } | Step::Resume { .. } | Step::Learn { .. } => self.apply_to_tenant(step).await,
            Step::Replay { tenant: of, delivery } => {
                let (id, new) = (self.receipt(*delivery), self.id());
                format!("{:?}", self.subject.store.replay(&tenant(TENANTS[*of]), &id, new).await.unwrap())
            }
            Step::Drop { tenant: of, delivery } => {
                let id = self.receipt(*delivery);
                format!("{:?}", self.subject.store.drop_parked(&tenant(TENANTS[*of]), &id).await.unwrap())
            }
        }
    }

    /// Moves the clock. A store notices when it next reads it: let that be now, in every engine.
    async fn moved(&self, how: impl FnOnce(&ManualClock)) -> String {
        how(&self.subject.clock);
        assert!(self.subject.claim(0).await.is_empty());
        String::new()
    }

    async fn apply_to_claim(&self, step: &Step) -> String {
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
            Step::Settle { upto, how, .. } => {
                let upto = lease.head + upto;
                let settlement = match how {
                    0 => parked(upto, true),
                    1 => parked(upto, false),
                    2 => Settlement { attempt: Some(attempt(claim.now, "http_200")), ..delivered(upto) },
                    _ => delivered(upto),
                };
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
            Step::Learn { tenant: of, yes } => {
                let learned = Learned { honours_sys_id: Some(*yes), ..Learned::default() };
                store.learn(&tenant(TENANTS[*of]), learned).await.unwrap();
            }
            _ => {}
        }
        String::new()
    }

    /// Everything that can be read.
    async fn everything(&self) -> String {
        let store = &self.subject.store;
        let mut told = format!("{:?}\n", store.backlog().await.unwrap());
        for name in TENANTS {
            let record = store.tenant(&tenant(name)).await.unwrap();
            told = format!("{told}{record:?}\n");
            let all = DeliveryQuery {
                tenant: tenant(name),
                state: None,
                incident: None,
                direction: None,
                before: None,
                limit: 1_000,
            };
            for state in State::ALL {
                let query = DeliveryQuery { state: Some(state), limit: 2, ..all.clone() };
                told += &listed(store, &query).await;
                let query = DeliveryQuery { incident: Some(incident("MTR-1")), ..query };
                told += &listed(store, &query).await;
            }
            told += &listed(store, &all).await;
        }
        told
    }
}

async fn listed(store: &snowgate::store::Store, query: &DeliveryQuery) -> String {
    let page = store.deliveries(query).await.unwrap();
    format!("{} {:?}\n", serde_json::to_string(&page.deliveries).unwrap(), page.next)
}

/// A claim without the engine's own name of the lane.
fn told(claim: &Claim) -> String {
    let Claim { lease, tenant, direction, incident, attempts, now, memory, waiting } = claim;
    let (fence, head) = (lease.fence, lease.head);
    format!("{fence} {head} {tenant} {direction:?} {incident} {attempts} {now} {memory:?} {waiting:?}\n")
}

async fn compare(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Run::new(Subject::memory());
    let mut engine = Run::new(Subject::sqlite());
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
        runtime.block_on(compare(&steps))?;
    }
}
