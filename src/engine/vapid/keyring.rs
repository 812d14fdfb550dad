//! Several keys at once.

use std::sync::Arc;

use super::Vapid;
use crate::KeyId;

/// The keys of a server: the preferred one, for new subscriptions, older ones whose subscriptions
/// still live, and those that are given up.
///
/// A subscription takes messages from the key that it was created with only (V-13), so a key is
/// changed gradually (V-14): make a new one preferred, keep the old one beside it, and retire it
/// when few subscriptions are bound to it any more, or at once when it leaked. A broadcast then
/// marks what is bound to it as needing renewal, and sends it nothing.
///
/// A key counts once: a second one of the same key is ignored, and a retired one stays so.
/// Cloning is cheap.
///
/// ```
/// use webpush_channels::engine::vapid::{KeyAdvice, Keyring, Vapid, VapidKey};
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
/// assert!(matches!(keyring.advice(Some(old.key_id())), KeyAdvice::MayMove { .. }));
///
/// let keyring = keyring.with_retired(old.key_id())?;
/// assert_eq!(keyring.candidates(Some(old.key_id())).count(), 0);
/// assert!(matches!(keyring.advice(Some(old.key_id())), KeyAdvice::MustSubscribe { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyring(Arc<Keys>);

#[derive(Clone, Debug)]
struct Keys {
    /// The preferred one first.
    active: Vec<Vapid>,
    retired: Vec<KeyId>,
}

impl Keyring {
    /// A keyring of one key.
    #[must_use]
    pub fn new(preferred: Vapid) -> Self {
        Self(Arc::new(Keys { active: vec![preferred], retired: Vec::new() }))
    }

    /// The same keyring, with another key for older subscriptions. They are tried in the order
    /// in which they were added.
    #[must_use]
    pub fn with_older(mut self, vapid: Vapid) -> Self {
        if self.get(&vapid.key_id()).is_none() && !self.is_retired(&vapid.key_id()) {
            Arc::make_mut(&mut self.0).active.push(vapid);
        }
        self
    }

    /// The same keyring, in which this key is given up: it signs nothing any more, and
    /// subscriptions that are bound to it have to be made anew. It need not have been in the
    /// keyring.
    ///
    /// # Errors
    ///
    /// [`RetireError`] for the preferred key: nothing would be left to subscribe with.
    pub fn with_retired(mut self, key: KeyId) -> Result<Self, RetireError> {
        if self.preferred().key_id() == key {
            return Err(RetireError);
        }
        if !self.is_retired(&key) {
            let keys = Arc::make_mut(&mut self.0);
            keys.active.retain(|vapid| vapid.key_id() != key);
            keys.retired.push(key);
        }
        Ok(self)
    }

    /// The key for new subscriptions: its
    /// [`application_server_key`](Vapid::application_server_key) is what pages subscribe with.
    #[must_use]
    pub fn preferred(&self) -> &Vapid {
        &self.0.active[0]
    }

    /// What signs with this key; none when it is retired or unknown.
    #[must_use]
    pub fn get(&self, key: &KeyId) -> Option<&Vapid> {
        self.0.active.iter().find(|vapid| vapid.key_id() == *key)
    }

    /// Whether this key was given up. One that is unknown was not: another node may know it.
    #[must_use]
    pub fn is_retired(&self, key: &KeyId) -> bool {
        self.0.retired.contains(key)
    }

    /// The keys that were given up, in the order in which they were.
    #[must_use]
    pub fn retired(&self) -> &[KeyId] {
        &self.0.retired
    }

    /// Whom to sign as for a subscription: with its key where that is known, which is nobody when
    /// the key is gone; where it is unknown (`None`) the preferred key, then the older ones.
    pub fn candidates(&self, key: Option<KeyId>) -> impl Iterator<Item = &Vapid> {
        self.0.active.iter().filter(move |vapid| key.is_none_or(|key| vapid.key_id() == key))
    }

    /// What to tell a client whose subscription is bound to this key (`None`: it is not known to
    /// which).
    #[must_use]
    pub fn advice(&self, bound: Option<KeyId>) -> KeyAdvice {
        let application_server_key = self.preferred().application_server_key().to_owned();
        match bound {
            Some(key) if key == self.preferred().key_id() => KeyAdvice::Keep { application_server_key },
            Some(key) if self.get(&key).is_none() => KeyAdvice::MustSubscribe { application_server_key },
            _ => KeyAdvice::MayMove { application_server_key },
        }
    }

