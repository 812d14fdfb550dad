//! Rows of `subscriptions`, many at a time.

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::db::{execute, query};
use super::error::PgError;
use crate::SubscriptionId;
use crate::store::Entry;
use crate::store::sql::{Damaged, EntryColumns};

/// The columns that [`stored`] reads, of a table that is called `s`.
macro_rules! columns {
    () => {
        "s.owner, s.number, s.endpoint, s.p256dh, s.auth, s.key, s.coding, s.payload_limit, s.needs_renewal, \
         s.expires, s.created, s.seen, s.version"
    };
}
pub(super) use columns;

/// How many columns these are.
pub(super) const COLUMNS: usize = 13;

const LOAD: &str =
    concat!("SELECT ", columns!(), ", s.id FROM webpush_channels.subscriptions s WHERE s.id = ANY($1)");
const AT: &str = concat!(
    "SELECT ",
    columns!(),
    ", s.id FROM webpush_channels.subscriptions s WHERE s.owner = $1 AND s.number = $2"
);
const NUMBERS: &str =
    "SELECT nextval('webpush_channels.subscription_number') FROM generate_series(1, $1::integer)";
/// By id, as everybody does: two who insert the same ids wait for each other in one order. An id
/// that is an entry's is no former id any more.
const INSERT: &str = "WITH forgotten AS (DELETE FROM webpush_channels.former_ids WHERE id = ANY($3)) \
     INSERT INTO webpush_channels.subscriptions (owner, number, id, endpoint, p256dh, auth, key, coding, \
     payload_limit, needs_renewal, expires, created, seen, version) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::bytea[], $6::bytea[], \
     $7::bytea[], $8::smallint[], $9::integer[], $10::boolean[], $11::bigint[], $12::bigint[], $13::bigint[], \
     $14::bytea[]) AS t(owner, number, id) ORDER BY id ON CONFLICT (id) DO NOTHING";
const UPDATE: &str = "UPDATE webpush_channels.subscriptions s SET id = t.id, endpoint = t.endpoint, \
     p256dh = t.p256dh, auth = t.auth, key = t.key, coding = t.coding, payload_limit = t.payload_limit, \
     needs_renewal = t.needs_renewal, expires = t.expires, created = t.created, seen = t.seen, version = t.version \
     FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::bytea[], $6::bytea[], $7::bytea[], \
     $8::smallint[], $9::integer[], $10::boolean[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bytea[]) \
     AS t(owner, number, id, endpoint, p256dh, auth, key, coding, payload_limit, needs_renewal, expires, created, \
     seen, version) WHERE s.owner = t.owner AND s.number = t.number";
/// Former ids go with their entry.
const REMOVE: &str = "WITH gone AS (DELETE FROM webpush_channels.subscriptions WHERE id = ANY($1) \
     RETURNING owner, number) DELETE FROM webpush_channels.former_ids f USING gone g \
     WHERE f.owner = g.owner AND f.number = g.number";

/// Owner and number: where an entry is in the order of scans.
pub(super) type Place = (i64, i64);

/// A row, and where it is. It may be damaged.
pub(super) struct Stored {
    pub(super) place: Place,
    pub(super) id: SubscriptionId,
    pub(super) columns: EntryColumns,
}

/// An entry to be written.
pub(super) struct Written<'a> {
    pub(super) place: Place,
    pub(super) id: SubscriptionId,
    pub(super) entry: &'a Entry,
}

/// The entries with these ids. They lack the user's name.
pub(super) async fn load(tx: &impl GenericClient, ids: &[&[u8]]) -> Result<Vec<Stored>, PgError> {
    query(tx, LOAD, &[&ids]).await?.iter().map(stored).collect()
}

/// The entry in this place. It lacks the user's name.
pub(super) async fn at(tx: &impl GenericClient, (owner, number): Place) -> Result<Option<Stored>, PgError> {
    query(tx, AT, &[&owner, &number]).await?.first().map(stored).transpose()
}

