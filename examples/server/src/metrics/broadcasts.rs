//! How broadcasts stand: looked up when somebody asks, and not more often than the database can bear.

use std::num::NonZeroU16;
use std::time::Duration;

use metrics::Gauge;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use webpush_channels::store::journal::{Journal, JournalError};

use super::registry::{BROADCASTS, DATABASE, PENDING, Registry};

/// How long one look is good for.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// How long a look may take: a scrape must not hang because the database does.
const AT_MOST: Duration = Duration::from_secs(2);
/// The most broadcasts that are counted.
const COUNTED: NonZeroU16 = NonZeroU16::new(1000).expect("not zero");
/// The most broadcasts whose report is read.
const READ: usize = 50;

#[derive(Debug)]
pub(super) struct Broadcasts {
    /// Held during a look, so that scrapes that come at once make one.
    last: Mutex<Option<Instant>>,
    database: Gauge,
    pending: Gauge,
    running: Gauge,
}

impl Broadcasts {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            last: Mutex::new(None),
            database: registry.gauge(DATABASE, &[]),
            pending: registry.gauge(PENDING, &[]),
            running: registry.gauge(BROADCASTS, &[]),
        }
    }

    pub(super) async fn look(&self, journal: &dyn Journal) {
        let mut last = self.last.lock().await;
        if last.is_some_and(|last| last.elapsed() < GOOD_FOR) {
            return;
        }
        let (up, running, pending) = match timeout(AT_MOST, count(journal)).await {
            Ok(Ok((running, pending))) => (1.0, running, pending),
            // Nobody knows: a graph with a gap is better than one with a lie.
            Ok(Err(_)) | Err(_) => (0.0, f64::NAN, f64::NAN),
        };
        self.database.set(up);
        self.running.set(running);
        self.pending.set(pending);
        *last = Some(Instant::now());
    }
}

#[allow(clippy::cast_precision_loss, reason = "a graph has no more digits")]
async fn count(journal: &dyn Journal) -> Result<(f64, f64), JournalError> {
    let running = journal.unfinished(None, COUNTED).await?;
    let mut pending = 0;
    for id in running.iter().take(READ) {
        pending += journal.report(id).await?.map_or(0, |report| report.pending);
    }
    Ok((running.len() as f64, pending as f64))
}
