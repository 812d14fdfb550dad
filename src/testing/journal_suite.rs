//! The conformance suite of [`Journal`]: one function for each behaviour of its contract.
//!
//! Each takes a [`JournalHarness`] around a journal that is empty and used by nobody else, and
//! panics where the journal does otherwise. [`journal_suite!`](crate::journal_suite) makes a test
//! of each; [`CASES`] lists them for other harnesses. The names and the number of cases may change
//! in any release. What a journal does as a store, [`store_suite`](super::store_suite) tests.
//!
//! Most cases use ranges and positions that no store made: they are octets to a journal.

#![allow(clippy::missing_panics_doc, reason = "panicking is how a case fails")]
#![allow(clippy::wildcard_imports, reason = "the kit is the vocabulary of all cases")]

mod begin;
mod checkpoint;
mod concurrent;
mod decorator;
mod end;
mod fence;
mod finish;
mod forget;
mod kit;
mod lease;
mod lists;
mod model;
mod report;
mod retry;
mod settle;
mod sharing;

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;

pub use self::begin::*;
pub use self::checkpoint::*;
pub use self::concurrent::*;
pub use self::decorator::{Probe, a_decorator_forwards_every_method};
pub use self::end::*;
pub use self::fence::*;
pub use self::finish::*;
pub use self::forget::*;
pub use self::lease::*;
pub use self::lists::*;
pub use self::model::{agrees_with_a_model, agrees_with_a_model_for};
pub use self::report::*;
pub use self::retry::*;
pub use self::settle::*;
pub use self::sharing::*;
use crate::store::journal::Journal;

/// A journal to be tested, and what no journal offers: another node, and the passing of time.
///
/// For a journal that reads tokio's clock:
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use async_trait::async_trait;
/// use webpush_channels::store::journal::Journal;
/// use webpush_channels::testing::journal_suite::JournalHarness;
///
/// struct Harness<J>(Arc<J>);
///
/// #[async_trait]
/// impl<J: Journal> JournalHarness for Harness<J> {
///     fn journal(&self) -> &dyn Journal {
///         &*self.0
///     }
///
///     async fn another(&self) -> Box<dyn Journal> {
///         Box::new(Arc::clone(&self.0))
///     }
///
///     async fn expire_leases(&self) {
///         // The clock is paused.
///         tokio::time::advance(Duration::from_secs(2 * 3600)).await;
///     }
/// }
/// ```
#[async_trait]
pub trait JournalHarness: Send + Sync {
    /// The journal: empty at first, and used by nobody else.
    fn journal(&self) -> &dyn Journal;

    /// Another handle on the same storage, as another node has it.
    async fn another(&self) -> Box<dyn Journal>;

    /// Brings the journal to where the terms of all leases have passed: by moving its clock by two
    /// hours, or by writing it into the storage. All terms of the cases are an hour; nothing else
    /// passes within a day.
    async fn expire_leases(&self);
}

type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One behaviour, to be run on an empty journal. Panics where the journal does otherwise.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// What the journal is to do.
    pub name: &'static str,
    run: for<'a> fn(&'a dyn JournalHarness) -> Running<'a>,
}

