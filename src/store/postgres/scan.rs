//! Pages and ranges.

use std::num::NonZeroU16;
use std::time::{Duration, SystemTime};

use tokio_postgres::Row;

use super::PostgresStore;
use super::db::{begin, query};
use super::error::PgError;
use super::moving;
use super::rows::{self, COLUMNS, Place, columns};
use crate::UserId;
use crate::store::sql::EntryColumns;
use crate::store::{Audience, Count, Entry, Page, Position, PositionError, Range, UnseenPage, unseen};

/// A statement reads at least as many rows, however few are wanted: members without subscriptions
/// are rows too, and many of them must not be as many statements.
const MIN_ROWS: usize = 256;
/// A range has at least as many numbers of users: a page of fewer is not worth its statement.
const MIN_WIDTH: i64 = 256;

/// Each member looked at gives a row at least, so that the last one is where to go on. The first
/// `LIMIT` is for the planner, which does not know a parameter; `LATERAL` and the second, which is
/// more than a page has, keep it from reading whole tables.
macro_rules! of_channel {
    ($members:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", m.owner, (SELECT u.name FROM webpush_channels.users u WHERE u.number = m.owner) FROM (\
             SELECT owner, joined FROM webpush_channels.members WHERE channel = \
             (SELECT number FROM webpush_channels.channels WHERE name = $1) AND owner >= $2 AND owner < $3 \
             ORDER BY owner LIMIT ",
            $members,
            ") m LEFT JOIN LATERAL (SELECT * FROM webpush_channels.subscriptions t WHERE t.owner = m.owner \
             AND t.number > CASE WHEN m.owner = $2 THEN $4::bigint ELSE -1 END AND t.number < $5 \
             ORDER BY t.number LIMIT 100000) s ON m.joined < $6 ORDER BY m.owner, s.number LIMIT $7"
        )
    };
}
/// By the most rows.
const OF_CHANNEL: [(i64, &str); 3] =
    [(256, of_channel!("256")), (2048, of_channel!("2048")), (65_536, of_channel!("65536"))];
const OF_USER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM webpush_channels.users u JOIN webpush_channels.subscriptions s ON s.owner = u.number \
     WHERE u.name = $1 AND s.number > $2 AND s.number < $3 ORDER BY s.number LIMIT $4"
);
const NEEDING_RENEWAL: &str = concat!(
    "SELECT ",
    columns!(),
    ", s.owner, (SELECT u.name FROM webpush_channels.users u WHERE u.number = s.owner) \
     FROM webpush_channels.subscriptions s WHERE s.needs_renewal AND (s.owner, s.number) > ($1, $2) \
     ORDER BY s.owner, s.number LIMIT $3"
);
/// The old ones among the next rows, each with the server's time and the last of those rows, if there
/// may be more; nulls where none is old. The rows are read before their age is looked at: few are old,
/// and the planner would go through the whole table for them.
const UNSEEN: &str = concat!(
    "WITH step AS MATERIALIZED (SELECT * FROM webpush_channels.subscriptions \
     WHERE (owner, number) > ($1, $2) ORDER BY owner, number LIMIT 4096) SELECT ",
    columns!(),
    ", s.owner, (SELECT u.name FROM webpush_channels.users u WHERE u.number = s.owner), n.now, e.owner, e.number \
     FROM (SELECT floor(extract(epoch FROM clock_timestamp()))::bigint AS now) n \
     LEFT JOIN (SELECT owner, number FROM step ORDER BY owner, number LIMIT 1 OFFSET 4095) e ON TRUE \
     LEFT JOIN step s ON $3::bigint = 0 OR s.seen <= n.now - $3 ORDER BY s.owner, s.number LIMIT $4"
);
/// A sequence that was not used yet shows the number that it will give first. What is being put or
/// joined at this moment may have its number already: it is in the ranges or not. What moves would be in
/// them twice, in its former place and in its new one: see [`moving`].
const SPLIT: &str = "SELECT j.last_value + j.is_called::integer, n.last_value + n.is_called::integer, \
     (SELECT min(owner) FROM webpush_channels.members WHERE channel = c.number), \
     (SELECT max(owner) FROM webpush_channels.members WHERE channel = c.number) \
     FROM webpush_channels.join_number j CROSS JOIN webpush_channels.subscription_number n \
     LEFT JOIN webpush_channels.channels c ON c.name = $1";
const COUNT_CHANNEL: &str = "SELECT count(*), coalesce(sum(u.subscriptions), 0)::bigint \
     FROM webpush_channels.channels c JOIN webpush_channels.members m ON m.channel = c.number \
     JOIN webpush_channels.users u ON u.number = m.owner WHERE c.name = $1";
const COUNT_USER: &str =
    "SELECT least(subscriptions, 1), subscriptions FROM webpush_channels.users WHERE name = $1";

