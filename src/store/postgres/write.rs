//! Puts, replacements and changes.

use std::slice;

use deadpool_postgres::Transaction;

use super::PostgresStore;
use super::batch::Batch;
use super::db::{begin, execute, query, retrying};
use super::error::PgError;
use super::marks::{MARK, Marks};
use super::rows::{self, Place, Stored, Written};
use super::users::{self, Users};
use crate::store::sql::Damaged;
use crate::store::{Change, Entry, EntryRef, NewEntry, Put, parts};
use crate::{SubscriptionId, UserId};

/// The most entries of one transaction.
const BATCH: usize = 1000;

const FORMER: &str = "SELECT id, owner, number FROM webpush_channels.former_ids WHERE id = ANY($1)";
const FORGET_FORMER: &str = "DELETE FROM webpush_channels.former_ids WHERE id = $1";
const ADD_FORMER: &str = "INSERT INTO webpush_channels.former_ids (id, owner, number, since) \
     SELECT $1, $2, $3, coalesce(max(since), 0) + 1 FROM webpush_channels.former_ids \
     WHERE owner = $2 AND number = $3";
/// A client that replaces without end must not fill the disk.
const KEEP_EIGHT: &str = "DELETE FROM webpush_channels.former_ids WHERE owner = $1 AND number = $2 AND since <= \
     (SELECT since FROM webpush_channels.former_ids WHERE owner = $1 AND number = $2 \
     ORDER BY since DESC OFFSET 8 LIMIT 1)";

impl PostgresStore {
    pub(super) async fn put_all(&self, entries: &[NewEntry]) -> Result<Vec<Put>, PgError> {
        let mut puts = Vec::with_capacity(entries.len());
        for entries in entries.chunks(BATCH) {
            let entries: Vec<_> = entries.iter().map(|new| (new.subscription.id(), new)).collect();
            puts.extend(retrying(|| self.put_once(&entries)).await?);
        }
        Ok(puts)
    }

    async fn put_once(&self, entries: &[(SubscriptionId, &NewEntry)]) -> Result<Vec<Put>, PgError> {
        let ids: Vec<&[u8]> = entries.iter().map(|(id, _)| id.as_bytes().as_slice()).collect();
        let names: Vec<&str> = entries.iter().map(|(_, new)| new.user.as_str()).collect();
        let mut client = self.db.client().await?;
        let tx = begin(&mut client).await?;
        let users = Users::lock_or_make(&tx, &names, &ids).await?;
        let mut batch = Batch::load(&tx, users, &ids).await?;
        let puts: Result<Vec<Put>, PgError> =
            entries.iter().map(|(id, new)| batch.put(*id, new, self.limit)).collect();
        batch.write(&tx).await?;
        tx.commit().await?;
        puts
    }

    pub(super) async fn apply_all(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, PgError> {
        let mut done = vec![false; changes.len()];
        for places in parts::parts(changes, BATCH) {
            let changes: Vec<_> = places.iter().map(|at| changes[*at]).collect();
            let results = retrying(|| self.apply_once(&changes)).await?;
            places.iter().zip(results).for_each(|(at, result)| done[*at] = result);
        }
        Ok(done)
    }

    async fn apply_once(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, PgError> {
        let mut client = self.db.client().await?;
        let tx = begin(&mut client).await?;
        let done = apply(&tx, changes).await?;
        tx.commit().await?;
        Ok(done)
    }

    pub(super) async fn replace_once(
        &self,
        user: &UserId,
        old: &SubscriptionId,
        new: &NewEntry,
    ) -> Result<Put, PgError> {
        let mut client = self.db.client().await?;
        let tx = begin(&mut client).await?;
        let put = Replacement::load(&tx, user, *old, new).await?.make(&tx, self.limit).await?;
        tx.commit().await?;
        Ok(put)
    }
}

/// So that [`apply`] begins at its place where it is sent with others at once.
pub(super) async fn ready(tx: &Transaction<'_>) -> Result<(), PgError> {
    for sql in [MARK, users::LOCK] {
        tx.prepare_cached(sql).await?;
    }
    Ok(())
}

/// Makes changes inside a transaction, which is to be begun again after [`PgError::Raced`].
pub(super) async fn apply(
    tx: &Transaction<'_>,
    changes: &[(EntryRef, Change)],
) -> Result<Vec<bool>, PgError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(marks) = Marks::of(changes) {
        let made = marks.make(tx).await?;
        return Ok(changes.iter().map(|(to, _)| made.contains(to)).collect());
    }
    let ids: Vec<&[u8]> = changes.iter().map(|(to, _)| to.id.as_bytes().as_slice()).collect();
    let users = Users::lock(tx, &[], &ids).await?;
    let mut batch = Batch::load(tx, users, &ids).await?;
    let mut done = vec![false; changes.len()];
    for at in parts::in_order(changes) {
        let (to, change) = &changes[at];
        done[at] = batch.apply(to, *change);
    }
    batch.write(tx).await?;
    Ok(done)
}

/// One replacement: the entries and former ids that it is about.
struct Replacement<'a> {
    batch: Batch,
    user: &'a UserId,
    old: SubscriptionId,
    id: SubscriptionId,
    new: &'a NewEntry,
    /// Where the entries are that had the old id, and the new one.
    former: [Option<Place>; 2],
}

