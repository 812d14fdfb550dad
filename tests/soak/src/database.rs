//! The two engines, and what may come between them and the nodes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::Mutex;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{PostgresStore, SqliteStore};

use crate::Result;
use crate::nodes::FILE;
use crate::postgres;
use crate::proxy::Proxy;

/// A database of the run's own.
pub(crate) enum Database {
    Sqlite(PathBuf),
    Postgres { database: postgres::Database, proxy: Mutex<Proxy> },
}

impl Database {
    pub(crate) async fn new(directory: &Path, server: Option<&str>) -> Self {
        let Some(server) = server else { return Self::Sqlite(directory.join(FILE)) };
        let database = postgres::Database::on(server).await;
        let proxy = Mutex::new(Proxy::new(postgres::port(database.url())).await);
        Self::Postgres { database, proxy }
    }

    /// What nodes are given, where it is no file.
    pub(crate) async fn url(&self) -> Option<String> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres { database, proxy } => Some(proxy.lock().await.url(database.url())),
        }
    }

    /// For looking into it, past everything.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Journal>> {
        Ok(match self {
            Self::Sqlite(file) => Arc::new(SqliteStore::open(file).await?),
            Self::Postgres { database, .. } => Arc::new(PostgresStore::connect(database.url()).await?),
        })
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    /// Nobody can write for so long: the file is locked, or the server is not there.
    pub(crate) async fn outage(&self, time: Duration) -> Result<()> {
        match self {
            Self::Sqlite(file) => {
                let file = file.clone();
                tokio::task::spawn_blocking(move || lock(&file, time)).await??;
            }
            Self::Postgres { proxy, .. } => {
                let mut proxy = proxy.lock().await;
                proxy.stop().await;
                tokio::time::sleep(time).await;
                proxy.start();
            }
        }
        Ok(())
    }
}

fn lock(file: &Path, time: Duration) -> rusqlite::Result<()> {
    let mut file = Connection::open(file)?;
    file.busy_timeout(Duration::from_secs(30))?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    std::thread::sleep(time);
    transaction.rollback()
}
