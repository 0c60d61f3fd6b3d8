//! What every store has to pass: the contract's sentences, tried one by one.
//!
//! An implementation says how it is made ([`Maker`]) and runs [`suite`]; the cases
//! see nothing of it but the contract. Danger: a fault that a wrapper invents in
//! front of the store shows how callers take it, and nothing about the store. So a
//! maker lets the store's own commit fail, in both ways in which commits do.
//!
//! ```text
//! accept  poll  subscription  decide  progress  effect  interchange  due  level  kept_back  exception
//! pause  reconcile  known  operation  notice  credit  deliver  replay  log  configuration  person
//! retention  untaken             what each operation promises
//! faults                         both faults of each write, reopened and repeated
//! model                          random stories against a model in memory
//! line                           random histories, and which delivery of each goes
//! ```

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

pub(crate) mod fixture;

pub(crate) mod accept;

pub(crate) mod decide;

pub(crate) mod kept_back;

pub(crate) mod exception;

pub(crate) mod pause;

pub(crate) mod progress;

pub(crate) mod effect;

pub(crate) mod due;
pub(crate) mod interchange;

pub(crate) mod level;

pub(crate) mod notice;

pub(crate) mod known;
pub(crate) mod poll;

pub(crate) mod reconcile;
pub(crate) mod subscription;

pub(crate) mod credit;

pub(crate) mod deliver;

pub(crate) mod line;

pub(crate) mod log;

pub(crate) mod configuration;

pub(crate) mod person;

pub(crate) mod retention;

pub(crate) mod faults;

pub(crate) mod measure;
pub(crate) mod model;
pub(crate) mod operation;
pub(crate) mod oversight;
pub(crate) mod replay;
pub(crate) mod untaken;

use std::sync::Arc;

use portreeve_model::Digest;

use crate::contract::Store;

/// How the suite gets at an implementation. One maker is one place for data.
pub(crate) trait Maker {
    /// A place without data.
    fn new() -> Self;

    /// Opens what is there. Whoever held it before has let go of it.
    async fn open(&self) -> Arc<dyn Store>;

    /// Two handles at once: of two processes where the implementation admits them,
    /// else the same one twice.
    async fn open_two(&self) -> (Arc<dyn Store>, Arc<dyn Store>);

    /// Makes the next commit fail, once, inside the store; `None` takes it back.
    fn fail_next_commit(&self, fault: Option<Fault>);

    /// Does to the data behind the store's back what no operation does.
    fn harm(&self, harm: Harm);
}

/// How a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It reports a failure and nothing persisted.
    NotPersisted,
    /// It persisted and reports a failure all the same.
    Persisted,
}

/// What happens to data.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Harm {
    /// A payload's key is destroyed.
    Erase(Digest),
    /// A payload's bytes are changed.
    Damage(Digest),
    /// A payload is not there any more.
    Lose(Digest),
}

