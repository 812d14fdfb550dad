//! How broadcasts begin.

use deadpool_postgres::Transaction;

use super::ask::{begin as transaction, get, now, row};
use super::{ending, refused};
use crate::store::Range;
use crate::store::journal::tallies::Tallies;
use crate::store::journal::{Begun, JournalErrorKind, NewBroadcast};
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;
use crate::store::postgres::listen::CHANNEL;
use crate::store::sql::BroadcastColumns;

/// Of two nodes that begin the same at once one inserts; the other waits for it, and then finds it.
/// Range 0 holds the sums of retries.
const INSERT: &str = concat!(
    "WITH created AS (
        INSERT INTO webpush_channels.broadcasts (id, fingerprint, audience_kind, audience, payload, ttl,
            urgency, urgency_rank, collapse_key, padding_kind, padding, send_within, paused, per_minute, fallback,
            created)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $16, $17, $18, ",
    now!(),
    ") ON CONFLICT (id) DO NOTHING RETURNING number
    ), parts AS (
        INSERT INTO webpush_channels.ranges (broadcast, number, octets, done, tally)
        SELECT created.number, part.number, part.octets, part.number = 0, $14
        FROM created CROSS JOIN (
            SELECT 0::bigint AS number, ''::bytea AS octets
            UNION ALL SELECT given.number, given.octets
            FROM unnest($13::bytea[]) WITH ORDINALITY AS given (octets, number)
        ) part
    )
    SELECT number, pg_notify($15::text, '') FROM created"
);

const KNOWN: &str = "SELECT fingerprint FROM webpush_channels.broadcasts WHERE id = $1";

/// Stores a broadcast and its ranges, or finds it.
pub(super) async fn begin(db: &Db, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, PgError> {
    let mut client = db.client().await?;
    let fingerprint = broadcast.fingerprint();
    loop {
        let tx = transaction(&mut client).await?;
        if let Some(number) = insert(&tx, broadcast, &fingerprint, ranges).await? {
            if ranges.is_empty() {
                ending::finish(&tx, number).await?;
            }
            tx.commit().await?;
            return Ok(Begun::Created);
        }
        // Where it is not there any more, it was purged in between.
        if let Some(known) = row(&tx, KNOWN, &[&broadcast.id.as_str()]).await? {
            let same = get::<&[u8]>(&known, 0)? == fingerprint;
            return if same { Ok(Begun::Known) } else { Err(refused(JournalErrorKind::Conflict)) };
        }
    }
}

/// The number of the new broadcast; `None` if there is one of its id.
async fn insert(
    tx: &Transaction<'_>,
    broadcast: &NewBroadcast,
    fingerprint: &[u8],
    ranges: &[Range],
) -> Result<Option<i64>, PgError> {
    let columns = BroadcastColumns::of(broadcast);
    let rank = broadcast.message.urgency() as i16;
    let octets: Vec<&[u8]> = ranges.iter().map(Range::as_bytes).collect();
    let per_minute = broadcast.control.per_minute.map(|limit| i64::from(limit.get()));
    let created = row(
        tx,
        INSERT,
        &[
            &columns.id,
            &fingerprint,
            &columns.audience_kind,
            &columns.audience,
            &columns.payload,
            &columns.ttl,
            &columns.urgency,
            &rank,
            &columns.collapse_key,
            &columns.padding_kind,
            &columns.padding,
            &columns.send_within,
            &octets,
            &Tallies::default().to_json(),
            &CHANNEL,
            &broadcast.control.paused,
            &per_minute,
            &columns.fallback,
        ],
    )
    .await?;
    created.map(|created| get(&created, 0)).transpose()
}
