//! Entries that move to another user, and splits, keep out of each other's way.
//!
//! A number is given before it is committed. Were an audience split in between, the range would have the
//! entry's new place, and, until the move is committed, its former place, too: whoever scans meets it
//! twice.

use deadpool_postgres::Transaction;

use super::db::execute;
use super::error::PgError;

/// Any number that is nobody else's in this database: `webpushm`.
const LOCK: i64 = 0x7765_6270_7573_686d;
const SHARED: &str = "SELECT pg_advisory_xact_lock_shared($1)";
const ALONE: &str = "SELECT pg_advisory_xact_lock($1)";

/// An entry of this transaction moves: before its number is given, and after its users are locked, so
/// that nobody who has this waits for whoever waits for it.
pub(super) async fn begin(tx: &Transaction<'_>) -> Result<(), PgError> {
    execute(tx, SHARED, &[&LOCK]).await.map(drop)
}

/// Waits until what moves has moved, and lets nothing move until the transaction ends.
pub(super) async fn wait(tx: &Transaction<'_>) -> Result<(), PgError> {
    execute(tx, ALONE, &[&LOCK]).await.map(drop)
}
