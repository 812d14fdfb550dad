//! How work is handed out.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Transaction;
use futures_util::future::try_join;
use tokio_postgres::Row;

use super::ask::{Given, begin, execute, get, now, ready, row};
use super::columns::{self, span, term};
use super::due;
use super::held::{self, Held, RETRIES};
use crate::store::journal::{Lease, NewBroadcast, Work, WorkerId};
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;
use crate::store::sql::{BroadcastColumns, Damaged};
use crate::store::{Position, Range};

/// Gives back what leases held whose term has passed. Nobody waits for another's reaping. Range 0
/// comes first, as everywhere ([`lock`](held::lock)), and holds the retries.
const REAP: &str = concat!(
    "WITH expired AS MATERIALIZED (
        SELECT number FROM webpush_channels.leases WHERE until <= ",
    now!(),
    " ORDER BY until LIMIT 256 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM webpush_channels.leases WHERE number IN (SELECT number FROM expired)
        RETURNING number, broadcast, range
    ), taken AS (
        SELECT broadcast, range, count(*) AS times FROM gone GROUP BY broadcast, range
    ), locked AS MATERIALIZED (
        SELECT r.broadcast, r.number, taken.times
        FROM webpush_channels.ranges r JOIN taken ON taken.broadcast = r.broadcast AND taken.range = r.number
        ORDER BY r.broadcast, r.number FOR UPDATE OF r
    ), ranges AS (
        UPDATE webpush_channels.ranges r SET lease = NULL, takeovers = r.takeovers + locked.times
        FROM locked WHERE r.broadcast = locked.broadcast AND r.number = locked.number
        RETURNING 1
    )
    UPDATE webpush_channels.retries SET lease = NULL
    WHERE lease IN (SELECT number FROM gone WHERE range = 0) AND (SELECT count(*) FROM ranges) > 0"
);

/// The fair choice: of the broadcast that was least recently leased, retries that are due, else a
/// range. What others lock at this moment they take: it is passed over, so that workers who come at
/// once get different pieces and nobody waits. No more is locked than is taken, because a lateral
/// subquery runs when the next row is asked for, and the limit asks for no more than one.
const PICK: &str = concat!(
    "WITH moment AS MATERIALIZED (
        SELECT ",
    now!(),
    " AS now
    ), running AS MATERIALIZED (
        SELECT b.number FROM webpush_channels.broadcasts b
        WHERE b.ended IS NULL AND NOT b.paused AND b.number <> ALL ($4::bigint[])
        ORDER BY b.leased, b.urgency_rank DESC, b.number
    ), picked AS MATERIALIZED (
        SELECT running.number AS broadcast, piece.range, piece.retries
        FROM running CROSS JOIN LATERAL (
            SELECT 0::bigint AS range, array_agg(batch.id) AS retries
            FROM (
                SELECT t.id FROM webpush_channels.retries t
                WHERE t.broadcast = running.number AND t.lease IS NULL AND t.due <= (SELECT now FROM moment)
                ORDER BY t.due LIMIT $3 FOR UPDATE SKIP LOCKED
            ) batch
            HAVING count(*) > 0
            UNION ALL
            SELECT open.number, NULL
            FROM (
                SELECT r.number FROM webpush_channels.ranges r
                WHERE r.broadcast = running.number AND r.lease IS NULL AND NOT r.done
                ORDER BY r.number LIMIT 1 FOR UPDATE SKIP LOCKED
            ) open
        ) piece
        LIMIT 1
    ), lease AS (
        INSERT INTO webpush_channels.leases (broadcast, range, worker, until)
        SELECT picked.broadcast, picked.range, $1, moment.now + $2 FROM picked CROSS JOIN moment
        RETURNING number, broadcast, range
    ), of_range AS (
        UPDATE webpush_channels.ranges r SET lease = lease.number
        FROM lease WHERE r.broadcast = lease.broadcast AND r.number = lease.range AND lease.range <> 0
        RETURNING r.octets, r.position
    ), of_retries AS (
        UPDATE webpush_channels.retries t SET lease = lease.number
        FROM lease CROSS JOIN picked WHERE t.broadcast = lease.broadcast AND t.id = ANY (picked.retries)
    ), in_turn AS (
        UPDATE webpush_channels.broadcasts SET leased = nextval('webpush_channels.lease_order')
        WHERE number = (
            SELECT b.number FROM webpush_channels.broadcasts b
            WHERE b.number = (SELECT broadcast FROM picked) FOR UPDATE SKIP LOCKED
        )
    )
    SELECT lease.number, lease.broadcast, lease.range, of_range.octets, of_range.position,
        moment.now - b.created, b.paused, b.per_minute, 1 + (
            SELECT count(*) FROM webpush_channels.leases l WHERE l.broadcast = b.number AND l.until > moment.now
        ), b.id, b.audience_kind, b.audience, b.payload, b.ttl, b.urgency, b.collapse_key,
        b.padding_kind, b.padding, b.send_within, b.fallback
    FROM lease CROSS JOIN moment JOIN webpush_channels.broadcasts b ON b.number = lease.broadcast
    LEFT JOIN of_range ON TRUE"
);

