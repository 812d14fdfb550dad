//! What is known of broadcasts.

use std::num::NonZeroU16;

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::ask::{Given, get, now, row, rows};
use super::columns::{self, RUNNING, broadcast_id, span};
use super::{failures, refused};
use crate::store::journal::tallies::Tallies;
use crate::store::journal::{JournalErrorKind, Summary};
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;
use crate::store::sql::{Damaged, audience, created};
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
                ), b.id, b.audience_kind, b.audience, b.created, moment.now - b.created
            FROM webpush_channels.broadcasts b CROSS JOIN (SELECT ",
            now!(),
            " AS now) moment ",
            $rest
        )
    };
}

const ONE: &str = select!("WHERE b.id = $1");
const LATEST: &str = select!("WHERE b.number < $1 ORDER BY b.number DESC LIMIT $2");

/// The broadcast of this id.
pub(super) async fn summary(db: &Db, id: &BroadcastId) -> Result<Option<Summary>, PgError> {
    let found = find(&db.client().await?, ONE, &[&id.as_str()]).await?;
    found.into_iter().next().map(summarize).transpose()
}

/// How the broadcast of this id stands, within a transaction. It may be all that can be read of it.
pub(super) async fn within(on: &impl GenericClient, id: &BroadcastId) -> Result<Option<Report>, PgError> {
    Ok(find(on, ONE, &[&id.as_str()]).await?.pop().map(|(_, report)| report))
}

/// Rows with their reports, by number, the highest first.
async fn find(on: &impl GenericClient, sql: &str, given: Given<'_>) -> Result<Vec<(Row, Report)>, PgError> {
    let found = rows(on, sql, given).await?;
    let numbers = found.iter().map(|row| get(row, 0)).collect::<Result<Vec<i64>, _>>()?;
    let mut reports = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    for (broadcast, failure) in failures::first(on, &numbers).await? {
        if let Ok(at) = numbers.binary_search_by(|number| broadcast.cmp(number)) {
            reports[at].failures.push(failure);
        }
    }
    Ok(found.into_iter().zip(reports).collect())
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
    let found = find(&client, LATEST, &[&before, &i64::from(limit.get())]).await?;
    found.into_iter().map(summarize).collect()
}

fn summarize((row, report): (Row, Report)) -> Result<Summary, PgError> {
    let id = broadcast_id(get(&row, 6)?)?;
    let audience = audience(get(&row, 7)?, get(&row, 8)?)?;
    Ok(Summary::new(id, audience, created(get(&row, 9)?), span(get(&row, 10)?), report))
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
