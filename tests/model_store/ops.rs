//! Random operations, done on a store and written down.

use std::sync::atomic::{AtomicU64, Ordering};

use webpush_channels::UserId;
use webpush_channels::store::{Change, NewEntry, StoreError, SubscriptionStore};

use super::model::{Edit, Said, Shown, State, Step};
use super::universe::{CHANNELS, COMMON, FAMILY, MOVERS, New, USERS, channel, family_of, id, user, vapid};

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Put(Vec<New>),
    Replace { user: u8, old: u8, new: New },
    Apply(Vec<(New, Edit)>),
    List(u8),
    Join(u8, Vec<u8>),
    Leave(u8, Vec<u8>),
    Channels(u8),
    Clear(u8),
    Forget(u8),
}

/// An operation, when it was going on, and what its steps said.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) op: Op,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// Nobody promises that a batch is one moment.
    pub(crate) steps: Vec<(Step, Said)>,
}

impl Done {
    /// Whether its steps come in their order. That is promised of puts; in the rest nothing depends on
    /// it, but a user's end has too many steps to try all orders.
    pub(crate) const fn in_order(&self) -> bool {
        matches!(self.op, Op::Put(_) | Op::Forget(_))
    }
}

/// One counter for all tasks: what ended before another began has a smaller number.
#[derive(Debug, Default)]
pub(crate) struct Stamps(AtomicU64);

impl Stamps {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Makes operations that meet: users, endpoints and versions that are there now.
pub(crate) struct Generator<'a> {
    pub(crate) random: &'a mut fastrand::Rng,
    pub(crate) now: &'a State,
}

impl Generator<'_> {
    pub(crate) fn op(&mut self) -> Op {
        match self.random.u8(0..24) {
            0..6 => Op::Put((0..self.batch()).map(|_| self.subscription()).collect()),
            6..10 => self.replace(),
            10..15 => Op::Apply(self.changes()),
            15..17 => Op::List(self.random.u8(0..USERS)),
            17 => Op::Channels(self.random.u8(0..USERS)),
            18..21 => Op::Join(self.random.u8(0..CHANNELS), self.movers()),
            21 | 22 => Op::Leave(self.random.u8(0..CHANNELS), self.movers()),
            // The first channel is where some stay.
            _ if self.random.bool() => Op::Clear(self.random.u8(1..CHANNELS)),
            _ => Op::Forget(self.random.u8(0..MOVERS)),
        }
    }

    fn batch(&mut self) -> u8 {
        1 + u8::from(self.random.u8(0..4) == 0)
    }

    /// One or two, and nobody twice.
    fn movers(&mut self) -> Vec<u8> {
        let (first, other) = (self.random.u8(0..MOVERS), self.random.u8(1..MOVERS));
        if self.batch() == 1 { vec![first] } else { vec![first, (first + other) % MOVERS] }
    }

    /// Of a mover.
    fn subscription(&mut self) -> New {
        New {
            user: self.random.u8(0..MOVERS),
            endpoint: self.random.u8(0..COMMON),
            keys: u8::from(self.random.u8(0..4) == 0),
            vapid: self.random.u8(0..4) % 3,
        }
    }

    fn replace(&mut self) -> Op {
        let mut new = self.subscription();
        if self.random.u8(0..3) > 0 {
            return Op::Replace { user: new.user, old: self.random.u8(0..COMMON), new };
        }
        // One who stays. The first endpoint of its family leads to its entry for ever.
        new.user = self.random.u8(MOVERS..USERS);
        let old = family_of(new.user);
        new.endpoint = old + self.random.u8(1..FAMILY);
        Op::Replace { user: new.user, old, new }
    }

    fn changes(&mut self) -> Vec<(New, Edit)> {
        let first = self.target();
        let edit = self.edit(first);
        if self.batch() == 1 {
            return vec![(first, edit)];
        }
        let second = if self.random.bool() { first } else { self.target() };
        let other = self.edit(second);
        // The same kind of change of one version, twice: what is said about it is the store's choice.
        let same_kind = std::mem::discriminant(&edit) == std::mem::discriminant(&other);
        if first == second && same_kind { vec![(first, edit)] } else { vec![(first, edit), (second, other)] }
    }

    /// Mostly an entry that was there when the round began.
    fn target(&mut self) -> New {
        let there: Vec<New> = self.now.rows.iter().flatten().map(|row| row.new).collect();
        match self.random.choice(there).filter(|_| self.random.u8(0..6) > 0) {
            Some(new) if self.random.u8(0..6) == 0 => New { vapid: self.random.u8(0..3), ..new },
            Some(new) => new,
            None => self.subscription(),
        }
    }

    fn edit(&mut self, target: New) -> Edit {
        match self.random.u8(0..5) {
            0 => Edit::Limit(self.random.u16(1..4)),
            1 => Edit::Mark,
            2 | 3 if target.user < MOVERS => Edit::Remove,
            _ => Edit::Use(self.random.u8(1..3)),
        }
    }
}

fn change(edit: Edit) -> Change {
    match edit {
        Edit::Limit(limit) => Change::LimitPayload(limit),
        Edit::Mark => Change::NeedsRenewal,
        Edit::Remove => Change::Remove,
        Edit::Use(key) => Change::UseKey(vapid(key)),
    }
}

