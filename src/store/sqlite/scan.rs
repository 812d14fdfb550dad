//! Pages and ranges.

use std::num::NonZeroU16;

use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::error::SqlError;
use super::members::find_channel;
use super::rows::{self, Place, columns};
use crate::store::{Audience, Entry, Page, Position, PositionError, Range};
use crate::{ChannelName, UserId};

/// The most members, or rows, that one page looks at: a channel of members without subscriptions
/// must not keep a transaction.
const STEP: i64 = 4096;
/// The fewest numbers of users in a range: a range costs the journal more than they do.
const MIN_WIDTH: i64 = 256;

/// What a [`Range`] of this store says: users from `from` to below `to` who joined before the
/// `joins`th joining, and their rows below the number `rows`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    from: i64,
    to: i64,
    joins: i64,
    rows: i64,
}

impl Bounds {
    pub(super) fn read(range: &Range, tag: [u8; 8]) -> Result<Self, PositionError> {
        let [from, to, joins, rows] = range.decode(tag)?.map(signed);
        Ok(Self { from, to, joins, rows })
    }

    fn write(self, tag: [u8; 8]) -> Range {
        Range::encode(tag, [self.from, self.to, self.joins, self.rows].map(i64::cast_unsigned))
    }
}

pub(super) fn read_position(after: Option<&Position>, tag: [u8; 8]) -> Result<Option<Place>, PositionError> {
    let place = |[owner, number]: [u64; 2]| Place { owner: signed(owner), number: signed(number) };
    after.map(|after| after.decode(tag).map(place)).transpose()
}

pub(super) fn write_position(place: Place, tag: [u8; 8]) -> Position {
    Position::encode(tag, [place.owner, place.number].map(i64::cast_unsigned))
}

/// Our own numbers are never above.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Entries, and the place to go on after.
#[derive(Default)]
pub(super) struct Step {
    entries: Vec<Entry>,
    next: Option<Place>,
}

impl Step {
    pub(super) fn page(self, tag: [u8; 8]) -> Page {
        Page { entries: self.entries, next: self.next.map(|place| write_position(place, tag)) }
    }

    /// Collects the rows of a statement that reads up to `limit`. If it was full, there may be
    /// more; a damaged row counts.
    fn collect(
        statement: &mut Statement<'_>,
        params: impl rusqlite::Params,
        limit: u16,
    ) -> Result<Self, SqlError> {
        let mut entries = Vec::new();
        let (mut read, mut last) = (0, None);
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            let place = rows::place(row)?;
            entries.extend(rows::entry_or_report(row, place));
            (read, last) = (read + 1, Some(place));
        }
        Ok(Self { entries, next: last.filter(|_| read == limit) })
    }
}

pub(super) fn page(
    c: &Connection,
    to: &Audience,
    bounds: Bounds,
    after: Option<Place>,
    limit: NonZeroU16,
) -> Result<Step, SqlError> {
    match to {
        Audience::Channel(name) => members(c, name, bounds, after, limit.get()),
        Audience::User(name) => of_user(c, name, bounds, after, limit.get()),
    }
}

/// The inner query is not sorted or kept: it yields members as long as rows are wanted. The outer
/// one names no order, because SQLite would sort what comes in order already: CROSS JOIN is
/// documented to keep its loops as they are written, and each goes along a primary key.
pub(super) const MEMBERS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM (SELECT owner, joined FROM members WHERE channel = ?1 AND owner >= ?2 AND owner < ?3 \
        ORDER BY owner LIMIT ?4) AS m \
     CROSS JOIN users AS u ON u.number = m.owner \
     CROSS JOIN subscriptions AS s ON s.owner = m.owner \
     WHERE m.joined < ?5 AND s.number < ?6 AND s.number > iif(m.owner = ?2, ?7, -1) LIMIT ?8"
);

fn members(
    c: &Connection,
    name: &ChannelName,
    bounds: Bounds,
    after: Option<Place>,
    limit: u16,
) -> Result<Step, SqlError> {
    let Some(channel) = find_channel(c, name)? else { return Ok(Step::default()) };
    let after = after.filter(|after| after.owner >= bounds.from);
    let after = after.unwrap_or(Place { owner: bounds.from, number: -1 });
    let Bounds { to, joins, rows, .. } = bounds;
    let mut statement = c.prepare_cached(MEMBERS)?;
    let params = params![channel, after.owner, to, STEP, joins, rows, after.number, limit];
    let mut step = Step::collect(&mut statement, params, limit)?;
    if step.next.is_none() {
        // Did the members end, or only the step?
        let mut last = c.prepare_cached(
            "SELECT owner FROM members WHERE channel = ?1 AND owner >= ?2 AND owner < ?3 \
             ORDER BY owner LIMIT 1 OFFSET ?4",
        )?;
        let last = last.query_row([channel, after.owner, to, STEP - 1], |row| row.get(0)).optional()?;
        step.next = last.map(|owner| Place { owner, number: i64::MAX });
    }
    Ok(step)
}

pub(super) const OF_USER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM users AS u CROSS JOIN subscriptions AS s ON s.owner = u.number \
     WHERE u.name = ?1 AND s.number > ?2 AND s.number < ?3 ORDER BY s.number LIMIT ?4"
);

