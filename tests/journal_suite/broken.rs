//! A journal in memory with one deliberate defect.

#[path = "broken/checkpoint.rs"]
mod checkpoint;
#[path = "broken/lease.rs"]
mod lease;
#[path = "broken/lists.rs"]
mod lists;
#[path = "broken/store.rs"]
mod store;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use webpush_channels::store::journal::{
    Begun, Checkpoint, Control, FailureId, FailurePage, Journal, JournalError, JournalErrorKind, Lease,
    LeaseToken, NewBroadcast, RetryId, State, Summary, Totals, WorkerId,
};
use webpush_channels::store::{MemoryStore, Range};
use webpush_channels::testing::journal_suite::JournalHarness;
use webpush_channels::{BroadcastId, ChannelName, Report, Urgency};

macro_rules! defects {
    ($($defect:ident: $($case:ident)*,)*) => {
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Defect {
            None,
            $($defect,)*
        }

        impl Defect {
            /// Each with the cases that must find it.
            pub(crate) const ALL: &[(Self, &[&str])] = &[$((Self::$defect, &[$(stringify!($case)),*]),)*];
        }
    };
}

defects! {
    EveryIdIsKnown: a_new_broadcast_runs a_summary_is_what_the_list_and_the_report_say,
    KnownIsCreated: beginning_again_is_beginning_once,
    BeginningAgainStartsOver: a_known_broadcast_keeps_its_ranges,
    NothingConflicts: another_broadcast_under_the_same_id_is_a_conflict purging_spares_what_ended_lately,
    EndedIsBegunAgain: an_ended_broadcast_is_not_begun_again agrees_with_a_model,
    NobodyIsSomebody: a_broadcast_without_ranges_is_finished,
    IdsInLowerCase: similar_ids_are_different,
    CollapseKeysAreLost: a_lease_brings_what_was_begun,
    FallbacksAreLost: a_lease_brings_what_was_begun,
    AudiencesAreChannels: an_audience_is_a_channel_or_a_user recent_broadcasts_come_latest_first
        a_summary_is_what_the_list_and_the_report_say,
    BeginIsRacy: one_of_many_beginnings_begins,
    ControlAtBeginningIsLost: a_broadcast_begins_as_fast_as_it_says,
    BeginningAgainControls: beginning_again_does_not_control,

    WorkFromNowhere: there_is_no_work_at_first,
    LeasesTwice: each_range_is_leased_once nothing_is_leased_twice_at_once no_retry_is_leased_twice_at_once,
    NoTimeNoWork: a_lease_says_how_much_time_is_left,
    ReleaseDoesNothing: released_work_goes_on a_released_lease_is_lost retries_come_back_when_their_lease_ends,
    PositionsAreLost: released_work_goes_on expired_work_goes_on a_scan_goes_on_in_other_hands
        a_checkpoint_moves_the_position,
    TokensHoldOnOneNode: a_token_holds_on_every_node_and_as_octets,
    WaitsForEver: waiting_ends_when_there_is_work,
    NodesAreApart: waiting_ends_when_there_is_work each_range_is_leased_once,

    OldestFirst: broadcasts_take_turns a_later_broadcast_has_its_turn_at_once a_batch_is_of_one_broadcast,
    UrgencyIsLost: the_more_urgent_comes_first_among_equals,
    UrgentFirst: the_least_recently_leased_comes_before_the_more_urgent agrees_with_a_model,
    ReleasedFirst: released_work_waits_for_its_turn,
    PauseIsIgnored: a_paused_broadcast_gives_no_work agrees_with_a_model,
    PausedDoesNotEnd: a_paused_broadcast_can_finish,
    RateIsNotDivided: a_limited_rate_is_divided_among_the_live_leases,
    ShareMayBeNothing: a_share_is_at_least_one,
    UnknownIsControlled: controlling_an_unknown_broadcast_is_an_error,

    RepeatsAreDropped: checkpoints_add_up,
    PrunedElsewhereIsDropped: checkpoints_add_up,
    UnexpectedIsGaveUp: every_outcome_is_counted_as_itself,
    ChangesIgnoreTheVersion: changes_are_applied_to_the_version_that_was_sent_to,
    NumbersAreIgnored: a_repeated_checkpoint_is_answered_and_does_nothing
        a_checkpoint_sent_twice_at_once_counts_once,
    LastCountsTwice: a_repeated_last_checkpoint_does_nothing,
    NumbersGoOn: numbers_begin_anew_with_each_lease agrees_with_a_model,
    AwaitingEndsTheLease: a_range_that_awaits_answers_keeps_its_lease,
    AwaitingIsNotDone: a_range_that_awaited_answers_is_not_worked_on_again,
    DoneIsReleased: a_done_range_is_not_given_again,
    TermsOnlyGrow: a_checkpoint_sets_the_term,
    TermsAreNotStrict: a_lease_ends_with_its_term,
    AnyTokenWill: a_lease_that_was_taken_over_is_lost,
    DoneLeasesLive: a_done_lease_is_lost agrees_with_a_model,
    ReleaseEndsTheLatest: releasing_a_lost_lease_does_nothing,
    RefusedChangesAreDone: nothing_of_a_refused_checkpoint_is_done,
    RefusedCountsAreKept: nothing_of_a_refused_checkpoint_is_done,
    RefusedRetriesAreKept: nothing_of_a_refused_checkpoint_is_done,
    ForeignIsLost: foreign_tokens_are_refused,

    DueAtOnce: a_retry_is_due_after_its_time,
    TriedIsLost: a_retry_comes_back_as_it_was_deferred,
    EntriesAreMissing: a_retry_shows_the_subscription_as_it_is_now a_retry_comes_back_as_it_was_deferred,
    EntriesOfAnybody: a_retry_shows_the_subscription_as_it_is_now,
    LifetimeAlwaysRuns: the_lifetime_runs_from_the_first_attempt,
    BatchesAreTooLarge: retries_are_leased_by_batches,
    BatchesAreMixed: a_batch_is_of_one_broadcast,
    DoneBatchKeepsTheRest: what_a_done_batch_leaves_is_due_at_once,
    DeferredAgainIsAnother: a_retry_deferred_again_is_the_same,
    SettledAgainCounts: a_settled_retry_counts_once a_retry_settled_twice_at_once_counts_once,
    UnknownRetriesCount: settling_an_unknown_retry_counts_nothing,
    OnlyTheHolderSettles: a_late_answer_settles_what_another_lease_has
        what_was_settled_late_is_not_deferred_again what_was_settled_late_does_not_come_back agrees_with_a_model,
    RangesAreAll: the_last_settled_retry_finishes_the_broadcast
        a_range_that_settles_the_last_retry_finishes_the_broadcast,

    FinishedGoesOn: the_last_range_finishes_the_broadcast,
    FinishIsRacy: one_of_many_last_checkpoints_finishes a_last_range_and_last_retries_finish_once,
    TimedOutIsFinished: a_range_that_ran_out_of_time_times_the_broadcast_out,
    TotalsOfTheList: an_ended_broadcast_is_added_to_its_channel_once totals_are_of_one_channel
        a_purged_id_is_free,
    NothingIsPending: counts_and_pending_are_what_was_read,
    ReleasesAreTakeovers: takeovers_are_counted released_work_goes_on,
    TakeoversAreNot: takeovers_are_counted agrees_with_a_model,
    FailuresBackwards: failures_are_listed_oldest_first,
    FailuresOfOnePage: failures_are_listed_oldest_first a_report_shows_the_first_hundred_failures,
    AllFailuresInTheReport: a_report_shows_the_first_hundred_failures,
    RestIsDropped: a_report_names_sixteen_origins_and_the_rest,
    TimeGoesOn: the_time_stands_still_after_the_end,
    RecentBackwards: recent_broadcasts_come_latest_first,
    CreatedMoves: a_summary_is_what_the_list_and_the_report_say,
    EndedIsUnknown: a_summary_is_what_the_list_and_the_report_say,
    ReportsAreApart: a_summary_is_what_the_list_and_the_report_say,
    UnfinishedBackwards: unfinished_broadcasts_are_listed_by_id,

    AbortDoesNothing: an_aborted_broadcast_gives_no_work,
    AbortedIsLost: an_aborted_lease_is_told_so,
    AbortClears: an_abort_keeps_the_counts,
    AbortedLast: aborting_what_ended_changes_nothing,
    UnknownIsAborted: aborting_an_unknown_broadcast_is_an_error,
    PurgeDoesNothing: purging_forgets_what_ended,
    PurgeIgnoresTheAge: purging_spares_what_ended_lately,
    WorkIsNotForgotten: forgetting_a_user_skips_the_retries forgetting_a_user_removes_the_failures
        forgetting_a_user_may_finish_a_broadcast agrees_with_a_model,
}

