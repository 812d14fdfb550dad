//! The seam to storage: who owns which subscription, and who is in which channel.
//!
//! | store | feature | what it is |
//! |---|---|---|
//! | `MemoryStore` | `memory` | store and journal: everything in this process, gone with it |
//! | `PostgresStore` | `postgres` | store and journal: a PostgreSQL server, for several nodes |
//! | `SqliteStore` | `sqlite` | store and journal: one file, for the processes of one host |
//! | [`Paired`] | | a store here and a journal there, as one |
//!
//! A store that also remembers broadcasts is a [`Journal`](journal::Journal).
//!
//! To write another, implement [`SubscriptionStore`] and run `testing::store_suite` over it: one
//! test for each sentence of the contract.

mod change;
mod entry;
mod error;
pub mod journal;
#[cfg(feature = "memory")]
mod memory;
mod paired;
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
mod parts;
mod position;
#[cfg(feature = "postgres")]
mod postgres;
mod rules;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod token;
mod unseen;
mod version;

use std::collections::HashSet;
use std::fmt::Debug;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::change::{Audience, Change, Count, Page, Put};
pub use self::entry::{Coding, Entry, EntryRef, NewEntry};
pub use self::error::{StoreError, StoreErrorKind};
#[cfg(feature = "memory")]
pub use self::memory::{MemoryStore, MemoryStoreBuilder};
pub use self::paired::Paired;
pub use self::position::{Position, Range};
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, PostgresStoreBuilder};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteFileError, SqliteStore, SqliteStoreBuilder};
pub use self::token::PositionError;
pub use self::unseen::{Unseen, UnseenPage};
pub use self::version::Version;
use crate::{ChannelName, SubscriptionId, UserId};

