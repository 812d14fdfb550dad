//! Who is in which channel.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::SqlError;
use super::rows;
use crate::store::sql::Damaged;
use crate::store::{Audience, Count};
use crate::{ChannelName, UserId};

pub(super) fn find_channel(c: &Connection, name: &ChannelName) -> Result<Option<i64>, SqlError> {
    let mut statement = c.prepare_cached("SELECT number FROM channels WHERE name = ?1")?;
    Ok(statement.query_row([name.as_str()], |row| row.get(0)).optional()?)
}

pub(super) fn join(c: &Connection, name: &ChannelName, users: &[UserId]) -> Result<(), SqlError> {
    let channel = if let Some(channel) = find_channel(c, name)? {
        channel
    } else {
        c.prepare_cached("INSERT INTO channels (name) VALUES (?1)")?.execute([name.as_str()])?;
        c.last_insert_rowid()
    };
    for user in users {
        let owner = rows::intern_user(c, user)?;
        let mut is_member = c.prepare_cached("SELECT 1 FROM members WHERE channel = ?1 AND owner = ?2")?;
        if !is_member.exists([channel, owner])? {
            let joined = rows::next_number(c, "join")?;
            c.prepare_cached("INSERT INTO members (channel, owner, joined) VALUES (?1, ?2, ?3)")?
                .execute([channel, owner, joined])?;
        }
    }
    Ok(())
}

pub(super) fn leave(c: &Connection, name: &ChannelName, users: &[UserId]) -> Result<(), SqlError> {
    let Some(channel) = find_channel(c, name)? else { return Ok(()) };
    for user in users {
        let Some(user) = rows::find_user(c, user)? else { continue };
        c.prepare_cached("DELETE FROM members WHERE channel = ?1 AND owner = ?2")?
            .execute([channel, user.number])?;
        rows::release_user(c, user.number)?;
    }
    release_channel(c, channel)
}

/// Forgets a channel that has no members.
fn release_channel(c: &Connection, channel: i64) -> Result<(), SqlError> {
    c.prepare_cached(
        "DELETE FROM channels WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM members WHERE channel = ?1)",
    )?
    .execute([channel])?;
    Ok(())
}

pub(super) fn channels(c: &Connection, user: &UserId) -> Result<Vec<ChannelName>, SqlError> {
    let mut statement = c.prepare_cached(
        "SELECT c.name FROM users AS u CROSS JOIN members AS m ON m.owner = u.number \
         CROSS JOIN channels AS c ON c.number = m.channel WHERE u.name = ?1 AND c.name >= ' '",
    )?;
    let mut rows = statement.query([user.as_str()])?;
    let mut channels = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get::<_, String>(0).ok().and_then(|name| ChannelName::new(name).ok());
        channels.push(name.ok_or(Damaged::new("channels", "name"))?);
    }
    Ok(channels)
}

/// Takes a channel's name away, so that nobody finds it while it is taken apart. What stands there
/// instead begins with a control character, which no name holds.
pub(super) fn hide(c: &Connection, name: &ChannelName) -> Result<(), SqlError> {
    c.prepare_cached("UPDATE channels SET name = char(1) || number WHERE name = ?1")?
        .execute([name.as_str()])?;
    Ok(())
}

/// Takes up to `limit` members out of a hidden channel, whoever hid it. Says whether there may be
/// more.
pub(super) fn take_apart(c: &Connection, limit: u32) -> Result<bool, SqlError> {
    let mut hidden = c.prepare_cached("SELECT number FROM channels WHERE name < ' ' LIMIT 1")?;
    let hidden: Option<i64> = hidden.query_row([], |row| row.get(0)).optional()?;
    let Some(channel) = hidden else { return Ok(false) };
    let mut some = c.prepare_cached("SELECT owner FROM members WHERE channel = ?1 LIMIT ?2")?;
    let users = some.query_map(params![channel, limit], |row| row.get(0))?;
    for user in users.collect::<Result<Vec<i64>, _>>()? {
        c.prepare_cached("DELETE FROM members WHERE channel = ?1 AND owner = ?2")?
            .execute([channel, user])?;
        rows::release_user(c, user)?;
    }
    release_channel(c, channel)?;
    Ok(true)
}

/// Removes all that is kept of a user.
pub(super) fn forget(c: &Connection, name: &UserId) -> Result<(), SqlError> {
    let Some(user) = rows::find_user(c, name)? else { return Ok(()) };
    let mut of_user = c.prepare_cached("SELECT channel FROM members WHERE owner = ?1")?;
    let channels = of_user.query_map([user.number], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    for table in ["members", "former_ids", "subscriptions"] {
        c.prepare_cached(&format!("DELETE FROM {table} WHERE owner = ?1"))?.execute([user.number])?;
    }
    c.prepare_cached("DELETE FROM users WHERE number = ?1")?.execute([user.number])?;
    channels.into_iter().try_for_each(|channel| release_channel(c, channel))
}

pub(super) fn count(c: &Connection, to: &Audience) -> Result<Count, SqlError> {
    match to {
        Audience::Channel(name) => {
            let mut statement = c.prepare_cached(
                "SELECT count(*), coalesce(sum(u.subscriptions), 0) FROM channels AS c \
                 CROSS JOIN members AS m ON m.channel = c.number \
                 CROSS JOIN users AS u ON u.number = m.owner WHERE c.name = ?1",
            )?;
            let (members, subscriptions) =
                statement.query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Count { members: unsigned(members), subscriptions: unsigned(subscriptions) })
        }
        Audience::User(name) => {
            let user = rows::find_user(c, name)?;
            let subscriptions = user.map_or(0, |user| unsigned(user.subscriptions));
            Ok(Count { members: subscriptions.min(1), subscriptions })
        }
    }
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
