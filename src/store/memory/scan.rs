//! Pages and ranges.

use std::num::NonZeroU16;

use super::state::{Hashers, State};
use crate::store::{Audience, Count, Entry, Page, Position, PositionError, Range};

/// The most members that one step looks at: a channel of members without subscriptions must not
/// hold the lock.
const STEP: usize = 1024;

/// What a [`Range`] of this store says: users from `from` to below `to` who joined before the
/// `joins`th joining, and their rows below the number `rows`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    from: u64,
    to: u64,
    joins: u64,
    rows: u64,
}

impl Bounds {
    pub(super) fn read(range: &Range, tag: [u8; 8]) -> Result<Self, PositionError> {
        let [from, to, joins, rows] = range.decode(tag)?;
        Ok(Self { from, to, joins, rows })
    }

    fn write(self, tag: [u8; 8]) -> Range {
        Range::encode(tag, [self.from, self.to, self.joins, self.rows])
    }
}

/// A row's place in the order of scans: user and number.
pub(super) type Place = (u64, u64);

/// Entries, and the place to go on after.
pub(super) type Step = (Vec<Entry>, Option<Place>);

pub(super) fn read_position(after: Option<&Position>, tag: [u8; 8]) -> Result<Option<Place>, PositionError> {
    after.map(|after| after.decode(tag).map(|[user, number]| (user, number))).transpose()
}

/// Makes a page of steps. Between two steps the lock is free.
pub(super) fn page(
    limit: NonZeroU16,
    mut after: Option<Place>,
    tag: [u8; 8],
    mut step: impl FnMut(Option<Place>, usize) -> Step,
) -> Page {
    let limit = usize::from(limit.get());
    let mut entries = Vec::with_capacity(limit.min(STEP));
    loop {
        let wanted = (limit - entries.len()).min(STEP);
        let (more, next) = step(after, wanted);
        // Members without subscriptions can be many: an empty step gives up, the caller goes on.
        let idle = more.is_empty();
        entries.extend(more);
        after = next;
        if next.is_none() || idle || entries.len() >= limit {
            break;
        }
    }
    Page { entries, next: after.map(|(user, number)| Position::encode(tag, [user, number])) }
}

impl State {
    pub(super) fn step(
        &self,
        to: &Audience,
        bounds: Bounds,
        after: Option<Place>,
        limit: usize,
        hashers: &Hashers,
    ) -> Step {
        let mut step = Collector { state: self, entries: Vec::with_capacity(limit), limit, after };
        match to {
            Audience::Channel(name) => {
                let Some(channel) = self.channels.find(name) else { return (Vec::new(), None) };
                let from = after.map_or(bounds.from, |(user, _)| bounds.from.max(user));
                let (from, to) = (place(from), place(bounds.to));
                if from >= to {
                    return (Vec::new(), None);
                }
                for (looked_at, (user, joined)) in channel.members.range(from..to).enumerate() {
                    if looked_at == STEP {
                        return step.pause();
                    }
                    if *joined < bounds.joins && step.collect(*user, bounds.rows) {
                        return step.pause();
                    }
                    step.after = Some((u64::from(*user), u64::MAX));
                }
            }
            Audience::User(name) => {
                if let Some(user) = self.find_user(name, hashers.user(name)) {
                    // Numbers are never used twice, so that they alone say what has been read.
                    step.after = after.map(|(_, number)| (u64::from(user), number));
                    if step.collect(user, bounds.rows) {
                        return step.pause();
                    }
                }
            }
        }
        (step.entries, None)
    }

    pub(super) fn renewal_step(&self, after: Option<Place>, limit: usize) -> Step {
        let from = after.map_or((0, 0), |(user, number)| (place(user), number.saturating_add(1)));
        let mut rows = self.renewals.range(from..);
        let entries: Vec<Entry> = rows.by_ref().take(limit).map(|(_, at)| self.entry(*at)).collect();
        let last = self.renewals.range(from..).nth(limit.saturating_sub(1));
        (entries, last.map(|((user, number), _)| (u64::from(*user), *number)))
    }

    /// Rows that were seen in this second or before.
    pub(super) fn unseen_step(&self, seen_by: u64, after: Option<Place>, limit: usize) -> Step {
        let (mut entries, mut last, mut looked_at) = (Vec::new(), after, 0);
        for user in after.map_or(0, |(user, _)| place(user))..self.users.end() {
            if looked_at >= STEP {
                return (entries, last);
            }
            looked_at += 1;
            if self.users.get(user).is_none() {
                continue;
            }
            for at in self.places(user) {
                let row = self.rows.at(at);
                let here = (u64::from(user), row.number);
                if last.is_some_and(|last| here <= last) {
                    continue;
                }
                if u64::from(row.seen) <= seen_by {
                    entries.push(self.entry(at));
                }
                (last, looked_at) = (Some(here), looked_at + 1);
                if entries.len() == limit || looked_at >= STEP {
                    return (entries, last);
                }
            }
            last = Some((u64::from(user), u64::MAX));
        }
        (entries, None)
    }

    /// Cuts the numbers of the users evenly. Nobody is counted.
    pub(super) fn split(&self, to: &Audience, parts: NonZeroU16, tag: [u8; 8]) -> Vec<Range> {
        let whole = Bounds { from: 0, to: u64::from(u32::MAX), joins: self.channels.joins, rows: self.next };
        let Audience::Channel(name) = to else { return vec![whole.write(tag)] };
        let members = self.channels.find(name).map(|channel| &channel.members);
        let first = members.and_then(|members| members.first_key_value());
        let last = members.and_then(|members| members.last_key_value());
        let (Some((first, _)), Some((last, _))) = (first, last) else { return vec![whole.write(tag)] };
        let (first, end) = (u64::from(*first), u64::from(*last) + 1);
        let width = (end - first).div_ceil(u64::from(parts.get()));
        let cuts = (0..u64::from(parts.get())).map(|part| first + part * width);
        cuts.take_while(|from| *from < end)
            .map(|from| Bounds { from, to: (from + width).min(end), ..whole }.write(tag))
            .collect()
    }

    pub(super) fn count(&self, to: &Audience, hashers: &Hashers) -> Count {
        match to {
            Audience::Channel(name) => self.channels.find(name).map_or(Count::default(), |channel| Count {
                members: channel.members.len() as u64,
                subscriptions: channel.subscriptions,
            }),
            Audience::User(name) => {
                let user = self.find_user(name, hashers.user(name));
                let subscriptions = user.map_or(0, |user| u64::from(self.users.at(user).count));
                Count { members: subscriptions.min(1), subscriptions }
            }
        }
    }
}

/// Positions only ever hold places, which are below 2^32.
fn place(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

struct Collector<'a> {
    state: &'a State,
    entries: Vec<Entry>,
    limit: usize,
    after: Option<Place>,
}

impl Collector<'_> {
    /// Takes the user's rows below a number that were not read yet. Says whether it is full.
    fn collect(&mut self, user: u32, end: u64) -> bool {
        let read = self.after.filter(|(after, _)| *after == u64::from(user)).map(|(_, number)| number);
        for at in self.state.places(user) {
            let number = self.state.rows.at(at).number;
            if number >= end {
                break;
            }
            if read.is_some_and(|read| number <= read) {
                continue;
            }
            self.entries.push(self.state.entry(at));
            self.after = Some((u64::from(user), number));
            if self.entries.len() == self.limit {
                return true;
            }
        }
        false
    }

    fn pause(self) -> Step {
        (self.entries, self.after)
    }
}
