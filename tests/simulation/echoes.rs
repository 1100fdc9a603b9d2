//! Each layer that cuts echoes, alone: an instance or a managed service against which only this one helps. With it nothing
//! comes back; without it something does, or these checks would prove nothing.

use snowgate::sim::switches::FightingRule;
use snowgate::worker::Protections;

use super::plan::Plan;
use super::run::{deliveries_of, play};

/// Seeds with everything on that must stay clean, and seeds that a gateway without the layer gets to be caught in.
const SEEDS: u64 = 8;

fn only_this_layer_helps(scene: impl Fn(u64) -> Plan, without: Protections) {
    for seed in 0..SEEDS {
        let violations = play(&scene(seed));
        assert!(violations.is_empty(), "seed {seed}, everything on:\n{}", violations.join("\n"));
    }
    let caught = (0..SEEDS).any(|seed| !play(&Plan { protections: without, ..scene(seed) }).is_empty());
    assert!(caught, "{SEEDS} seeds ran with {without:?} and nothing was noticed");
}

#[test]
fn at_the_source_the_instance_does_not_call_for_our_own_writes() {
    for seed in 0..SEEDS {
        let calls_for_all = deliveries_of(&Plan::calm(seed));
        let skips_ours = deliveries_of(&Plan { skips_user: true, ..Plan::calm(seed) });
        assert!(skips_ours < calls_for_all, "seed {seed}: {skips_ours} deliveries in place of {calls_for_all}");
    }
}

#[test]
fn by_author_where_a_rule_strips_our_reference() {
    let scene = |seed| Plan { strips_footers: true, ..Plan::calm(seed) };
    only_this_layer_helps(scene, Protections { actor: false, ..Protections::ALL });
}

#[test]
fn by_reference_where_nobody_says_who_we_are() {
    let scene = |seed| Plan { user_known: false, user_hidden: true, ..Plan::calm(seed) };
    only_this_layer_helps(scene, Protections { marker: false, ..Protections::ALL });
}

#[test]
fn by_origin_where_the_managed_service_sends_every_comment_back() {
    let scene = |seed| {
        let mut plan = Plan::calm(seed);
        plan.habits.echoes_comments = true;
        plan
    };
    only_this_layer_helps(scene, Protections { origin: false, ..Protections::ALL });
}

#[test]
fn by_value_where_a_webhook_says_no_more_than_which_ticket() {
    let scene = |seed| Plan { hints: true, user_known: false, user_hidden: true, ..Plan::calm(seed) };
    only_this_layer_helps(scene, Protections { value: false, ..Protections::ALL });
}

#[test]
fn by_counting_where_a_rule_and_the_managed_service_insist_on_different_states() {
    let scene = |seed| {
        let mut plan = Plan::calm(seed);
        plan.fighting_rule = Some(FightingRule { column: "state".to_owned(), value: "2".to_owned() });
        plan.habits.insists_on = Some("needs_customer_action");
        plan
    };
    only_this_layer_helps(scene, Protections { alternation: false, ..Protections::ALL });
}
