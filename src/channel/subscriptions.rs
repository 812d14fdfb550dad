//! A user's subscriptions: stored, replaced, listed, ended, and missed.

use super::renewal;
use super::{Channels, RenewalWindow, UnseenEntries};
use crate::store::{Change, Entry, NewEntry, Put, StoreError, StoreErrorKind, Unseen};
use crate::{KeyId, PolicyError, Subscription, SubscriptionId, UserId};

/// An entry that changes this often while it is being removed is being written to.
const ROUNDS: usize = 16;

/// The life of subscriptions. The user must always come from the authenticated session, never from
/// the request's body (S-10).
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # use webpush_channels::engine::vapid::{Vapid, VapidKey};
/// # use webpush_channels::sender::Sender;
/// # use webpush_channels::testing::{StubTransport, UserAgent};
/// use webpush_channels::channel::Channels;
/// use webpush_channels::store::{Coding, MemoryStore, NewEntry, Put};
/// use webpush_channels::UserId;
///
/// # let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
/// # let sender = Sender::builder(vapid, StubTransport::new()).build();
/// # let phone = UserAgent::new().subscribe("https://push.example.net/p/1".parse()?);
/// # let renewed = UserAgent::new().subscribe("https://push.example.net/p/2".parse()?);
/// let channels = Channels::new(MemoryStore::new(), sender);
/// let alice = UserId::new("alice")?;
/// let old = phone.id();
/// assert_eq!(channels.subscribe(&alice, phone, None).await?, Put::New);
///
/// // Her browser's `pushsubscriptionchange`; it is an old one.
/// let new = NewEntry::new(alice.clone(), renewed).with_coding(Coding::AesGcm);
/// assert_eq!(channels.replace(&old, new).await?, Put::Renewed);
///
/// // Her devices, and one less.
/// let devices = channels.subscriptions(&alice).await?;
/// assert!(channels.unsubscribe(&alice, &devices[0].subscription.id()).await?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
impl Channels {
    /// Stores a user's subscription, when the sender's policy allows its endpoint. `key` is the
    /// VAPID key that it was made with, where that is known.
    ///
    /// Call it whenever the page is opened: one that is stored already is only seen again.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when the policy or the store refuses.
    ///
    /// # Cancel safety
    ///
    /// As [`SubscriptionStore::put`](crate::store::SubscriptionStore::put).
    pub async fn subscribe(
        &self,
        user: &UserId,
        subscription: Subscription,
        key: Option<KeyId>,
    ) -> Result<Put, SubscribeError> {
        let mut new = NewEntry::new(user.clone(), subscription);
        new.key = key;
        self.put(new).await
    }

    /// The same with all that the page reports, its content coding too.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when the policy or the store refuses.
    ///
    /// # Cancel safety
    ///
    /// As [`SubscriptionStore::put`](crate::store::SubscriptionStore::put).
    pub async fn put(&self, new: NewEntry) -> Result<Put, SubscribeError> {
        self.check_endpoint(&new)?;
        let mut put = self.store().put(&[new]).await.map_err(SubscribeError::Store)?;
        // The contract promises one answer for one entry.
        put.pop().ok_or_else(|| SubscribeError::Store(StoreError::new(StoreErrorKind::Backend)))
    }

    /// Puts `new` in the place of the user's subscription `old`, when the sender's policy allows
    /// its endpoint: after the browser's `pushsubscriptionchange`. Authorised by `new.user`, whose
    /// session it comes from: knowing the old endpoint is not enough (R-53).
    ///
    /// Where `old` is none of this user's it stores `new` like any other. See
    /// [`SubscriptionStore::replace`](crate::store::SubscriptionStore::replace).
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when the policy or the store refuses.
    ///
    /// # Cancel safety
    ///
    /// As [`SubscriptionStore::replace`](crate::store::SubscriptionStore::replace).
    pub async fn replace(&self, old: &SubscriptionId, new: NewEntry) -> Result<Put, SubscribeError> {
        self.check_endpoint(&new)?;
        self.store().replace(&new.user, old, &new).await.map_err(SubscribeError::Store)
    }

    /// A user's subscriptions, one for each browser, in a fixed order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    pub async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        self.store().subscriptions(user).await
    }

    /// Ends one of the user's subscriptions, in whatever state it is. Returns whether there was
    /// one: another user's stays, and is no different from none. Memberships stay as well.
    ///
    /// All that is kept of a user is removed by
    /// [`SubscriptionStore::forget`](crate::store::SubscriptionStore::forget).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails, also when others keep changing the subscription.
    ///
    /// # Cancel safety
    ///
    /// The subscription is removed or not.
    pub async fn unsubscribe(&self, user: &UserId, id: &SubscriptionId) -> Result<bool, StoreError> {
        // One that was renewed in between is another version by now.
        for _ in 0..ROUNDS {
            let Some(entry) = self.find(user, id).await? else { return Ok(false) };
            if self.remove(&entry).await? {
                return Ok(true);
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable))
    }

    /// The entries of all users whose clients have not come back for as long as `window` says, by
    /// the store's clock.
    ///
    /// Nothing is removed by itself: that a client stays away proves nothing (R-20). What is to be
    /// done is the application's decision, see [`remove_unseen`](Self::remove_unseen).
    #[must_use]
    pub fn unseen(&self, window: RenewalWindow) -> UnseenEntries {
        renewal::unseen(self.store().clone(), window)
    }

    /// Removes an entry of [`unseen`](Self::unseen), unless its client came back since it was read.
    /// Returns whether it was removed.
    ///
    /// A client that comes back at this very moment may lose its subscription, and has it again
    /// with its next [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    ///
    /// # Cancel safety
    ///
    /// The entry is removed or not.
    pub async fn remove_unseen(&self, unseen: &Unseen) -> Result<bool, StoreError> {
        let Unseen { entry, .. } = unseen;
        let now = self.find(&entry.user, &entry.subscription.id()).await?;
        // An identical `put` leaves the version as it is. Both times are the store's.
        match now.filter(|now| now.seen == entry.seen) {
            Some(_) => self.remove(entry).await,
            None => Ok(false),
        }
    }

    fn check_endpoint(&self, new: &NewEntry) -> Result<(), SubscribeError> {
        let policy = &self.sender().core().policy;
        policy.check(new.subscription.endpoint()).map_err(SubscribeError::Policy)
    }

    async fn find(&self, user: &UserId, id: &SubscriptionId) -> Result<Option<Entry>, StoreError> {
        let entries = self.store().subscriptions(user).await?;
        Ok(entries.into_iter().find(|entry| entry.subscription.id() == *id))
    }

    async fn remove(&self, entry: &Entry) -> Result<bool, StoreError> {
        let done = self.store().apply(&[(entry.reference(), Change::Remove)]).await?;
        Ok(done.first().copied().unwrap_or_default())
    }
}

/// Why a subscription was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The policy does not allow its endpoint.
    #[error("the subscription's endpoint is not allowed here")]
    Policy(#[source] PolicyError),
    /// The store failed.
    #[error("the subscription could not be stored")]
    Store(#[source] StoreError),
}
