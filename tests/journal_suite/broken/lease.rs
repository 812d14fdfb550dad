//! Defects of leasing.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use webpush_channels::store::journal::{
    Control, Journal, JournalError, Lease, LeaseToken, NewBroadcast, Tried, Work, WorkerId,
};
use webpush_channels::store::{Audience, Range, SubscriptionStore};
use webpush_channels::{BroadcastId, Message, Payload, Ttl, UserId};

use super::{Broken, Defect};

impl Broken {
    pub(super) async fn lease_some(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        let retries = if self.has(Defect::BatchesAreTooLarge) { NonZeroU16::MAX } else { retries };
        let lease = match self.shared.defect {
            Defect::OldestFirst | Defect::UrgentFirst | Defect::ReleasedFirst => {
                self.choose(worker, term, retries).await?
            }
            _ => self.inner().lease(worker, term, retries).await?,
        };
        let Some(mut lease) = lease else { return self.nothing_there(worker, term, retries).await };
        if !self.passes(&lease).await? {
            return Ok(None);
        }
        self.spoil(&mut lease);
        self.spoil_retries(&mut lease, worker, term, retries).await?;
        let mut notes = self.notes();
        if let Work::Retries(batch) = &lease.work {
            notes.holders.extend(batch.iter().map(|due| (due.retry, lease.token)));
        }
        notes.leases.insert(lease.token, (lease.clone(), self.node));
        (notes.latest, notes.again) = (Some(lease.clone()), Some(lease.clone()));
        Ok(Some(lease))
    }

    async fn nothing_there(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        if self.has(Defect::LeasesTwice) {
            return Ok(self.notes().again.take());
        }
        if self.has(Defect::WorkFromNowhere) {
            let message = Message::new(Payload::empty(), Ttl::hours(1));
            let to = Audience::User(UserId::new("ann").unwrap());
            let new = NewBroadcast::new(BroadcastId::new("ghost").unwrap(), to, message, term);
            self.inner().begin(&new, &[Range::encode([0; 8], [1])]).await?;
            return self.inner().lease(worker, term, retries).await;
        }
        Ok(None)
    }

    /// Looks at all work there is, and takes another than it should.
    async fn choose(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        let mut all = Vec::new();
        while let Some(lease) = self.inner().lease(worker, term, retries).await? {
            all.push(lease);
        }
        let (broadcasts, released) = {
            let notes = self.notes();
            (notes.broadcasts.clone(), notes.released.clone())
        };
        let age = |lease: &Lease| broadcasts.iter().position(|(id, _)| *id == lease.broadcast.id);
        let best = match self.shared.defect {
            Defect::OldestFirst => (0..all.len()).min_by_key(|n| age(&all[*n])),
            Defect::UrgentFirst => (0..all.len()).max_by_key(|n| all[*n].broadcast.message.urgency()),
            _ => (0..all.len()).max_by_key(|n| Some(&all[*n].broadcast.id) == released.as_ref()),
        };
        let chosen = best.map(|best| all.remove(best));
        for lease in all {
            self.inner().release(&lease.token).await?;
        }
        Ok(chosen)
    }

    /// Whether a lease is given at all.
    async fn passes(&self, lease: &Lease) -> Result<bool, JournalError> {
        let began =
            self.notes().broadcasts.iter().find(|(id, _)| *id == lease.broadcast.id).map(|(_, node)| *node);
        let passes = match self.shared.defect {
            Defect::NoTimeNoWork => lease.send_within_left > Duration::ZERO,
            Defect::NodesAreApart => began == Some(self.node),
            _ => true,
        };
        if !passes {
            self.inner().release(&lease.token).await?;
        }
        Ok(passes)
    }

    fn spoil(&self, lease: &mut Lease) {
        match self.shared.defect {
            Defect::CollapseKeysAreLost => {
                let message = &lease.broadcast.message;
                let kept = Message::new(message.payload().clone(), message.ttl())
                    .with_urgency(message.urgency())
                    .with_padding(message.padding());
                let whole = NewBroadcast::clone(&lease.broadcast);
                let NewBroadcast { id, audience, send_within, .. } = whole;
                lease.broadcast = Arc::new(NewBroadcast::new(id, audience, kept, send_within));
            }
            Defect::FallbacksAreLost => {
                let message = &lease.broadcast.message;
                let mut kept = Message::new(message.payload().clone(), message.ttl())
                    .with_urgency(message.urgency())
                    .with_padding(message.padding());
                if let Some(key) = message.collapse_key() {
                    kept = kept.with_collapse_key(key.clone());
                }
                let whole = NewBroadcast::clone(&lease.broadcast);
                let NewBroadcast { id, audience, send_within, .. } = whole;
                lease.broadcast = Arc::new(NewBroadcast::new(id, audience, kept, send_within));
            }
            Defect::PositionsAreLost => {
                if let Work::Range { after, .. } = &mut lease.work {
                    *after = None;
                }
            }
            Defect::RateIsNotDivided if lease.control.per_minute.is_some() => {
                lease.control = self.notes().control;
            }
            Defect::ShareMayBeNothing if lease.control.per_minute.is_some_and(|share| share.get() == 1) => {
                lease.control = Control::default();
            }
            _ => {}
        }
    }

    async fn spoil_retries(
        &self,
        lease: &mut Lease,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<(), JournalError> {
        let Work::Retries(batch) = &mut lease.work else { return Ok(()) };
        if self.has(Defect::BatchesAreMixed)
            && let Some(other) = self.inner().lease(worker, term, retries).await?
            && let Work::Retries(others) = other.work
        {
            batch.extend(others);
        }
        for due in batch {
            match self.shared.defect {
                Defect::TriedIsLost => due.tried = Tried::default(),
                Defect::EntriesAreMissing => due.entry = None,
                Defect::EntriesOfAnybody if due.entry.is_none() => {
                    let of_bob = self.inner().subscriptions(&UserId::new("bob").unwrap()).await?;
                    due.entry = of_bob.into_iter().find(|entry| entry.subscription.id() == due.subscription);
                }
                Defect::LifetimeAlwaysRuns => {
                    due.ttl_left = due.ttl_left.saturating_sub(Duration::from_secs(1));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) async fn release_some(&self, token: &LeaseToken) -> Result<(), JournalError> {
        let latest = {
            let mut notes = self.notes();
            notes.releases += 1;
            notes.released = notes.leases.get(token).map(|(lease, _)| lease.broadcast.id.clone());
            notes.latest.as_ref().map(|lease| lease.token)
        };
        match (self.shared.defect, latest) {
            (Defect::ReleaseDoesNothing, _) => Ok(()),
            (Defect::ReleaseEndsTheLatest, Some(latest)) => self.inner().release(&latest).await,
            _ => self.inner().release(token).await,
        }
    }
}
