//! The store's contract: one suite, run on every engine, and what only one engine can promise beside it.
//!
//! A case is an `async fn(Subject)`; the macro below makes one test per case and engine, so that a failing one names
//! both. The model and the engines are held together by a property test as well.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

mod copying;
#[path = "../support/faults.rs"]
mod faults;
mod harness;
mod postgres_groups;
mod postgres_hog;
mod postgres_server;
mod postgres_sharing;
mod reopening;
mod replicas;
mod same_answers;
#[path = "../support/postgres.rs"]
mod server;
mod sqlite_file;
mod sync_order;
mod upgrading;
#[path = "../support/wait.rs"]
mod wait;

mod accepting;
mod audit;
mod claiming;
mod following;
mod leasing;
mod life_cycle;
mod linking;
mod parking;
mod reading;
mod sharing;
mod sweeping;
mod tenants;
mod trimming;

/// Runs every case on every engine.
macro_rules! contract {
    ($($part:ident: $($case:ident)*;)*) => {
        mod on_memory {
            $(mod $part { $(
                #[tokio::test]
                async fn $case() {
                    crate::$part::$case(crate::harness::Subject::memory()).await;
                }
            )* })*
        }
        mod on_sqlite {
            $(mod $part { $(
                #[tokio::test]
                async fn $case() {
                    crate::$part::$case(crate::harness::Subject::sqlite()).await;
                }
            )* })*
        }
        mod on_postgres {
            $(mod $part { $(
                #[tokio::test]
                async fn $case() {
                    crate::$part::$case(crate::harness::Subject::postgres().await).await;
                }
            )* })*
        }
    };
}

