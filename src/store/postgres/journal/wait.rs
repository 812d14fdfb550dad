//! Waiting for work.

use std::time::Duration;

use tokio::time::sleep;

use super::ask::{get, now, row};
use super::columns::span;
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;
use crate::store::postgres::listen::Listener;

/// Between two looks at what nobody tells: deferrals, because telling holds up every commit of the
/// database for a moment, and anything where nobody listens.
const LOOK: Duration = Duration::from_secs(1);

/// In how many milliseconds there is work: a range that is free, a retry that is due, a lease that
/// has expired; and whether anything is running.
const NEXT: &str = concat!(
    "WITH moment AS MATERIALIZED (SELECT ",
    now!(),
    " AS now), running AS MATERIALIZED (
        SELECT number FROM webpush_channels.broadcasts WHERE ended IS NULL AND NOT paused
    )
    SELECT CASE WHEN EXISTS (
        SELECT FROM running JOIN webpush_channels.ranges r ON r.broadcast = running.number
        WHERE r.lease IS NULL AND NOT r.done
    ) THEN 0 ELSE greatest(0, least((
        SELECT min(next.due) FROM running CROSS JOIN LATERAL (
            SELECT t.due FROM webpush_channels.retries t
            WHERE t.broadcast = running.number AND t.lease IS NULL ORDER BY t.due LIMIT 1
        ) next
    ), (
        SELECT min(l.until) FROM webpush_channels.leases l
    )) - (SELECT now FROM moment)) END, EXISTS (SELECT FROM running)"
);

/// Waits until there may be work.
pub(super) async fn wait(db: &Db, at_most: Duration) {
    tokio::select! {
        biased;
        // First, so that what is told during a look is heard.
        () = heard(db) => {}
        () = until_free(db) => {}
        () = sleep(at_most) => {}
    }
}

async fn heard(db: &Db) {
    match db.listener() {
        Some(listener) => listener.notified().await,
        None => std::future::pending().await,
    }
}

/// Looks from time to time, which costs less than to ask for a lease, until there may be work or
/// the last broadcast has ended.
async fn until_free(db: &Db) {
    let mut before = None;
    loop {
        // Where it fails, leasing says so.
        let Ok((left, running)) = next(db).await else { return sleep(LOOK).await };
        if before == Some(true) && !running {
            return;
        }
        match left {
            // A beginning is told.
            _ if !running && db.listener().is_some_and(Listener::is_listening) => {
                return std::future::pending().await;
            }
            // Whoever waits found nothing: it cannot be read, or has just become free.
            Some(Duration::ZERO) if before.is_none() => return sleep(LOOK).await,
            Some(left) if left <= LOOK => return sleep(left).await,
            _ => sleep(LOOK).await,
        }
        before = Some(running);
    }
}

async fn next(db: &Db) -> Result<(Option<Duration>, bool), PgError> {
    let Some(row) = row(&db.client().await?, NEXT, &[]).await? else { return Ok((None, false)) };
    Ok((get::<Option<i64>>(&row, 0)?.map(span), get(&row, 1)?))
}