/// Leases some work.
pub(super) async fn lease(
    db: &Db,
    worker: &WorkerId,
    asked: Duration,
    retries: NonZeroU16,
) -> Result<Option<Lease>, PgError> {
    let mut client = db.client().await?;
    let mut unreadable: Vec<i64> = Vec::new();
    loop {
        let tx = begin(&mut client).await?;
        let (worker, asked, limit) = (worker.as_bytes().as_slice(), term(asked), i64::from(retries.get()));
        let given: Given<'_> = &[&worker, &asked, &limit, &unreadable];
        ready(&tx, &[REAP, PICK]).await?;
        let (_, picked) = try_join(execute(&tx, REAP, &[]), row(&tx, PICK, given)).await?;
        let Some(picked) = picked else {
            tx.commit().await?;
            return Ok(None);
        };
        match read(&tx, db.tag(), &picked).await {
            Ok(Some(lease)) => {
                tx.commit().await?;
                return Ok(Some(lease));
            }
            Ok(None) => tx.commit().await?,
            // The others must not wait until somebody has repaired it.
            Err(PgError::Damaged(damaged)) => {
                let broadcast: i64 = get(&picked, 1)?;
                tracing::error!(broadcast, %damaged, "a broadcast cannot be read: it is passed over");
                unreadable.push(broadcast);
            }
            Err(error) => return Err(error),
        }
    }
}

/// `None` where there was nothing but retries that cannot be read.
async fn read(tx: &Transaction<'_>, tag: [u8; 8], picked: &Row) -> Result<Option<Lease>, PgError> {
    let held = Held { lease: get(picked, 0)?, broadcast: get(picked, 1)?, range: get(picked, 2)? };
    let age = span(get(picked, 5)?);
    let control = columns::share(get(picked, 6)?, get(picked, 7)?, get(picked, 8)?)?;
    let broadcast = published(picked)?;
    let left = broadcast.send_within.saturating_sub(age);
    let work = if held.range == RETRIES {
        let due = due::due(tx, held.broadcast, held.lease).await?;
        if due.is_empty() {
            held::end(tx, held).await?;
            return Ok(None);
        }
        Work::Retries(due)
    } else {
        range(get(picked, 3)?, get(picked, 4)?)?
    };
    Ok(Some(Lease::new(held.token(tag), Arc::new(broadcast), age, left, control, work)))
}

fn published(picked: &Row) -> Result<NewBroadcast, PgError> {
    let columns = BroadcastColumns {
        id: get(picked, 9)?,
        audience_kind: get(picked, 10)?,
        audience: get(picked, 11)?,
        payload: get(picked, 12)?,
        ttl: get(picked, 13)?,
        urgency: get(picked, 14)?,
        collapse_key: get(picked, 15)?,
        padding_kind: get(picked, 16)?,
        padding: get(picked, 17)?,
        send_within: get(picked, 18)?,
        fallback: get(picked, 19)?,
    };
    Ok(columns.broadcast()?)
}

fn range(octets: Option<&[u8]>, position: Option<&[u8]>) -> Result<Work, PgError> {
    let damaged = |column| Damaged::new("ranges", column);
    let range = octets.and_then(|octets| Range::from_bytes(octets).ok()).ok_or(damaged("octets"))?;
    let position = position.map(Position::from_bytes).transpose();
    let after = position.map_err(|_| damaged("position"))?;
    Ok(Work::Range { range, after })
}
