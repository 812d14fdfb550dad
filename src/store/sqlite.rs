//! A store in one file.

mod db;
mod error;
mod journal;
mod members;
mod open;
mod readers;
mod rows;
mod scan;
mod subscriptions;
mod task;
mod write;
mod writer;

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::db::{Db, Ended};
use self::error::SqlError;
pub use self::error::SqliteFileError;
use self::open::Settings;
use super::StoreError;
use crate::clock::{Clock, SystemClock};

/// A [`SubscriptionStore`](super::SubscriptionStore) and [`Journal`](super::journal::Journal) in a
/// SQLite database: one file, which several processes of one host may share.
///
/// Beside the file `NAME` there are `NAME-wal` and `NAME-shm` while it is in use: they belong
/// together, and must not be copied apart. The file must be on a local file system. Where there is
/// none, one is made that only its owner can read and write (mode 0600 on Unix); for processes of
/// several users, make an empty one with the mode that you want.
///
/// What an operation wrote survives a power cut once it has returned. Operations that wait at the
/// same time share one commit, so that many small ones cost the disk little. Only the progress of
/// broadcasts is not waited for each time: a crash of the process takes nothing of it, a power cut
/// about the last second, which is then sent again.
///
/// One thread writes and a few read, all started by [`open`](Self::open); no operation blocks the
/// thread of whoever awaits it. They end when the store is dropped.
///
/// ```
/// use webpush_channels::store::{Audience, Count, NewEntry, Put, SqliteStore, SubscriptionStore};
/// use webpush_channels::{ChannelName, Subscription, UserId};
/// # let subscription = Subscription::from_json(r#"{"endpoint": "https://push.example.net/p/x", "keys": {
/// #     "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
/// #     "auth": "BTBZMqHH6r4Tts7J_aSIgg"}}"#)?;
/// # let directory = std::env::temp_dir().join(format!("webpush-channels-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let path = directory.join("subscriptions.sqlite");
/// let store = SqliteStore::open(&path).await?;
/// let (news, alice) = (ChannelName::new("news")?, UserId::new("alice")?);
/// assert_eq!(store.put(&[NewEntry::new(alice.clone(), subscription)]).await?, [Put::New]);
/// store.join(&news, &[alice]).await?;
/// store.close().await?;
///
/// let store = SqliteStore::open(&path).await?;
/// let count = store.count(&Audience::Channel(news)).await?;
/// assert_eq!(count, Count { members: 1, subscriptions: 1 });
/// # store.close().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteStore {
    db: Db,
    ended: Ended,
    limit: u32,
    path: PathBuf,
}

/// The most subscriptions of one user: each browser profile makes one, dead ones stay until the
/// next broadcast, and every one above that only lets an account multiply our requests (S-10).
const DEFAULT_LIMIT: NonZeroU32 = NonZeroU32::new(64).expect("not zero");
/// Pages are read while others are sent: few at a time.
const DEFAULT_READERS: NonZeroU8 = NonZeroU8::new(4).expect("not zero");
/// Holds the index of ids of half a million subscriptions.
const DEFAULT_CACHE_MB: u32 = 64;
/// Another process commits within milliseconds, and moves its log into the file within a second.
const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl SqliteStore {
    /// Opens the database of this path with the default settings; makes it where there is none.
    ///
    /// # Errors
    ///
    /// As [`SqliteStoreBuilder::open`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::builder(path).open().await
    }

    /// For other settings.
    #[must_use]
    pub fn builder(path: impl Into<PathBuf>) -> SqliteStoreBuilder {
        SqliteStoreBuilder {
            settings: Settings {
                path: path.into(),
                busy_timeout: DEFAULT_BUSY_TIMEOUT,
                cache_mb: DEFAULT_CACHE_MB,
                max_size_mb: None,
            },
            limit: DEFAULT_LIMIT,
            readers: DEFAULT_READERS,
            clock: Arc::new(SystemClock),
        }
    }

    /// Ends the threads, waits for them, and moves what is in the log into the file, which can
    /// then be moved or copied, unless another process uses it.
    ///
    /// # Errors
    ///
    /// When the log could not be moved; nothing is lost, it stays beside the file.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the threads end all the same; nobody waits for them then.
    pub async fn close(self) -> Result<(), StoreError> {
        let Self { db, mut ended, .. } = self;
        drop(db);
        let mut result = Ok(());
        while let Some(fault) = ended.recv().await {
            result = Err(SqlError::from(fault).into());
        }
        result
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Builds a [`SqliteStore`].
#[derive(Clone, Debug)]
pub struct SqliteStoreBuilder {
    settings: Settings,
    limit: NonZeroU32,
    readers: NonZeroU8,
    clock: Arc<dyn Clock>,
}

impl SqliteStoreBuilder {
    /// Keeps at most this many subscriptions of each user; 64 by default.
    #[must_use]
    pub const fn max_subscriptions_per_user(mut self, limit: NonZeroU32) -> Self {
        self.limit = limit;
        self
    }

    /// Takes all times from this clock instead of the system's. Processes that share the file
    /// must agree on the time.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Reads with this many threads, each with a connection of its own from its first read on; 4
    /// by default.
    #[must_use]
    pub const fn readers(mut self, readers: NonZeroU8) -> Self {
        self.readers = readers;
        self
    }

    /// Keeps this many megabytes of the file in memory for writing; 64 by default. Storing new
    /// subscriptions is fast as long as the index of their ids fits, 120 octets for each.
    #[must_use]
    pub const fn cache_mb(mut self, megabytes: u32) -> Self {
        self.settings.cache_mb = megabytes;
        self
    }

    /// Waits this long for another process that writes; 5 seconds by default. Then the operation
    /// fails with [`Unavailable`](super::StoreErrorKind::Unavailable).
    #[must_use]
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.settings.busy_timeout = timeout;
        self
    }

    /// Lets the file grow to this many megabytes and not further; by default only the disk limits
    /// it. What does not fit fails with [`Unavailable`](super::StoreErrorKind::Unavailable), as
    /// with a full disk.
    #[must_use]
    pub const fn max_size_mb(mut self, megabytes: u32) -> Self {
        self.settings.max_size_mb = Some(megabytes);
        self
    }

    /// Opens the database, makes it where there is none, and brings it to the schema of this
    /// version.
    ///
    /// # Errors
    ///
    /// [`Invalid`](super::StoreErrorKind::Invalid) for a database in memory,
    /// [`Unavailable`](super::StoreErrorKind::Unavailable) when another process holds it,
    /// [`Backend`](super::StoreErrorKind::Backend) when the file cannot be used; the source, for
    /// example a [`SqliteFileError`], says what to do.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        let path = self.settings.path.clone();
        let opened = Db::open(self.settings, usize::from(self.readers.get()), self.clock).await;
        let (db, ended) = opened.map_err(StoreError::from)?;
        Ok(SqliteStore { db, ended, limit: self.limit.get(), path })
    }
}

#[cfg(test)]
mod tests;
