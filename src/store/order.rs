//! In which order the due lanes of one tenant go: urgent ones first, and none waits for ever (`facts/reliability.md` 3.6).
//!
//! Owns: the order; every engine asks this one function. Never: reorders inside a lane; decides between tenants.
//!
//! * A lane's **class** is the rank of the most urgent of what waits in it, and one less for every [`AGING_STEP`] that it
//!   has been due, down to that of new incidents. Within a class the longest due goes first. So a lane of the lowest rank is
//!   served behind what is an hour younger than it, whatever streams in.
//! * While urgent lanes **jam** (one has been due for longer than [`URGENT_JAM`]), a claim that asks for it takes the newest
//!   of them first. One in four does not ask, and takes everything in turn.
//!
//! A lane's age is counted from its `due`, which a back-off and each delivery of the lane move: a lane is as old as its
//! present wait, not as its oldest delivery. That is what makes claims cheap: within a rank the class never falls while
//! `due` grows, so as many entries as there is room for from either end of each rank's index range hold everything that can
//! be chosen, however long the backlog.
//!
//! Fails: it cannot. Proved by: the tests here, and `tests/store`, part `claiming`, on every engine.

use std::cmp::Ordering;

use crate::delivery::record::Urgency;
use crate::domain::time::Timestamp;
use crate::limits::{AGING_STEP, URGENT_JAM};

/// A lane that may be claimed, by whatever name the engine gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due<L> {
    pub(super) lane: L,
    pub(super) urgency: Urgency,
    pub(super) since: Timestamp,
}

/// The class before all others: urgent lanes in a jam, newest first.
const JAMMED: i64 = 0;

/// Whether urgent lanes jam, by the one that has been due longest.
pub(super) fn is_jam(oldest_urgent: Timestamp, now: Timestamp) -> bool {
    now.since(oldest_urgent) > URGENT_JAM
}

/// The lanes that go next, at most `room`, in order. A lane may be named twice.
pub(super) fn choose<L: Copy + Ord>(mut due: Vec<Due<L>>, now: Timestamp, newest_first: bool, room: usize) -> Vec<L> {
    let urgent = due.iter().filter(|lane| lane.urgency == Urgency::High).map(|lane| lane.since).min();
    let jam = newest_first && urgent.is_some_and(|oldest| is_jam(oldest, now));
    let class = |lane: &Due<L>| if jam && lane.urgency == Urgency::High { JAMMED } else { class(lane, now) };
    due.sort_by(|one, other| {
        class(one).cmp(&class(other)).then_with(|| {
            let forward = (one.since, one.lane).cmp(&(other.since, other.lane));
            if class(one) == JAMMED { forward.reverse() } else { forward }
        })
    });
    due.dedup_by(|one, other| one.lane.cmp(&other.lane) == Ordering::Equal);
    due.into_iter().take(room).map(|lane| lane.lane).collect()
}

fn class<L>(lane: &Due<L>, now: Timestamp) -> i64 {
    let steps = now.since(lane.since).as_secs() / AGING_STEP.as_secs();
    let aged = lane.urgency.rank().saturating_sub(i64::try_from(steps).unwrap_or(i64::MAX));
    aged.max(Urgency::High.rank())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn due(lane: u32, urgency: Urgency, minutes: u64) -> Due<u32> {
        Due { lane, urgency, since: NOW.minus(Duration::from_mins(minutes)) }
    }

    fn order(lanes: &[Due<u32>], newest_first: bool) -> Vec<u32> {
        choose(lanes.to_vec(), NOW, newest_first, 100)
    }

    #[test]
    fn urgent_lanes_go_first_until_the_others_are_old() {
        use Urgency::{High, Low, Normal};
        let young = [due(1, Low, 9), due(2, Normal, 9), due(3, High, 0)];
        assert_eq!(order(&young, false), [3, 2, 1]);
        assert_eq!(order(&[due(1, Low, 30), due(2, Normal, 0)], false), [1, 2], "7 - 3 is less than 5");
        assert_eq!(order(&[due(1, Normal, 39), due(2, High, 1)], false), [2, 1]);
        assert_eq!(order(&[due(1, Normal, 40), due(2, High, 1)], false), [1, 2]);
        assert_eq!(order(&[due(1, Low, 60), due(2, High, 61)], false), [2, 1], "nothing becomes more than urgent");
    }

    #[test]
    fn in_a_jam_the_newest_go_first_if_they_are_asked_for() {
        use Urgency::{High, Low};
        let jam = [due(1, High, 6), due(2, High, 3), due(3, High, 0), due(4, Low, 600)];
        assert_eq!(order(&jam, true), [3, 2, 1, 4]);
        assert_eq!(order(&jam, false), [4, 1, 2, 3]);
        assert_eq!(order(&jam[1..3], true), [2, 3], "three minutes are no jam");
    }

    #[test]
    fn a_lane_that_was_named_twice_goes_once() {
        let lane = due(1, Urgency::High, 6);
        assert_eq!(order(&[lane, due(2, Urgency::High, 0), lane], true), [2, 1]);
        assert_eq!(choose(vec![lane, lane, due(2, Urgency::High, 0)], NOW, false, 2), [1, 2]);
    }

    /// Any order of claims in which one in four takes everything in turn serves a lane of the lowest rank, whatever
    /// streams in: only what was due before it is served first then.
    #[test]
    fn nothing_waits_for_ever() {
        let mut waiting = vec![due(0, Urgency::Low, 0)];
        let mut now = NOW;
        for turn in 1..=2_000_u32 {
            now = now.plus(Duration::from_secs(30));
            // Two urgent lanes come for each one that is served.
            waiting.extend([2 * turn, 2 * turn + 1].map(|lane| Due { lane, urgency: Urgency::High, since: now }));
            let served = choose(waiting.clone(), now, !turn.is_multiple_of(4), 1)[0];
            waiting.retain(|lane| lane.lane != served);
            if served == 0 {
                assert!(turn > 4, "the urgent ones come first for a while");
                return;
            }
        }
        panic!("the lowest rank starved");
    }
}
