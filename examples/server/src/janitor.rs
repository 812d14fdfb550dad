//! Forgets broadcasts that ended long ago, so that the database does not grow for ever.

use std::sync::Arc;
use std::time::Duration;

use webpush_channels::store::journal::Journal;

use crate::chain::Chain;

/// How long a broadcast is remembered after its end: its report, and that its Idempotency-Key was used. What a channel's
/// `push` counts is kept for ever.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often old ones are looked for; also at the start, because some services never run for long.
const PAUSE: Duration = Duration::from_secs(3600);

/// Forgets until the service ends. Several services on one database do no harm.
pub(crate) async fn forget_old(journal: Arc<dyn Journal>, stopped: impl Future<Output = ()> + Send) {
    // What is being forgotten when the service ends is forgotten by the next one.
    tokio::select! {
        () = stopped => {}
        () = forget(&*journal) => {}
    }
}

async fn forget(journal: &dyn Journal) {
    loop {
        match journal.purge(KEPT).await {
            Ok(0) => {}
            Ok(broadcasts) => tracing::info!(broadcasts, "old broadcasts are forgotten"),
            Err(error) => tracing::warn!(error = %Chain(&error), "old broadcasts could not be forgotten"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use webpush_channels::store::journal::NewBroadcast;
    use webpush_channels::store::{Audience, MemoryStore};
    use webpush_channels::{BroadcastId, ChannelName, Message, Payload, Ttl};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broadcast_is_remembered_for_a_month() {
        let journal: Arc<dyn Journal> = Arc::new(MemoryStore::new());
        let id = BroadcastId::new("a").unwrap();
        let to = Audience::Channel(ChannelName::new("news").unwrap());
        let message = Message::new(Payload::empty(), Ttl::ZERO);
        // One without anybody to send to has ended.
        journal.begin(&NewBroadcast::new(id.clone(), to, message, PAUSE), &[]).await.unwrap();
        let janitor = tokio::spawn(forget_old(Arc::clone(&journal), tokio::time::sleep(KEPT + 9 * PAUSE)));
        tokio::time::sleep(KEPT / 2).await;
        assert!(journal.report(&id).await.unwrap().is_some());
        tokio::time::sleep(KEPT / 2 + 2 * PAUSE).await;
        assert!(journal.report(&id).await.unwrap().is_none());
        janitor.await.unwrap();
    }
}