fn users(numbers: &[u8]) -> Vec<UserId> {
    numbers.iter().map(|number| user(*number)).collect()
}

/// The rows that a store shows of a user, in the order of endpoints.
pub(crate) async fn list(store: &dyn SubscriptionStore, of: u8) -> Result<Vec<Shown>, String> {
    let entries = store.subscriptions(&user(of)).await.map_err(failed)?;
    let mut rows = entries
        .iter()
        .map(|entry| {
            let (limit, renewal) = (entry.payload_limit.unwrap_or(0), entry.needs_renewal);
            Ok(Shown { new: New::of(entry)?, limit, renewal })
        })
        .collect::<Result<Vec<_>, String>>()?;
    rows.sort_unstable_by_key(|row| row.new.endpoint);
    Ok(rows)
}

/// The channels of a user, one bit for each.
pub(crate) async fn channels(store: &dyn SubscriptionStore, of: u8) -> Result<u8, String> {
    let names = store.channels(&user(of)).await.map_err(failed)?;
    let known = (0..CHANNELS).filter(|number| names.contains(&channel(*number)));
    let bits = known.fold(0u8, |bits, number| bits | 1 << number);
    if names.len() == bits.count_ones() as usize { Ok(bits) } else { Err(format!("channels {names:?}")) }
}

#[allow(clippy::needless_pass_by_value, reason = "it maps errors")]
pub(crate) fn failed(error: StoreError) -> String {
    format!("{error}: {:?}", std::error::Error::source(&error))
}

/// Does an operation on a store.
pub(crate) async fn run(store: &dyn SubscriptionStore, op: Op, stamps: &Stamps) -> Result<Done, String> {
    let began = stamps.next();
    let steps = steps(store, &op).await.map_err(|problem| format!("{op:?}: {problem}"))?;
    Ok(Done { op, began, ended: stamps.next(), steps })
}

async fn steps(store: &dyn SubscriptionStore, op: &Op) -> Result<Vec<(Step, Said)>, String> {
    let quiet = |steps: Vec<Step>| steps.into_iter().map(|step| (step, Said::Nothing)).collect();
    Ok(match op {
        Op::Put(batch) => {
            let entries: Vec<NewEntry> = batch.iter().map(|new| new.entry()).collect();
            let puts = store.put(&entries).await.map_err(failed)?;
            batch.iter().zip(puts).map(|(new, put)| (Step::Put(*new), Said::Put(put))).collect()
        }
        Op::Replace { user: by, old, new } => {
            let put = store.replace(&user(*by), &id(*old), &new.entry()).await.map_err(failed)?;
            vec![(Step::Replace { user: *by, old: *old, new: *new }, Said::Put(put))]
        }
        Op::Apply(changes) => apply(store, changes).await?,
        Op::List(of) => vec![(Step::List(*of), Said::Rows(list(store, *of).await?))],
        Op::Channels(of) => vec![(Step::Channels(*of), Said::Channels(channels(store, *of).await?))],
        Op::Join(to, who) => {
            store.join(&channel(*to), &users(who)).await.map_err(failed)?;
            quiet(who.iter().map(|who| Step::Join(*to, *who)).collect())
        }
        Op::Leave(from, who) => {
            store.leave(&channel(*from), &users(who)).await.map_err(failed)?;
            quiet(who.iter().map(|who| Step::Leave(*from, *who)).collect())
        }
        Op::Clear(number) => {
            store.remove_channel(&channel(*number)).await.map_err(failed)?;
            // Nobody promises that all members go at once.
            quiet((0..USERS).map(|who| Step::Leave(*number, who)).collect())
        }
        Op::Forget(who) => {
            store.forget(&user(*who)).await.map_err(failed)?;
            let leaves = (0..CHANNELS).map(|channel| Step::Leave(channel, *who));
            let drops = (0..COMMON).map(|endpoint| Step::Drop { user: *who, endpoint });
            quiet(leaves.chain(drops).collect())
        }
    })
}

async fn apply(store: &dyn SubscriptionStore, changes: &[(New, Edit)]) -> Result<Vec<(Step, Said)>, String> {
    let asked: Vec<_> = changes.iter().map(|(target, edit)| (target.reference(), change(*edit))).collect();
    let done = store.apply(&asked).await.map_err(failed)?;
    if done.len() != changes.len() {
        return Err(format!("{} answers to {} changes", done.len(), changes.len()));
    }
    let mut steps: Vec<(New, Vec<(Edit, bool)>)> = Vec::new();
    for ((target, edit), done) in changes.iter().zip(done) {
        match steps.iter_mut().find(|(known, _)| known == target) {
            // Changes of one entry are one moment.
            Some((_, edits)) => edits.push((*edit, done)),
            None => steps.push((*target, vec![(*edit, done)])),
        }
    }
    Ok(steps
        .into_iter()
        .map(|(target, mut edits)| {
            edits.sort_unstable();
            let (edits, done) = edits.into_iter().unzip();
            (Step::Edit(target, edits), Said::Done(done))
        })
        .collect())
}