contract! {
    accepting:
        a_change_gets_a_receipt_and_a_place
        each_lane_counts_from_one_without_gaps
        the_same_event_again_gets_the_same_receipt
        the_same_event_with_another_body_is_a_conflict_and_the_first_stays
        the_same_event_of_another_tenant_is_another_event
        a_repeat_is_known_after_its_delivery_ended
        one_conflict_keeps_the_whole_call_out
        a_repeat_inside_a_call_is_stored_once
        a_conflict_inside_a_call_stores_nothing
        a_full_lane_takes_no_more_and_others_do
        an_empty_call_is_answered
        many_at_once_get_dense_sequences;
    claiming:
        nothing_is_claimed_before_a_tenant_is_served
        a_claim_hands_out_the_head_and_what_follows
        no_lane_is_claimed_twice
        a_tenant_never_has_more_lanes_than_its_share
        the_least_recently_served_tenant_goes_first
        a_flooding_tenant_delays_another_by_one_round
        urgent_lanes_go_first_then_the_longest_waiting
        a_lane_is_as_urgent_as_the_most_urgent_of_what_waits
        a_lane_that_backs_off_is_not_claimed_before_its_time
        a_tenant_no_longer_served_keeps_its_work
        a_thousand_times_the_work_is_no_earlier_turn
        slow_tenants_get_no_more_than_their_share_together
        a_lane_rises_by_one_class_in_ten_minutes
        the_lowest_class_goes_on_under_a_stream_of_urgent_lanes
        in_a_jam_of_urgent_lanes_the_newest_go_first_when_asked_for
        no_order_of_lanes_changes_the_order_inside_one
        a_tickets_lane_takes_more_than_an_incidents
        the_longest_due_lane_is_told_by_class
        the_directions_of_an_incident_are_lanes_of_their_own;
    leasing:
        an_expired_lease_offers_the_lane_again
        an_expired_lease_holds_until_someone_else_claims
        a_renewed_lease_lasts
        a_stale_owner_changes_nothing
        an_intention_marks_what_is_being_sent
        a_sent_delivery_stays_marked_when_its_owner_dies
        a_settled_delivery_ends_and_the_next_one_follows
        a_fold_supersedes_all_but_the_last
        settling_what_does_not_wait_changes_nothing
        a_lane_remembers_what_a_settlement_said
        a_counted_postponement_is_a_try_and_an_uncounted_is_not
        a_postponed_delivery_that_was_surely_not_processed_is_waiting_again
        a_postponed_delivery_that_may_be_processed_stays_being_sent
        only_the_newest_tries_are_kept
        time_set_back_holds_no_lane;
    following:
        what_follows_waits_in_its_own_lane_and_is_due_at_once
        what_follows_keeps_its_order
        what_follows_in_the_settled_lane_comes_behind_what_waits
        what_follows_wakes_the_settled_lane_when_nothing_else_waits
        what_follows_waits_behind_a_head_that_was_parked
        a_known_event_follows_only_once
        a_lost_lease_stores_neither_the_end_nor_what_follows
        what_follows_disturbs_nobody_who_has_the_other_lane
        no_lane_is_too_full_for_what_follows
        what_follows_stays_with_its_tenant
        an_echo_stays_one_when_it_is_replayed
        an_incident_and_its_tickets_are_one_list;
    linking:
        a_ticket_finds_its_incident
        the_newest_word_about_a_ticket_counts
        an_incidents_tickets_are_newest_first
        links_are_walked_through_in_pages
        a_lane_can_be_looked_at
        an_opening_is_seen_while_it_may_be_under_way;
    sweeping:
        a_first_sweep_is_due_and_begins_at_the_start
        the_next_sweep_is_due_from_where_the_last_one_began
        one_sweeps_at_a_time
        a_dead_sweeper_is_followed_from_where_it_came
        an_unfinished_sweep_does_not_count
        an_expired_sweep_holds_until_someone_else_takes_it
        a_tenant_that_comes_back_is_swept_from_where_it_was;
    sharing:
        a_second_is_reserved_at_most_whoever_asks
        many_replicas_at_once_get_the_rate_and_no_more
        an_hour_is_counted_once_for_all
        a_time_that_was_asked_for_holds_for_all
        one_of_all_probes_and_good_answers_close_it_for_all
        a_dead_prober_is_replaced_and_its_late_word_changes_nothing
        tenants_and_addresses_do_not_share
        what_another_replica_disproved_is_known_at_the_next_claim
        replicas_with_other_files_teach_each_other_nothing
        a_pause_is_seen_by_the_next_claim_of_any_replica;
    parking:
        a_blocking_head_holds_its_lane_in_order
        a_skipped_delivery_lets_the_lane_go_on
        a_blocking_head_is_replayed_in_place
        a_skipped_delivery_is_replayed_at_the_tail
        nothing_is_replayed_twice
        a_dropped_head_lets_the_lane_go_on
        a_dropped_skipped_delivery_changes_no_lane
        only_the_tenants_own_parked_deliveries_are_touched
        a_replay_behind_a_blocking_head_waits_for_it;
    tenants:
        a_paused_tenant_is_not_claimed_until_it_ends
        a_longer_pause_wins
        a_persons_pause_is_always_stored
        a_pause_is_ended_unless_its_code_is_named
        a_resumed_tenant_is_claimed_at_once
        what_was_learned_is_kept
        an_unknown_tenant_has_no_record
        the_store_answers_a_ping;
    audit:
        an_entry_becomes_a_row_with_everything_in_it
        texts_are_bounded_and_hold_no_line_ends
        the_log_is_paged_in_both_orders_and_filtered
        what_is_done_by_somebodys_word_is_recorded_with_it
        what_was_refused_leaves_no_row
        what_the_gateway_does_by_itself_is_no_deed
        two_replays_at_once_are_one_replay_and_one_row
        old_rows_go_and_the_chain_goes_on
        an_empty_log_is_whole;
    life_cycle:
        the_last_check_is_shown
        paused_and_released_tenants_are_told_in_one_reading
        findings_are_bounded
        only_a_passed_check_of_exactly_this_enables
        force_enables_and_says_so
        what_was_enabled_can_be_taken_back
        checks_and_releases_are_each_tenants_own;
    trimming:
        what_ended_long_ago_goes_and_its_lane_goes_on
        what_is_not_done_stays
        a_repeat_is_known_for_a_month_whatever_is_asked
        no_more_go_at_once_than_asked;
    reading:
        a_delivery_shows_what_was_accepted
        a_strange_tenant_sees_nothing
        lists_are_newest_first_and_paged
        lists_are_filtered
        an_end_is_shown_with_its_tries
        the_backlog_counts_what_waits_and_what_is_parked;
}
