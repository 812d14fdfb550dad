//! Defects of `put`.

use webpush_channels::store::{Change, Entry, NewEntry, Put, SubscriptionStore};
use webpush_channels::{KeyId, Subscription};

use super::{Broken, Defect};

impl Broken {
    pub(super) async fn put_one(&self, new: &NewEntry) -> Put {
        let id = new.subscription.id();
        let before = self.find(&id).await;
        let mut new = new.clone();
        new.user = self.name(&new.user);
        match (self.defect, &before) {
            (Defect::PutDropsTheKey, _) => new.key = None,
            (Defect::PutKeepsTheExpirationTime, Some(entry)) => {
                let keys = new.subscription.keys().clone();
                let kept = Subscription::new(new.subscription.endpoint().clone(), keys);
                new.subscription = kept.with_expiration_time(entry.subscription.expiration_time()).into();
            }
            (Defect::PutForgetsTheKey, Some(entry)) if new.key.is_none() && entry.key.is_some() => {
                self.change(entry, Change::Remove).await;
            }
            (Defect::PutKeepsTheKeyTooLong, Some(entry)) => new.key = new.key.or(entry.key),
            (Defect::FirstOwnerKeepsTheEndpoint, Some(entry)) if entry.user != new.user => return Put::Same,
            (Defect::PutTakesFormerIds, None) if self.former.lock().unwrap().contains_key(&id) => {
                return Put::Same;
            }
            (Defect::SameIsNotSeen, Some(entry)) if entry.version == new.version() => return Put::Same,
            (Defect::LimitIsRacy, _) => {
                let count = self.inner.subscriptions(&new.user).await.unwrap().len();
                tokio::task::yield_now().await;
                if count >= 3 {
                    return Put::LimitReached;
                }
            }
            _ => {}
        }
        let put = self.inner.put(&[new.clone()]).await.unwrap()[0];
        match (self.defect, put, before) {
            (Defect::PutReinserts, Put::Same | Put::Renewed, Some(before)) => {
                let now = self.own(&before.user, &id).await.unwrap();
                self.change(&now, Change::Remove).await;
                self.inner.put(&[new]).await.unwrap();
            }
            (Defect::RenewalKeepsWhatWasLearned, Put::Renewed, Some(before)) => {
                self.restore(&self.own(&new.user, &id).await.unwrap(), &before).await;
            }
            (Defect::RenewalClearsTheMark, Put::Renewed | Put::Moved, _) => {
                let now = self.own(&new.user, &id).await.unwrap();
                self.clear_mark(&now).await;
            }
            (Defect::LimitLosesTheEndpoint, Put::LimitReached, Some(before)) => {
                self.change(&before, Change::Remove).await;
            }
            _ => {}
        }
        put
    }

    pub(super) async fn restore(&self, now: &Entry, before: &Entry) {
        if let Some(limit) = before.payload_limit {
            self.change(now, Change::LimitPayload(limit)).await;
        }
        if before.needs_renewal {
            self.change(now, Change::NeedsRenewal).await;
        }
    }

    /// By a detour over another VAPID key.
    pub(super) async fn clear_mark(&self, entry: &Entry) {
        let id = entry.subscription.id();
        self.change(entry, Change::UseKey(KeyId::from_bytes([99; 16]))).await;
        let now = self.own(&entry.user, &id).await.unwrap();
        let key = entry.key.unwrap_or(KeyId::from_bytes([98; 16]));
        self.change(&now, Change::UseKey(key)).await;
    }
}
