//! Forgetting a user.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;

use super::ask::{execute, get, rows};
use super::columns;
use super::held::RETRIES;
use crate::store::postgres::error::PgError;
use crate::store::sql::label_from_text;
use crate::{OriginLabel, OutcomeKind, UserId};

const LOCK: &str = "SELECT r.broadcast, r.tally FROM webpush_channels.ranges r
    WHERE r.number = 0 AND r.broadcast IN (
        SELECT t.broadcast FROM webpush_channels.retries t WHERE t.owner = $1
    )
    ORDER BY r.broadcast FOR UPDATE OF r";

const RETRIES_GONE: &str =
    "DELETE FROM webpush_channels.retries WHERE owner = $1 AND broadcast = ANY ($2::bigint[])
    RETURNING broadcast, origin";

const FAILURES_GONE: &str = "DELETE FROM webpush_channels.failures WHERE owner = $1";

/// Drops what is kept of a user's deliveries. What was deferred counts as skipped.
///
/// To be called before the transaction locks users or subscriptions. Returns the broadcasts that
/// may have nothing left: [`finish_all`](super::finish_all) is to follow.
pub(in crate::store::postgres) async fn forget_user(
    tx: &Transaction<'_>,
    user: &UserId,
) -> Result<Vec<i64>, PgError> {
    let (mut broadcasts, mut sums) = (Vec::new(), BTreeMap::new());
    for row in rows(tx, LOCK, &[&user.as_str()]).await? {
        let broadcast: i64 = get(&row, 0)?;
        broadcasts.push(broadcast);
        match columns::tally("ranges", get(&row, 1)?) {
            Ok(tally) => drop(sums.insert(broadcast, tally)),
            // The user goes in any case.
            Err(damaged) => {
                tracing::error!(broadcast, %damaged, "the sums of retries cannot be read: a user is forgotten uncounted");
            }
        }
    }
    for row in rows(tx, RETRIES_GONE, &[&user.as_str(), &broadcasts]).await? {
        let origin = label_from_text(get(&row, 1)?).unwrap_or(OriginLabel::Rest);
        if let Some(sums) = sums.get_mut(&get::<i64>(&row, 0)?) {
            sums.count(&origin, OutcomeKind::Skipped, 1);
        }
    }
    execute(tx, FAILURES_GONE, &[&user.as_str()]).await?;
    for (broadcast, tally) in &sums {
        super::held::write(tx, *broadcast, RETRIES, tally).await?;
    }
    Ok(broadcasts)
}
