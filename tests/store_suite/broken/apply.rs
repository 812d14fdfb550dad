//! Defects of `apply`.

use webpush_channels::store::{Change, EntryRef, NewEntry, StoreError, SubscriptionStore};

use super::{Broken, Defect};

impl Broken {
    pub(super) async fn apply_all(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        match self.defect {
            Defect::RemoveDoesNothing
            | Defect::VersionIsIgnored
            | Defect::LimitsAreDropped
            | Defect::FoundKeyKeepsTheMark
            | Defect::KnownKeyClearsTheMark
            | Defect::ApplyTakesFormerIds
            | Defect::ChangedIsSeen
            | Defect::ChangesInOrder => {
                let mut done = Vec::new();
                for (to, change) in changes {
                    done.push(self.apply_one(*to, *change).await?);
                }
                Ok(done)
            }
            _ => self.inner.apply(changes).await,
        }
    }

    async fn apply_one(&self, mut to: EntryRef, change: Change) -> Result<bool, StoreError> {
        let entry = self.find(&to.id).await;
        match (self.defect, change, &entry) {
            (Defect::RemoveDoesNothing, Change::Remove, Some(_)) => return Ok(true),
            (Defect::LimitsAreDropped, Change::LimitPayload(_), Some(entry)) => {
                return Ok(entry.reference() == to);
            }
            (Defect::VersionIsIgnored, _, Some(entry)) => to = entry.reference(),
            (Defect::ApplyTakesFormerIds, _, None) => {
                let id = self.former.lock().unwrap().get(&to.id).copied();
                to.id = id.unwrap_or(to.id);
            }
            (Defect::KnownKeyClearsTheMark, Change::UseKey(key), Some(entry)) if entry.key == Some(key) => {
                self.clear_mark(entry).await;
                return Ok(true);
            }
            _ => {}
        }
        let done = self.inner.apply(&[(to, change)]).await?[0];
        if self.has(Defect::ChangedIsSeen)
            && let Some(now) = self.find(&to.id).await
        {
            self.inner.put(&[NewEntry::new(now.user, now.subscription)]).await?;
        }
        let found_key = self.has(Defect::FoundKeyKeepsTheMark) && matches!(change, Change::UseKey(_));
        if let Some(before) = entry.filter(|_| found_key)
            && let Some(now) = self.find(&to.id).await
        {
            self.restore(&now, &before).await;
        }
        Ok(done)
    }
}
