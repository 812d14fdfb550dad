//! The other side: simulated browsers, and the push service that they are subscribed at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use webpush_channels::UserId;
use webpush_channels::store::NewEntry;
use webpush_channels::testing::{PushService, UserAgent};

use super::Result;
use super::node::interrupted;
use super::options::Options;

/// Fills a channel, then counts what arrives, until it is told to stop.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let arrived: Arc<[AtomicU64]> = (0..options.subscribers).map(|_| AtomicU64::new(0)).collect();
    let counter = Arc::clone(&arrived);
    let service = PushService::builder()
        .keep_payloads(false)
        .expect(move |number, _| counter[number].fetch_add(1, Ordering::Relaxed) < u64::MAX)
        .start()
        .await?;
    fill(options, &service).await?;
    println!("{} browsers wait for messages to {}", options.subscribers, options.channel()?);

    let mut stop = std::pin::pin!(interrupted());
    let mut last = 0;
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let counts = arrived.iter().map(|count| count.load(Ordering::Relaxed));
        let (messages, reached) = counts.fold((0, 0), |(all, some), n| (all + n, some + u64::from(n > 0)));
        if messages != last {
            println!("{messages} messages arrived, at {reached} of {} browsers", options.subscribers);
            last = messages;
        }
    }
}

/// The channel belongs to these browsers alone: those of an earlier demonstration answer no more.
async fn fill(options: &Options, service: &PushService) -> Result<()> {
    let (journal, channel) = (options.open().await?, options.channel()?);
    journal.remove_channel(&channel).await?;
    let numbers: Vec<_> = (0..options.subscribers).collect();
    for batch in numbers.chunks(1000) {
        let mut entries = Vec::with_capacity(batch.len());
        for number in batch {
            let user = UserId::new(format!("demo-{}-{number}", service.address().port()))?;
            entries.push(NewEntry::new(user, service.subscribe(&UserAgent::seeded(*number as u64))));
        }
        let users: Vec<_> = entries.iter().map(|entry| entry.user.clone()).collect();
        journal.put(&entries).await?;
        journal.join(&channel, &users).await?;
    }
    Ok(())
}
