//! A connection to the file, and the tables in it.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::error::{Fault, SqliteFileError};
use crate::store::sql::SCHEMA;

/// How connections to the file are made.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) path: PathBuf,
    pub(super) busy_timeout: Duration,
    /// Megabytes that the writer keeps of the file.
    pub(super) cache_mb: u32,
    /// Megabytes that the file may have.
    pub(super) max_size_mb: Option<u32>,
}

/// Marks the file as one of ours.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"WpCh");
/// The oldest schema whose programs can use this one.
const MIN_READER: i64 = 1;
/// What brings the tables of each schema to the next; the first makes them.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("schema_2.sql")];
/// Megabytes that a reader keeps of the file: pages are read once, in order.
const READER_CACHE_MB: u32 = 8;
/// Pages in the log before they are moved to the file: 16 MB, so that a page that changes often is
/// moved once.
const CHECKPOINT_PAGES: u32 = 4000;
/// What is left of the log after it was large once.
const LOG_LIMIT: i64 = 64 << 20;
/// Pages have 4096 octets.
const PAGES_OF_MB: i64 = (1 << 20) / 4096;
/// Statements of both halves of the store, so that none is parsed twice.
const STATEMENTS: usize = 128;
/// Two programs that open a new file at once both turn its log on, and SQLite does not wait there.
const LOG_TRIES: u32 = 100;
const LOG_PAUSE: Duration = Duration::from_millis(10);

/// The connection that writes, and the tag of the database.
pub(super) fn open_writer(settings: &Settings) -> Result<(Connection, [u8; 8]), Fault> {
    let path = &settings.path;
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Err(SqliteFileError::InMemory.into());
    }
    make_private(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = connect(settings, flags, settings.cache_mb)?;
    // Before anything is changed: the file may be somebody else's.
    check_owner(&connection)?;
    turn_log_on(&connection)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    if let Some(megabytes) = settings.max_size_mb {
        connection.pragma_update(None, "max_page_count", i64::from(megabytes) * PAGES_OF_MB)?;
    }
    // The first commit makes the tables, or nothing.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    migrate(&connection)?;
    connection.execute_batch("COMMIT")?;
    let tag = tag(&connection)?.ok_or(SqliteFileError::Incomplete)?;
    Ok((connection, tag))
}

/// A connection that cannot write.
pub(super) fn open_reader(settings: &Settings) -> Result<Connection, Fault> {
    let connection = connect(settings, OpenFlags::SQLITE_OPEN_READ_WRITE, READER_CACHE_MB)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Makes an empty file where there is none, for its owner's eyes only: endpoints and keys will lie
/// in it (S-14), and SQLite gives the files beside it the same mode. One that is there is not even
/// opened: to close it would give up the locks of this process. What cannot be made here SQLite
/// cannot make either, and says why.
fn make_private(path: &Path) {
    // A link may lead to where nothing is yet.
    let link = fs::read_link(path).map(|to| path.parent().map_or(to.clone(), |from| from.join(to)));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(link.as_deref().unwrap_or(path));
}

fn connect(settings: &Settings, flags: OpenFlags, cache_mb: u32) -> Result<Connection, Fault> {
    // Each connection stays on its thread.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&settings.path, flags)?;
    connection.busy_timeout(settings.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Negative: kibibytes.
    connection.pragma_update(None, "cache_size", -1024 * i64::from(cache_mb))?;
    Ok(connection)
}

fn check_owner(connection: &Connection) -> Result<(), Fault> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION_ID, _) => Ok(()),
        (0, 0) if is_empty(connection)? => Ok(()),
        _ => Err(SqliteFileError::Foreign.into()),
    }
}

fn is_empty(connection: &Connection) -> Result<bool, Fault> {
    Ok(connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?)
}

fn turn_log_on(connection: &Connection) -> Result<(), Fault> {
    let mut tries = 0;
    loop {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode.map_err(Fault::from) {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(_) => return Err(SqliteFileError::NoLog.into()),
            Err(fault) if fault.is_busy() && tries < LOG_TRIES => std::thread::sleep(LOG_PAUSE),
            Err(fault) => return Err(fault),
        }
        tries += 1;
    }
}

/// Brings the tables to our schema. A later one is left as it is, where it says that we can use it.
fn migrate(connection: &Connection) -> Result<(), Fault> {
    // Again: somebody else may have been faster.
    check_owner(connection)?;
    let from = if is_empty(connection)? { 0 } else { number(connection, "schema")? };
    if from > 0 {
        let needed = number(connection, "min_reader")?;
        if needed > SCHEMA {
            return Err(SqliteFileError::Newer { needed, known: SCHEMA }.into());
        }
    }
    if from >= SCHEMA {
        return Ok(());
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or_default()) {
        connection.execute_batch(migration)?;
    }
    let mut set = connection.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?;
    set.execute(params!["schema", SCHEMA])?;
    set.execute(params!["min_reader", MIN_READER])?;
    if from == 0 {
        set.execute(params!["tag", new_tag()?])?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", SCHEMA)?;
    Ok(())
}

fn number(connection: &Connection, name: &str) -> Result<i64, Fault> {
    let value = connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0));
    value.optional()?.ok_or_else(|| SqliteFileError::Incomplete.into())
}

/// What positions, ranges and leases of this database carry.
pub(super) fn tag(connection: &Connection) -> Result<Option<[u8; 8]>, Fault> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'tag'")?;
    let tag = statement.query_row([], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    Ok(tag.and_then(|tag| tag.try_into().ok()))
}

fn new_tag() -> Result<[u8; 8], Fault> {
    let mut tag = [0; 8];
    getrandom::fill(&mut tag).map_err(|_| Fault::NoRandom)?;
    Ok(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_reached() {
        assert_eq!(i64::try_from(MIGRATIONS.len()), Ok(SCHEMA));
    }
}
