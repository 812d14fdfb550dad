//! Users: their numbers, how many subscriptions they have, and the lock on both.
//!
//! Whoever changes a user's entries or memberships holds the lock on the user's row, taken in the
//! order of names. So the rows below need no locks of their own, the limit holds, and a user who
//! has nothing left can be removed.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;

use super::db::{execute, query};
use super::error::PgError;

/// Locks these users and the owners of these entries.
pub(super) const LOCK: &str = "SELECT number, name, subscriptions, floor(extract(epoch FROM clock_timestamp()))::bigint \
     FROM webpush_channels.users WHERE name = ANY($1) OR number = ANY(ARRAY(\
     SELECT owner FROM webpush_channels.subscriptions WHERE id = ANY($2))) ORDER BY name FOR UPDATE";
const LOCK_NUMBERS: &str =
    "SELECT number FROM webpush_channels.users WHERE number = ANY($1) ORDER BY name FOR UPDATE";
const MAKE: &str = "INSERT INTO webpush_channels.users (name) \
     SELECT name FROM unnest($1::text[]) AS t(name) ORDER BY name COLLATE \"C\" ON CONFLICT (name) DO NOTHING \
     RETURNING number, name, subscriptions, floor(extract(epoch FROM clock_timestamp()))::bigint";
const ADJUST: &str = "UPDATE webpush_channels.users u SET subscriptions = u.subscriptions + t.more \
     FROM unnest($1::bigint[], $2::bigint[]) AS t(number, more) WHERE u.number = t.number";
/// The members are looked at after the lock was taken: nobody joins meanwhile.
const RELEASE: &str = "DELETE FROM webpush_channels.users u WHERE u.number = ANY($1) AND u.subscriptions = 0 \
     AND NOT EXISTS (SELECT FROM webpush_channels.members m WHERE m.owner = u.number)";

/// Users who are locked until the transaction ends.
#[derive(Default)]
pub(super) struct Users {
    numbers: HashMap<String, i64>,
    locked: HashMap<i64, User>,
    now: i64,
}

struct User {
    name: String,
    subscriptions: i64,
    more: i64,
}

impl Users {
    /// Locks these users, where they exist, and the owners of the entries with these ids.
    pub(super) async fn lock(tx: &Transaction<'_>, names: &[&str], ids: &[&[u8]]) -> Result<Self, PgError> {
        let mut users = Self::default();
        for row in query(tx, LOCK, &[&names, &ids]).await? {
            users.add(&row)?;
        }
        Ok(users)
    }

    /// The same, and makes those who do not exist.
    pub(super) async fn lock_or_make(
        tx: &Transaction<'_>,
        names: &[&str],
        ids: &[&[u8]],
    ) -> Result<Self, PgError> {
        let mut users = Self::lock(tx, names, ids).await?;
        let mut missing: Vec<&str> =
            names.iter().copied().filter(|name| users.number(name).is_none()).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(users);
        }
        let made = query(tx, MAKE, &[&missing]).await?;
        // To wait for who was made meanwhile would be to lock out of order.
        if made.len() < missing.len() {
            return Err(PgError::Raced);
        }
        for row in made {
            users.add(&row)?;
        }
        Ok(users)
    }

    fn add(&mut self, row: &Row) -> Result<(), PgError> {
        let (number, name): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        self.now = row.try_get(3)?;
        self.numbers.insert(name.clone(), number);
        self.locked.insert(number, User { name, subscriptions: row.try_get(2)?, more: 0 });
        Ok(())
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.numbers.get(name).copied()
    }

    pub(super) fn numbers(&self) -> Vec<i64> {
        self.locked.keys().copied().collect()
    }

    pub(super) fn name(&self, number: i64) -> Option<&str> {
        self.locked.get(&number).map(|user| user.name.as_str())
    }

    /// How many subscriptions a user has, what was adjusted included.
    pub(super) fn subscriptions(&self, number: i64) -> i64 {
        self.locked.get(&number).map_or(0, |user| user.subscriptions + user.more)
    }

    /// The time, by the server's clock.
    pub(super) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(self.now).unwrap_or_default())
    }

    /// The user has so many subscriptions more.
    pub(super) fn adjust(&mut self, number: i64, more: i64) {
        if let Some(user) = self.locked.get_mut(&number) {
            user.more += more;
        }
    }

    /// Writes what was adjusted.
    pub(super) async fn write(&self, tx: &Transaction<'_>) -> Result<(), PgError> {
        let adjusted = self.locked.iter().filter(|(_, user)| user.more != 0);
        let (numbers, more): (Vec<i64>, Vec<i64>) =
            adjusted.map(|(number, user)| (*number, user.more)).unzip();
        if !numbers.is_empty() {
            execute(tx, ADJUST, &[&numbers, &more]).await?;
        }
        // Also who only got what another one of the same batch took.
        let idle: Vec<i64> =
            self.numbers().into_iter().filter(|user| self.subscriptions(*user) <= 0).collect();
        release(tx, &idle).await
    }
}

/// Locks users by their numbers.
pub(super) async fn lock_numbers(tx: &Transaction<'_>, numbers: &[i64]) -> Result<(), PgError> {
    query(tx, LOCK_NUMBERS, &[&numbers]).await?;
    Ok(())
}

/// Removes those of these users, who are locked, who own nothing and are in no channel.
pub(super) async fn release(tx: &impl GenericClient, numbers: &[i64]) -> Result<(), PgError> {
    if !numbers.is_empty() {
        execute(tx, RELEASE, &[&numbers]).await?;
    }
    Ok(())
}
