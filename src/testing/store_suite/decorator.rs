//! Stores that wrap another one.

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::kit;
use crate::store::{
    Audience, Change, Count, Entry, EntryRef, NewEntry, Page, Position, Put, Range, StoreError,
    SubscriptionStore, UnseenPage,
};
use crate::testing::lock;
use crate::{ChannelName, SubscriptionId, UserId};

/// A store that keeps nothing and knows which of its methods were called, with answers that no
/// default method gives.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Probe {
    /// The methods that were called, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        lock(&self.calls).clone()
    }

    pub(in crate::testing) fn called(&self, method: &'static str) {
        lock(&self.calls).push(method);
    }
}

/// For a decorator or a pointer that passes everything on: it passes on every method once, the
/// default ones too. A decorator that leaves one out silently takes the slow default.
pub async fn a_decorator_forwards_every_method<S: SubscriptionStore>(decorate: impl FnOnce(Probe) -> S) {
    let probe = Probe::default();
    let store = decorate(probe.clone());
    let (user, channel, to) = (kit::user("ann"), kit::channel("news"), kit::members("news"));
    let (new, range, limit) = (kit::new("ann", 1), Range::encode([0; 8], [7]), NonZeroU16::MIN);
    let reference = EntryRef { id: new.subscription.id(), version: new.version() };
    let expect = "a probe does not fail";
    store.put(std::slice::from_ref(&new)).await.expect(expect);
    store.replace(&user, &reference.id, &new).await.expect(expect);
    store.apply(&[(reference, Change::Remove)]).await.expect(expect);
    store.subscriptions(&user).await.expect(expect);
    store.join(&channel, std::slice::from_ref(&user)).await.expect(expect);
    store.leave(&channel, std::slice::from_ref(&user)).await.expect(expect);
    store.channels(&user).await.expect(expect);
    store.page(&to, &range, None, limit).await.expect(expect);
    store.split(&to, limit).await.expect(expect);
    store.needing_renewal(None, limit).await.expect(expect);
    store.unseen(Duration::ZERO, None, limit).await.expect(expect);
    store.remove_channel(&channel).await.expect(expect);
    store.forget(&user).await.expect(expect);
    store.check().await.expect(expect);
    let count = store.count(&to).await.expect(expect);
    assert_eq!(count, Count { members: 17, subscriptions: 40 }, "the count of the store inside");
    let all = [
        "put",
        "replace",
        "apply",
        "subscriptions",
        "join",
        "leave",
        "channels",
        "page",
        "split",
        "needing_renewal",
        "unseen",
        "remove_channel",
        "forget",
        "check",
        "count",
    ];
    assert_eq!(probe.calls(), all, "every method is passed on, once");
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SubscriptionStore for Probe {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        self.called("put");
        Ok(vec![Put::Same; entries.len()])
    }

    async fn replace(&self, _: &UserId, _: &SubscriptionId, _: &NewEntry) -> Result<Put, StoreError> {
        self.called("replace");
        Ok(Put::Same)
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        self.called("apply");
        Ok(vec![true; changes.len()])
    }

    async fn subscriptions(&self, _: &UserId) -> Result<Vec<Entry>, StoreError> {
        self.called("subscriptions");
        Ok(Vec::new())
    }

    async fn join(&self, _: &ChannelName, _: &[UserId]) -> Result<(), StoreError> {
        self.called("join");
        Ok(())
    }

    async fn leave(&self, _: &ChannelName, _: &[UserId]) -> Result<(), StoreError> {
        self.called("leave");
        Ok(())
    }

    async fn channels(&self, _: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        self.called("channels");
        Ok(Vec::new())
    }

    async fn page(
        &self,
        _: &Audience,
        _: &Range,
        _: Option<&Position>,
        _: NonZeroU16,
    ) -> Result<Page, StoreError> {
        self.called("page");
        Ok(Page::default())
    }

    async fn split(&self, _: &Audience, _: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        self.called("split");
        Ok(Vec::new())
    }

    async fn needing_renewal(&self, _: Option<&Position>, _: NonZeroU16) -> Result<Page, StoreError> {
        self.called("needing_renewal");
        Ok(Page::default())
    }

    async fn unseen(
        &self,
        _: Duration,
        _: Option<&Position>,
        _: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        self.called("unseen");
        Ok(UnseenPage::default())
    }

    async fn remove_channel(&self, _: &ChannelName) -> Result<(), StoreError> {
        self.called("remove_channel");
        Ok(())
    }

    async fn forget(&self, _: &UserId) -> Result<(), StoreError> {
        self.called("forget");
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.called("check");
        Ok(())
    }

    async fn count(&self, _: &Audience) -> Result<Count, StoreError> {
        self.called("count");
        Ok(Count { members: 17, subscriptions: 40 })
    }
}
