//! What goes wrong with a database.

use std::error::Error as StdError;
use std::io;

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use crate::store::journal::{JournalError, JournalErrorKind};
use crate::store::sql::Damaged;
use crate::store::{PositionError, StoreError, StoreErrorKind};

/// A failure inside this store.
///
/// No text of it holds a row: what the server says in detail is dropped, because it likes to quote
/// the row that offended it (S-12).
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum PgError {
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error(transparent)]
    Position(#[from] PositionError),
    /// What only a journal answers.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Somebody else changed what had been looked up: to be done again from the beginning.
    #[error("others keep changing the same rows: repeat it later")]
    Raced,
    #[error("no database connection became free in time: allow more, or do less at once")]
    Busy,
    #[error("the database did not answer in time")]
    Slow,
    #[error("the pool of database connections cannot be used: {0}")]
    Pool(&'static str),
    #[error(
        "the database URL cannot be read: write postgres://user:password@host:5432/database, with what is \
         special in user and password percent-encoded"
    )]
    Url,
    #[error("neither a URL nor a pool of connections was given: call `url` or `pool` before `connect`")]
    NoDatabase,
    #[error("an extra root certificate cannot be used: give certificates in PEM")]
    Root(#[source] Option<Box<dyn StdError + Send + Sync>>),
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("no random numbers from the system")]
    Random(#[source] getrandom::Error),
    #[error(
        "the tables need version {needed} of them to be understood, this release knows {known}: update it"
    )]
    Newer { needed: i64, known: i64 },
    #[error("the database answered {code}, {message}{advice}")]
    Server { code: String, message: String, advice: &'static str, retryable: bool },
    #[error("{what}")]
    Client { source: tokio_postgres::Error, what: &'static str, retryable: bool },
}

impl PgError {
    /// Whether the same may succeed later.
    pub(in crate::store) const fn is_retryable(&self) -> bool {
        match self {
            Self::Raced | Self::Busy | Self::Slow => true,
            Self::Server { retryable, .. } | Self::Client { retryable, .. } => *retryable,
            Self::Journal(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// Whether the same transaction may succeed at once: it only came in another's way.
    pub(super) fn is_collision(&self) -> bool {
        match self {
            Self::Raced => true,
            // A row that is there twice was looked for before it was there.
            Self::Server { code, .. } => COLLISIONS.iter().any(|collision| collision.code() == code),
            _ => false,
        }
    }
}

const COLLISIONS: [SqlState; 3] =
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::UNIQUE_VIOLATION];

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            let code = answer.code().code().to_owned();
            let (retryable, advice) = (is_passing(&code), advice(&code));
            return Self::Server { message: answer.message().to_owned(), code, advice, retryable };
        }
        let fault = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        let (what, retryable) = match fault {
            // So arrives a certificate that is not trusted.
            Some(fault) if fault.kind() == io::ErrorKind::InvalidData => (UNTRUSTED, false),
            Some(_) => (LOST, true),
            None if error.is_closed() || error.to_string() == TIMEOUT => (LOST, true),
            None => (MISUNDERSTOOD, false),
        };
        Self::Client { source: error, what, retryable }
    }
}

/// How `tokio_postgres` shows the one kind of error that has neither a source nor a test.
const TIMEOUT: &str = "timeout waiting for server";
const LOST: &str = "the connection to the database failed";
const UNTRUSTED: &str = "the database's certificate is not trusted: give its root with `extra_root_pem`, or forgo \
     TLS with sslmode=disable";
const MISUNDERSTOOD: &str = "the database cannot be spoken to, or not in this way: see the cause";

impl From<PoolError> for PgError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => Self::Busy,
            PoolError::Timeout(_) => Self::Slow,
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
            PoolError::PostCreateHook(HookError::Message(_)) => Self::Pool("its hook refused a connection"),
            PoolError::Closed => Self::Pool("it was closed"),
            PoolError::NoRuntimeSpecified => Self::Pool("it has timeouts but no runtime"),
        }
    }
}

impl From<PgError> for StoreError {
    fn from(error: PgError) -> Self {
        let kind = match &error {
            PgError::Position(error) => return (*error).into(),
            _ if error.is_retryable() => StoreErrorKind::Unavailable,
            _ => StoreErrorKind::Backend,
        };
        Self::new(kind).with_source(error)
    }
}

impl From<PgError> for JournalError {
    fn from(error: PgError) -> Self {
        let kind = match error {
            PgError::Journal(error) => return error,
            PgError::Position(_) => JournalErrorKind::Invalid,
            _ if error.is_retryable() => JournalErrorKind::Unavailable,
            _ => JournalErrorKind::Backend,
        };
        Self::new(kind).with_source(error)
    }
}

/// Codes that say "not now" (PostgreSQL, appendix A): connection, resources, a collision, a lock
/// or a statement that took too long, a server that goes down, comes up or only reads.
fn is_passing(code: &str) -> bool {
    const CODES: [&str; 9] =
        ["40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "57P05", "25006"];
    code.starts_with("08") || code.starts_with("53") || code == "25P03" || CODES.contains(&code)
}

fn advice(code: &str) -> &'static str {
    match code {
        "28P01" | "28000" => ": check user and password, and the server's pg_hba.conf",
        "3D000" => ": create the database, or correct its name",
        "42501" => ": grant the user CREATE on the database, and all on the schema webpush_channels",
        "3F000" | "42P01" | "42703" | "42883" | "42804" => {
            ": the tables in the schema webpush_channels are not as they were made, restore them"
        }
        "22P05" | "22021" => ": the database needs the encoding UTF8",
        "26000" | "42P05" => ": a proxy drops prepared statements, let it pool by session",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for code in ["08006", "57P01", "57P03", "53300", "53100", "40001", "40P01", "55P03"] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["28P01", "3D000", "42P01", "23505", "22P05", "57P04"] {
            assert!(!is_passing(code), "{code}");
        }
    }

    #[test]
    fn kinds_are_kept() {
        let kind = |error: PgError| StoreError::from(error).kind();
        assert_eq!(kind(PositionError::Foreign.into()), StoreErrorKind::Position);
        assert_eq!(kind(PgError::Busy), StoreErrorKind::Unavailable);
        assert_eq!(kind(PgError::Url), StoreErrorKind::Backend);
        let kind = |error: PgError| JournalError::from(error).kind();
        assert_eq!(kind(PositionError::Foreign.into()), JournalErrorKind::Invalid);
        assert_eq!(kind(PgError::Raced), JournalErrorKind::Unavailable);
        let lost = JournalError::new(JournalErrorKind::LeaseLost);
        assert_eq!(kind(lost.into()), JournalErrorKind::LeaseLost);
    }
}
