//! Defects of checkpoints.

use std::num::NonZeroU16;
use std::time::Duration;

use webpush_channels::store::journal::{
    Checkpoint, Control, Journal, JournalError, JournalErrorKind, LeaseToken, RetryId, SettledRetry, State,
    Work, WorkerId,
};
use webpush_channels::store::{EntryRef, SubscriptionStore};
use webpush_channels::{BroadcastState, Counts, OriginReport, OutcomeKind, UserId};

use super::{Broken, Defect};

const TERM: Duration = Duration::from_secs(3600);

impl Broken {
    pub(super) async fn checkpoint_some(
        &self,
        token: &LeaseToken,
        mut checkpoint: Checkpoint,
    ) -> Result<State, JournalError> {
        let (lease, node) = match self.notes().leases.get(token).cloned() {
            Some((lease, node)) => (Some(lease), node),
            None => (None, self.node),
        };
        if self.has(Defect::TokensHoldOnOneNode) && node != self.node {
            return Err(JournalError::new(JournalErrorKind::LeaseLost));
        }
        let asked = checkpoint.clone();
        self.spoil_checkpoint(token, &mut checkpoint).await;
        self.spoil_settled(token, &mut checkpoint);
        let is_range = lease.is_some_and(|lease| matches!(lease.work, Work::Range { .. }));
        if self.has(Defect::RangesAreAll) && is_range && checkpoint.done {
            self.settle_all(&mut checkpoint);
        }
        let result = self.inner().checkpoint(token, checkpoint).await;
        match result {
            Ok(state) => self.answer(token, &asked, state).await,
            Err(error) => self.refused(asked, error).await,
        }
    }

    async fn spoil_checkpoint(&self, token: &LeaseToken, checkpoint: &mut Checkpoint) {
        match self.shared.defect {
            Defect::RepeatsAreDropped => checkpoint.repeats = 0,
            Defect::PrunedElsewhereIsDropped => checkpoint.pruned = 0,
            Defect::UnexpectedIsGaveUp => checkpoint.counts.iter_mut().for_each(merge_kinds),
            Defect::ChangesIgnoreTheVersion => {
                for (entry, _) in &mut checkpoint.changes {
                    *entry = self.as_it_is(*entry).await;
                }
            }
            Defect::NumbersAreIgnored => {
                let mut notes = self.notes();
                let number = notes.numbers.entry(*token).or_default();
                *number += 1;
                checkpoint.number = *number;
            }
            Defect::NumbersGoOn => {
                let mut notes = self.notes();
                let id = notes.leases.get(token).map(|(lease, _)| lease.broadcast.id.clone()).unwrap();
                let last = notes.number.entry(id).or_default();
                if checkpoint.number <= *last {
                    checkpoint.number = 0;
                }
                *last = (*last).max(checkpoint.number);
            }
            Defect::AwaitingEndsTheLease => checkpoint.awaits = false,
            Defect::AwaitingIsNotDone => checkpoint.done &= !checkpoint.awaits,
            Defect::DoneIsReleased | Defect::DoneBatchKeepsTheRest => checkpoint.done = false,
            Defect::PausedDoesNotEnd => checkpoint.done &= !self.notes().control.paused,
            Defect::TermsOnlyGrow => checkpoint.extend = checkpoint.extend.max(TERM),
            Defect::TimedOutIsFinished => checkpoint.timed_out = false,
            _ => {}
        }
    }

    /// The entry of `ann` or `bob`, in whatever version.
    async fn as_it_is(&self, entry: EntryRef) -> EntryRef {
        for name in ["ann", "bob"] {
            let entries = self.inner().subscriptions(&UserId::new(name).unwrap()).await.unwrap();
            if let Some(now) = entries.iter().find(|now| now.subscription.id() == entry.id) {
                return now.reference();
            }
        }
        entry
    }

    fn spoil_settled(&self, token: &LeaseToken, checkpoint: &mut Checkpoint) {
        let mut notes = self.notes();
        for deferred in &mut checkpoint.deferred {
            match self.shared.defect {
                Defect::DueAtOnce => deferred.after = Duration::ZERO,
                Defect::DeferredAgainIsAnother if notes.deferred.contains(&deferred.retry) => {
                    deferred.retry = RetryId::of(&WorkerId::random(), 1);
                }
                _ => {}
            }
            notes.deferred.insert(deferred.retry);
        }
        let mut extra = Vec::new();
        for settled in &checkpoint.settled {
            let again = !notes.settled.insert(settled.retry);
            let unknown = !notes.deferred.contains(&settled.retry);
            if (self.has(Defect::SettledAgainCounts) && again)
                || (self.has(Defect::UnknownRetriesCount) && unknown)
            {
                extra.push(settled.clone());
            }
        }
        for settled in extra {
            checkpoint.counts.push(one(&settled));
            checkpoint.failures.extend(settled.failure);
        }
        if self.has(Defect::OnlyTheHolderSettles) {
            checkpoint
                .settled
                .retain(|settled| notes.holders.get(&settled.retry).is_none_or(|holder| holder == token));
        }
    }

