//! Several keys at once.

use std::sync::Arc;

use super::Vapid;
use crate::KeyId;

/// The signers of a server: the preferred one, for new subscriptions, and older ones whose
/// subscriptions still live.
///
/// A subscription takes messages from the key that it was created with only (V-13), so a key is
/// changed gradually (V-14): make a new one preferred, keep the old one beside it, and drop it
/// when no subscription is bound to it any more.
///
/// A key counts once: a second signer with the same key is ignored. Cloning is cheap.
///
/// ```
/// use webpush_channels::engine::vapid::{Keyring, Vapid, VapidKey};
///
/// let contact: webpush_channels::engine::vapid::Contact = "mailto:ops@example.org".parse()?;
/// let new = Vapid::new(VapidKey::generate()?, contact.clone());
/// let old = Vapid::new(VapidKey::generate()?, contact);
/// let keyring = Keyring::new(new.clone()).with_older(old.clone());
///
/// assert_eq!(keyring.preferred().key_id(), new.key_id());
/// // A subscription that is known to be bound to the old key is signed with it alone.
/// let candidates: Vec<_> = keyring.candidates(Some(old.key_id())).map(Vapid::key_id).collect();
/// assert_eq!(candidates, [old.key_id()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyring(Arc<[Vapid]>);

impl Keyring {
    /// A keyring of one signer.
    #[must_use]
    pub fn new(preferred: Vapid) -> Self {
        Self(Arc::new([preferred]))
    }

    /// The same keyring, with another signer for older subscriptions. They are tried in the order
    /// in which they were added.
    #[must_use]
    pub fn with_older(self, vapid: Vapid) -> Self {
        if self.get(&vapid.key_id()).is_some() {
            return self;
        }
        Self(self.0.iter().cloned().chain([vapid]).collect())
    }

    /// The signer for new subscriptions: its
    /// [`application_server_key`](Vapid::application_server_key) is what pages subscribe with.
    #[must_use]
    pub fn preferred(&self) -> &Vapid {
        &self.0[0]
    }

    /// The signer with this key.
    #[must_use]
    pub fn get(&self, key: &KeyId) -> Option<&Vapid> {
        self.0.iter().find(|vapid| vapid.key_id() == *key)
    }

    /// Whom to sign as for a subscription: with its key where that is known, which is nobody when
    /// the key is gone; where it is unknown (`None`) the preferred key, then the older ones.
    pub fn candidates(&self, key: Option<KeyId>) -> impl Iterator<Item = &Vapid> {
        self.0.iter().filter(move |vapid| key.is_none_or(|key| vapid.key_id() == key))
    }
}

impl From<Vapid> for Keyring {
    fn from(vapid: Vapid) -> Self {
        Self::new(vapid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::vapid::VapidKey;

    fn vapid() -> Vapid {
        Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap())
    }

    #[test]
    fn the_preferred_key_comes_first_and_a_key_counts_once() {
        let (new, old, older) = (vapid(), vapid(), vapid());
        let keyring = Keyring::from(new.clone())
            .with_older(old.clone())
            .with_older(new.clone())
            .with_older(older.clone())
            .with_older(old.clone());
        let ids: Vec<_> = keyring.candidates(None).map(Vapid::key_id).collect();
        assert_eq!(ids, [new.key_id(), old.key_id(), older.key_id()]);
        assert_eq!(keyring.get(&older.key_id()).map(Vapid::key_id), Some(older.key_id()));
    }

    #[test]
    fn a_subscription_of_a_lost_key_has_no_signer() {
        let keyring = Keyring::new(vapid());
        let lost = vapid().key_id();
        assert!(keyring.get(&lost).is_none());
        assert_eq!(keyring.candidates(Some(lost)).count(), 0);
    }
}