/// Keeps subscriptions and memberships.
///
/// # Contract
///
/// Between the broadcast, which scans and prunes, the application, which puts, joins and leaves,
/// and a storage that several of both use at the same time:
///
/// **Who is where**
/// * Membership is by *user*: a member's every subscription is reached. A user need not own a
///   subscription to be a member, nor be a member to own one. Users and channels exist
///   implicitly. Joining twice is joining once; leaving where one is not a member does nothing.
/// * There is one entry for one endpoint. [`put`](Self::put) by another user *moves* it to that
///   user, as when two people share a browser; that counts as removal of the old entry and
///   insertion of a new one.
///
/// **Scans**
/// * Entries come in one order, that of (user, subscription): those of one user stand together,
///   and [`subscriptions`](Self::subscriptions) gives them in the same order. What the order of
///   users is, is the store's choice; it does not change.
/// * Paging is by key, never by offset, and no lock or read transaction is held between two
///   pages. A [`Position`] may lie between two entries of one user. The cost of a page does not
///   depend on how far it is from the beginning.
/// * An entry that is there throughout a scan is yielded exactly once, whatever else is put,
///   replaced, removed, moved, joined or left meanwhile; identical puts, changed keys and
///   `replace` do not make it another.
/// * A page has at most `limit` entries. It may be short, or empty, with `next` set: only
///   `next: None` ends.
/// * [`split`](Self::split) fixes who is meant at that moment: ranges of one split do not
///   overlap, together they have every entry that is there, and a user who joins (again), or a
///   subscription that is added, later, is in none of them.
/// * [`Range`] and [`Position`] stay valid while the storage exists, on every node that uses it.
///   Damaged or foreign octets are an error of kind [`StoreErrorKind::Position`].
///
/// **Versions**
/// * [`Entry::version`] is [`Version::of`] the entry's parts, in every store. An identical `put`
///   changes nothing but `seen` and the subscription's expiration time.
/// * `put` without a VAPID key keeps the known one as long as user, endpoint and keys are the
///   same: a page that sends its `toJSON()` again must not lose what was learned.
/// * [`Entry::needs_renewal`] is cleared only by new keys or another VAPID key (by `put`,
///   `replace` or [`Change::UseKey`]); an unknown key is not another. [`Entry::payload_limit`] is
///   cleared by new keys only. Both survive a move.
/// * [`apply`](Self::apply) is compare-and-set on (id, version): a change that was decided on a
///   former state does nothing.
///
/// **Age**
/// * [`unseen`](Self::unseen) tells which clients have not come back for how long. The store judges
///   that by its own clock and hands out durations: no two machines compare times.
///
/// **Limits**
/// * A store may limit how many subscriptions one user has; it then does so atomically, also for
///   concurrent `put`s of one user.
///
/// Every operation may be repeated without harm, also after an error, when part of a batch may
/// have been done. Each entry of a batch is stored, moved or changed as a whole or not at all.
/// When an operation has returned, all later ones see its effect, on every node.
///
/// `testing::store_suite` holds one test for each of these.
///
/// # Cancel safety
///
/// Dropping the future of any method leaves the store as after an error: what was asked may have
/// been done, in part or not at all.
#[async_trait]
pub trait SubscriptionStore: Debug + Send + Sync + 'static {
    /// Stores subscriptions, in order: a second one with the same endpoint wins. Returns what
    /// became of each.
    ///
    /// An endpoint that is only a former id of another entry (see [`replace`](Self::replace)) is
    /// new. [`Put::LimitReached`] changes nothing, also where the endpoint belongs to another
    /// user.
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError>;

    /// Puts `new` in the place of `old`, as after the browser's `pushsubscriptionchange`.
    ///
    /// Authorised by `user`, who must own the old entry; knowing an endpoint is not enough
    /// . `new.user` must be the same user: else an error of kind
    /// [`StoreErrorKind::Invalid`].
    ///
    /// * Where `old` is an entry of the user, it keeps its place and `created`, gets the new id,
    ///   keys, VAPID key, coding and version, and loses `payload_limit` and `needs_renewal`:
    ///   [`Put::Renewed`]. When `new` is stored already as another user's, that entry is removed:
    ///   [`Put::Moved`]. When it is stored already as another one of the same user, it stays
    ///   where it is, as after `put`, and the old one is removed. The limit per user does not
    ///   apply.
    /// * From then on `old` is a *former id*. It resolves only here, to the entry that took its
    ///   place, also through several replacements. Repeating a replacement acts as `put` of
    ///   `new`; one that is outdated, where `new` is itself a former id of the same entry,
    ///   changes nothing: [`Put::Same`]. A store may forget former ids, except for the last eight
    ///   of an entry, and forgets them with it.
    /// * Where `old` is the id of `new`, or unknown, or another user's, it is `put` of `new`.
    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError>;

    /// Changes entries that are still in the version that the change was decided on, and says for
    /// each whether it was. Former ids are unknown here.
    ///
    /// In one batch, limits and marks come first, then removals, then
    /// [`Change::UseKey`], because it changes the version: several changes of one version all
    /// take effect. That is the order of [`Change`]. All changes of one entry are made at one moment: nothing
    /// that somebody else does comes between. A change that alters nothing (the mark is set, the key is known) is still
    /// `true`. Naming the same change of the same version twice in one batch is allowed; what is
    /// said about the second is the store's choice.
    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError>;

    /// All subscriptions of one user, in the order of [`page`](Self::page).
    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError>;

    /// Makes these users members.
    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError>;

    /// Ends the membership of these users. Their subscriptions stay.
    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError>;

    /// The channels that a user is a member of, each once, in any order.
    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError>;

    /// The next entries of one range of an audience, after a position or from the range's
    /// beginning.
    ///
    /// The range must come from [`split`](Self::split) for the same audience, and the position
    /// from a page of the same range. What is mixed up otherwise yields an error or entries of
    /// the audience, never others.
    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError>;

    /// Cuts an audience, as it is now, into ranges that can be scanned independently: at least
    /// one, at most `parts`, of no particular size.
    ///
    /// It must be fast for any audience: cut the space of numbers, do not count.
    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError>;

    /// The entries of all users that wait for their client to subscribe anew, by pages. Entries
    /// that are marked while it is being read may be in it or not.
    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError>;

    /// The entries of all users that were neither put nor replaced for at least so long, by pages,
    /// with their ages.
    ///
    /// Judged by the store's clock, in whole seconds: no node compares [`Entry::seen`] with its own.
    /// An identical `put` makes an entry young; [`apply`](Self::apply) does not, because it is no
    /// sign of life. Zero means every entry. One that grows old or young while it is being read may
    /// be in it or not.
    ///
    /// A page looks at a bounded number of rows, whatever their age: no index is needed, and a page
    /// may be short, or empty, with `next` set.
    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError>;

    /// Ends all memberships of a channel. Subscriptions stay.
    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError>;

    /// Removes all that is kept of a user: subscriptions and memberships, in a journal also
    /// retries and failures.
    ///
    /// This default does it by the other methods. When subscriptions of the user are put faster
    /// than it removes them it gives up with [`StoreErrorKind::Unavailable`].
    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        for channel in self.channels(user).await? {
            self.leave(&channel, std::slice::from_ref(user)).await?;
        }
        // One that was renewed in between is another version by now.
        for _ in 0..FORGET_ROUNDS {
            let entries = self.subscriptions(user).await?;
            if entries.is_empty() {
                return Ok(());
            }
            let removals: Vec<_> = entries.iter().map(|entry| (entry.reference(), Change::Remove)).collect();
            self.apply(&removals).await?;
        }
        Err(StoreError::new(StoreErrorKind::Unavailable))
    }

    /// Whether the storage is usable now, for health checks. By default it is.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// How large an audience is now.
    ///
    /// This default pages through it, and counts only those members who own a subscription: no
    /// page shows the others. A store that can do better overrides it and counts every member of
    /// a channel.
    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        let mut count = Count::default();
        for range in self.split(to, NonZeroU16::MIN).await? {
            let mut users = HashSet::new();
            let mut after = None;
            loop {
                let page = self.page(to, &range, after.as_ref(), COUNT_PAGE).await?;
                count.subscriptions += page.entries.len() as u64;
                // Entries of one user stand together, so that only the last of them may go on.
                let last = page.entries.last().map(|entry| entry.user.clone());
                users.extend(page.entries.into_iter().map(|entry| entry.user));
                if let Some(last) = last {
                    users.remove(&last);
                    count.members += users.len() as u64;
                    users.clear();
                    users.insert(last);
                }
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            count.members += users.len() as u64;
        }
        Ok(count)
    }
}