/// What a [`Range`] of this store says: users from `from` to below `to` whose joining has a number
/// below `joins`, and their rows with numbers below `rows`.
#[derive(Clone, Copy)]
struct Bounds {
    from: i64,
    to: i64,
    joins: i64,
    rows: i64,
}

impl Bounds {
    fn read(range: &Range, tag: [u8; 8]) -> Result<Self, PositionError> {
        let [from, to, joins, rows] = range.decode(tag)?.map(signed);
        Ok(Self { from, to, joins, rows })
    }

    fn write(self, tag: [u8; 8]) -> Range {
        Range::encode(tag, [self.from, self.to, self.joins, self.rows].map(unsigned))
    }
}

/// All rows of a user are in front of it.
const END_OF_USER: i64 = i64::MAX;

impl PostgresStore {
    pub(super) async fn page_of(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, PgError> {
        let bounds = Bounds::read(range, self.db.tag())?;
        let after = self.place(after)?;
        match to {
            Audience::Channel(name) => self.page_of_channel(name.as_str(), bounds, after, limit).await,
            Audience::User(user) => self.page_of_user(user, bounds, after, limit).await,
        }
    }

    async fn page_of_channel(
        &self,
        name: &str,
        bounds: Bounds,
        after: Option<Place>,
        limit: NonZeroU16,
    ) -> Result<Page, PgError> {
        let (from, number) = match after {
            Some((user, END_OF_USER)) => (user.saturating_add(1), -1),
            Some(place) => place,
            None => (bounds.from, -1),
        };
        // A position in front of the range is none of it.
        let (from, number) = if from < bounds.from { (bounds.from, -1) } else { (from, number) };
        let wanted = usize::from(limit.get());
        let most = i64::try_from(wanted.max(MIN_ROWS)).unwrap_or(i64::MAX);
        let fitting = OF_CHANNEL.iter().find(|(rows, _)| *rows >= most);
        let (_, sql) = fitting.unwrap_or(&OF_CHANNEL[OF_CHANNEL.len() - 1]);
        let client = self.db.client().await?;
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&name, &from, &bounds.to, &number, &bounds.rows, &bounds.joins, &most];
        let rows = query(&client, sql, &parameters).await?;
        drop(client);
        self.collect(&rows, wanted, unsigned(most))
    }

    async fn page_of_user(
        &self,
        user: &UserId,
        bounds: Bounds,
        after: Option<Place>,
        limit: NonZeroU16,
    ) -> Result<Page, PgError> {
        // Numbers are never used twice, so that they alone say what has been read.
        let after = after.map_or(-1, |(_, number)| number);
        let most = i64::from(limit.get());
        let client = self.db.client().await?;
        let rows = query(&client, OF_USER, &[&user.as_str(), &after, &bounds.rows, &most]).await?;
        drop(client);
        let mut page = Page { entries: Vec::with_capacity(rows.len()), next: None };
        let mut last = None;
        for row in &rows {
            let (place, columns) = rows::read(row, user.as_str().to_owned())?;
            page.entries.extend(sound(place, columns));
            last = Some(place);
        }
        page.next = last.filter(|_| rows.len() as u64 >= u64::from(limit.get())).map(|at| self.position(at));
        Ok(page)
    }

    /// Makes a page of rows that end with their user's number and name, and are all there are when
    /// they are fewer than `most`.
    fn collect(&self, rows: &[Row], wanted: usize, most: u64) -> Result<Page, PgError> {
        let mut entries = Vec::with_capacity(rows.len().min(wanted));
        let (mut read, mut last) = (0, None);
        for row in rows {
            if entries.len() == wanted {
                break;
            }
            let number: Option<i64> = row.try_get(1)?;
            let place = (row.try_get(COLUMNS)?, number.unwrap_or(END_OF_USER));
            if number.is_some() {
                // A row without a user is damaged; an empty name is none.
                let name: Option<String> = row.try_get(COLUMNS + 1)?;
                entries.extend(sound(place, rows::read(row, name.unwrap_or_default())?.1));
            }
            (read, last) = (read + 1, Some(place));
        }
        let ended = read == rows.len() && (rows.len() as u64) < most;
        let next = last.filter(|_| !ended).map(|place| self.position(place));
        Ok(Page { entries, next })
    }

