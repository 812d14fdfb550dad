//! Defects of `unseen`.

use std::num::NonZeroU16;
use std::time::Duration;

use webpush_channels::store::{Position, StoreError, SubscriptionStore, UnseenPage};

use super::{Broken, Defect};

const OFFSET: [u8; 8] = *b"unseen\0\0";

impl Broken {
    pub(super) async fn unseen_for(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        let least = match self.defect {
            Defect::UnseenIgnoresTheAge | Defect::ReplacedIsNotSeen => Duration::ZERO,
            Defect::UnseenByOffset => return self.unseen_by_offset(for_at_least, after, limit).await,
            _ => for_at_least,
        };
        let mut page = self.inner.unseen(least, after, limit).await?;
        match self.defect {
            Defect::UnseenPageLosesOne if page.next.is_some() => drop(page.entries.pop()),
            Defect::ReplacedIsNotSeen => {
                let former = self.former.lock().unwrap();
                for unseen in &mut page.entries {
                    let id = unseen.entry.subscription.id();
                    if former.values().any(|new| *new == id) {
                        unseen.age = unseen.age.max(for_at_least);
                    }
                }
                page.entries.retain(|unseen| unseen.age >= for_at_least);
            }
            Defect::AgesAreZero => page.entries.iter_mut().for_each(|unseen| unseen.age = Duration::ZERO),
            _ => {}
        }
        Ok(page)
    }

    async fn unseen_by_offset(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        let offset = match after {
            Some(after) => after.decode::<1>(OFFSET)?[0],
            None => 0,
        };
        let all = self.inner.unseen(for_at_least, None, NonZeroU16::MAX).await?.entries;
        let start = usize::try_from(offset).unwrap();
        let entries: Vec<_> = all.iter().skip(start).take(limit.get().into()).cloned().collect();
        let end = start + entries.len();
        let next = (end < all.len()).then(|| Position::encode(OFFSET, [end as u64]));
        Ok(UnseenPage { entries, next })
    }
}
