//! Defects of `replace`.

use webpush_channels::store::{Change, NewEntry, Put, StoreError, SubscriptionStore};
use webpush_channels::{SubscriptionId, UserId};

use super::{Broken, Defect};

impl Broken {
    pub(super) async fn replace_one(
        &self,
        user: &UserId,
        old: &SubscriptionId,
        new: &NewEntry,
    ) -> Result<Put, StoreError> {
        let id = new.subscription.id();
        let before = self.own(user, old).await;
        let target = self.find(&id).await;
        let current = before.is_some();
        match (self.defect, &before, &target) {
            (Defect::ReplaceIsRemoveAndPut, Some(entry), _) => {
                self.change(entry, Change::Remove).await;
                self.inner.put(std::slice::from_ref(new)).await?;
                return Ok(Put::Renewed);
            }
            (Defect::FormerIdsAreForgotten, None, _) => {
                return Ok(self.inner.put(std::slice::from_ref(new)).await?[0]);
            }
            (Defect::ReplaceOfUnknownIsNothing, None, _) => return Ok(Put::Same),
            (Defect::ReplaceByAnybody, None, _) => {
                if let Some(entry) = self.find(old).await {
                    self.change(&entry, Change::Remove).await;
                }
            }
            (Defect::ReplaceMovesTheOwn, Some(_), Some(target)) if target.user == *user => {
                self.change(target, Change::Remove).await;
            }
            (Defect::ReplaceByForeignIsPut, Some(_), Some(target)) if target.user != *user => {
                return Ok(self.inner.put(std::slice::from_ref(new)).await?[0]);
            }
            (Defect::ReplaceForAnotherUser, ..) => {
                return self.inner.replace(&new.user, old, new).await;
            }
            _ => {}
        }
        let put = self.inner.replace(user, old, new).await?;
        match (self.defect, put) {
            (Defect::ReplaceKeepsTheMark, Put::Renewed) => {
                let now = self.own(user, &id).await.unwrap();
                self.restore(&now, &before.unwrap()).await;
            }
            (Defect::RepeatedReplaceIsNews, Put::Same) => return Ok(Put::Renewed),
            (Defect::OutdatedReplaceWins, Put::Same) if !current && target.is_none() => {
                let now = self.inner.subscriptions(user).await?.remove(0);
                return self.inner.replace(user, &now.subscription.id(), new).await.map(|_| Put::Renewed);
            }
            (Defect::FormerIdsOutliveTheEntry, Put::New) if self.former.lock().unwrap().contains_key(old) => {
                return Ok(Put::Renewed);
            }
            _ => {}
        }
        Ok(put)
    }
}
