//! Takes over the subscriptions that another library kept.
//!
//!     import --database-url sqlite:PATH|postgres://... [--channel NAME] [--column WHAT=NAME]... [--allow-loopback]
//!         [--json]  --from-sqlite FILE --table NAME   (or lines of JSON on standard input)
//!
//! A line of JSON is what `PushSubscription.toJSON()` gives, with the `user` whose it is as another member; a table
//! has the same in columns. The usual names are known: `user`, `user_id` or `subscribable_id`; `endpoint`; `p256dh` or
//! `public_key`; `auth` or `auth_token`; `content_encoding`. Others are given, as in `--column user=owner`. Where users
//! are of several kinds, import a view of one kind.
//!
//! A bad row is reported by its number and left out. Importing again changes nothing, so that an import that was
//! interrupted is simply started again.

mod columns;
#[path = "../worker/database.rs"]
mod database;
mod source;

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use columns::Columns;
use serde_json::json;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{NewEntry, Put};
use webpush_channels::{ChannelName, EndpointPolicy, UserId};

const USAGE: &str = "usage: import --database-url sqlite:PATH|postgres://... [--channel NAME] [--column WHAT=NAME]... \
    [--allow-loopback] [--json] [--from-sqlite FILE --table NAME]";

/// Enough that a transaction's fixed costs do not count.
const BATCH: usize = 1000;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

pub(crate) struct Options {
    database_url: String,
    channel: Option<ChannelName>,
    columns: Columns,
    table: Option<(String, String)>,
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let run = async {
        let options = parse(std::env::args_os().skip(1))?;
        let imported = import(&options).await?;
        if options.json {
            println!("{}", imported.to_json());
        } else {
            println!("{imported}");
        }
        Result::Ok(())
    };
    match run.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("import: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

/// What the arguments ask for.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options> {
    use lexopt::prelude::*;
    let (mut database_url, mut channel, mut file, mut table) = (None, None, None, None);
    let (mut names, mut policy, mut json) = (Vec::new(), EndpointPolicy::public_internet(), false);
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("database-url") => database_url = Some(parser.value()?.string()?),
            Long("channel") => channel = Some(ChannelName::new(parser.value()?.string()?)?),
            Long("column") => names.push(parser.value()?.string()?),
            Long("from-sqlite") => file = Some(parser.value()?.string()?),
            Long("table") => table = Some(parser.value()?.string()?),
            Long("allow-loopback") => policy = EndpointPolicy::loopback_for_tests(),
            Long("json") => json = true,
            _ => return Err(USAGE.into()),
        }
    }
    let mut columns = Columns::new(policy);
    for name in names {
        columns.name(&name)?;
    }
    if file.is_some() != table.is_some() {
        return Err(USAGE.into());
    }
    Ok(Options { database_url: database_url.ok_or(USAGE)?, channel, columns, table: file.zip(table), json })
}

/// Reads everything and stores what is good.
#[allow(clippy::disallowed_methods, reason = "it reports its own speed")]
pub(crate) async fn import(options: &Options) -> Result<Imported> {
    let store = database::open(&options.database_url).await?;
    let began = Instant::now();
    let mut imported = Imported::default();
    let mut batch = Vec::with_capacity(BATCH);
    let mut rows = source::read(options.table.clone());
    while let Some(row) = rows.recv().await {
        let (number, row) = row?;
        imported.rows += 1;
        match row.and_then(|row| options.columns.entry(&row)) {
            Ok(entry) => batch.push(entry),
            Err(reason) => {
                imported.bad += 1;
                eprintln!("row {number}: {reason}");
            }
        }
        if batch.len() == BATCH {
            store_batch(&store, &batch, options.channel.as_ref(), &mut imported).await?;
            batch.clear();
        }
    }
    store_batch(&store, &batch, options.channel.as_ref(), &mut imported).await?;
    imported.elapsed = began.elapsed();
    Ok(imported)
}

async fn store_batch(
    store: &Arc<dyn Journal>,
    batch: &[NewEntry],
    channel: Option<&ChannelName>,
    imported: &mut Imported,
) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    for put in store.put(batch).await? {
        match put {
            Put::New => imported.new += 1,
            Put::LimitReached => imported.over_limit += 1,
            _ => imported.known += 1,
        }
    }
    if let Some(channel) = channel {
        let mut users: Vec<UserId> = batch.iter().map(|entry| entry.user.clone()).collect();
        users.sort_unstable();
        users.dedup();
        store.join(channel, &users).await?;
    }
    Ok(())
}

/// What became of the rows.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) rows: u64,
    pub(crate) new: u64,
    /// Stored before, by an earlier import or twice in the table.
    pub(crate) known: u64,
    /// Left out, because their user has as many subscriptions as one may have.
    pub(crate) over_limit: u64,
    pub(crate) bad: u64,
    elapsed: Duration,
}

impl Imported {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    fn per_second(&self) -> f64 {
        self.rows as f64 / self.elapsed.as_secs_f64()
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "rows": self.rows,
            "new": self.new,
            "known": self.known,
            "over_limit": self.over_limit,
            "bad": self.bad,
            "seconds": self.elapsed.as_secs_f64(),
            "rows_per_second": self.per_second(),
        })
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, new, known, over_limit, bad, elapsed } = self;
        write!(f, "{rows} rows: {new} new, {known} known, {over_limit} over a user's limit, {bad} bad; ")?;
        write!(f, "{:.1} s, {:.0} rows/s", elapsed.as_secs_f64(), self.per_second())
    }
}