/// Runs all cases with a maker, each as a test of its own.
macro_rules! suite {
    ($maker:ty) => {
        $crate::conformance::suite! { $maker:
            accept: an_acknowledged_input_is_there_after_a_reopening, the_same_input_again_gets_the_first_reply_and_writes_nothing,
                of_a_known_envelope_the_first_is_named_and_nothing_is_written, of_one_input_sent_at_the_same_time_one_is_kept,
                no_position_appears_below_one_that_was_seen, a_refusal_is_on_record_once, what_is_refused_is_kept_and_counts_as_none_that_was_taken, exceptions_are_paged_oldest_first,
                a_number_is_never_given_twice;
            poll: a_poll_is_claimed_by_one_at_a_time_and_when_it_is_due,
                a_cursor_moves_with_what_was_brought_or_not_at_all,
                an_empty_poll_keeps_the_cursor_and_what_it_is_woken_by_counts,
                what_fails_is_told_once_and_closed_when_it_works_again,
                what_is_held_back_is_due_again_and_otherwise_as_it_was,
                when_a_poll_went_well_and_what_its_source_said_then_is_known,
                of_business_keys_it_is_known_which_came_from_a_sender,
                another_connector_begins_without_a_cursor_and_what_one_remembers_is_its_own;
            subscription: a_subscription_is_asked_for_by_one_at_a_time_with_a_leaf_before_and_one_behind,
                what_is_asked_for_otherwise_is_due_at_once_and_was_given_by_nobody,
                of_a_subscription_that_fails_people_hear_until_it_is_given_and_what_was_missed_is_fetched;
            decide: a_decision_is_there_after_a_reopening_with_everything_that_it_causes,
                of_a_business_key_the_next_document_waits_for_the_first,
                documents_are_left_out_and_stand_before_those_of_their_key_all_the_same, a_second_decision_about_a_document_hears_of_the_first,
                a_decision_that_fails_leaves_its_neighbours, an_erased_or_damaged_document_comes_without_its_bytes,
                what_is_wrong_with_one_payload_is_in_its_place, what_is_lost_of_one_stops_no_other, a_decision_keeps_what_its_rows_name,
                what_comes_about_an_order_stands_beside_it_in_journal_order, orders_are_paged_in_journal_order, history_is_of_lower_positions_and_of_one_customer,
                usage_counts_each_order_once_and_each_budget_apart, no_decision_passes_a_ceiling_whoever_decided_meanwhile, what_a_window_reaches_is_counted_whatever_was_forgotten, open_holds_are_counted_by_who_holds_and_why,
                what_is_about_an_order_waits_for_a_decision_that_was_not_committed, a_subject_is_found_in_everything_that_is_about_it;
            progress: an_order_is_moved_from_where_its_decision_began_and_by_one_event,
                an_order_that_is_not_here_is_moved_by_nothing,
                what_waits_for_its_turn_is_there_until_an_event_catches_it_up,
                what_contradicted_each_other_and_does_no_more_is_closed_by_itself,
                what_does_not_wait_is_not_caught_up_and_the_event_is_not_there_either;
            effect: what_follows_from_an_event_is_delivered_of_the_order_once_and_of_each_event_once,
                where_an_order_came_from_is_what_its_document_said,
                word_of_an_order_is_told_though_nobody_wants_the_order_any_more,
                what_the_host_says_of_an_order_is_an_input_that_commits_with_its_event_once,
                what_nobody_said_of_the_order_is_not_delivered_and_its_event_is_not_there_either,
                a_target_that_keeps_its_deliveries_waiting_keeps_no_other_target_waiting,
                what_is_to_be_undone_is_given_up_where_it_has_not_begun,
                what_arrived_all_the_same_is_undone_after_it,
                an_order_that_a_system_has_is_held_by_no_wish_to_cancel_and_gets_no_further,
                an_order_is_known_by_its_number_and_by_what_targets_call_it,
                an_order_is_known_by_its_invoices_where_they_are_said_to_be_names_of_it,
                what_a_target_says_by_taking_a_message_is_there_with_the_receipt_or_not_at_all;
            interchange: a_delivery_keeps_its_number_and_each_receiver_counts_by_itself,
                a_number_is_given_to_whoever_has_the_claim_alone,
                a_number_is_there_or_not_and_none_is_given_twice_whatever_fails,
                an_answer_is_there_with_its_document_and_the_first_one_counts,
                a_number_under_which_nothing_was_sent_is_not_answered,
                what_was_given_up_and_is_accepted_falls_due_to_be_settled_as_found,
                what_was_not_answered_in_time_is_told_once_and_closed_by_the_answer,
                an_answer_may_come_before_the_host_knows_that_it_was_sent;
            due: what_did_not_go_out_in_time_is_told_once_and_over_when_it_goes,
                what_goes_out_in_time_is_waited_for_no_more_and_what_goes_late_is_told_apart,
                what_follows_from_something_said_has_gone_out_when_the_message_made_of_it_has,
                what_surely_follows_from_an_event_that_waits_for_its_turn_is_waited_for_already,
                a_new_rule_looks_at_what_comes_and_one_that_is_gone_waits_for_nothing,
                channel_and_partner_of_an_order_say_whether_and_by_when,
                whatever_the_pages_and_however_often_it_is_looked_each_is_told_once,
                a_dead_letter_that_is_tried_again_did_not_go_out_until_its_target_takes_it,
                what_people_had_sent_again_went_out_before,
                what_nothing_sends_any_more_is_waited_for_no_more,
                what_people_closed_is_waited_for_no_more;
            level: the_newest_level_of_an_item_is_known_and_told_after_a_reopening,
                a_newer_level_takes_the_place_of_what_waits,
                what_is_under_way_ends_first_and_is_not_sent_after_a_newer_level,
                a_level_that_was_given_up_blocks_nothing_and_is_over_when_a_newer_one_comes,
                the_first_of_two_decisions_about_an_item_counts,
                a_level_that_is_told_of_something_else_is_not_there,
                the_content_of_a_level_goes_when_nobody_is_to_be_told_of_it_any_more;
            kept_back: a_review_is_there_after_a_reopening_with_everything_that_it_causes,
                of_two_reviews_the_first_counts,
                what_is_not_kept_back_is_not_reviewed,
                after_a_request_to_cancel_no_review_releases,
                a_review_that_does_not_fit_is_refused_and_writes_nothing,
                an_order_that_is_not_released_is_delivered_by_no_decision_and_word_of_it_is,
                what_targets_have_or_get_of_orders_that_wait_is_told_by_its_kind,
                orders_that_are_kept_back_are_paged_in_journal_order,
                what_keeps_no_order_back_is_neither_due_nor_open,
                a_hold_ends_when_what_it_withheld_was_under_way_and_arrived,
                what_a_review_said_goes_with_the_content_of_its_input;
            exception: of_two_who_claim_at_once_one_has_it,
                it_is_given_back_or_to_somebody_else_and_talked_about,
                a_step_on_what_was_seen_before_another_one_is_none,
                another_queue_begins_anew,
                what_is_due_escalates_once_and_holds_all_the_same,
                after_so_many_steps_only_a_decision_is_left,
                one_proposal_is_open_at_a_time_and_others_than_its_maker_agree,
                what_expired_is_approved_no_more,
                too_few_carry_nothing_out_and_the_last_one_all_of_it,
                what_happens_is_what_the_action_says,
                a_change_is_answered_by_what_it_said_itself_in_the_same_transaction,
                what_is_closed_says_how_and_who,
                what_the_host_says_of_a_rejected_order_is_there_where_it_is_heard_or_paid,
                what_undoes_a_rejected_order_goes_out_with_its_rejection_and_is_its_own_word,
                a_rejected_order_goes_nowhere_and_its_holds_end,
                what_is_released_or_arrived_is_not_rejected,
                a_document_is_decided_again_and_may_become_an_order,
                what_is_decided_again_takes_its_turn_among_those_of_its_key,
                what_is_lost_of_an_input_is_decided_about_all_the_same,
                a_release_closes_its_exception_with_it,
                what_still_keeps_an_order_back_keeps_its_exception,
                an_order_that_failed_is_released_by_a_person_alone,
                exceptions_are_listed_by_queue_and_customer_page_by_page,
                exceptions_are_listed_by_kind_alone_and_in_a_queue,
                it_is_known_whose_an_input_is_and_who_mended_it,
                it_is_known_by_which_route_it_came,
                what_people_said_goes_with_the_content_of_its_input,
                a_step_and_what_it_causes_are_there_together_or_not_at_all,
                all_that_keeps_an_order_back_ends_with_it;
            oversight: proposals_are_counted_by_the_hour_with_their_decision_and_once,
                a_models_hold_is_judged_by_the_last_person_who_decided_about_it,
                a_step_says_whose_work_it_was_and_since_when_one_could_look,
                what_a_batch_undoes_of_one_decision_counts_nothing;
            measure: an_order_is_measured_by_all_that_became_of_it,
                orders_are_measured_by_when_they_were_decided_page_by_page;
            operation: a_channel_and_a_target_are_in_use_from_the_first_time_on,
                records_of_operation_are_found_by_their_time_and_no_others;
            pause: a_pause_is_one_exception_however_often_it_comes_and_ends_with_its_record,
                a_pause_of_all_calls_takes_the_place_of_those_of_single_causes,
                a_plugin_that_begins_anew_leaves_no_pause_to_a_person,
                what_a_person_ends_of_a_pause_opens_again_with_the_next_one,
                a_pause_and_its_exception_are_there_together_or_not_at_all;
            reconcile: a_finding_has_one_exception_until_it_is_gone,
                what_a_person_closed_of_a_finding_stays_closed_until_a_run_opens_it,
                the_key_of_the_last_run_alone_is_kept,
                of_two_runs_the_second_is_refused_and_a_dry_one_files_nothing;
            known: orders_that_are_not_over_are_told_with_what_is_on_its_way_to_their_target,
                what_a_target_has_with_a_block_is_there_until_it_is_undone,
                what_was_said_of_orders_is_told_from_the_newest_on;
            notice: what_happens_is_told_once_in_its_order_page_by_page,
                a_new_subscriber_hears_of_what_comes_and_one_that_is_gone_begins_anew,
                of_two_who_move_a_subscriber_one_does;
            credit: of_releases_weighed_at_the_same_time_those_beyond_the_limit_fail,
                no_review_passes_a_limit_whoever_was_released_meanwhile,
                what_one_took_counts_from_its_minute_on_and_what_none_took_always,
                who_goes_to_no_target_any_more_gives_back_what_it_took,
                an_order_with_several_deliveries_counts_until_none_of_them_can_happen,
                amounts_of_another_account_or_in_another_currency_do_not_count,
                what_a_wrong_clock_says_of_a_delivery_counts_until_a_right_one_loads_figures,
                figures_from_ahead_of_the_clock_make_count_what_it_said_since_those_before,
                a_clock_of_finance_that_is_always_ahead_holds_nothing_up,
                figures_that_are_set_right_end_what_wrong_ones_began,
                what_a_person_answers_for_passes_and_counts_all_the_same,
                sums_of_absurd_amounts_stop_and_fail_nobody;
            deliver: of_each_order_the_oldest_delivery_is_claimed_when_it_is_due,
                a_connector_remembers_about_an_order_what_its_attempts_committed, what_waits_behind_an_earlier_delivery_is_not_due,
                a_target_gets_as_many_as_it_has_room_for, what_waits_is_told_by_target_with_the_oldest_of_it,
                a_claim_is_exclusive_until_its_lease_ends_or_its_maker_is_gone, an_attempt_has_a_lease_of_its_own,
                an_attempt_whose_maker_is_gone_is_asked_about_when_it_said_so, what_a_claimer_has_under_way_it_is_not_given_again, two_who_claim_at_once_never_get_the_same,
                who_lost_the_lease_changes_nothing, what_surely_did_nothing_leaves_no_doubt, a_deadline_counts_from_the_first_claim, what_its_target_does_not_want_keeps_its_place_and_begins_anew_by_a_persons_word, that_something_came_back_is_known_wherever_it_stands_and_not_of_what_was_abandoned, what_waits_for_who_takes_nothing_hides_nothing_else_that_is_due, what_stands_behind_another_of_its_order_begins_anew_as_well, an_attempt_without_an_outcome_is_in_doubt_until_it_is_settled,
                after_a_request_to_cancel_no_delivery_begins, a_delivery_under_way_ends_as_it_ends_and_is_not_tried_again,
                what_is_in_doubt_is_asked_about_also_after_a_request_to_cancel, what_the_target_does_not_have_is_in_doubt_no_more,
                a_dead_letter_keeps_later_deliveries_back_or_lets_them_pass, a_dead_letter_is_replayed_so_often_and_no_more,
                dead_letters_are_paged_by_their_exception,
                dead_letters_of_one_target_and_code_are_paged_without_the_others,
                what_people_correct_in_a_delivery_is_with_it_from_then_on, nothing_is_corrected_without_words;
            replay: what_a_target_took_in_a_time_is_found_with_all_that_it_is_judged_by,
                a_change_is_overtaken_where_a_later_one_of_its_order_counts,
                what_was_taken_is_due_again_under_its_own_name_and_asked_about_first,
                what_is_not_as_it_was_shown_lets_none_of_them_go,
                a_replay_is_known_by_what_was_shown_and_happens_once,
                what_its_receiver_rejected_is_seen_to_be_and_a_second_silence_is_told_again,
                a_numbered_delivery_keeps_its_number_and_waits_for_another_answer,
                what_is_sent_again_stands_in_line_where_it_stood,
                what_was_sent_again_too_often_is_not_sent_once_more;
            line: whatever_becomes_of_deliveries_the_first_in_line_goes_and_no_other;
            log: leaves_get_their_index_in_commit_order, of_two_sequencers_one_appends,
                a_head_that_does_not_fit_changes_nothing;
            configuration: the_same_configuration_makes_no_new_version,
                of_a_plugins_packages_one_is_staged_until_it_is_activated, a_table_is_read_with_its_version,
                a_table_whose_version_is_known_is_not_read_again,
                a_connector_without_state_has_none;
            person: an_account_is_there_after_a_reopening_with_what_proves_it, of_two_changes_of_an_account_the_first_counts,
                what_is_taken_away_ends_what_came_of_it,
                the_last_account_that_administers_is_kept,
                nobody_signs_in_as_an_account_that_is_locked_or_has_changed,
                sessions_and_keys_of_an_account_are_so_many_and_no_more,
                when_a_token_was_last_shown_never_goes_back,
                accounts_are_paged_by_their_names,
                each_change_of_an_account_survives_both_faults;
            retention: what_is_said_of_an_order_stays_until_the_order_is_over,
                what_waits_for_an_order_that_never_came_keeps_its_content_with_what_else_was_said_of_it,
                content_of_a_finished_input_goes_and_duplicates_are_known_all_the_same,
                whatever_is_open_keeps_its_content, what_came_to_rest_too_late_keeps_its_content_until_then,
                an_input_that_is_not_finished_keeps_its_whole_batch, kept_inputs_are_paged_and_forgotten_ones_gone;
            untaken: inputs_of_which_nothing_was_taken_are_paged_by_why_by_whom_and_since_when,
                one_of_which_nothing_was_taken_is_found_by_its_id_and_tells_when_its_content_went;
            faults: each_write_survives_both_faults_of_its_commit, a_fault_undoes_a_whole_batch_of_decisions,
                numbers_of_an_unknown_outcome_are_not_given_again;
            model: random_stories_with_faults_end_as_the_model_says;
        }
    };
    ($maker:ty: $($part:ident: $($case:ident),+;)+) => {
        $(mod $part {
            use super::*;

            $(#[tokio::test]
            async fn $case() {
                $crate::conformance::$part::$case(<$maker as $crate::conformance::Maker>::new()).await;
            })+
        })+
    };
}
pub(crate) use suite;