    pub(super) async fn renewals(
        &self,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, PgError> {
        let (user, number) = self.place(after)?.unwrap_or((-1, -1));
        let client = self.db.client().await?;
        let most = i64::from(limit.get());
        let rows = query(&client, NEEDING_RENEWAL, &[&user, &number, &most]).await?;
        drop(client);
        self.collect(&rows, usize::from(limit.get()), limit.get().into())
    }

    pub(super) async fn unseen_for(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, PgError> {
        let (user, number) = self.place(after)?.unwrap_or((-1, -1));
        let (seconds, most) = (signed(unseen::whole_seconds(for_at_least)), i64::from(limit.get()));
        let client = self.db.client().await?;
        let rows = query(&client, UNSEEN, &[&user, &number, &seconds, &most]).await?;
        drop(client);
        let first = rows.first().ok_or(PgError::Raced)?;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(unsigned(first.try_get(COLUMNS + 2)?));
        let end: (Option<i64>, Option<i64>) = (first.try_get(COLUMNS + 3)?, first.try_get(COLUMNS + 4)?);
        let found: Option<i64> = first.try_get(1)?;
        let found = found.map_or(&[][..], |_| &rows);
        let mut page = self.collect(found, usize::from(limit.get()), limit.get().into())?;
        page.next = page.next.or_else(|| end.0.zip(end.1).map(|place| self.position(place)));
        Ok(UnseenPage::at(now, page))
    }

    pub(super) async fn entries_of(&self, user: &UserId) -> Result<Vec<Entry>, PgError> {
        let client = self.db.client().await?;
        let rows = query(&client, OF_USER, &[&user.as_str(), &-1_i64, &i64::MAX, &i64::MAX]).await?;
        let entry = |row: &Row| Ok(rows::read(row, user.as_str().to_owned())?.1.entry()?);
        rows.iter().map(entry).collect()
    }

    /// Cuts the numbers of the users evenly. Nobody is counted.
    pub(super) async fn split_audience(
        &self,
        to: &Audience,
        parts: NonZeroU16,
    ) -> Result<Vec<Range>, PgError> {
        let name = match to {
            Audience::Channel(name) => Some(name.as_str()),
            Audience::User(_) => None,
        };
        let row = {
            let mut client = self.db.client().await?;
            let tx = begin(&mut client).await?;
            moving::wait(&tx).await?;
            let rows = query(&tx, SPLIT, &[&name]).await?;
            tx.commit().await?;
            rows.into_iter().next().ok_or(PgError::Raced)?
        };
        let whole = Bounds { from: 0, to: i64::MAX, joins: row.try_get(0)?, rows: row.try_get(1)? };
        let ends: (Option<i64>, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
        let (Some(first), Some(last)) = ends else { return Ok(vec![whole.write(self.db.tag())]) };
        Ok(cut(first, last.saturating_add(1), parts)
            .map(|(from, to)| Bounds { from, to, ..whole }.write(self.db.tag()))
            .collect())
    }

    pub(super) async fn count_audience(&self, to: &Audience) -> Result<Count, PgError> {
        let (sql, name) = match to {
            Audience::Channel(name) => (COUNT_CHANNEL, name.as_str()),
            Audience::User(name) => (COUNT_USER, name.as_str()),
        };
        let client = self.db.client().await?;
        let rows = query(&client, sql, &[&name]).await?;
        let number = |at| {
            let number = rows.first().map(|row| row.try_get::<_, Option<i64>>(at)).transpose();
            number.map(|number| unsigned(number.flatten().unwrap_or_default()))
        };
        Ok(Count { members: number(0)?, subscriptions: number(1)? })
    }

    fn position(&self, (user, number): Place) -> Position {
        Position::encode(self.db.tag(), [unsigned(user), unsigned(number)])
    }

    fn place(&self, after: Option<&Position>) -> Result<Option<Place>, PositionError> {
        let decode = |after: &Position| after.decode(self.db.tag()).map(|[user, number]| (user, number));
        let place = after.map(decode).transpose()?;
        Ok(place.map(|(user, number)| (signed(user), signed(number))))
    }
}

/// Even parts of the numbers from `first` to below `end`.
fn cut(first: i64, end: i64, parts: NonZeroU16) -> impl Iterator<Item = (i64, i64)> {
    let parts = i64::from(parts.get());
    let width = ((end - first) / parts + 1).max(MIN_WIDTH);
    let cuts = (0..parts).map(move |part| first.saturating_add(width.saturating_mul(part)));
    cuts.take_while(move |from| *from < end).map(move |from| (from, from.saturating_add(width).min(end)))
}

/// A row that is damaged is left out: one must not end a broadcast.
fn sound((user, number): Place, columns: EntryColumns) -> Option<Entry> {
    let entry = columns.entry();
    if let Err(damaged) = &entry {
        tracing::error!(user, number, %damaged, "a subscription is left out");
    }
    entry.ok()
}

/// Numbers are never negative, and never this large.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_numbers_once() {
        for (first, end) in [(0, 1), (5, 300), (7, 100_007), (1, i64::MAX)] {
            for parts in [1, 2, 3, 1000, u16::MAX] {
                let parts = NonZeroU16::new(parts).unwrap();
                let mut at = first;
                let mut count = 0;
                for (from, to) in cut(first, end, parts) {
                    assert_eq!(from, at);
                    assert!(to == end || to - from >= MIN_WIDTH);
                    (at, count) = (to, count + 1);
                }
                assert_eq!(at, end);
                assert!(count <= usize::from(parts.get()));
            }
        }
    }
}
