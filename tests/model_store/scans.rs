//! Scans that go on while everything changes, and what the contract promises of them.

use std::num::NonZeroU16;
use std::sync::Arc;

use webpush_channels::store::{Audience, Page, Position, Range, SubscriptionStore};

use super::model::{Edit, Row, State};
use super::ops::{Done, Op, Stamps, failed};
use super::universe::{MOVERS, New, USERS, channel};

/// What is read by pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Channel(u8),
    /// Everything, as the entries that nobody has put for no time.
    Unseen,
}

/// One scan, its range and position kept as octets between pages, which any handle may read.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) kind: Kind,
    /// What was there when the round began in which it began.
    base: State,
    ranges: Vec<Range>,
    after: Option<Position>,
    /// When it was known what belongs to it.
    split: u64,
    read: Vec<New>,
    page: NonZeroU16,
    /// What was done since the beginning of that round.
    log: Vec<Arc<Done>>,
}

impl Scan {
    pub(crate) async fn begin(
        store: &dyn SubscriptionStore,
        kind: Kind,
        base: State,
        random: &mut fastrand::Rng,
        stamps: &Stamps,
    ) -> Result<Self, String> {
        let ranges = match kind {
            Kind::Channel(number) => {
                let parts = NonZeroU16::new(random.u16(1..4)).unwrap();
                store.split(&Audience::Channel(channel(number)), parts).await.map_err(failed)?
            }
            Kind::Unseen => Vec::new(),
        };
        let page = NonZeroU16::new(random.u16(1..4)).unwrap();
        Ok(Self {
            kind,
            base,
            ranges,
            after: None,
            split: stamps.next(),
            read: Vec::new(),
            page,
            log: Vec::new(),
        })
    }

    /// Reads a page; whether that was the last one.
    pub(crate) async fn page(&mut self, store: &dyn SubscriptionStore) -> Result<bool, String> {
        let after = self.after.map(|after| Position::from_bytes(after.as_bytes()).unwrap());
        let page = match self.kind {
            Kind::Channel(number) => {
                let to = Audience::Channel(channel(number));
                let range = self.ranges.last().ok_or("a split without ranges")?;
                store.page(&to, range, after.as_ref(), self.page).await.map_err(failed)?
            }
            Kind::Unseen => {
                let page = store.unseen(std::time::Duration::ZERO, after.as_ref(), self.page);
                let page = page.await.map_err(failed)?;
                Page {
                    entries: page.entries.into_iter().map(|unseen| unseen.entry).collect(),
                    next: page.next,
                }
            }
        };
        if page.entries.len() > usize::from(self.page.get()) {
            return Err(format!("a page of {} entries, {} were asked for", page.entries.len(), self.page));
        }
        for entry in &page.entries {
            self.read.push(New::of(entry)?);
        }
        self.after = page.next;
        if self.after.is_none() {
            self.ranges.pop();
        }
        Ok(self.after.is_none() && self.ranges.is_empty())
    }

    pub(crate) fn note(&mut self, done: &[Arc<Done>]) {
        self.log.extend_from_slice(done);
    }

    /// Checks a scan that came to its end. Returns how many entries were certain to be read.
    pub(crate) fn check(&self) -> Result<usize, String> {
        let certain: Vec<&Row> = self.base.rows.iter().flatten().filter(|row| self.stays(row)).collect();
        for Row { new, .. } in &certain {
            let times = self.read.iter().filter(|read| read.endpoint == new.endpoint).count();
            if times != 1 {
                return Err(format!("{new:?} was there all the time and was read {times} times"));
            }
        }
        // Channel 0 has those who stay, whatever endpoint they have.
        let stay = if self.kind == Kind::Channel(1) { MOVERS..MOVERS } else { MOVERS..USERS };
        let all = certain.len() + stay.len();
        for user in stay {
            let times = self.read.iter().filter(|read| read.user == user).count();
            if times != 1 {
                return Err(format!("the one entry of user {user} was read {times} times"));
            }
        }
        if let Kind::Channel(channel) = self.kind {
            self.check_range(channel)?;
        }
        Ok(all)
    }

    /// Nobody removed it, moved it or put another into its place.
    fn stays(&self, row: &Row) -> bool {
        let New { user, endpoint, .. } = row.new;
        let member = match self.kind {
            Kind::Channel(channel) => self.base.is_member(channel, user),
            Kind::Unseen => true,
        };
        let leaves = |channel: u8| self.kind == Kind::Channel(channel);
        let ends = |done: &Arc<Done>| match &done.op {
            Op::Put(batch) => batch.iter().any(|new| new.endpoint == endpoint && new.user != user),
            Op::Replace { user: by, new, .. } => *by == user || new.endpoint == endpoint,
            Op::Apply(changes) => {
                changes.iter().any(|(target, edit)| target.endpoint == endpoint && *edit == Edit::Remove)
            }
            Op::Leave(channel, users) => leaves(*channel) && users.contains(&user),
            Op::Clear(channel) => leaves(*channel),
            Op::Forget(who) => *who == user,
            Op::List(_) | Op::Join(..) | Op::Channels(_) => false,
        };
        member && !self.log.iter().any(ends)
    }

    /// Nothing is read that was not there, or nobody's who was no member, when the range was made; and
    /// nothing twice.
    fn check_range(&self, channel: u8) -> Result<(), String> {
        let early = || self.log.iter().filter(|done| done.began < self.split).map(|done| &done.op);
        for read in &self.read {
            let New { user, endpoint, .. } = *read;
            // What takes a place is where the place is, however late.
            let replaced = |op: &Op, by: u8| matches!(op, Op::Replace { user, new, .. } if *user == by && new.endpoint == endpoint);
            let in_place = |by: u8| self.log.iter().any(|done| replaced(&done.op, by));
            let put = |op: &Op| matches!(op, Op::Put(batch) if batch.iter().any(|new| (new.user, new.endpoint) == (user, endpoint)));
            if !self.base.of(user).any(|row| row.new.endpoint == endpoint)
                && !in_place(user)
                && !early().any(put)
            {
                return Err(format!("{read:?} was read and came later"));
            }
            let joined =
                |op: &Op| matches!(op, Op::Join(to, users) if *to == channel && users.contains(&user));
            if !self.base.is_member(channel, user) && !early().any(joined) {
                return Err(format!("{read:?} was read and its user was no member"));
            }
            let times = self.read.iter().filter(|other| other.endpoint == endpoint).count();
            if times > 1 && !(0..USERS).any(in_place) {
                return Err(format!("{read:?} was read {times} times"));
            }
        }
        Ok(())
    }
}