impl Case {
    /// Runs it.
    ///
    /// # Panics
    ///
    /// When the journal does otherwise.
    pub async fn run(&self, harness: &dyn JournalHarness) {
        (self.run)(harness).await;
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// All cases that every journal must pass.
pub const CASES: &[Case] = crate::__journal_cases!(table);

/// Makes a `#[tokio::test]` of each case of the journal suite, in the module where it stands. Needs
/// `tokio` with `macros` and `rt` among the dev-dependencies.
///
/// The expression is evaluated in each test, may `.await`, and gives a
/// [`JournalHarness`](crate::testing::journal_suite::JournalHarness) around an empty journal.
#[macro_export]
macro_rules! journal_suite {
    ($make:expr) => {
        $crate::__journal_cases!(tests $make);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __journal_cases {
    (@do tests $make:expr ; $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let harness = $make;
                $crate::testing::journal_suite::$name(&harness).await;
            }
        )*
    };
    (@do table ; $($name:ident)*) => {
        &[$(Case { name: stringify!($name), run: |harness| Box::pin($name(harness)) },)*]
    };
    ($($how:tt)*) => {
        $crate::__journal_cases! { @do $($how)* ;
            a_new_broadcast_runs
            beginning_again_is_beginning_once
            a_known_broadcast_keeps_its_ranges
            another_broadcast_under_the_same_id_is_a_conflict
            an_ended_broadcast_is_not_begun_again
            a_broadcast_without_ranges_is_finished
            similar_ids_are_different
            a_lease_brings_what_was_begun
            an_audience_is_a_channel_or_a_user
            a_broadcast_begins_as_fast_as_it_says
            beginning_again_does_not_control

            there_is_no_work_at_first
            each_range_is_leased_once
            a_lease_says_how_much_time_is_left
            released_work_goes_on
            expired_work_goes_on
            a_token_holds_on_every_node_and_as_octets
            a_scan_goes_on_in_other_hands
            waiting_ends_when_there_is_work

            broadcasts_take_turns
            the_more_urgent_comes_first_among_equals
            the_least_recently_leased_comes_before_the_more_urgent
            a_later_broadcast_has_its_turn_at_once
            released_work_waits_for_its_turn
            a_paused_broadcast_gives_no_work
            a_paused_broadcast_can_finish
            a_limited_rate_is_divided_among_the_live_leases
            a_share_is_at_least_one
            controlling_an_unknown_broadcast_is_an_error

            a_checkpoint_moves_the_position
            checkpoints_add_up
            every_outcome_is_counted_as_itself
            changes_are_applied_to_the_version_that_was_sent_to
            a_repeated_checkpoint_is_answered_and_does_nothing
            a_repeated_last_checkpoint_does_nothing
            numbers_begin_anew_with_each_lease
            a_done_range_is_not_given_again
            a_checkpoint_sets_the_term

            a_lease_ends_with_its_term
            a_lease_that_was_taken_over_is_lost
            a_released_lease_is_lost
            a_done_lease_is_lost
            releasing_a_lost_lease_does_nothing
            nothing_of_a_refused_checkpoint_is_done
            foreign_tokens_are_refused

            a_retry_is_due_after_its_time
            a_retry_comes_back_as_it_was_deferred
            a_retry_shows_the_subscription_as_it_is_now
            the_lifetime_runs_from_the_first_attempt
            retries_are_leased_by_batches
            a_batch_is_of_one_broadcast
            retries_come_back_when_their_lease_ends
            what_a_done_batch_leaves_is_due_at_once
            a_retry_deferred_again_is_the_same

            a_settled_retry_counts_once
            settling_an_unknown_retry_counts_nothing
            a_late_answer_settles_what_another_lease_has
            what_was_settled_late_does_not_come_back
            what_was_settled_late_is_not_deferred_again
            the_last_settled_retry_finishes_the_broadcast
            a_range_that_settles_the_last_retry_finishes_the_broadcast

            the_last_range_finishes_the_broadcast
            a_range_that_awaits_answers_keeps_its_lease
            a_range_that_awaited_answers_is_not_worked_on_again
            a_range_that_ran_out_of_time_times_the_broadcast_out
            an_ended_broadcast_is_added_to_its_channel_once
            totals_are_of_one_channel

            counts_and_pending_are_what_was_read
            takeovers_are_counted
            failures_are_listed_oldest_first
            a_report_shows_the_first_hundred_failures
            a_report_names_sixteen_origins_and_the_rest
            the_time_stands_still_after_the_end

            recent_broadcasts_come_latest_first
            a_summary_is_what_the_list_and_the_report_say
            unfinished_broadcasts_are_listed_by_id

            an_aborted_broadcast_gives_no_work
            an_aborted_lease_is_told_so
            an_abort_keeps_the_counts
            aborting_what_ended_changes_nothing
            aborting_an_unknown_broadcast_is_an_error
            purging_forgets_what_ended
            purging_spares_what_ended_lately
            a_purged_id_is_free

            forgetting_a_user_skips_the_retries
            forgetting_a_user_removes_the_failures
            forgetting_a_user_may_finish_a_broadcast

            one_of_many_beginnings_begins
            nothing_is_leased_twice_at_once
            no_retry_is_leased_twice_at_once
            one_of_many_last_checkpoints_finishes
            a_last_range_and_last_retries_finish_once
            a_checkpoint_sent_twice_at_once_counts_once
            a_retry_settled_twice_at_once_counts_once

            agrees_with_a_model
        }
    };
}