impl<'a> Replacement<'a> {
    async fn load(
        tx: &Transaction<'_>,
        user: &'a UserId,
        old: SubscriptionId,
        new: &'a NewEntry,
    ) -> Result<Self, PgError> {
        let id = new.subscription.id();
        let ids = [old.as_bytes().as_slice(), id.as_bytes().as_slice()];
        let users = Users::lock_or_make(tx, &[user.as_str()], &ids).await?;
        let batch = Batch::load(tx, users, &ids).await?;
        let mut former = [None; 2];
        for row in query(tx, FORMER, &[&ids.as_slice()]).await? {
            let found: &[u8] = row.try_get(0)?;
            let of = usize::from(found != ids[0]);
            former[of] = Some((row.try_get(1)?, row.try_get(2)?));
        }
        Ok(Self { batch, user, old, id, new, former })
    }

    /// The entry that is to be replaced, if it is the user's.
    async fn replaced(&self, tx: &Transaction<'_>) -> Result<Option<Stored>, PgError> {
        let owner = self.batch.users().number(self.user.as_str());
        let place = self.batch.place(&self.old).or(self.former[0]);
        match place.filter(|(of, _)| Some(*of) == owner && self.old != self.id) {
            Some(place) => rows::at(tx, place).await,
            None => Ok(None),
        }
    }

    async fn make(mut self, tx: &Transaction<'_>, limit: i64) -> Result<Put, PgError> {
        let Some(at) = self.replaced(tx).await? else { return self.put(tx, limit).await };
        match self.batch.place(&self.id) {
            Some(place) if place == at.place => self.put(tx, limit).await,
            Some((owner, _)) if owner == at.place.0 => {
                // Both are the user's: the new one stays where it is.
                rows::remove(tx, slice::from_ref(&at.id)).await?;
                self.batch.discount(owner);
                self.put(tx, limit).await
            }
            Some(_) => {
                self.batch.remove(&self.id);
                self.batch.write(tx).await?;
                self.take_place(tx, at).await?;
                Ok(Put::Moved)
            }
            None if self.former[1] == Some(at.place) => Ok(Put::Same),
            None => {
                self.take_place(tx, at).await?;
                Ok(Put::Renewed)
            }
        }
    }

    async fn put(mut self, tx: &Transaction<'_>, limit: i64) -> Result<Put, PgError> {
        let put = self.batch.put(self.id, self.new, limit)?;
        self.batch.write(tx).await?;
        Ok(put)
    }

    async fn take_place(&self, tx: &Transaction<'_>, mut at: Stored) -> Result<(), PgError> {
        let now = self.batch.users().now();
        self.user.as_str().clone_into(&mut at.columns.user);
        let entry = match at.columns.entry() {
            Ok(before) => before.replace(self.new, now),
            Err(Damaged { .. }) => Entry::first(self.new, now),
        };
        let (owner, number) = at.place;
        let id = self.id.as_bytes().as_slice();
        rows::update(tx, &[Written { place: at.place, id: self.id, entry: &entry }]).await?;
        execute(tx, FORGET_FORMER, &[&id]).await?;
        execute(tx, ADD_FORMER, &[&at.id.as_bytes().as_slice(), &owner, &number]).await?;
        execute(tx, KEEP_EIGHT, &[&owner, &number]).await?;
        Ok(())
    }
}
