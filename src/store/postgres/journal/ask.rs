//! Statements and rows.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

pub(super) use crate::store::postgres::db::{begin, execute, query as rows};
use crate::store::postgres::error::PgError;

/// The database's time in milliseconds. Evaluated once in a statement, so that indexes can be used.
macro_rules! now {
    () => {
        "(SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"
    };
}
pub(super) use now;

/// What a statement is given.
pub(super) type Given<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Prepares statements that are to be sent without waiting for one another's answers. They then
/// arrive in the order in which their futures are polled first, and the first that fails is the
/// first to say so.
pub(super) async fn ready(on: &impl GenericClient, statements: &[&str]) -> Result<(), PgError> {
    for sql in statements {
        on.prepare_cached(sql).await?;
    }
    Ok(())
}

/// The first row of a statement, where there is one.
pub(super) async fn row(
    on: &impl GenericClient,
    sql: &str,
    given: Given<'_>,
) -> Result<Option<Row>, PgError> {
    Ok(rows(on, sql, given).await?.into_iter().next())
}

/// A column, by its place. One of another type is damage, not a panic.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, PgError> {
    Ok(row.try_get(at)?)
}