/// A user whose entries change this often while they are being removed is being written to.
const FORGET_ROUNDS: usize = 16;
/// A page of the default `count`.
const COUNT_PAGE: NonZeroU16 = NonZeroU16::new(1000).expect("not zero");

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: SubscriptionStore + ?Sized> SubscriptionStore for $pointer<T> {
            async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
                (**self).put(entries).await
            }

            async fn replace(
                &self,
                user: &UserId,
                old: &SubscriptionId,
                new: &NewEntry,
            ) -> Result<Put, StoreError> {
                (**self).replace(user, old, new).await
            }

            async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
                (**self).apply(changes).await
            }

            async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
                (**self).subscriptions(user).await
            }

            async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
                (**self).join(channel, users).await
            }

            async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
                (**self).leave(channel, users).await
            }

            async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
                (**self).channels(user).await
            }

            async fn page(
                &self,
                to: &Audience,
                range: &Range,
                after: Option<&Position>,
                limit: NonZeroU16,
            ) -> Result<Page, StoreError> {
                (**self).page(to, range, after, limit).await
            }

            async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
                (**self).split(to, parts).await
            }

            async fn needing_renewal(
                &self,
                after: Option<&Position>,
                limit: NonZeroU16,
            ) -> Result<Page, StoreError> {
                (**self).needing_renewal(after, limit).await
            }

            async fn unseen(
                &self,
                for_at_least: Duration,
                after: Option<&Position>,
                limit: NonZeroU16,
            ) -> Result<UnseenPage, StoreError> {
                (**self).unseen(for_at_least, after, limit).await
            }

            async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
                (**self).remove_channel(channel).await
            }

            async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
                (**self).forget(user).await
            }

            async fn check(&self) -> Result<(), StoreError> {
                (**self).check().await
            }

            async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
                (**self).count(to).await
            }
        }
    };
}
forward!(Arc);
forward!(Box);

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_obj_safe!(SubscriptionStore);
    static_assertions::assert_impl_all!(Arc<dyn SubscriptionStore>: SubscriptionStore);
    static_assertions::assert_impl_all!(Box<dyn SubscriptionStore>: SubscriptionStore);
}
