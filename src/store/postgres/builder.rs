//! Building a [`PostgresStore`].

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use deadpool_postgres::Pool;

use super::PostgresStore;
use super::connect::Server;
use super::db::Db;
use super::error::PgError;
use super::listen::Listener;
use crate::store::StoreError;

/// Configures a [`PostgresStore`].
#[derive(Clone)]
#[must_use]
pub struct PostgresStoreBuilder {
    url: Option<String>,
    pool: Option<Pool>,
    max_connections: usize,
    connect_timeout: Duration,
    limit: NonZeroU32,
    listen: bool,
    roots: Vec<Vec<u8>>,
}

/// The most subscriptions of one user, as in every store (S-10).
const DEFAULT_LIMIT: NonZeroU32 = NonZeroU32::new(64).expect("not zero");

impl PostgresStoreBuilder {
    pub(super) const fn new() -> Self {
        Self {
            url: None,
            pool: None,
            max_connections: 8,
            connect_timeout: Duration::from_secs(5),
            limit: DEFAULT_LIMIT,
            listen: true,
            roots: Vec::new(),
        }
    }

    /// Where the database is: `postgres://user:password@host:5432/database`, with the options of
    /// libpq that `tokio_postgres::Config` knows.
    ///
    /// With `sslmode=require` there is TLS or no connection; with `prefer`, which is the default,
    /// there is TLS where the server offers it. A server that offers it must show a certificate
    /// that is trusted and has its name.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Takes connections from a pool of the application instead of making its own.
    ///
    /// The size and the timeouts are then the pool's. Such a pool cannot listen: where a URL is
    /// given as well, that is used for it, else new work is found by looking for it.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// How many connections there are at most, besides the one that listens. At least 1; 8 by
    /// default.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = if connections == 0 { 1 } else { connections };
        self
    }

    /// How long making a connection may take, and waiting for one that is free; 5 s by default.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Keeps at most this many subscriptions of each user; 64 by default. All nodes that use one
    /// database should have the same limit.
    pub const fn max_subscriptions_per_user(mut self, limit: NonZeroU32) -> Self {
        self.limit = limit;
        self
    }

    /// Whether whoever waits for work hears of it at once. That holds one connection, from the
    /// first time that somebody waits. Without, work is found by looking for it. Default: true.
    pub const fn listen(mut self, listen: bool) -> Self {
        self.listen = listen;
        self
    }

    /// Trusts the certificates in `pem` as roots, besides Mozilla's.
    pub fn extra_root_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Connects, and makes the tables where they are missing, in the schema `webpush_channels`.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Backend`](crate::store::StoreErrorKind::Backend) for what stays wrong: the
    /// URL, user, password or database, a certificate, missing permissions, tables of a later
    /// release. [`StoreErrorKind::Unavailable`](crate::store::StoreErrorKind::Unavailable) when
    /// the server cannot be reached now.
    ///
    /// # Cancel safety
    ///
    /// Tables are made as a whole or not at all.
    pub async fn connect(self) -> Result<PostgresStore, StoreError> {
        let server = match &self.url {
            Some(url) => Some(Server::new(url, &self.roots, self.connect_timeout)?),
            None => None,
        };
        let pool = match (self.pool, &server) {
            (Some(pool), _) => pool,
            (None, Some(server)) => server.pool(self.max_connections, self.connect_timeout)?,
            (None, None) => return Err(PgError::NoDatabase.into()),
        };
        let listener = server.filter(|_| self.listen).map(Listener::new);
        let db = Db::open(pool, listener).await?;
        Ok(PostgresStore { db, limit: self.limit.get().into() })
    }
}

impl fmt::Debug for PostgresStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStoreBuilder")
            .field("max_connections", &self.max_connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("limit", &self.limit)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}