/// What all handles on one storage share.
#[derive(Debug)]
struct Shared {
    inner: MemoryStore,
    defect: Defect,
    begun: Instant,
    notes: Mutex<Notes>,
}

/// What the defects remember.
#[derive(Debug, Default)]
struct Notes {
    /// In the order of their beginning, with the node that began them.
    broadcasts: Vec<(BroadcastId, u8)>,
    leases: HashMap<LeaseToken, (Lease, u8)>,
    latest: Option<Lease>,
    again: Option<Lease>,
    released: Option<BroadcastId>,
    releases: u64,
    control: Control,
    numbers: HashMap<LeaseToken, u64>,
    number: HashMap<BroadcastId, u64>,
    deferred: HashSet<RetryId>,
    settled: HashSet<RetryId>,
    holders: HashMap<RetryId, LeaseToken>,
}

#[derive(Clone, Debug)]
pub(crate) struct Broken {
    shared: Arc<Shared>,
    node: u8,
}

pub(crate) struct Harness(Broken);

impl Harness {
    /// Needs a paused clock.
    pub(crate) fn new(defect: Defect) -> Self {
        let (inner, notes) = Default::default();
        let shared = Arc::new(Shared { inner, defect, begun: Instant::now(), notes });
        Self(Broken { shared, node: 0 })
    }
}

#[async_trait]
impl JournalHarness for Harness {
    fn journal(&self) -> &dyn Journal {
        &self.0
    }

