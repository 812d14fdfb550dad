//! The two engines.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use webpush_channels::store::journal::Journal;

use super::support::temp::TempDir;
use super::support::{consistency, pg_consistency, postgres};

/// A database of one test's own.
pub enum Database {
    Sqlite(TempDir),
    Postgres(postgres::Database),
}

impl Database {
    pub fn sqlite() -> Self {
        Self::Sqlite(TempDir::new())
    }

    pub async fn postgres() -> Self {
        Self::Postgres(postgres::Database::new().await)
    }

    /// What a node is given.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("sqlite:{}", directory.join(FILE).display()),
            Self::Postgres(database) => database.url().to_owned(),
        }
    }

    pub async fn open(&self) -> Arc<dyn Journal> {
        super::worker::database::open(&self.url()).await.unwrap()
    }

    /// Whether nobody is in the middle of a transaction now.
    pub async fn is_free(&self) -> bool {
        match self {
            Self::Sqlite(directory) => {
                connect(directory).transaction_with_behavior(TransactionBehavior::Immediate).is_ok()
            }
            Self::Postgres(database) => {
                // What was sent before the client stopped is still on its way.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let row = database.client().await.query_one(BUSY, &[]).await.unwrap();
                row.get::<_, i64>(0) == 0
            }
        }
    }

    /// Looks into the tables.
    pub async fn check(&self) {
        match self {
            Self::Sqlite(directory) => consistency::check(&connect(directory)),
            Self::Postgres(database) => pg_consistency::check(&database.client().await).await,
        }
    }
}

const FILE: &str = "push.db";

/// The sessions of others in this database that are not between two transactions.
const BUSY: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle'";

fn connect(directory: &TempDir) -> Connection {
    let file = Connection::open(directory.join(FILE)).unwrap();
    file.busy_timeout(Duration::from_millis(300)).unwrap();
    file
}