/// Numbers are never used twice, so that they alone say what has been read.
fn of_user(
    c: &Connection,
    name: &UserId,
    bounds: Bounds,
    after: Option<Place>,
    limit: u16,
) -> Result<Step, SqlError> {
    let after = after.map_or(-1, |after| after.number);
    let mut statement = c.prepare_cached(OF_USER)?;
    Step::collect(&mut statement, params![name.as_str(), after, bounds.rows, limit], limit)
}

/// All of one user. Here, a damaged row is an error.
pub(super) fn subscriptions(c: &Connection, user: &UserId) -> Result<Vec<Entry>, SqlError> {
    let mut statement = c.prepare_cached(OF_USER)?;
    let mut rows = statement.query(params![user.as_str(), -1, i64::MAX, -1])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(rows::entry(row)?);
    }
    Ok(entries)
}

pub(super) const NEEDING_RENEWAL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM subscriptions AS s INDEXED BY subscriptions_needing_renewal \
     CROSS JOIN users AS u ON u.number = s.owner \
     WHERE s.needs_renewal <> 0 AND (s.owner, s.number) > (?1, ?2) ORDER BY s.owner, s.number LIMIT ?3"
);

pub(super) fn needing_renewal(
    c: &Connection,
    after: Option<Place>,
    limit: NonZeroU16,
) -> Result<Step, SqlError> {
    let after = after.unwrap_or(Place { owner: -1, number: -1 });
    let mut statement = c.prepare_cached(NEEDING_RENEWAL)?;
    Step::collect(&mut statement, params![after.owner, after.number, limit], limit.get())
}

/// How far a page goes: up to the last of so many rows.
pub(super) const UNSEEN_END: &str = "SELECT owner, number FROM subscriptions WHERE (owner, number) > (?1, ?2) \
     ORDER BY owner, number LIMIT 1 OFFSET ?3";

/// A `seen` that is no number is larger than each.
pub(super) const UNSEEN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM subscriptions AS s CROSS JOIN users AS u ON u.number = s.owner \
     WHERE (s.owner, s.number) > (?1, ?2) AND (s.owner, s.number) <= (?3, ?4) AND s.seen <= ?5 \
     ORDER BY s.owner, s.number LIMIT ?6"
);

/// Rows that were seen in this second or before. The end is read first, so that no row is passed
/// over that others put or remove between the two statements.
pub(super) fn unseen(
    c: &Connection,
    seen_by: u64,
    after: Option<Place>,
    limit: NonZeroU16,
) -> Result<Step, SqlError> {
    let after = after.unwrap_or(Place { owner: -1, number: -1 });
    let mut statement = c.prepare_cached(UNSEEN_END)?;
    let place = |row: &Row<'_>| Ok(Place { owner: row.get(0)?, number: row.get(1)? });
    let end = statement.query_row([after.owner, after.number, STEP - 1], place).optional()?;
    let to = end.unwrap_or(Place { owner: i64::MAX, number: i64::MAX });
    let mut statement = c.prepare_cached(UNSEEN)?;
    let params = params![after.owner, after.number, to.owner, to.number, signed(seen_by), limit];
    let mut step = Step::collect(&mut statement, params, limit.get())?;
    step.next = step.next.or(end);
    Ok(step)
}

/// Cuts the numbers of the users evenly. Nobody is counted.
pub(super) fn split(
    c: &Connection,
    to: &Audience,
    parts: NonZeroU16,
    tag: [u8; 8],
) -> Result<Vec<Range>, SqlError> {
    let (joins, rows) = (given(c, "join")?, given(c, "subscription")?);
    let whole = Bounds { from: 0, to: i64::MAX, joins, rows };
    let ends = match to {
        Audience::Channel(name) => ends(c, name)?,
        Audience::User(_) => None,
    };
    let Some((first, last)) = ends else { return Ok(vec![whole.write(tag)]) };
    let end = last.saturating_add(1);
    let parts = i64::from(parts.get());
    let width = ((end - first + parts - 1) / parts).max(MIN_WIDTH);
    let cuts = (0..parts).map(|part| first + part * width).take_while(|from| *from < end);
    Ok(cuts.map(|from| Bounds { from, to: (from + width).min(end), ..whole }.write(tag)).collect())
}

/// How many numbers of a kind were given.
fn given(c: &Connection, kind: &str) -> Result<i64, SqlError> {
    let mut statement = c.prepare_cached("SELECT next FROM sequences WHERE name = ?1")?;
    Ok(statement.query_row([kind], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The first and the last member. Either is one step into the index.
fn ends(c: &Connection, name: &ChannelName) -> Result<Option<(i64, i64)>, SqlError> {
    let Some(channel) = find_channel(c, name)? else { return Ok(None) };
    let mut statement = c.prepare_cached(
        "SELECT (SELECT min(owner) FROM members WHERE channel = ?1), \
         (SELECT max(owner) FROM members WHERE channel = ?1)",
    )?;
    let (first, last): (Option<i64>, Option<i64>) =
        statement.query_row([channel], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(first.zip(last))
}
