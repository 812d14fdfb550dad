//! The database that an URL names.

use std::sync::Arc;

use webpush_channels::store::journal::Journal;
use webpush_channels::store::{PostgresStore, SqliteStore};

/// Opens `sqlite:PATH` or `postgres://...`.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Journal>, Box<dyn std::error::Error + Send + Sync>> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        Ok(Arc::new(SqliteStore::open(path).await?))
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Arc::new(PostgresStore::connect(url).await?))
    } else {
        // It may hold a password: not quoted.
        Err("the database's URL begins with neither `sqlite:` nor `postgres://`".into())
    }
}
