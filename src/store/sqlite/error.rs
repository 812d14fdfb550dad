//! What can go wrong with the file, and what to do about it.

use std::sync::Arc;

use rusqlite::{Error as RusqliteError, ErrorCode};

use crate::store::journal::{JournalError, JournalErrorKind};
use crate::store::sql::Damaged;
use crate::store::{PositionError, StoreError, StoreErrorKind};

/// Why a file cannot be a [`SqliteStore`](super::SqliteStore). Found as the source of the error of
/// `open`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteFileError {
    /// The database was made by another program.
    #[error("the file is a database of another program: give the store a file of its own")]
    Foreign,
    /// The database lacks a table, a column or a row that every store writes.
    #[error("the database is not complete: restore it from a backup")]
    Incomplete,
    /// A database in memory: the connections that read would not see it.
    #[error("a store needs a file: use `MemoryStore` for one in memory")]
    InMemory,
    /// The database was changed by a later version of this crate.
    #[error("the database needs a program that knows schema {needed}, this one knows {known}: update it")]
    Newer {
        /// The oldest schema that a program must know to use it.
        needed: i64,
        /// The schema that this program knows.
        known: i64,
    },
    /// The file system cannot share memory between connections, or the file is on another host.
    #[error("the file cannot have a write-ahead log: put it on a local file system")]
    NoLog,
}

/// SQLite, or a thread that uses it, failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::store) enum Fault {
    /// Its text names columns and the file; values are never in it.
    #[error("{advice}")]
    Sqlite { kind: StoreErrorKind, advice: &'static str, source: Arc<RusqliteError> },
    #[error("{0}")]
    File(#[from] SqliteFileError),
    #[error("an operation on the database panicked: this is a defect, please report it")]
    Panicked,
    #[error("the thread that serves the database has ended: open the store again")]
    Ended,
    #[error("the transaction was rolled back with that of another operation: repeat it")]
    RolledBack,
    #[error("the operating system gave no random octets")]
    NoRandom,
    #[error("no thread could be started for the database")]
    NoThread(#[source] Arc<std::io::Error>),
}

impl Fault {
    fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Sqlite { kind, .. } => *kind,
            Self::File(SqliteFileError::InMemory) => StoreErrorKind::Invalid,
            Self::RolledBack | Self::NoRandom | Self::NoThread(_) => StoreErrorKind::Unavailable,
            Self::File(_) | Self::Panicked | Self::Ended => StoreErrorKind::Backend,
        }
    }

    /// Whether another process, or another connection, was faster.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. }
            if matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)))
    }
}

impl From<RusqliteError> for Fault {
    fn from(error: RusqliteError) -> Self {
        let (kind, advice) = judge(&error);
        Self::Sqlite { kind, advice, source: Arc::new(error) }
    }
}

/// What the failure means for a repetition, and what helps.
fn judge(error: &RusqliteError) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Backend, Unavailable};
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Unavailable, "another process held the database for too long: end it, or wait longer")
        }
        // Space can be freed while the program runs, and what was asked then goes on.
        Some(ErrorCode::DiskFull) => (Unavailable, "the disk is full: free some space"),
        Some(ErrorCode::OutOfMemory) => (Unavailable, "there was no memory left: free some"),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (Backend, "the file must not be written to: change the permissions of it and its directory")
        }
        Some(ErrorCode::CannotOpen) => {
            (Backend, "the file could not be opened: look at its path, its directory and their permissions")
        }
        Some(ErrorCode::NotADatabase) => {
            (Backend, "the file is not a database: move it away, or give another path")
        }
        Some(ErrorCode::DatabaseCorrupt) => (Backend, "the database is damaged: restore it from a backup"),
        Some(ErrorCode::SystemIoFailure) => (Backend, "the disk failed: look at the system's log"),
        Some(_) => (Backend, "the database refused an operation"),
        None => (Backend, "the database holds what no store wrote: restore it from a backup"),
    }
}

/// What a transaction ends with where it does not succeed.
#[derive(Debug)]
pub(in crate::store) enum SqlError {
    Fault(Fault),
    Store(StoreError),
    Journal(JournalError),
}

impl SqlError {
    /// One of the journal's refusals.
    pub(super) const fn journal(kind: JournalErrorKind) -> Self {
        Self::Journal(JournalError::new(kind))
    }
}

impl From<Fault> for SqlError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<RusqliteError> for SqlError {
    fn from(error: RusqliteError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<StoreError> for SqlError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<JournalError> for SqlError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<Damaged> for SqlError {
    fn from(error: Damaged) -> Self {
        Self::Store(StoreError::new(StoreErrorKind::Backend).with_source(error))
    }
}

impl From<PositionError> for SqlError {
    fn from(error: PositionError) -> Self {
        Self::Store(error.into())
    }
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Fault(Fault::File(error)) => Self::new(Fault::from(error).kind()).with_source(error),
            SqlError::Fault(fault) => Self::new(fault.kind()).with_source(fault),
            SqlError::Store(error) => error,
            SqlError::Journal(error) => {
                let kind = match error.kind() {
                    JournalErrorKind::Unavailable => StoreErrorKind::Unavailable,
                    JournalErrorKind::Backend => StoreErrorKind::Backend,
                    _ => StoreErrorKind::Invalid,
                };
                Self::new(kind).with_source(error)
            }
        }
    }
}

impl From<SqlError> for JournalError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Journal(error) => error,
            other => StoreError::from(other).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use rusqlite::ffi;

    use super::*;

    fn store_error(code: i32) -> StoreError {
        SqlError::from(RusqliteError::SqliteFailure(ffi::Error::new(code), None)).into()
    }

    #[test]
    fn what_can_pass_is_retried() {
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_SNAPSHOT, ffi::SQLITE_LOCKED, ffi::SQLITE_FULL] {
            assert!(store_error(code).is_retryable(), "{code}");
        }
        for code in [
            ffi::SQLITE_READONLY,
            ffi::SQLITE_READONLY_DIRECTORY,
            ffi::SQLITE_PERM,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_CONSTRAINT_UNIQUE,
            ffi::SQLITE_SCHEMA,
        ] {
            assert_eq!(store_error(code).kind(), StoreErrorKind::Backend, "{code}");
        }
    }

    #[test]
    fn the_cause_says_what_to_do_and_keeps_its_own_cause() {
        let error = store_error(ffi::SQLITE_READONLY);
        let fault = error.source().unwrap();
        assert!(fault.to_string().contains("change the permissions"), "{fault}");
        assert!(fault.source().unwrap().is::<Arc<RusqliteError>>());
    }

    #[test]
    fn an_error_stays_itself_between_the_halves() {
        let lost = JournalError::from(SqlError::journal(JournalErrorKind::LeaseLost));
        assert_eq!(lost.kind(), JournalErrorKind::LeaseLost);
        let busy = RusqliteError::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None);
        assert_eq!(JournalError::from(SqlError::from(busy)).kind(), JournalErrorKind::Unavailable);
        let damaged = StoreError::from(SqlError::from(Damaged::new("broadcasts", "id")));
        assert_eq!(damaged.kind(), StoreErrorKind::Backend);
        assert!(damaged.source().unwrap().to_string().contains("broadcasts"));
    }
}
