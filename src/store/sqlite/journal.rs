//! The journal half of [`SqliteStore`].
//!
//! What begins and what ends waits for the disk. The rest does not: what a power cut takes of it is done
//! again, as after a lease that was lost.

mod begin;
mod checkpoint;
mod end;
mod failures;
mod lease;
mod purge;
mod report;
mod retries;
mod rows;
mod sums;
#[cfg(test)]
mod tests;
mod wait;

use std::num::NonZeroU16;
use std::time::Duration;

use async_trait::async_trait;

use self::lease::Ask;
pub(super) use self::retries::forget_user;
pub(super) use self::wait::wake;
use super::SqliteStore;
use super::task::Durability::{Durable, Relaxed};
use crate::store::journal::{
    Begun, Checkpoint, Control, FailureId, FailurePage, Journal, JournalError, Lease, LeaseToken,
    NewBroadcast, State, Summary, Totals, WorkerId,
};
use crate::store::sql::millis;
use crate::store::{Range, StoreError};
use crate::{BroadcastId, ChannelName, Report};

impl SqliteStore {
    /// The number of a lease.
    fn lease_number(&self, token: &LeaseToken) -> Result<i64, JournalError> {
        let [number] = token.decode(self.db.tag()).map_err(StoreError::from)?;
        // One that is too large was never given.
        Ok(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

#[async_trait]
impl Journal for SqliteStore {
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
        let (now, broadcast, ranges) = (self.db.now_millis(), broadcast.clone(), ranges.to_vec());
        let store = move |conn: &_| begin::begin(conn, now, &broadcast, &ranges);
        let begun = self.db.write(Durable, store).await?;
        wake(&self.db);
        Ok(begun)
    }

    async fn lease(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        let now = self.db.now_millis();
        let ask = Ask { tag: self.db.tag(), worker: *worker, term: millis(term), retries };
        Ok(self.db.write(Relaxed, move |conn| lease::lease(conn, now, &ask)).await?)
    }

    async fn checkpoint(&self, lease: &LeaseToken, checkpoint: Checkpoint) -> Result<State, JournalError> {
        let (now, lease) = (self.db.now_millis(), self.lease_number(lease)?);
        let ends = checkpoint.done;
        let may_free = ends || !checkpoint.deferred.is_empty();
        let store = move |conn: &_| checkpoint::checkpoint(conn, now, lease, &checkpoint);
        let durability = if ends { Durable } else { Relaxed };
        let state = self.db.write(durability, store).await?;
        if may_free || state == State::Finished {
            wake(&self.db);
        }
        Ok(state)
    }

    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError> {
        let (now, lease) = (self.db.now_millis(), self.lease_number(lease)?);
        self.db.write(Relaxed, move |conn| lease::release(conn, now, lease)).await?;
        wake(&self.db);
        Ok(())
    }

    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError> {
        let (now, id) = (self.db.now_millis(), id.clone());
        let report = self.db.write(Durable, move |conn| end::abort_known(conn, now, &id)).await?;
        wake(&self.db);
        Ok(report)
    }

    async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        let (now, id) = (self.db.now_millis(), id.clone());
        Ok(self.db.read(move |conn| report::summary(conn, now, &id)).await?)
    }

    async fn failures(
        &self,
        id: &BroadcastId,
        after: Option<FailureId>,
        limit: NonZeroU16,
    ) -> Result<FailurePage, JournalError> {
        let id = id.clone();
        Ok(self.db.read(move |conn| failures::of(conn, &id, after, limit.get().into())).await?)
    }

    async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
        let channel = channel.clone();
        Ok(self.db.read(move |conn| end::totals(conn, channel.as_str())).await?)
    }

    async fn recent(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError> {
        let (now, after) = (self.db.now_millis(), after.cloned());
        Ok(self.db.read(move |conn| report::recent(conn, now, after.as_ref(), limit)).await?)
    }

    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError> {
        let id = id.clone();
        self.db.write(Durable, move |conn| begin::control(conn, &id, control)).await?;
        wake(&self.db);
        Ok(())
    }

    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError> {
        let after = after.cloned();
        Ok(self.db.read(move |conn| report::unfinished(conn, after.as_ref(), limit)).await?)
    }

    async fn purge(&self, older_than: Duration) -> Result<u64, JournalError> {
        let until = self.db.now_millis().saturating_sub(millis(older_than));
        let mut broadcasts = 0;
        loop {
            let purged = self.db.write(Relaxed, move |conn| purge::purge(conn, until)).await?;
            broadcasts += purged.broadcasts;
            if !purged.more {
                return Ok(broadcasts);
            }
        }
    }

    async fn wait(&self, at_most: Duration) {
        wait::wait(&self.db, at_most).await;
    }
}