#[test]
fn every_operation_is_tried_and_every_write_says_what_it_promises() {
    let contract = include_str!("../contract.rs").split("pub trait Store").nth(1).unwrap();
    let parts = [
        include_str!("accept.rs"),
        include_str!("decide.rs"),
        include_str!("kept_back.rs"),
        include_str!("exception.rs"),
        include_str!("oversight.rs"),
        include_str!("measure.rs"),
        include_str!("operation.rs"),
        include_str!("replay.rs"),
        include_str!("pause.rs"),
        include_str!("progress.rs"),
        include_str!("effect.rs"),
        include_str!("interchange.rs"),
        include_str!("due.rs"),
        include_str!("level.rs"),
        include_str!("notice.rs"),
        include_str!("poll.rs"),
        include_str!("subscription.rs"),
        include_str!("reconcile.rs"),
        include_str!("known.rs"),
        include_str!("credit.rs"),
        include_str!("deliver.rs"),
        include_str!("log.rs"),
        include_str!("configuration.rs"),
        include_str!("person.rs"),
        include_str!("retention.rs"),
        include_str!("untaken.rs"),
        include_str!("fixture.rs"),
    ]
    .concat();
    let mut docs = String::new();
    let mut writes = Vec::new();
    for line in contract.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("async fn ").and_then(|rest| rest.split('(').next()) {
            assert!(parts.contains(&format!(".{name}(")), "no case tries `{name}`");
            assert!(!docs.is_empty(), "`{name}` promises nothing");
            if docs.contains("etry*") {
                writes.push(name.to_owned());
            }
            docs.clear();
        } else if line.starts_with("///") {
            docs.push_str(line);
        }
    }
    writes.sort_unstable();
    let mut tried = faults::WRITES.map(|(write, _)| write.to_owned()).to_vec();
    tried.sort_unstable();
    assert_eq!(tried, writes, "each write has its fault pair, and says what a caller may repeat");
}