    /// As if retries were no work.
    fn settle_all(&self, checkpoint: &mut Checkpoint) {
        let pending: Vec<RetryId> = self.notes().deferred.iter().copied().collect();
        for deferred in checkpoint.deferred.drain(..) {
            checkpoint.read -= 1;
            drop(deferred);
        }
        let origin = webpush_channels::OriginLabel::Rest;
        checkpoint.settled.extend(
            pending
                .into_iter()
                .map(|retry| SettledRetry::new(retry, origin.clone(), OutcomeKind::Skipped, None)),
        );
    }

    async fn answer(
        &self,
        token: &LeaseToken,
        asked: &Checkpoint,
        state: State,
    ) -> Result<State, JournalError> {
        match (self.shared.defect, state) {
            (Defect::DoneIsReleased, State::Running(_)) if asked.done => {
                self.inner().release(token).await?;
            }
            (Defect::FinishedGoesOn, State::Finished) => return Ok(State::Running(Control::default())),
            (Defect::AbortedIsLost, State::Aborted) => {
                return Err(JournalError::new(JournalErrorKind::LeaseLost));
            }
            (Defect::FinishIsRacy, State::Running(_)) if asked.done => {
                let id = self.notes().leases[token].0.broadcast.id.clone();
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                let report = self.inner().report(&id).await?.unwrap();
                if report.state == BroadcastState::Finished {
                    return Ok(State::Finished);
                }
            }
            _ => {}
        }
        Ok(state)
    }

    async fn refused(&self, mut asked: Checkpoint, error: JournalError) -> Result<State, JournalError> {
        if error.kind() != JournalErrorKind::LeaseLost {
            return match self.shared.defect {
                Defect::ForeignIsLost => Err(JournalError::new(JournalErrorKind::LeaseLost)),
                _ => Err(error),
            };
        }
        let latest = self.notes().latest.as_ref().map(|lease| lease.token);
        match (self.shared.defect, latest) {
            (Defect::DoneLeasesLive, _) => return Ok(State::Running(Control::default())),
            (Defect::RefusedChangesAreDone, _) => drop(self.inner().apply(&asked.changes).await?),
            (Defect::AnyTokenWill, Some(latest)) => return self.inner().checkpoint(&latest, asked).await,
            (Defect::TermsAreNotStrict, _) => {
                if let Some(lease) = self.inner().lease(&WorkerId::random(), TERM, NonZeroU16::MIN).await? {
                    return self.inner().checkpoint(&lease.token, asked).await;
                }
            }
            (Defect::LastCountsTwice, _) => {
                (asked.done, asked.position) = (false, None);
                self.store_anyhow(asked).await?;
            }
            (Defect::RefusedCountsAreKept, _) => {
                let mut kept = Checkpoint::new(1, TERM);
                (kept.read, kept.counts) = (asked.read, asked.counts);
                self.store_anyhow(kept).await?;
            }
            (Defect::RefusedRetriesAreKept, _) => {
                let mut kept = Checkpoint::new(1, TERM);
                kept.settled = asked.settled;
                self.store_anyhow(kept).await?;
            }
            _ => {}
        }
        Err(error)
    }

    /// Under a lease that is just there for it.
    async fn store_anyhow(&self, mut checkpoint: Checkpoint) -> Result<(), JournalError> {
        checkpoint.number = 1;
        if let Some(lease) = self.inner().lease(&WorkerId::random(), TERM, NonZeroU16::MIN).await? {
            self.inner().checkpoint(&lease.token, checkpoint).await?;
            self.inner().release(&lease.token).await?;
        }
        Ok(())
    }
}

fn merge_kinds(origin: &mut OriginReport) {
    let mut merged = Counts::default();
    for (kind, n) in origin.counts.iter() {
        merged.add(if kind == OutcomeKind::Unexpected { OutcomeKind::GaveUp } else { kind }, n);
    }
    origin.counts = merged;
}

fn one(settled: &SettledRetry) -> OriginReport {
    let mut counts = Counts::default();
    counts.add(settled.outcome, 1);
    OriginReport::new(settled.origin.clone(), counts)
}
