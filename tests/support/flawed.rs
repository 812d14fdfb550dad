//! A store, an encryptor and a transport that misbehave, each in one way.

use std::future::Future;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Lane, Plaintext};
use webpush_channels::store::{
    Audience, Change, EntryRef, MemoryStore, NewEntry, Page, Position, Put, Range, StoreError,
    StoreErrorKind, SubscriptionStore, UnseenPage,
};
use webpush_channels::testing::UserAgent;
use webpush_channels::transport::{Transport, TransportError};
use webpush_channels::{ChannelName, SubscriptionId, SubscriptionKeys, UserId};

#[derive(Clone, Copy, Debug)]
pub enum Flaw {
    /// The page of this number fails, the first being 0.
    Page(usize),
    Split,
    Apply,
    /// Every second page is empty, and is not the end.
    EmptyPages,
    /// So many batches of changes come late: what they were for is another by then.
    Stale(usize),
    Unseen,
    /// Changes take so long.
    SlowApply(Duration),
}

#[derive(Debug)]
pub struct Flawed {
    store: Arc<MemoryStore>,
    flaw: Flaw,
    pages: AtomicUsize,
}

impl Flawed {
    pub fn new(store: Arc<MemoryStore>, flaw: Flaw) -> Self {
        Self { store, flaw, pages: AtomicUsize::new(0) }
    }
}

fn failure<T>() -> Result<T, StoreError> {
    Err(StoreError::new(StoreErrorKind::Backend))
}

#[async_trait]
impl SubscriptionStore for Flawed {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        self.store.put(entries).await
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        self.store.replace(user, old, new).await
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        match self.flaw {
            Flaw::Apply => return failure(),
            Flaw::Stale(batches) if self.pages.fetch_add(1, Ordering::SeqCst) < batches => {
                return Ok(vec![false; changes.len()]);
            }
            Flaw::SlowApply(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        self.store.apply(changes).await
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<webpush_channels::store::Entry>, StoreError> {
        self.store.subscriptions(user).await
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.store.join(channel, users).await
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.store.leave(channel, users).await
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        self.store.channels(user).await
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        let page = self.pages.fetch_add(1, Ordering::SeqCst);
        match (self.flaw, after) {
            (Flaw::Page(failing), _) if page == failing => failure(),
            (Flaw::EmptyPages, Some(after)) if page % 2 == 1 => {
                Ok(Page { entries: Vec::new(), next: Some(*after) })
            }
            _ => self.store.page(to, range, after, limit).await,
        }
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        if matches!(self.flaw, Flaw::Split) { failure() } else { self.store.split(to, parts).await }
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.store.needing_renewal(after, limit).await
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        if matches!(self.flaw, Flaw::Unseen) {
            return failure();
        }
        self.store.unseen(for_at_least, after, limit).await
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.store.remove_channel(channel).await
    }
}

/// What an encryptor does wrong.
#[derive(Clone, Copy, Debug)]
pub enum Odd {
    Panics,
    FailsForOne,
    LeavesOneOut,
}

impl Encryptor for Odd {
    fn max_plaintext_len(&self) -> usize {
        3993
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        _: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        out.clear();
        if matches!(self, Self::FailsForOne) && *to == UserAgent::seeded(3).keys() {
            return Err(EncryptError::Key);
        }
        Ok(Encoded::Aes128Gcm)
    }

    fn encrypt_batch(&self, plaintext: &Plaintext, lanes: &mut [Lane<'_>]) {
        for lane in lanes {
            match self {
                Self::Panics => panic!("an encryptor's bug"),
                Self::LeavesOneOut if *lane.to == UserAgent::seeded(3).keys() => {}
                _ => lane.result = Some(self.encrypt(lane.to, plaintext, &mut lane.out)),
            }
        }
    }
}

/// Panics before it returns a future: written without `async_trait`.
#[derive(Debug)]
pub struct PanicsAtOnce;

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send + 'a>>;

impl Transport for PanicsAtOnce {
    fn send<'life0, 'async_trait>(&'life0 self, _: Request<Bytes>) -> Sending<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        panic!("a transport's bug")
    }
}
