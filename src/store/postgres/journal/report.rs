//! What is known of broadcasts.

use std::num::NonZeroU16;

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::ask::{get, now, row, rows};
use super::columns::{self, RUNNING, broadcast_id, span};
use super::{failures, refused};
use crate::store::journal::tallies::Tallies;
use crate::store::journal::{JournalErrorKind, Summary};
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;
use crate::store::sql::{Damaged, audience};
use crate::{BroadcastId, Report};

/// In one statement, because an end moves sums from the ranges to the broadcast.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT b.number, b.state, coalesce(b.ended, moment.now) - b.created, b.tally, ARRAY(
                    SELECT r.tally FROM webpush_channels.ranges r WHERE r.broadcast = b.number
                ), (
                    SELECT coalesce(sum(r.takeovers), 0)::bigint FROM webpush_channels.ranges r
                    WHERE r.broadcast = b.number
                ), b.id, b.audience_kind, b.audience, moment.now - b.created
            FROM webpush_channels.broadcasts b CROSS JOIN (SELECT ",
            now!(),
            " AS now) moment ",
            $rest
        )
    };
}

const ONE: &str = select!("WHERE b.id = $1");
const LATEST: &str = select!("WHERE b.number < $1 ORDER BY b.number DESC LIMIT $2");

/// How a broadcast stands.
pub(super) async fn report(db: &Db, id: &BroadcastId) -> Result<Option<Report>, PgError> {
    within(&db.client().await?, id).await
}

/// The same, also within a transaction.
pub(super) async fn within(on: &impl GenericClient, id: &BroadcastId) -> Result<Option<Report>, PgError> {
    let Some(row) = row(on, ONE, &[&id.as_str()]).await? else { return Ok(None) };
    let mut report = read(&row)?;
    let first = failures::first(on, &[get(&row, 0)?]).await?;
    report.failures = first.into_iter().map(|(_, failure)| failure).collect();
    Ok(Some(report))
}

/// All but the failures.
fn read(row: &Row) -> Result<Report, PgError> {
    let state: i16 = get(row, 1)?;
    let sums = if state == RUNNING {
        let mut sums = Tallies { takeovers: get::<i64>(row, 5)?.unsigned_abs(), ..Tallies::default() };
        for tally in get::<Vec<&str>>(row, 4)? {
            sums.merge(&columns::tally("ranges", tally)?);
        }
        sums
    } else {
        let tally: Option<&str> = get(row, 3)?;
        columns::tally("broadcasts", tally.ok_or(Damaged::new("broadcasts", "tally"))?)?
    };
    Ok(Report { elapsed: span(get(row, 2)?), ..sums.report(columns::state(state)?) })
}

/// Broadcasts, the latest first.
pub(super) async fn recent(
    db: &Db,
    after: Option<&BroadcastId>,
    limit: NonZeroU16,
) -> Result<Vec<Summary>, PgError> {
    let client = db.client().await?;
    let before: i64 = match after {
        None => i64::MAX,
        Some(id) => {
            let sql = "SELECT number FROM webpush_channels.broadcasts WHERE id = $1";
            get(&row(&client, sql, &[&id.as_str()]).await?.ok_or(refused(JournalErrorKind::Unknown))?, 0)?
        }
    };
    let found = rows(&client, LATEST, &[&before, &i64::from(limit.get())]).await?;
    let numbers = found.iter().map(|row| get(row, 0)).collect::<Result<Vec<i64>, _>>()?;
    let mut summaries = found.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
    for (broadcast, failure) in failures::first(&client, &numbers).await? {
        if let Ok(at) = numbers.binary_search_by(|number| broadcast.cmp(number)) {
            summaries[at].report.failures.push(failure);
        }
    }
    Ok(summaries)
}

fn summary(row: &Row) -> Result<Summary, PgError> {
    let id = broadcast_id(get(row, 6)?)?;
    let audience = audience(get(row, 7)?, get(row, 8)?)?;
    Ok(Summary::new(id, audience, span(get(row, 9)?), read(row)?))
}

/// By octets, as ids are compared everywhere. Those that run are few: they are sorted.
const UNFINISHED: &str = r#"SELECT id FROM webpush_channels.broadcasts
    WHERE ended IS NULL AND id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2"#;

/// Broadcasts that have not ended, by id.
pub(super) async fn unfinished(
    db: &Db,
    after: Option<&BroadcastId>,
    limit: NonZeroU16,
) -> Result<Vec<BroadcastId>, PgError> {
    let client = db.client().await?;
    let after = after.map_or("", BroadcastId::as_str);
    let found = rows(&client, UNFINISHED, &[&after, &i64::from(limit.get())]).await?;
    found.iter().map(|row| Ok(broadcast_id(get(row, 0)?)?)).collect()
}
