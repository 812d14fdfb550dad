//! The command line.

use std::path::PathBuf;

use crate::Result;

const USAGE: &str = "usage: webpush-channels-soak [SECONDS] [--seed N] [--database-url postgres://...] [--users N] \
    [--broadcasts-per-minute N] [--changes-per-second N]";

#[derive(Debug)]
pub(crate) struct Options {
    /// How long there are changes, broadcasts and faults.
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    /// A superuser's, for a database of the run's own; without it a file of SQLite's.
    pub(crate) database_url: Option<String>,
    pub(crate) users: usize,
    pub(crate) broadcasts_per_minute: u64,
    pub(crate) changes_per_second: u64,
    /// One message is not written down: the run must fail then.
    pub(crate) swallow_one: bool,
}

impl Options {
    pub(crate) fn parse() -> Result<Self> {
        use lexopt::prelude::*;

        let seed = std::env::var("SOAK_SEED").ok().map(|seed| seed.parse()).transpose()?;
        let mut options = Self {
            seconds: 60,
            seed: seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
            database_url: None,
            users: 400,
            broadcasts_per_minute: 60,
            changes_per_second: 8,
            swallow_one: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(seconds) => options.seconds = seconds.parse()?,
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long("database-url") => options.database_url = Some(parser.value()?.string()?),
                Long("users") => options.users = parser.value()?.parse::<usize>()?.max(16),
                Long("broadcasts-per-minute") => {
                    options.broadcasts_per_minute = parser.value()?.parse::<u64>()?.max(1);
                }
                Long("changes-per-second") => {
                    options.changes_per_second = parser.value()?.parse::<u64>()?.max(1);
                }
                Long("swallow-one") => options.swallow_one = true,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }

    /// The programmes that run: cargo puts them beside this one.
    pub(crate) fn programme(name: &str) -> Result<PathBuf> {
        let own = std::env::current_exe()?;
        let found = own.parent().map(|directory| directory.join(name)).filter(|path| path.exists());
        found.ok_or_else(|| format!("{name} is not built: use scripts/soak").into())
    }
}