    async fn another(&self) -> Box<dyn Journal> {
        Box::new(Broken { node: 1, ..self.0.clone() })
    }

    async fn expire_leases(&self) {
        tokio::time::advance(Duration::from_secs(2 * 3600)).await;
    }
}

impl Broken {
    fn has(&self, defect: Defect) -> bool {
        self.shared.defect == defect
    }

    fn inner(&self) -> &MemoryStore {
        &self.shared.inner
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.shared.notes.lock().unwrap()
    }

    /// The broadcast and all that is known of it, once it can be begun anew.
    async fn remove(&self, id: &BroadcastId) {
        self.inner().abort(id).await.unwrap();
        self.inner().purge(Duration::ZERO).await.unwrap();
    }

    async fn begin_again(&self, new: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
        let report = self.inner().report(&new.id).await?.unwrap_or_default();
        let ended = report.state != webpush_channels::BroadcastState::Running;
        match self.shared.defect {
            Defect::KnownIsCreated => return Ok(Begun::Created),
            Defect::BeginningAgainStartsOver => self.remove(&new.id).await,
            Defect::BeginningAgainControls => {
                self.inner().control(&new.id, new.control).await?;
                return Ok(Begun::Known);
            }
            Defect::EndedIsBegunAgain if ended => self.remove(&new.id).await,
            _ => return Ok(Begun::Known),
        }
        self.inner().begin(new, ranges).await?;
        Ok(Begun::Known)
    }
}

#[async_trait]
impl Journal for Broken {
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
        let mut new = broadcast.clone();
        let mut ranges = ranges.to_vec();
        match self.shared.defect {
            Defect::NobodyIsSomebody if ranges.is_empty() => ranges.push(Range::encode([0; 8], [1])),
            Defect::IdsInLowerCase => new.id = BroadcastId::new(new.id.as_str().to_lowercase()).unwrap(),
            Defect::ControlAtBeginningIsLost => new.control = Control::default(),
            Defect::UrgencyIsLost => new.message = new.message.with_urgency(Urgency::Normal),
            _ => {}
        }
        let known = self.inner().report(&new.id).await?.is_some();
        if self.has(Defect::BeginIsRacy) {
            tokio::task::yield_now().await;
        }
        match self.inner().begin(&new, &ranges).await {
            Ok(Begun::Known) if self.has(Defect::BeginIsRacy) && !known => Ok(Begun::Created),
            Ok(Begun::Known) => self.begin_again(&new, &ranges).await,
            Err(_) if self.has(Defect::NothingConflicts) => Ok(Begun::Known),
            begun => {
                self.notes().broadcasts.push((new.id, self.node));
                begun
            }
        }
    }

    async fn lease(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        self.lease_some(worker, term, retries).await
    }

    async fn checkpoint(&self, lease: &LeaseToken, checkpoint: Checkpoint) -> Result<State, JournalError> {
        self.checkpoint_some(lease, checkpoint).await
    }

    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError> {
        self.release_some(lease).await
    }

    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError> {
        self.abort_some(id).await
    }

    async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        self.summary_of(id).await
    }

    async fn report(&self, id: &BroadcastId) -> Result<Option<Report>, JournalError> {
        let report = self.summary(id).await?.map(|summary| summary.report);
        Ok(report.map(|report| if self.has(Defect::ReportsAreApart) { Report::default() } else { report }))
    }

    async fn failures(
        &self,
        id: &BroadcastId,
        after: Option<FailureId>,
        limit: NonZeroU16,
    ) -> Result<FailurePage, JournalError> {
        let mut page = self.inner().failures(id, after, limit).await?;
        match self.shared.defect {
            Defect::FailuresBackwards => page.failures.reverse(),
            Defect::FailuresOfOnePage => page.next = None,
            _ => {}
        }
        Ok(page)
    }

    async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
        self.totals_of(channel).await
    }

    async fn recent(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError> {
        self.recent_some(after, limit).await
    }

    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError> {
        self.notes().control = control;
        let mut control = control;
        control.paused &= !self.has(Defect::PauseIsIgnored);
        match self.inner().control(id, control).await {
            Err(error)
                if error.kind() == JournalErrorKind::Unknown && self.has(Defect::UnknownIsControlled) =>
            {
                Ok(())
            }
            result => result,
        }
    }

    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError> {
        let mut listed = self.inner().unfinished(after, limit).await?;
        if self.has(Defect::UnfinishedBackwards) {
            listed.reverse();
        }
        Ok(listed)
    }

    async fn purge(&self, older_than: Duration) -> Result<u64, JournalError> {
        match self.shared.defect {
            Defect::PurgeDoesNothing => Ok(0),
            Defect::PurgeIgnoresTheAge => self.inner().purge(Duration::ZERO).await,
            _ => self.inner().purge(older_than).await,
        }
    }

    async fn wait(&self, at_most: Duration) {
        let at_most = if self.has(Defect::WaitsForEver) { Duration::MAX } else { at_most };
        if self.has(Defect::WaitsForEver) {
            tokio::time::sleep(at_most).await;
        }
        self.inner().wait(at_most).await;
    }
}
