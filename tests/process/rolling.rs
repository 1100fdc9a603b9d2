//! A rolling update: replicas are stopped and replaced one after the other, while senders go on.
//!
//! Here the binary stays and the schema moves: what the next version would have added is there already. The real thing,
//! with the binary of an earlier commit, is `scripts/test-rolling.sh`: it names that binary in `SNOWGATE_EARLIER`.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::faults::proven;
use crate::support::fleet::{Fleet, Stories};
use crate::support::{Home, Instance, Keeping, Start, Tenant};

const REPLICAS: usize = 3;
/// What a later version would do to the schema: it only adds, so the version before works on.
const NEXT_SCHEMA: &str = "alter table lane add column what_comes_next integer default 7; \
    insert into migration select max(version) + 1, 'later', '\\x00', max(version), 0 from migration";

#[tokio::test]
async fn replicas_are_swapped_one_by_one_under_load_on_a_schema_one_step_newer() {
    let each = Stories { incidents: 20, messages: 15 };
    let instance = Instance::start();
    let home = Home::kept(Keeping::Postgres, &[Tenant::named("contoso", instance.url())]);
    let earlier = std::env::var_os("SNOWGATE_EARLIER").map(|path| path.into_string().unwrap());
    let fleet = match &earlier {
        Some(path) => Fleet::start_as(&home, REPLICAS, Start { binary: Some(path), ..Start::default() }).await,
        None => Fleet::start(&home, REPLICAS).await,
    };
    let over = AtomicBool::new(false);
    let update = async {
        for place in 0..REPLICAS {
            fleet.swap(place, Start::default()).await;
            let is_first = place == 0 && earlier.is_none();
            is_first.then(|| home.database().query(NEXT_SCHEMA).unwrap());
        }
        over.store(true, Ordering::Relaxed);
    };
    // Senders go on until the last one was swapped.
    let (stories, ()) = tokio::join!(fleet.tell_until(&over, each), update);
    let verdicts = fleet.judge(stories, &instance).await;
    proven(
        "F26",
        "replicas_are_swapped_one_by_one_under_load_on_a_schema_one_step_newer",
        &format!(
            "3 replicas swapped one by one during {} events, the schema one step ahead of two of them: {}; {verdicts}",
            stories.events(),
            fleet.seen()
        ),
    );
}
