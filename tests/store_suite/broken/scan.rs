//! Defects of `page`.

use std::num::NonZeroU16;

use webpush_channels::store::{
    Audience, Page, Position, Range, StoreError, StoreErrorKind, SubscriptionStore,
};

use super::{Broken, Defect};

const OFFSET: [u8; 8] = *b"offset\0\0";

impl Broken {
    pub(super) async fn page_of(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        let anew = self.inner.split(to, NonZeroU16::MIN).await?[0];
        let mut page = match self.defect {
            Defect::OffsetPaging => return self.by_offset(to, range, after, limit).await,
            Defect::PageTooLong => self.inner.page(to, range, after, limit.saturating_add(1)).await?,
            Defect::RangesHaveNoEnd => self.inner.page(to, &anew, after, limit).await?,
            Defect::ForeignOctetsStartAnew => match self.inner.page(to, range, after, limit).await {
                Err(_) => self.inner.page(to, &anew, None, limit).await?,
                page => page?,
            },
            _ => self.inner.page(to, range, after, limit).await?,
        };
        match self.defect {
            Defect::PageLosesItsLast if page.next.is_some() => drop(page.entries.pop()),
            Defect::PageBackwards => page.entries.reverse(),
            Defect::NoAudienceOfOne if matches!(to, Audience::User(_)) => page.entries.clear(),
            Defect::EmptyPageEnds if page.entries.is_empty() => page.next = None,
            Defect::UnknownIsAnError if self.inner.count(to).await?.members == 0 => {
                return Err(StoreError::new(StoreErrorKind::Invalid));
            }
            Defect::PositionsBetweenUsersOnly => {
                // Goes on with the next user.
                let last = page.entries.last().map(|entry| entry.user.clone());
                while let Some(next) = page.next {
                    let one = self.inner.page(to, range, Some(&next), NonZeroU16::MIN).await?;
                    if one.entries.is_empty() || Some(&one.entries[0].user) != last.as_ref() {
                        break;
                    }
                    page.next = one.next;
                }
            }
            Defect::PositionsWorkOnce => {
                let mut used = self.used.lock().unwrap();
                if let Some(after) = after {
                    if used.contains(after) {
                        page.entries.clear();
                    }
                    used.push(*after);
                }
            }
            _ => {}
        }
        Ok(page)
    }

    async fn by_offset(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        let offset = match after {
            Some(after) => after.decode::<1>(OFFSET)?[0],
            None => 0,
        };
        let all = self.inner.page(to, range, None, NonZeroU16::MAX).await?.entries;
        let start = usize::try_from(offset).unwrap();
        let entries: Vec<_> = all.iter().skip(start).take(limit.get().into()).cloned().collect();
        let end = start + entries.len();
        let next = (end < all.len()).then(|| Position::encode(OFFSET, [end as u64]));
        Ok(Page { entries, next })
    }
}
