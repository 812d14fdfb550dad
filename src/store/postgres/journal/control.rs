//! What is done to a broadcast, or a lease, from outside.

use futures_util::future::try_join;

use super::ask::{begin, execute, now, ready, row};
use super::held::{Held, LOCK, RETRIES, lock};
use super::{refused, retries};
use crate::BroadcastId;
use crate::store::journal::{Control, JournalErrorKind, LeaseToken};
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;
use crate::store::postgres::listen::CHANNEL;

const CONTROL: &str = "UPDATE webpush_channels.broadcasts SET paused = $2, per_minute = $3 WHERE id = $1
    RETURNING pg_notify($4::text, '')";

/// Pauses a broadcast, or limits its rate.
pub(super) async fn control(db: &Db, id: &BroadcastId, control: Control) -> Result<(), PgError> {
    let client = db.client().await?;
    let per_minute = control.per_minute.map(|limit| i64::from(limit.get()));
    let found = row(&client, CONTROL, &[&id.as_str(), &control.paused, &per_minute, &CHANNEL]).await?;
    found.map(drop).ok_or(refused(JournalErrorKind::Unknown))
}

/// What has expired is a takeover, and not given back.
const END_LEASE: &str = concat!(
    "DELETE FROM webpush_channels.leases WHERE number = $1 AND until > ",
    now!(),
    " RETURNING number"
);

const FREE: &str =
    "UPDATE webpush_channels.ranges SET lease = NULL WHERE broadcast = $1 AND number = $2 AND lease = $3";

/// Gives work back before its term.
pub(super) async fn release(db: &Db, token: &LeaseToken) -> Result<(), PgError> {
    let held = Held::of(token, db.tag())?;
    let mut client = db.client().await?;
    let tx = begin(&mut client).await?;
    ready(&tx, &[END_LEASE, LOCK]).await?;
    let lock = lock(&tx, held.broadcast, [held.range; 2]);
    let (ended, _) = try_join(row(&tx, END_LEASE, &[&held.lease]), lock).await?;
    if ended.is_none() {
        return Ok(());
    }
    if held.range == RETRIES {
        retries::free(&tx, held.lease).await?;
    } else {
        execute(&tx, FREE, &[&held.broadcast, &held.range, &held.lease]).await?;
    }
    execute(&tx, "SELECT pg_notify($1::text, '')", &[&CHANNEL]).await?;
    tx.commit().await?;
    Ok(())
}
