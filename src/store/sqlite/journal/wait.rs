//! Waiting for work.

use std::time::Duration;

use rusqlite::Connection;
use tokio::time::{sleep, timeout};

use super::rows::between;
use crate::store::sqlite::db::Db;
use crate::store::sqlite::error::SqlError;

/// Between two looks: other processes make work, too, and cannot tell.
const LOOK: Duration = Duration::from_millis(500);

/// When each broadcast that runs has free work: at once, or when its next retry is due. Only indexes are
/// read.
const FREE: &str = "SELECT number, CASE \
    WHEN EXISTS (SELECT 1 FROM ranges INDEXED BY ranges_free \
        WHERE broadcast = broadcasts.number AND done = 0 AND lease IS NULL) THEN 0 \
    ELSE (SELECT due FROM retries INDEXED BY retries_due \
        WHERE broadcast = broadcasts.number AND lease IS NULL ORDER BY due LIMIT 1) \
    END FROM broadcasts INDEXED BY broadcasts_running WHERE ended IS NULL";

/// Tells whoever waits, and who is about to wait, that there may be work.
pub(in crate::store::sqlite) fn wake(db: &Db) {
    db.work().notify_waiters();
    // Kept for a worker that found nothing just before and does not wait yet.
    db.work().notify_one();
}

/// Waits until there may be work.
pub(super) async fn wait(db: &Db, at_most: Duration) {
    let made = db.work().notified();
    let wait = async {
        tokio::select! {
            () = made => {}
            () = until_free(db) => {}
        }
    };
    // Too late is no error.
    drop(timeout(at_most, wait).await);
}

/// Until a retry is due, or a lease has expired, or another process has made work.
async fn until_free(db: &Db) {
    let mut first = true;
    loop {
        let now = db.now_millis();
        // Where the file cannot be read now, leasing says so.
        let next = db.read(next).await.ok().flatten();
        let left = next.map_or(LOOK, |at| between(now, at));
        if left.is_zero() {
            if first {
                // Whoever waits found nothing: the row cannot be read, or has just become free.
                sleep(LOOK).await;
            }
            return;
        }
        sleep(left.min(LOOK)).await;
        first = false;
    }
}

/// When there is work next, as far as it can be seen now: in milliseconds since 1970.
fn next(conn: &Connection) -> Result<Option<i64>, SqlError> {
    let mut statement = conn.prepare_cached("SELECT min(until) FROM leases")?;
    let mut next: Option<i64> = statement.query_row([], |row| row.get(0))?;
    let mut statement = conn.prepare_cached(FREE)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(at) = row.get(1)?
            && next.is_none_or(|next| at < next)
            && !is_paused(conn, row.get(0)?)?
        {
            next = Some(at);
        }
    }
    Ok(next)
}

fn is_paused(conn: &Connection, broadcast: i64) -> Result<bool, SqlError> {
    let mut statement = conn.prepare_cached("SELECT paused FROM broadcasts WHERE number = ?1")?;
    Ok(statement.query_row([broadcast], |row| row.get(0))?)
}