fn stored(row: &Row) -> Result<Stored, PgError> {
    let id: &[u8] = row.try_get(COLUMNS)?;
    let id = id.try_into().map_err(|_| Damaged::new("subscriptions", "id"))?;
    let (place, columns) = read(row, String::new())?;
    Ok(Stored { place, id: SubscriptionId::from_bytes(id), columns })
}

/// Reads a row that begins with [`columns!`].
pub(super) fn read(row: &Row, user: String) -> Result<(Place, EntryColumns), PgError> {
    let columns = EntryColumns {
        user,
        endpoint: row.try_get(2)?,
        p256dh: row.try_get(3)?,
        auth: row.try_get(4)?,
        key: row.try_get(5)?,
        coding: row.try_get(6)?,
        payload_limit: row.try_get(7)?,
        needs_renewal: row.try_get(8)?,
        expires: row.try_get(9)?,
        created: row.try_get(10)?,
        seen: row.try_get(11)?,
        version: row.try_get(12)?,
    };
    Ok(((row.try_get(0)?, row.try_get(1)?), columns))
}

/// Numbers for new rows, in order.
pub(super) async fn numbers(tx: &Transaction<'_>, count: usize) -> Result<Vec<i64>, PgError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    query(tx, NUMBERS, &[&count]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Inserts entries.
pub(super) async fn insert(tx: &Transaction<'_>, entries: &[Written<'_>]) -> Result<(), PgError> {
    if entries.is_empty() {
        return Ok(());
    }
    let inserted = execute(tx, INSERT, &Arrays::of(entries).parameters()).await?;
    // Another user put the same endpoint meanwhile.
    if inserted < entries.len() as u64 { Err(PgError::Raced) } else { Ok(()) }
}

/// Writes entries into the places where they are.
pub(super) async fn update(tx: &Transaction<'_>, entries: &[Written<'_>]) -> Result<(), PgError> {
    if !entries.is_empty() {
        execute(tx, UPDATE, &Arrays::of(entries).parameters()).await?;
    }
    Ok(())
}

/// Removes the entries with these ids.
pub(super) async fn remove(tx: &Transaction<'_>, ids: &[SubscriptionId]) -> Result<(), PgError> {
    if !ids.is_empty() {
        let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
        execute(tx, REMOVE, &[&ids]).await?;
    }
    Ok(())
}

/// Entries by columns, as `unnest` takes them.
#[derive(Default)]
struct Arrays<'a> {
    owners: Vec<i64>,
    numbers: Vec<i64>,
    ids: Vec<&'a [u8]>,
    endpoints: Vec<String>,
    p256dh: Vec<Vec<u8>>,
    auth: Vec<Vec<u8>>,
    keys: Vec<Option<Vec<u8>>>,
    codings: Vec<i16>,
    payload_limits: Vec<Option<i32>>,
    needs_renewal: Vec<bool>,
    expires: Vec<Option<i64>>,
    created: Vec<i64>,
    seen: Vec<i64>,
    versions: Vec<Vec<u8>>,
}

impl<'a> Arrays<'a> {
    fn of(entries: &'a [Written<'_>]) -> Self {
        let mut arrays = Self::default();
        for Written { place, id, entry } in entries {
            let columns = EntryColumns::of(entry);
            arrays.owners.push(place.0);
            arrays.numbers.push(place.1);
            arrays.ids.push(id.as_bytes());
            arrays.endpoints.push(columns.endpoint);
            arrays.p256dh.push(columns.p256dh);
            arrays.auth.push(columns.auth);
            arrays.keys.push(columns.key);
            arrays.codings.push(columns.coding);
            arrays.payload_limits.push(columns.payload_limit);
            arrays.needs_renewal.push(columns.needs_renewal);
            arrays.expires.push(columns.expires);
            arrays.created.push(columns.created);
            arrays.seen.push(columns.seen);
            arrays.versions.push(columns.version);
        }
        arrays
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 14] {
        [
            &self.owners,
            &self.numbers,
            &self.ids,
            &self.endpoints,
            &self.p256dh,
            &self.auth,
            &self.keys,
            &self.codings,
            &self.payload_limits,
            &self.needs_renewal,
            &self.expires,
            &self.created,
            &self.seen,
            &self.versions,
        ]
    }
}
