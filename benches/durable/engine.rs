//! Where the stores live.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{PostgresStore, SqliteStore};

use super::usage;

/// The private server of `scripts/postgres run`.
const URL: &str = "WEBPUSH_CHANNELS_TEST_POSTGRES";

#[derive(Clone, Debug)]
pub(crate) enum Engine {
    Sqlite { file: PathBuf },
    Postgres { url: String },
}

impl Engine {
    /// The engine behind a URL or a path.
    pub(crate) fn at(place: &str) -> Self {
        if place.starts_with("postgres") {
            Self::Postgres { url: place.to_owned() }
        } else {
            Self::Sqlite { file: place.into() }
        }
    }

    pub(crate) fn place(&self) -> &str {
        match self {
            Self::Sqlite { file } => file.to_str().expect("temporary paths are UTF-8"),
            Self::Postgres { url } => url,
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Journal> {
        match self {
            Self::Sqlite { file } => Arc::new(SqliteStore::open(file).await.expect("the file opens")),
            Self::Postgres { url } => {
                Arc::new(PostgresStore::connect(url).await.expect("the server answers"))
            }
        }
    }

    /// What `work` costs. To count the server's processes is dear, and not part of it.
    pub(crate) fn cost(&self, work: impl FnOnce()) -> Cost {
        let servers_before = self.servers();
        let before = usage::cpu();
        work();
        let client = usage::cpu().saturating_sub(before);
        Cost { client, server: self.servers().saturating_sub(servers_before) }
    }

    /// All that the machine's PostgreSQL processes used.
    fn servers(&self) -> Duration {
        let Self::Postgres { .. } = self else { return Duration::ZERO };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let used = |process: fs::DirEntry| {
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            let stat = fs::read_to_string(process.path().join("schedstat")).ok()?;
            (name.trim() == "postgres").then(|| stat.split(' ').next()?.parse::<u64>().ok())?
        };
        Duration::from_nanos(processes.filter_map(used).sum())
    }
}

/// CPU time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) client: Duration,
    pub(crate) server: Duration,
}

impl Cost {
    pub(crate) fn total(self) -> Duration {
        self.client + self.server
    }
}

/// One engine, or both. A server that is not there is left out aloud.
pub(crate) fn chosen(only: Option<&str>) -> Result<Vec<Engine>, lexopt::Error> {
    let mut engines = Vec::new();
    if only.is_none_or(|only| only == "sqlite") {
        let directory = temporary();
        engines.push(Engine::Sqlite { file: directory.join("bench.sqlite") });
    }
    if only.is_none_or(|only| only == "postgres") {
        match std::env::var(URL) {
            Ok(url) => engines.push(Engine::Postgres { url }),
            Err(_) if only.is_none() => {
                println!("PostgreSQL is left out: {URL} is not set, see scripts/postgres");
            }
            Err(_) => return Err(format!("{URL} is not set: run this through scripts/postgres").into()),
        }
    }
    if engines.is_empty() { Err("no such engine: sqlite or postgres".into()) } else { Ok(engines) }
}

/// A directory below target/, so that it lies on a disk; emptied first.
fn temporary() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("durable");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("target/ is writable");
    directory
}

/// On one thread, as a worker of one core.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
