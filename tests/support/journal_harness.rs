//! A journal on tokio's clock, for the suite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use webpush_channels::store::journal::Journal;
use webpush_channels::testing::journal_suite::JournalHarness;

pub(crate) struct OnPausedClock<J>(Arc<J>);

impl<J: Journal> OnPausedClock<J> {
    /// Pauses the clock of the runtime that this runs on.
    pub(crate) fn new(journal: J) -> Self {
        tokio::time::pause();
        Self(Arc::new(journal))
    }
}

#[async_trait]
impl<J: Journal> JournalHarness for OnPausedClock<J> {
    fn journal(&self) -> &dyn Journal {
        &*self.0
    }

    async fn another(&self) -> Box<dyn Journal> {
        Box::new(Arc::clone(&self.0))
    }

    async fn expire_leases(&self) {
        tokio::time::advance(Duration::from_secs(2 * 3600)).await;
    }
}
