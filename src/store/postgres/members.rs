//! Who is in which channel.

use super::PostgresStore;
use super::db::{begin, execute, query, retrying};
use super::error::PgError;
use super::journal::{finish_all, forget_user};
use super::users::{self, Users};
use crate::store::sql::Damaged;
use crate::{ChannelName, UserId};

/// The most memberships of one transaction.
const BATCH: usize = 1000;

/// Locked, so that nobody removes the channel while its members are added.
const FIND: &str = "SELECT number FROM webpush_channels.channels WHERE name = $1 FOR KEY SHARE";
const MAKE: &str = "INSERT INTO webpush_channels.channels (name) VALUES ($1) ON CONFLICT (name) DO NOTHING \
     RETURNING number";
const JOIN: &str = "INSERT INTO webpush_channels.members (channel, owner, joined) \
     SELECT $1, owner, nextval('webpush_channels.join_number') FROM unnest($2::bigint[]) AS t(owner) \
     ON CONFLICT (channel, owner) DO NOTHING";
const LEAVE: &str = "DELETE FROM webpush_channels.members WHERE owner = ANY($2) AND channel = \
     (SELECT number FROM webpush_channels.channels WHERE name = $1)";
const OF_USER: &str = "SELECT c.name FROM webpush_channels.users u \
     JOIN webpush_channels.members m ON m.owner = u.number \
     JOIN webpush_channels.channels c ON c.number = m.channel WHERE u.name = $1";

const LATEST: &str = "SELECT c.number, j.last_value FROM webpush_channels.channels c, \
     webpush_channels.join_number j WHERE c.name = $1";
const SOME_MEMBERS: &str = "SELECT owner FROM webpush_channels.members \
     WHERE channel = $1 AND owner > $2 AND joined <= $3 ORDER BY owner LIMIT 1000";
const EXPEL: &str =
    "DELETE FROM webpush_channels.members WHERE channel = $1 AND owner = ANY($2) AND joined <= $3";
const LOCK: &str = "SELECT number FROM webpush_channels.channels WHERE number = $1 FOR UPDATE";
/// Whoever joined meanwhile keeps it.
const REMOVE: &str = "DELETE FROM webpush_channels.channels WHERE number = $1 \
     AND NOT EXISTS (SELECT FROM webpush_channels.members WHERE channel = $1)";

const LEAVE_ALL: &str = "DELETE FROM webpush_channels.members WHERE owner = ANY($1)";
const REMOVE_FORMER: &str = "DELETE FROM webpush_channels.former_ids WHERE owner = ANY($1)";
const REMOVE_ENTRIES: &str = "DELETE FROM webpush_channels.subscriptions WHERE owner = ANY($1)";
const REMOVE_USER: &str = "DELETE FROM webpush_channels.users WHERE number = ANY($1)";

impl PostgresStore {
    pub(super) async fn join_all(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), PgError> {
        for users in users.chunks(BATCH) {
            let names: Vec<&str> = users.iter().map(UserId::as_str).collect();
            retrying(|| self.join_once(channel, &names)).await?;
        }
        Ok(())
    }

    async fn join_once(&self, channel: &ChannelName, names: &[&str]) -> Result<(), PgError> {
        let mut client = self.db.client().await?;
        let tx = begin(&mut client).await?;
        let users = Users::lock_or_make(&tx, names, &[]).await?;
        let mut rows = query(&tx, FIND, &[&channel.as_str()]).await?;
        if rows.is_empty() {
            rows = query(&tx, MAKE, &[&channel.as_str()]).await?;
        }
        // Another made it meanwhile.
        let channel: i64 = rows.first().ok_or(PgError::Raced)?.try_get(0)?;
        // Numbers in the order of the batch.
        let owners: Vec<i64> = names.iter().filter_map(|name| users.number(name)).collect();
        execute(&tx, JOIN, &[&channel, &owners]).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn leave_all(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), PgError> {
        for users in users.chunks(BATCH) {
            let names: Vec<&str> = users.iter().map(UserId::as_str).collect();
            retrying(|| self.leave_once(channel, &names)).await?;
        }
        Ok(())
    }

    async fn leave_once(&self, channel: &ChannelName, names: &[&str]) -> Result<(), PgError> {
        let mut client = self.db.client().await?;
        let tx = begin(&mut client).await?;
        let owners = Users::lock(&tx, names, &[]).await?.numbers();
        execute(&tx, LEAVE, &[&channel.as_str(), &owners]).await?;
        users::release(&tx, &owners).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn channels_of(&self, user: &UserId) -> Result<Vec<ChannelName>, PgError> {
        let client = self.db.client().await?;
        let rows = query(&client, OF_USER, &[&user.as_str()]).await?;
        let name = |row: &tokio_postgres::Row| {
            let name: &str = row.try_get(0)?;
            ChannelName::new(name).map_err(|_| Damaged::new("channels", "name").into())
        };
        rows.iter().map(name).collect()
    }

    /// Ends the memberships that are there now, some at a time. The channel goes last, so that
    /// what was interrupted can be repeated.
    pub(super) async fn remove_members(&self, channel: &ChannelName) -> Result<(), PgError> {
        let rows = query(&self.db.client().await?, LATEST, &[&channel.as_str()]).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let (channel, latest): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let mut after = -1;
        while let Some(last) = retrying(|| self.expel_some(channel, latest, after)).await? {
            after = last;
        }
        retrying(|| self.remove_empty(channel)).await
    }

    /// Ends the next memberships. Returns the last user.
    async fn expel_some(&self, channel: i64, latest: i64, after: i64) -> Result<Option<i64>, PgError> {
        let mut client = self.db.client().await?;
        let tx = begin(&mut client).await?;
        let rows = query(&tx, SOME_MEMBERS, &[&channel, &after, &latest]).await?;
        let owners = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
        let Some(last) = owners.last().copied() else { return Ok(None) };
        users::lock_numbers(&tx, &owners).await?;
        execute(&tx, EXPEL, &[&channel, &owners, &latest]).await?;
        users::release(&tx, &owners).await?;
        tx.commit().await?;
        Ok(Some(last))
    }

    async fn remove_empty(&self, channel: i64) -> Result<(), PgError> {
        let mut client = self.db.client().await?;
        let tx = begin(&mut client).await?;
        query(&tx, LOCK, &[&channel]).await?;
        execute(&tx, REMOVE, &[&channel]).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn forget_once(&self, user: &UserId) -> Result<(), PgError> {
        let mut client = self.db.client().await?;
        let tx = begin(&mut client).await?;
        let touched = forget_user(&tx, user).await?;
        let owner = Users::lock(&tx, &[user.as_str()], &[]).await?.numbers();
        for sql in [LEAVE_ALL, REMOVE_FORMER, REMOVE_ENTRIES, REMOVE_USER] {
            execute(&tx, sql, &[&owner]).await?;
        }
        finish_all(&tx, &touched).await?;
        Ok(tx.commit().await?)
    }
}
