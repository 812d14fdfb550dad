//! Rows of a database that somebody else has written to: a damaged row is skipped or a typed error, harms no other row,
//! and is mended by a `put`.
//!
//! Input: the table and column (an octet), the type (an octet), the value.
#![no_main]

use std::num::NonZeroU16;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use webpush_channels::store::journal::{
    Checkpoint, Due, Journal, JournalError, NewBroadcast, SettledRetry, Work, WorkerId,
};
use webpush_channels::store::{Audience, NewEntry, Range, SqliteStore, SubscriptionStore};
use webpush_channels::testing::UserAgent;
use webpush_channels::{BroadcastId, ChannelName, Message, OutcomeKind, Payload, Ttl, UserId};
use webpush_channels_fuzz::{Fields, Served, scratch, whole};

/// Table, column, and which row.
const COLUMNS: [(&str, &str, &str); 49] = [
    ("subscriptions", "endpoint", "number = 1"),
    ("subscriptions", "p256dh", "number = 1"),
    ("subscriptions", "auth", "number = 1"),
    ("subscriptions", "key", "number = 1"),
    ("subscriptions", "coding", "number = 1"),
    ("subscriptions", "payload_limit", "number = 1"),
    ("subscriptions", "needs_renewal", "number = 1"),
    ("subscriptions", "expires", "number = 1"),
    ("subscriptions", "created", "number = 1"),
    ("subscriptions", "seen", "number = 1"),
    ("subscriptions", "version", "number = 1"),
    ("broadcasts", "payload", "1"),
    ("broadcasts", "fallback", "1"),
    ("broadcasts", "audience_kind", "1"),
    ("broadcasts", "audience", "1"),
    ("broadcasts", "ttl", "1"),
    ("broadcasts", "urgency", "1"),
    ("broadcasts", "collapse_key", "1"),
    ("broadcasts", "padding_kind", "1"),
    ("broadcasts", "padding", "1"),
    ("broadcasts", "send_within", "1"),
    ("broadcasts", "created", "1"),
    ("broadcasts", "state", "1"),
    ("broadcasts", "per_minute", "1"),
    ("ranges", "octets", "number = 1"),
    ("ranges", "position", "number = 1"),
    ("ranges", "done", "number = 1"),
    ("ranges", "timed_out", "number = 1"),
    ("ranges", "takeovers", "number = 1"),
    ("ranges", "tally", "number = 1"),
    ("ranges", "tally", "number = 0"),
    ("retries", "id", "1"),
    ("retries", "owner", "1"),
    ("retries", "subscription", "1"),
    ("retries", "origin", "1"),
    ("retries", "attempts", "1"),
    ("retries", "failures", "1"),
    ("retries", "unconfirmed", "1"),
    ("retries", "due", "1"),
    ("retries", "ttl_left", "1"),
    ("retries", "deferred", "1"),
    ("failures", "subscription", "1"),
    ("failures", "origin", "1"),
    ("failures", "outcome", "1"),
    ("failures", "detail", "1"),
    ("failures", "attempts", "1"),
    ("totals", "broadcasts", "1"),
    ("totals", "pruned", "1"),
    ("totals", "counts", "1"),
];
/// All that a broadcast leaves; the last are what the first refer to.
const TABLES: [&str; 9] = [
    "leases",
    "totals",
    "failures",
    "retries",
    "ranges",
    "broadcasts",
    "subscriptions",
    "users",
    "sequences",
];
/// One row of each other kind.
const ROWS: &str = "
    INSERT INTO retries (broadcast, id, owner, subscription, origin, attempts, failures, unconfirmed, due, ttl_left, deferred)
        SELECT b.number, zeroblob(16), 'ann', s.id, 'https://push.example.net', 1, 0, 0, 0, 3600000, b.created
        FROM broadcasts AS b, subscriptions AS s WHERE s.number = 1;
    INSERT INTO failures (broadcast, owner, subscription, origin, outcome, detail, attempts)
        SELECT b.number, 'ann', s.id, 'Mozilla', 'gone', 'status 410', 1
        FROM broadcasts AS b, subscriptions AS s WHERE s.number = 1;
    INSERT INTO totals (channel, broadcasts, pruned, counts) VALUES ('news', 1, 0, '{}');
";
const ENTRIES: usize = 3;
const LIMIT: NonZeroU16 = NonZeroU16::new(10).expect("not zero");

thread_local! {
    static WORLD: Served<World> = const { Served::new(20_000, World::new) };
}

struct World {
    store: SqliteStore,
    /// Somebody else's.
    file: Connection,
    news: ChannelName,
    range: Range,
    /// Puts everything back.
    restore: String,
    _directory: TempDir,
}

