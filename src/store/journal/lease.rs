//! Work that is handed out for a time.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::{Control, NewBroadcast, Tried};
use crate::store::token::token;
use crate::store::{Entry, Position, Range};
use crate::{OriginLabel, SubscriptionId, UserId};

token! {
    /// Proves that one holds a lease. Opaque to all but the journal that gave it: it names the
    /// work and the epoch of the lease.
    LeaseToken, b'l'
}

macro_rules! sixteen_octets {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The octets, as a journal keeps them.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The id that a journal kept.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:032x})"), u128::from_be_bytes(self.0))
            }
        }
    };
}

sixteen_octets! {
    /// One run of one worker. A worker that starts again is another.
    WorkerId
}

sixteen_octets! {
    /// One deferred attempt. The worker chooses it, so that it can settle an answer that comes
    /// after the attempt was deferred.
    RetryId
}

impl WorkerId {
    /// An id that no other worker has.
    #[must_use]
    pub fn random() -> Self {
        // Unique is enough: it is no secret. Each state is keyed by the operating system.
        let half = || RandomState::new().hash_one("worker").to_be_bytes();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&half());
        id[8..].copy_from_slice(&half());
        Self(id)
    }
}

impl RetryId {
    /// The `number`th retry of a worker.
    #[must_use]
    pub fn of(worker: &WorkerId, number: u64) -> Self {
        Self((u128::from_be_bytes(worker.0) ^ u128::from(number)).to_be_bytes())
    }
}

/// Work, and for how long it is one's own: the term that was asked for, from before the asking.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lease {
    /// For checkpoints.
    pub token: LeaseToken,
    /// What is sent.
    pub broadcast: Arc<NewBroadcast>,
    /// How long ago the broadcast began.
    pub age: Duration,
    /// How much is left of its `send_within`; zero once that has passed.
    pub send_within_left: Duration,
    /// How fast it may go: of a limited rate, this lease's share.
    pub control: Control,
    /// What is to be done.
    pub work: Work,
}

impl Lease {
    /// A lease of its parts.
    #[must_use]
    pub const fn new(
        token: LeaseToken,
        broadcast: Arc<NewBroadcast>,
        age: Duration,
        send_within_left: Duration,
        control: Control,
        work: Work,
    ) -> Self {
        Self { token, broadcast, age, send_within_left, control, work }
    }
}

/// What a lease is for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Work {
    /// To go on with a range.
    Range {
        /// Which.
        range: Range,
        /// Where the last checkpoint was.
        after: Option<Position>,
    },
    /// To try again what was deferred and is due: as many of one broadcast as were asked for.
    Retries(Vec<Due>),
}

/// A deferred attempt that is due.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Due {
    /// Which.
    pub retry: RetryId,
    /// Whose subscription it was.
    pub user: UserId,
    /// Which it was.
    pub subscription: SubscriptionId,
    /// Whose push service.
    pub origin: OriginLabel,
    /// The subscription as it is now. `None` when the user has no subscription of that id any
    /// more: removed, moved or replaced.
    pub entry: Option<Entry>,
    /// What was tried so far.
    pub tried: Tried,
    /// What is left of the message's lifetime, which began with the first attempt; zero once it
    /// has passed. All of it where there was no attempt yet.
    pub ttl_left: Duration,
}

impl Due {
    /// A due attempt of its parts.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "a row's parts")]
    pub const fn new(
        retry: RetryId,
        user: UserId,
        subscription: SubscriptionId,
        origin: OriginLabel,
        entry: Option<Entry>,
        tried: Tried,
        ttl_left: Duration,
    ) -> Self {
        Self { retry, user, subscription, origin, entry, tried, ttl_left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_and_their_retries_are_told_apart() {
        let (a, b) = (WorkerId::random(), WorkerId::random());
        assert_ne!(a, b);
        let ids = [RetryId::of(&a, 0), RetryId::of(&a, 1), RetryId::of(&b, 0), RetryId::of(&b, 1)];
        for (i, id) in ids.iter().enumerate() {
            assert!(ids[i + 1..].iter().all(|other| other != id));
        }
    }

    #[test]
    fn a_lease_is_no_position() {
        let token = LeaseToken::encode(*b"testtest", [1, 2]);
        assert!(Position::from_bytes(token.as_bytes()).is_err());
        assert_eq!(LeaseToken::from_bytes(token.as_bytes()).unwrap().decode(*b"testtest"), Ok([1, 2]));
    }
}