    /// Whether there are, or were, several keys: then it is worth knowing which one is right.
    #[cfg(feature = "channel")]
    pub(crate) fn is_choice(&self) -> bool {
        self.0.active.len() + self.0.retired.len() > 1
    }
}

impl From<Vapid> for Keyring {
    fn from(vapid: Vapid) -> Self {
        Self::new(vapid)
    }
}

/// What a client should do about the key that its subscription is bound to, and the
/// `applicationServerKey` to subscribe with now, in base64url.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyAdvice {
    /// Nothing: it is bound to the preferred key.
    Keep {
        /// The key that it is bound to.
        application_server_key: String,
    },
    /// It still gets messages, or it is unknown to which key it is bound; where the page sees
    /// another `options.applicationServerKey` than this one, it may subscribe anew when that
    /// disturbs nobody.
    MayMove {
        /// The preferred key.
        application_server_key: String,
    },
    /// It gets no messages any more: unsubscribe, then subscribe with this key.
    MustSubscribe {
        /// The preferred key.
        application_server_key: String,
    },
}

impl KeyAdvice {
    /// The key to subscribe with now.
    #[must_use]
    pub fn application_server_key(&self) -> &str {
        match self {
            Self::Keep { application_server_key }
            | Self::MayMove { application_server_key }
            | Self::MustSubscribe { application_server_key } => application_server_key,
        }
    }

    /// The advice in a word, for an API: `keep`, `may_move` or `must_subscribe`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Keep { .. } => "keep",
            Self::MayMove { .. } => "may_move",
            Self::MustSubscribe { .. } => "must_subscribe",
        }
    }
}

/// The preferred key was to be retired.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the preferred VAPID key cannot be retired: prefer another one first")]
#[non_exhaustive]
pub struct RetireError;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::vapid::VapidKey;

    fn vapid() -> Vapid {
        Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap())
    }

    fn ids(keyring: &Keyring) -> Vec<KeyId> {
        keyring.candidates(None).map(Vapid::key_id).collect()
    }

    #[test]
    fn the_preferred_key_comes_first_and_a_key_counts_once() {
        let (new, old, older) = (vapid(), vapid(), vapid());
        let keyring = Keyring::from(new.clone())
            .with_older(old.clone())
            .with_older(new.clone())
            .with_older(older.clone())
            .with_older(old.clone());
        assert_eq!(ids(&keyring), [new.key_id(), old.key_id(), older.key_id()]);
        assert_eq!(keyring.get(&older.key_id()).map(Vapid::key_id), Some(older.key_id()));
    }

    #[test]
    fn a_subscription_of_a_lost_key_has_no_signer() {
        let keyring = Keyring::new(vapid());
        let lost = vapid().key_id();
        assert!(keyring.get(&lost).is_none() && !keyring.is_retired(&lost));
        assert_eq!(keyring.candidates(Some(lost)).count(), 0);
    }

    #[test]
    fn a_retired_key_is_gone_whatever_the_order() {
        let (new, old) = (vapid(), vapid());
        let before = Keyring::new(new.clone()).with_older(old.clone());
        let after = before.clone().with_retired(old.key_id()).unwrap().with_retired(old.key_id()).unwrap();
        assert_eq!(ids(&before).len(), 2, "clones keep theirs");
        assert_eq!(ids(&after), [new.key_id()]);
        assert_eq!(after.retired(), [old.key_id()]);
        assert_eq!(ids(&after.with_older(old.clone())), [new.key_id()]);
        let refused = Keyring::new(new.clone()).with_retired(new.key_id()).unwrap_err();
        assert!(refused.to_string().contains("prefer another"));
    }

    #[test]
    fn a_client_is_told_what_its_key_is_worth() {
        let (new, old, gone, strange) = (vapid(), vapid(), vapid(), vapid());
        let keyring = Keyring::new(new.clone()).with_older(old.clone()).with_retired(gone.key_id()).unwrap();
        let advice = |key: Option<&Vapid>| keyring.advice(key.map(Vapid::key_id)).as_str();
        assert_eq!(advice(Some(&new)), "keep");
        assert_eq!(advice(Some(&old)), "may_move");
        assert_eq!(advice(None), "may_move");
        assert_eq!(advice(Some(&gone)), "must_subscribe");
        assert_eq!(advice(Some(&strange)), "must_subscribe");
        let advice = keyring.advice(Some(gone.key_id()));
        assert_eq!(advice.application_server_key(), new.application_server_key());
    }
}
