//! The contract of a store, over one small state: what each step does and says.

use webpush_channels::store::Put;

use super::linear::{Event, orders};
use super::ops::Done;
use super::universe::{CHANNELS, ENDPOINTS, New, USERS};

/// What is kept of one endpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Row {
    pub(crate) new: New,
    /// 0: none.
    pub(crate) limit: u16,
    pub(crate) renewal: bool,
    /// One bit for each former endpoint. There are too few of them for a store to forget one.
    former: u16,
}

/// Everything that a store keeps, but for times.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct State {
    pub(crate) rows: [Option<Row>; ENDPOINTS as usize],
    /// One bit for each user.
    members: [u8; CHANNELS as usize],
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Edit {
    Limit(u16),
    Mark,
    Remove,
    Use(u8),
}

/// What happens at one moment. An operation is one or several of them.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put(New),
    Replace {
        user: u8,
        old: u8,
        new: New,
    },
    /// Changes of one version, in the order in which they take effect.
    Edit(New, Vec<Edit>),
    Drop {
        user: u8,
        endpoint: u8,
    },
    Join(u8, u8),
    Leave(u8, u8),
    List(u8),
    Channels(u8),
}

/// What a step is about. Parts have nothing in common: whether all steps have an order is whether those of
/// each part have one (linearizability is local).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Rows,
    /// The channels of one user.
    Channels(u8),
}

impl Step {
    pub(crate) const fn part(&self) -> Part {
        match self {
            Self::Join(_, user) | Self::Leave(_, user) | Self::Channels(user) => Part::Channels(*user),
            _ => Part::Rows,
        }
    }
}

/// What a step says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Said {
    Nothing,
    Put(Put),
    Done(Vec<bool>),
    /// In the order of endpoints.
    Rows(Vec<Shown>),
    /// One bit for each channel.
    Channels(u8),
}

/// What a store shows of a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shown {
    pub(crate) new: New,
    pub(crate) limit: u16,
    pub(crate) renewal: bool,
}

impl Row {
    const fn first(new: New) -> Self {
        Self { new, limit: 0, renewal: false, former: 0 }
    }

    const fn shown(&self) -> Shown {
        Shown { new: self.new, limit: self.limit, renewal: self.renewal }
    }

    const fn use_key(&mut self, vapid: u8) {
        self.renewal &= self.new.vapid == vapid;
        self.new.vapid = vapid;
    }
}

impl State {
    fn row(&mut self, endpoint: u8) -> &mut Option<Row> {
        &mut self.rows[usize::from(endpoint)]
    }

    pub(crate) fn of(&self, user: u8) -> impl Iterator<Item = &Row> {
        self.rows.iter().flatten().filter(move |row| row.new.user == user)
    }

    pub(crate) fn is_member(&self, channel: u8, user: u8) -> bool {
        self.members[usize::from(channel)] & (1 << user) != 0
    }

    pub(crate) fn shown(&self, which: impl Fn(&Row) -> bool) -> Vec<Shown> {
        self.rows.iter().flatten().filter(|row| which(row)).map(Row::shown).collect()
    }

    pub(crate) fn channels(&self, user: u8) -> u8 {
        (0..CHANNELS)
            .filter(|channel| self.is_member(*channel, user))
            .fold(0, |all, channel| all | 1 << channel)
    }

    /// Does a step; `limit`: how many entries one user may have.
    pub(crate) fn step(&mut self, step: &Step, limit: usize) -> Said {
        match step {
            Step::Put(new) => Said::Put(self.put(*new, limit)),
            Step::Replace { user, old, new } => Said::Put(self.replace(*user, *old, *new, limit)),
            Step::Edit(target, edits) => Said::Done(
                edits.iter().scan(*target, |target, edit| Some(self.edit(target, *edit))).collect(),
            ),
            Step::Drop { user, endpoint } => {
                let row = self.row(*endpoint);
                *row = row.filter(|row| row.new.user != *user);
                Said::Nothing
            }
            Step::Join(channel, user) => {
                self.members[usize::from(*channel)] |= 1 << user;
                Said::Nothing
            }
            Step::Leave(channel, user) => {
                self.members[usize::from(*channel)] &= !(1 << user);
                Said::Nothing
            }
            Step::List(user) => Said::Rows(self.shown(|row| row.new.user == *user)),
            Step::Channels(user) => Said::Channels(self.channels(*user)),
        }
    }

    /// Nobody's former endpoint any more.
    fn take_id(&mut self, endpoint: u8) {
        self.rows.iter_mut().flatten().for_each(|row| row.former &= !(1 << endpoint));
    }

