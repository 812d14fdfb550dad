//! The journal half of [`PostgresStore`].

mod ask;
mod begin;
mod checkpoint;
mod columns;
mod control;
mod due;
mod ending;
mod failures;
mod forget;
mod held;
mod lease;
mod purge;
mod report;
mod retries;
mod wait;

use std::num::NonZeroU16;
use std::time::Duration;

use async_trait::async_trait;

pub(in crate::store::postgres) use self::ending::finish_all;
pub(in crate::store::postgres) use self::forget::forget_user;
use super::PostgresStore;
use super::db::retrying;
use super::error::PgError;
use crate::store::Range;
use crate::store::journal::{
    Begun, Checkpoint, Control, FailureId, FailurePage, Journal, JournalError, JournalErrorKind, Lease,
    LeaseToken, NewBroadcast, State, Summary, Totals, WorkerId,
};
use crate::{BroadcastId, ChannelName, Report};

#[async_trait]
impl Journal for PostgresStore {
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
        Ok(retrying(|| begin::begin(&self.db, broadcast, ranges)).await?)
    }

    async fn lease(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        Ok(retrying(|| lease::lease(&self.db, worker, term, retries)).await?)
    }

    async fn checkpoint(&self, lease: &LeaseToken, checkpoint: Checkpoint) -> Result<State, JournalError> {
        Ok(retrying(|| checkpoint::checkpoint(&self.db, lease, &checkpoint)).await?)
    }

    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError> {
        Ok(retrying(|| control::release(&self.db, lease)).await?)
    }

    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError> {
        Ok(retrying(|| ending::abort(&self.db, id)).await?)
    }

    async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        Ok(report::summary(&self.db, id).await?)
    }

    async fn failures(
        &self,
        id: &BroadcastId,
        after: Option<FailureId>,
        limit: NonZeroU16,
    ) -> Result<FailurePage, JournalError> {
        Ok(failures::page(&self.db, id, after, limit).await?)
    }

    async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
        Ok(ending::totals(&self.db, channel).await?)
    }

    async fn recent(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError> {
        Ok(report::recent(&self.db, after, limit).await?)
    }

    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError> {
        Ok(retrying(|| control::control(&self.db, id, control)).await?)
    }

    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError> {
        Ok(report::unfinished(&self.db, after, limit).await?)
    }

    async fn purge(&self, older_than: Duration) -> Result<u64, JournalError> {
        let mut broadcasts = 0;
        loop {
            let purged = retrying(|| purge::purge(&self.db, older_than)).await?;
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

/// What only a journal answers.
fn refused(kind: JournalErrorKind) -> PgError {
    JournalError::new(kind).into()
}