impl World {
    fn new(runtime: &Runtime) -> Self {
        let directory = scratch();
        let path = directory.path().join("store.sqlite");
        let (store, news, range) = runtime.block_on(async {
            let store = SqliteStore::open(&path).await.expect("a new file");
            let news = ChannelName::new("news").expect("a name");
            let entries: Vec<_> = (0..ENTRIES).map(entry).collect();
            store.put(&entries).await.expect("three are few");
            store.join(&news, &[entries[0].user.clone()]).await.expect("it is new");
            let to = Audience::Channel(news.clone());
            let ranges = store.split(&to, NonZeroU16::MIN).await.expect("a channel can be cut");
            let message = Message::new(Payload::new("hello").expect("five octets fit"), Ttl::hours(1));
            let new = NewBroadcast::new(id(), to, message, Duration::from_secs(3600));
            store.begin(&new, &ranges).await.expect("it is new");
            (store, news, ranges[0])
        });
        let file = Connection::open(path).expect("the file is there");
        file.execute_batch(ROWS).expect("plain SQL");
        let save = |table| format!("CREATE TEMP TABLE saved_{table} AS SELECT * FROM {table};");
        file.execute_batch(&TABLES.map(save).concat()).expect("plain SQL");
        let back =
            |table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM temp.saved_{table};");
        let restore = format!("BEGIN; {} COMMIT", TABLES.map(back).concat());
        Self { store, file, news, range, restore, _directory: directory }
    }

    async fn attack(&self, (table, column, row): (&str, &str, &str), value: Value) {
        let set = format!("UPDATE {table} SET {column} = ?1 WHERE {row}");
        // Where SQLite itself refuses, there is nothing to see.
        if self.file.execute(&set, [value]).is_err() {
            return;
        }
        self.check_store(table).await;
        self.check_journal().await;
        self.check_end().await;
        if table == "subscriptions" {
            self.store.put(&[entry(1)]).await.expect("a damaged row can be overwritten");
            let entries = self.store.subscriptions(&entry(1).user).await.expect("the row was mended");
            assert_eq!(entries.len(), ENTRIES);
        }
        self.file.execute_batch(&self.restore).expect("what was there fits");
    }

    async fn check_store(&self, table: &str) {
        let to = Audience::Channel(self.news.clone());
        let page =
            self.store.page(&to, &self.range, None, LIMIT).await.expect("a damaged row stops no channel");
        let whole_ones = if table == "subscriptions" { ENTRIES - 1 } else { ENTRIES };
        assert!((whole_ones..=ENTRIES).contains(&page.entries.len()), "{}", page.entries.len());
        for entry in &page.entries {
            // Nothing that was read makes a later step panic.
            let _ = (entry.reference(), entry.subscription.expiration_time(), format!("{entry:?}"));
        }
        if let Err(error) = self.store.subscriptions(&entry(1).user).await {
            assert!(page.entries.len() < ENTRIES, "{error:?}");
            whole(&error);
        }
        drop(self.store.needing_renewal(None, LIMIT).await.map_err(|error| whole(&error)));
        drop(self.store.unseen(Duration::ZERO, None, LIMIT).await.map_err(|error| whole(&error)));
        self.store.count(&to).await.expect("counting reads no entry");
    }

    async fn check_journal(&self) {
        let journal = &self.store;
        // A damaged row is no reason to come back: that would be for ever.
        let damage = |error: JournalError| assert!(!error.is_retryable(), "{}", whole(&error));
        match journal.summary(&id()).await {
            Ok(summary) => assert!(summary.is_some()),
            Err(error) => damage(error),
        }
        drop(journal.recent(None, LIMIT).await.map_err(damage));
        drop(journal.unfinished(None, LIMIT).await.map_err(damage));
        drop(journal.failures(&id(), None, LIMIT).await.map_err(damage));
        drop(journal.totals(&self.news).await.map_err(damage));
    }

    /// All work is taken and done, then the rest is cleared away.
    async fn check_end(&self) {
        let (journal, term) = (&self.store, Duration::from_secs(60));
        let damage = |error: JournalError| assert!(!error.is_retryable(), "{}", whole(&error));
        for worker in 0..3 {
            match journal.lease(&WorkerId::from_bytes([worker; 16]), term, LIMIT).await {
                Ok(Some(lease)) => {
                    let mut checkpoint = Checkpoint::new(1, term);
                    checkpoint.done = true;
                    if let Work::Retries(due) = &lease.work {
                        let settle = |due: &Due| {
                            SettledRetry::new(due.retry, due.origin.clone(), OutcomeKind::Gone, None)
                        };
                        checkpoint.settled = due.iter().map(settle).collect();
                    }
                    drop(format!("{lease:?}"));
                    let _ = journal.checkpoint(&lease.token, checkpoint).await.map_err(damage);
                }
                Ok(None) => {}
                Err(error) => damage(error),
            }
        }
        drop(journal.totals(&self.news).await.map_err(damage));
        drop(journal.abort(&id()).await.map_err(damage));
        let _ = journal.purge(Duration::ZERO).await.map_err(damage);
    }
}

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let column = COLUMNS[usize::from(fields.octet()) % COLUMNS.len()];
    let value = match fields.octet() % 5 {
        0 => Value::Null,
        1 => Value::Integer(fields.number().cast_signed()),
        2 => Value::Real(f64::from_bits(fields.number())),
        3 => Value::Text(String::from_utf8_lossy(fields.rest()).into_owned()),
        _ => Value::Blob(fields.rest().to_vec()),
    };
    WORLD.with(|served| served.with(|world, runtime| runtime.block_on(world.attack(column, value))));
});

fn entry(number: usize) -> NewEntry {
    let endpoint = format!("https://push.example.net/{number}").parse().expect("a plain URL");
    let user = UserId::new("ann").expect("a name");
    NewEntry::new(user, UserAgent::seeded(number as u64).subscribe(endpoint))
}

fn id() -> BroadcastId {
    BroadcastId::new("b").expect("a name")
}