    fn put(&mut self, new: New, limit: usize) -> Put {
        let full = self.of(new.user).count() >= limit;
        let Some(mut row) = *self.row(new.endpoint) else {
            if full {
                return Put::LimitReached;
            }
            self.take_id(new.endpoint);
            *self.row(new.endpoint) = Some(Row::first(new));
            return Put::New;
        };
        let (before, moves) = (row.new, row.new.user != new.user);
        if moves && full {
            return Put::LimitReached;
        }
        if before.keys != new.keys {
            row = Row { former: row.former, ..Row::first(new) };
        } else if moves {
            row.renewal &= new.vapid == 0 || new.vapid == before.vapid;
            row.new = new;
        } else if new.vapid != 0 {
            row.use_key(new.vapid);
        }
        if moves {
            row.former = 0;
        }
        *self.row(new.endpoint) = Some(row);
        match () {
            () if moves => Put::Moved,
            () if row.new == before => Put::Same,
            () => Put::Renewed,
        }
    }

    fn replace(&mut self, user: u8, old: u8, new: New, limit: usize) -> Put {
        let now = |row: &&Row| row.new.endpoint == old;
        let once = |row: &&Row| row.former & (1 << old) != 0;
        let rows = || self.rows.iter().flatten();
        let Some(row) = rows()
            .find(now)
            .or_else(|| rows().find(once))
            .copied()
            .filter(|row| row.new.user == user && old != new.endpoint)
        else {
            return self.put(new, limit);
        };
        let place = row.new.endpoint;
        let other = self.row(new.endpoint).map(|other| other.new.user);
        match other {
            _ if place == new.endpoint => return self.put(new, limit),
            Some(owner) if owner == user => {
                *self.row(place) = None;
                return self.put(new, limit);
            }
            None if row.former & (1 << new.endpoint) != 0 => return Put::Same,
            _ => {}
        }
        *self.row(place) = None;
        self.take_id(new.endpoint);
        let former = (row.former | 1 << place) & !(1 << new.endpoint);
        *self.row(new.endpoint) = Some(Row { former, ..Row::first(new) });
        if other.is_some() { Put::Moved } else { Put::Renewed }
    }

    /// One change of the version that the target is; a found key makes it another.
    fn edit(&mut self, target: &mut New, edit: Edit) -> bool {
        let place = self.row(target.endpoint);
        let Some(row) = place.as_mut().filter(|row| row.new == *target) else { return false };
        match edit {
            Edit::Limit(limit) => row.limit = limit,
            Edit::Mark => row.renewal = true,
            Edit::Remove => *place = None,
            Edit::Use(vapid) => {
                row.use_key(vapid);
                target.vapid = vapid;
            }
        }
        true
    }

    /// The same with the members of another one.
    pub(crate) const fn with_members_of(mut self, other: &Self) -> Self {
        self.members = other.members;
        self
    }

    /// What can be seen of it from outside: former endpoints cannot.
    pub(crate) fn visible(&self) -> Self {
        let mut seen = *self;
        seen.rows.iter_mut().flatten().for_each(|row| row.former = 0);
        seen
    }

    /// What lists of all users show.
    pub(crate) fn from_lists(rows: &[Shown], channels: [u8; USERS as usize]) -> Self {
        let mut state = Self::default();
        for Shown { new, limit, renewal } in rows {
            *state.row(new.endpoint) = Some(Row { limit: *limit, renewal: *renewal, ..Row::first(*new) });
        }
        for (user, channels) in (0..USERS).zip(channels) {
            for channel in (0..CHANNELS).filter(|channel| channels & (1 << channel) != 0) {
                state.step(&Step::Join(channel, user), usize::MAX);
            }
        }
        state
    }
}

/// The states that a history can have led to from some states, of which this one was seen.
///
/// # Errors
///
/// Where there is none.
pub(crate) fn outcomes(
    from: &[State],
    history: &[Vec<Done>],
    limit: usize,
    seen: &State,
) -> Result<Vec<State>, String> {
    let next = |state: &State, (step, said): &(Step, Said)| {
        let mut state = *state;
        if state.step(step, limit) == *said { vec![state] } else { Vec::new() }
    };
    for user in 0..USERS {
        // States differ in rows alone.
        let ends = orders(&from[..1], &part_of(history, Part::Channels(user)), next);
        if !ends.iter().any(|state| state.channels(user) == seen.channels(user)) {
            return Err(format!("no order of joining and leaving leads to the channels of user {user}"));
        }
    }
    let ends = orders(from, &part_of(history, Part::Rows), next);
    let ends = ends.into_iter().map(|state| state.with_members_of(seen));
    let ends: Vec<State> = ends.filter(|state| state.visible() == *seen).collect();
    if ends.is_empty() { Err("no order of the operations leads to these entries".into()) } else { Ok(ends) }
}

/// The steps that are about one part.
fn part_of(history: &[Vec<Done>], part: Part) -> Vec<Vec<Event<(Step, Said)>>> {
    let of_part = |done: &Done| Event {
        began: done.began,
        ended: done.ended,
        steps: done.steps.iter().filter(|(step, _)| step.part() == part).cloned().collect(),
        in_order: done.in_order(),
    };
    let of_task =
        |done: &Vec<Done>| done.iter().map(of_part).filter(|event| !event.steps.is_empty()).collect();
    history.iter().map(of_task).collect()
}
